"""Kernels of the flood from outside over bricks, eight corners at a time.

A brick's 8x8x8 owned corners are 64 rows (i, j) of 8 bits along z. Corners on a common grid edge
are neighbours, which is how the extractor's cells join outside corners (isosurface_tables.py).
"""

import numba as nb
import numpy as np

ABSENT, ENCLOSED = -1, -2


@nb.njit(parallel=True, cache=True)
def outside_bits(values, rows, outs):  # type: ignore[no-untyped-def]
    """Fill outs[rows] (B,64): bit k of row (i, j) is set where the value is not above 0."""
    for r in nb.prange(rows.shape[0]):
        b = rows[r]
        for i in range(8):
            for j in range(8):
                mask = 0
                for k in range(8):
                    if not values[b, i, j, k] > 0.0:
                        mask |= 1 << k
                outs[b, i * 8 + j] = mask


@nb.njit(cache=True)
def _spread(out, reach):  # type: ignore[no-untyped-def]
    """Flood reach (64,) within out (64,) in place; what is reached beyond it is forgotten first."""
    for r in range(64):
        reach[r] &= out[r]
    changed = True
    while changed:
        changed = False
        for sweep in range(2):
            for step in range(64):
                r = step if sweep == 0 else 63 - step
                mask, room = np.int64(reach[r]), np.int64(out[r])
                if r >= 8:
                    mask |= np.int64(reach[r - 8])
                if r < 56:
                    mask |= np.int64(reach[r + 8])
                if r & 7:
                    mask |= np.int64(reach[r - 1])
                if (r & 7) < 7:
                    mask |= np.int64(reach[r + 1])
                mask &= room
                for _ in range(7):
                    wider = (mask | (mask << 1) | (mask >> 1)) & room
                    if wider == mask:
                        break
                    mask = wider
                if mask != np.int64(reach[r]):
                    reach[r] = mask
                    changed = True


@nb.njit(cache=True)
def _enter(reach, side, other):  # type: ignore[no-untyped-def]
    """Let in what the neighbour on one side reached: other (64,) are its rows.

    Sides 0 to 5 are -x, +x, -y, +y, -z, +z.
    """
    for s in range(8):
        if side == 0:
            reach[s] |= other[56 + s]
        elif side == 1:
            reach[56 + s] |= other[s]
        elif side == 2:
            reach[s * 8] |= other[s * 8 + 7]
        elif side == 3:
            reach[s * 8 + 7] |= other[s * 8]
    if side >= 4:
        for r in range(64):
            bits = np.int64(other[r])
            reach[r] |= np.uint8(bits >> 7 if side == 4 else (bits & 1) << 7)


@nb.njit(cache=True)
def _any_on(reach, side):  # type: ignore[no-untyped-def]
    """How many corners of one side are reached."""
    count = 0
    for r in range(64):
        layer = (
            (side == 0 and r < 8)
            or (side == 1 and r >= 56)
            or (side == 2 and r % 8 == 0)
            or (side == 3 and r % 8 == 7)
        )
        mask = np.int64(reach[r])
        if side == 4:
            mask &= 1
            layer = True
        elif side == 5:
            mask &= 128
            layer = True
        if layer:
            while mask:
                count += mask & 1
                mask >>= 1
    return count


@nb.njit(cache=True)
def flood(bricks, lookup, outs, reach, filled, open_space, waiting):  # type: ignore[no-untyped-def]
    """Flood on from the waiting bricks as far as filled bricks go; bricks to fill next, int64.

    outs, reach uint8 (B,64); filled bool (B,); open_space bool (n,n,n): bricks without a triangle
    near, known to be outside. The first call has no waiting bricks and starts at the grid's border.
    """
    n = lookup.shape[0]
    total = bricks.shape[0]
    wanted = np.zeros(total, np.bool_)
    queued = np.zeros(total, np.bool_)
    fresh = np.zeros(total, np.bool_)  # what they reach, entrances perhaps, nobody knows yet
    queue = np.empty(total + 1, np.int64)
    head = tail = 0
    free = [(np.int64(0), np.int64(0), np.int64(0))]
    free.pop()
    full = np.full(64, 255, np.uint8)
    for b in waiting:
        queue[tail] = b
        queued[b] = fresh[b] = True
        tail += 1
    if waiting.shape[0] == 0:
        for x in range(n):
            for y in range(n):
                for z in range(n):
                    if min(x, y, z) > 0 and max(x, y, z) < n - 1:
                        continue
                    b = lookup[x, y, z]
                    if b < 0:
                        open_space[x, y, z] = True
                        free.append((np.int64(x), np.int64(y), np.int64(z)))
                    else:
                        wanted[b] = True
    while head != tail or len(free) > 0:
        own = np.int64(-1)
        if len(free) > 0:
            x, y, z = free.pop()
        else:
            own = queue[head]
            head = (head + 1) % (total + 1)
            queued[own] = False
            x, y, z = np.int64(bricks[own, 0]), np.int64(bricks[own, 1]), np.int64(bricks[own, 2])
            before = np.empty(6, np.int64)
            for side in range(6):
                before[side] = 0 if fresh[own] else _any_on(reach[own], side)
            fresh[own] = False
        for turn in range(2):
            # First what comes in from all sides, then what goes out to them.
            if turn == 0 and own < 0:
                continue
            if turn == 1 and own >= 0:
                _spread(outs[own], reach[own])
            for side in range(6):
                step = 2 * (side & 1) - 1
                i = x + step if side < 2 else x
                j = y + step if side == 2 or side == 3 else y
                k = z + step if side > 3 else z
                beyond = min(i, j, k) < 0 or max(i, j, k) >= n
                other = np.int64(ABSENT) if beyond else np.int64(lookup[i, j, k])
                if turn == 0:
                    if beyond or (other < 0 and open_space[i, j, k]):
                        _enter(reach[own], side, full)
                    elif other >= 0 and filled[other]:
                        _enter(reach[own], side, reach[other])
                    continue
                if beyond or (own >= 0 and _any_on(reach[own], side) == before[side]):
                    continue
                if other < 0:
                    if not open_space[i, j, k]:
                        open_space[i, j, k] = True
                        free.append((i, j, k))
                elif not filled[other]:
                    wanted[other] = True
                elif not queued[other]:
                    queued[other] = True
                    queue[tail] = other
                    tail = (tail + 1) % (total + 1)
    return np.flatnonzero(wanted)


@nb.njit(parallel=True, cache=True)
def fill_enclosed(values, outs, reach):  # type: ignore[no-untyped-def]
    """Set corners that are outside but were not reached to 1: what is enclosed is solid."""
    for b in nb.prange(values.shape[0]):
        for r in range(64):
            mask = np.int64(outs[b, r]) & ~np.int64(reach[b, r])
            for k in range(8):
                if (mask >> k) & 1:
                    values[b, r >> 3, r & 7, k] = 1.0


@nb.njit(parallel=True, cache=True)
def extents(reach):  # type: ignore[no-untyped-def]
    """The first and the last corner that is reached along each axis of bricks: (B,3,2).

    (8, -1) where none is. reach uint8 (B,64).
    """
    found = np.empty((reach.shape[0], 3, 2), np.int64)
    for b in nb.prange(reach.shape[0]):
        found[b, :, 0], found[b, :, 1] = 8, -1
        for r in range(64):
            for k in range(8):
                if (np.int64(reach[b, r]) >> k) & 1:
                    at = (r >> 3, r & 7, k)
                    for axis in range(3):
                        found[b, axis, 0] = min(found[b, axis, 0], at[axis])
                        found[b, axis, 1] = max(found[b, axis, 1], at[axis])
    return found


@nb.njit(cache=True)
def keep_lists(offsets, triangles, rows):  # type: ignore[no-untyped-def]
    """Offsets and triangles of the chosen rows of a cover."""
    starts = np.zeros(rows.shape[0] + 1, np.int64)
    for r in range(rows.shape[0]):
        starts[r + 1] = starts[r] + offsets[rows[r] + 1] - offsets[rows[r]]
    kept = np.empty(starts[-1], triangles.dtype)
    for r in range(rows.shape[0]):
        kept[starts[r] : starts[r + 1]] = triangles[offsets[rows[r]] : offsets[rows[r] + 1]]
    return starts, kept


@nb.njit(cache=True)
def move_down(values, rows):  # type: ignore[no-untyped-def]
    """Move the chosen rows, ascending, to the front, in place."""
    for r in range(rows.shape[0]):
        if rows[r] != r:
            values[r] = values[rows[r]]
