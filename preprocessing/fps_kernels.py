"""The compiled loop of farthest point sampling: bounding boxes skip what a sample cannot change.

Notable:
- points lie in buckets that are compact in space; a bucket is opened only when its bounding box is
  nearer to the new sample than the bucket's farthest point is to the old ones;
- the box bound is computed by the same float32 operations in the same order as a distance, and
  rounding is monotone, so it never exceeds a computed distance: skipping changes no bit.
"""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def select_farthest(  # type: ignore[no-untyped-def]
    x, y, z, index, offsets, count, start
):
    """Farthest point order over bucketed points.

    x, y, z float32 (N,) in bucket order, each bucket by ascending original index; `index` int64
    (N,) the original indices; `offsets` int64 (B+1,) bucket limits; `start` the original index to
    begin with. Returns int64 (count,).
    """
    total, buckets = len(x), len(offsets) - 1
    distance = np.full(total, np.float32(np.inf), np.float32)
    low = np.empty((3, buckets), np.float32)
    high = np.empty((3, buckets), np.float32)
    farthest = np.full(buckets, np.float32(np.inf), np.float32)
    at = np.empty(buckets, np.int64)
    current = 0
    for b in range(buckets):
        begin, end = offsets[b], offsets[b + 1]
        at[b] = begin
        low[0, b] = x[begin:end].min()
        low[1, b] = y[begin:end].min()
        low[2, b] = z[begin:end].min()
        high[0, b] = x[begin:end].max()
        high[1, b] = y[begin:end].max()
        high[2, b] = z[begin:end].max()
    for i in range(total):
        if index[i] == start:
            current = i

    order = np.empty(count, np.int64)
    bound = np.empty(buckets, np.float32)
    zero = np.float32(0)
    for k in range(count):
        order[k] = index[current]
        px, py, pz = x[current], y[current], z[current]
        # A chosen point is never chosen again, not even when duplicates leave only zeros.
        distance[current] = np.float32(-1)
        for b in range(buckets):
            dx = max(max(low[0, b] - px, px - high[0, b]), zero)
            dy = max(max(low[1, b] - py, py - high[1, b]), zero)
            dz = max(max(low[2, b] - pz, pz - high[2, b]), zero)
            bound[b] = dx * dx + dy * dy + dz * dz
        best, current = np.float32(-2), -1
        for b in range(buckets):
            # at[b] is the chosen point itself in one bucket, whose bound is 0: it is opened unless
            # all of it is chosen or a duplicate; then `<=` opens it still.
            if bound[b] < farthest[b] or (bound[b] == zero and farthest[b] == zero):
                begin, end = offsets[b], offsets[b + 1]
                for i in range(begin, end):
                    dx, dy, dz = x[i] - px, y[i] - py, z[i] - pz
                    distance[i] = min(distance[i], dx * dx + dy * dy + dz * dz)
                most, where = distance[begin], begin
                for i in range(begin + 1, end):
                    if distance[i] > most:
                        most, where = distance[i], i
                farthest[b], at[b] = most, where
            if farthest[b] > best or (farthest[b] == best and index[at[b]] < index[current]):
                best, current = farthest[b], at[b]
    return order
