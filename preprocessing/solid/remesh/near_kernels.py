"""Kernels that ask for the distance of points to the input, near distance eps of it.

`near` is what TriangleBricks.near gives: (lookup, offsets, triangles, records, eps, step). A brick
is cut into SIDE^3 boxes, and box s of brick b lists triangles[offsets[k]:offsets[k + 1]] with
k = SIDE^3 b + s: all that come within eps + one cell of it, so a distance up to that is exact, and
a larger one is at most too large.
"""

import math

import numba as nb
import numpy as np

from preprocessing.frame import HALF_WIDTH
from preprocessing.solid.projection_kernels import box_distance, nearest, nearest_on

SIDE = 4
BOXES = SIDE**3


@nb.njit(cache=True)
def _near_box(r, x, y, z, width, reach):  # type: ignore[no-untyped-def]
    """Whether the box of a record comes within `reach` of the cube with this lowest corner."""
    dx = max(0.0, max(r[24] - x - width, x - r[27]))
    dy = max(0.0, max(r[25] - y - width, y - r[28]))
    dz = max(0.0, max(r[26] - z - width, z - r[29]))
    return dx * dx + dy * dy + dz * dz < reach * reach


@nb.njit(cache=True)
def _list_boxes(corner, listed, records, width, reach, counts, filled):  # type: ignore[no-untyped-def]
    """Count (BOXES,) the triangles near each box of a brick and, where there is room, list them."""
    place = 0
    for s in range(BOXES):
        x = corner[0] + width * (s // (SIDE * SIDE))
        y = corner[1] + width * (s // SIDE % SIDE)
        z = corner[2] + width * (s % SIDE)
        before = place
        for t in listed:
            if _near_box(records[t], x, y, z, width, reach):
                if filled.shape[0] > 0:
                    filled[place] = t
                place += 1
        counts[s] = place - before


@nb.njit(parallel=True, cache=True)
def box_lists(bricks, offsets, triangles, records, reach, step):  # type: ignore[no-untyped-def]
    """The triangles within `reach` of each box: offsets int64 (BOXES B + 1,), triangles int32.

    bricks, offsets, triangles, records: as of TriangleBricks.
    """
    count = bricks.shape[0]
    width = 8.0 * step / SIDE
    ends = np.zeros(BOXES * count + 1, np.int64)
    for b in nb.prange(count):
        corner = -HALF_WIDTH + 8.0 * step * bricks[b].astype(np.float64)
        listed = triangles[offsets[b] : offsets[b + 1]]
        counts = ends[1 + BOXES * b : 1 + BOXES * (b + 1)]
        _list_boxes(corner, listed, records, width, reach, counts, np.empty(0, np.int32))
    for k in range(BOXES * count):
        ends[k + 1] += ends[k]
    filled = np.empty(ends[-1], np.int32)
    for b in nb.prange(count):
        corner = -HALF_WIDTH + 8.0 * step * bricks[b].astype(np.float64)
        listed = triangles[offsets[b] : offsets[b + 1]]
        mine = filled[ends[BOXES * b] : ends[BOXES * (b + 1)]]
        if mine.shape[0] > 0:
            counts = np.empty(BOXES, np.int64)
            _list_boxes(corner, listed, records, width, reach, counts, mine)
    return ends, filled


@nb.njit(cache=True, inline="always")
def box_at(lookup, step, x, y, z):  # type: ignore[no-untyped-def]
    """The number of the box that a point lies in, negative where there is no brick."""
    n, width = SIDE * lookup.shape[0], 8.0 * step / SIDE
    i = min(max(int((x + HALF_WIDTH) / width), 0), n - 1)
    j = min(max(int((y + HALF_WIDTH) / width), 0), n - 1)
    k = min(max(int((z + HALF_WIDTH) / width), 0), n - 1)
    box = (i % SIDE * SIDE + j % SIDE) * SIDE + k % SIDE
    return BOXES * lookup[i // SIDE, j // SIDE, k // SIDE] + box


@nb.njit(cache=True)
def offset_at(near, x, y, z):  # type: ignore[no-untyped-def]
    """Distance to the input and its unit gradient (zero on the input and beyond the cut)."""
    lookup, offsets, triangles, records, eps, step = near
    b = box_at(lookup, step, x, y, z)
    limit = eps + 2.0 * step
    if b < 0:
        return limit, 0.0, 0.0, 0.0
    listed = triangles[offsets[b] : offsets[b + 1]]
    best, dx, dy, dz = nearest(records, listed, listed.shape[0], x, y, z, limit * limit)
    d = math.sqrt(best)
    if d == 0.0 or d == limit:
        return d, 0.0, 0.0, 0.0
    return d, dx / d, dy / d, dz / d


@nb.njit(cache=True)
def is_near(near, x, y, z, tolerance):  # type: ignore[no-untyped-def]
    """Whether a point is at distance eps within a share of it; most that are not are soon known."""
    lookup, offsets, triangles, records, eps, step = near
    b = box_at(lookup, step, x, y, z)
    if b < 0:
        return False
    least = max(0.0, (1.0 - tolerance) * eps) ** 2
    most = ((1.0 + tolerance) * eps) ** 2
    found = False
    for pair in range(offsets[b], offsets[b + 1]):
        r = records[triangles[pair]]
        if box_distance(r, x, y, z) <= most:
            d = nearest_on(records, triangles[pair], x, y, z)[0]
            if d < least:
                return False
            if d <= most:
                found = True
                # From here on only what is too near matters.
                most = least
    return found


@nb.njit(parallel=True, cache=True)
def gradients(near, points):  # type: ignore[no-untyped-def]
    """Distance (P,) of points (P,3) to the input, cut at eps + 2 cells, and its gradient (P,3).

    Every point nearer than eps + one cell lies in a brick; one that does not, on the lid of a
    closed hole, is at least that far.
    """
    found = np.empty(points.shape[0], np.float64)
    gradient = np.empty((points.shape[0], 3), np.float64)
    for p in nb.prange(points.shape[0]):
        found[p], gradient[p, 0], gradient[p, 1], gradient[p, 2] = offset_at(
            near, points[p, 0], points[p, 1], points[p, 2]
        )
    return found, gradient
