"""The compiled loop of farthest point sampling: bounding boxes skip what a sample cannot change.

Notable:
- points lie in buckets that are compact in space, buckets in groups of `GROUP`; a group or a bucket
  is opened only when its bounding box is nearer to the new sample than the farthest point in it is
  to the old ones;
- the box bound is computed by the same float32 operations in the same order as a distance, and
  rounding is monotone, so it never exceeds a computed distance: skipping changes no bit.
"""

import numba
import numpy as np

GROUP = 16


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
    groups = (buckets + GROUP - 1) // GROUP
    distance = np.full(total, np.float32(np.inf), np.float32)
    boxes = np.empty((6, buckets), np.float32)
    outer = np.empty((6, groups), np.float32)
    farthest = np.full(buckets, np.float32(np.inf), np.float32)
    at = offsets[:-1].copy()
    group_farthest = np.full(groups, np.float32(np.inf), np.float32)
    group_at = at[::GROUP].copy()
    for axis, values in enumerate((x, y, z)):
        for b in range(buckets):
            boxes[axis, b] = values[offsets[b] : offsets[b + 1]].min()
            boxes[3 + axis, b] = values[offsets[b] : offsets[b + 1]].max()
        for g in range(groups):
            outer[axis, g] = boxes[axis, g * GROUP : (g + 1) * GROUP].min()
            outer[3 + axis, g] = boxes[3 + axis, g * GROUP : (g + 1) * GROUP].max()
    current = 0
    for i in range(total):
        if index[i] == start:
            current = i

    order = np.empty(count, np.int64)
    group_bound = np.empty(groups, np.float32)
    bound = np.empty(GROUP, np.float32)
    for k in range(count):
        order[k] = index[current]
        px, py, pz = x[current], y[current], z[current]
        # A chosen point is never chosen again, not even when duplicates leave only zeros.
        distance[current] = np.float32(-1)
        box_bounds(outer, 0, px, py, pz, group_bound)
        best, current = np.float32(-2), -1
        for g in range(groups):
            if opens(group_bound[g], group_farthest[g]):
                first, last = g * GROUP, min(buckets, (g + 1) * GROUP)
                box_bounds(boxes, first, px, py, pz, bound[: last - first])
                most, where = np.float32(-2), -1
                for b in range(first, last):
                    if opens(bound[b - first], farthest[b]):
                        begin, end = offsets[b], offsets[b + 1]
                        for i in range(begin, end):
                            dx, dy, dz = x[i] - px, y[i] - py, z[i] - pz
                            distance[i] = min(distance[i], dx * dx + dy * dy + dz * dz)
                        top = begin
                        for i in range(begin + 1, end):
                            if distance[i] > distance[top]:
                                top = i
                        farthest[b], at[b] = distance[top], top
                    if farthest[b] > most or (farthest[b] == most and index[at[b]] < index[where]):
                        most, where = farthest[b], at[b]
                group_farthest[g], group_at[g] = most, where
            if group_farthest[g] > best or (
                group_farthest[g] == best and index[group_at[g]] < index[current]
            ):
                best, current = group_farthest[g], group_at[g]
    return order


@numba.njit(cache=True, nogil=True, forceinline=True)
def box_bounds(boxes, first, px, py, pz, bound):  # type: ignore[no-untyped-def]
    """Fill `bound` (B,) with squared distances from p to the boxes (6,.) from `first` on."""
    zero = np.float32(0)
    for b in range(len(bound)):
        dx = max(max(boxes[0, first + b] - px, px - boxes[3, first + b]), zero)
        dy = max(max(boxes[1, first + b] - py, py - boxes[4, first + b]), zero)
        dz = max(max(boxes[2, first + b] - pz, pz - boxes[5, first + b]), zero)
        bound[b] = dx * dx + dy * dy + dz * dz


@numba.njit(inline="always")
def opens(bound, farthest):  # type: ignore[no-untyped-def]
    """Whether a sample at `bound` from a box can change it.

    The box of the chosen point itself has bound 0: it is opened unless all of it is chosen or a
    duplicate; then the second condition opens it still.
    """
    return bound < farthest or (bound == 0 and farthest == 0)
