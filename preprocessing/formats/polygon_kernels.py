"""Compiled ear clipping of one polygon in its plane; every corner is used, collinear ones too.

Notable: the best-shaped ear is cut first; a polygon may touch itself, as one does whose hole is
joined to its outline by a bridge; one that crosses itself is cut all the same, without a promise
about its area. A polygon is `points` float64 (n,2), counter-clockwise, of a size near one.
Source: G. H. Meisters, Polygons have ears (1975); the cone test is O'Rourke's.
"""

import numba
import numpy as np

FLAT = 1e-14
"""Twice the area up to which three points are in line: what projecting to the plane may add."""

SPIKE = 2.0
"""The quality of a spike without area: over that of any ear, so that none is cut across it."""

CLOSED, OPEN, ANY = 0, 1, 2
"""Which points forbid an ear: all in the closed triangle, those strictly inside, none."""


@numba.njit(cache=True)
def turn(points, a, b, c):  # type: ignore[no-untyped-def]
    """Twice the signed area of three points given by index; positive turns left."""
    ux, uy = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
    vx, vy = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1]
    return ux * vy - uy * vx


@numba.njit(cache=True)
def same(points, a, b):  # type: ignore[no-untyped-def]
    """Whether two corners stand in one place."""
    return points[a, 0] == points[b, 0] and points[a, 1] == points[b, 1]


@numba.njit(cache=True)
def in_cone(points, before, at, after, seen):  # type: ignore[no-untyped-def]
    """Whether the way from corner `at` to `seen` starts inside the polygon."""
    if turn(points, before, at, after) > FLAT:
        return turn(points, at, seen, before) > 0 and turn(points, seen, at, after) > 0
    return not (turn(points, at, seen, after) >= 0 and turn(points, seen, at, before) >= 0)


@numba.njit(cache=True)
def is_spike(points, before, after, b):  # type: ignore[no-untyped-def]
    """Whether the outline goes to corner b and comes back the same way, outside the polygon."""
    a, c, beyond = before[b], after[b], b
    if not same(points, a, c) or same(points, a, b):
        return False
    # Its foot is where the ways out and back part.
    while before[a] != after[c] and before[a] != c and same(points, before[a], after[c]):
        a, c, beyond = before[a], after[c], a
    if before[a] == after[c] or before[a] == c:
        return True
    return not in_cone(points, before[a], a, after[c], beyond)


@numba.njit(cache=True)
def ear_quality(points, before, after, b, forbid):  # type: ignore[no-untyped-def]
    """How well shaped the ear at corner b is (its height over its longest side); 0 if none.

    `before` and `after` link the corners that are left. Also the number of points looked at.
    """
    a, c = before[b], after[b]
    area = turn(points, a, b, c)
    if area <= FLAT:
        return SPIKE if is_spike(points, before, after, b) else 0.0, 1
    looked = 1
    if forbid != ANY:
        # Where the polygon touches itself, an edge may end in the place that is looked at.
        if not (same(points, c, before[a]) or in_cone(points, before[a], a, b, c)):
            return 0.0, 1
        if not (same(points, a, after[c]) or in_cone(points, b, c, after[c], a)):
            return 0.0, 1
        least = -FLAT if forbid == CLOSED else FLAT
        low_x = min(points[a, 0], points[b, 0], points[c, 0])
        high_x = max(points[a, 0], points[b, 0], points[c, 0])
        low_y = min(points[a, 1], points[b, 1], points[c, 1])
        high_y = max(points[a, 1], points[b, 1], points[c, 1])
        p = after[c]
        while p != a:
            looked += 1
            if (
                low_x <= points[p, 0] <= high_x
                and low_y <= points[p, 1] <= high_y
                and turn(points, a, b, p) >= least
                and turn(points, b, c, p) >= least
                and turn(points, c, a, p) >= least
                and turn(points, before[p], p, after[p]) <= FLAT
                and not (same(points, p, a) or same(points, p, b) or same(points, p, c))
            ):
                return 0.0, looked
            p = after[p]
    longest = 0.0
    for i, j in ((a, b), (b, c), (c, a)):
        side = (points[i, 0] - points[j, 0]) ** 2 + (points[i, 1] - points[j, 1]) ** 2
        longest = max(longest, side)
    return area / longest, looked


@numba.njit(cache=True)
def flat_corner(points, before, after, start):  # type: ignore[no-untyped-def]
    """A corner in line with its neighbours, or -1: to cut it off costs no area."""
    b = start
    while True:
        if abs(turn(points, before[b], b, after[b])) <= FLAT:
            return b
        b = after[b]
        if b == start:
            return -1


@numba.njit(cache=True)
def best_corner(quality, after, start):  # type: ignore[no-untyped-def]
    """The corner of the highest quality among those left, the earliest of equals."""
    best, b = start, after[start]
    while b != start:
        if quality[b] > quality[best] or (quality[b] == quality[best] and b < best):
            best = b
        b = after[b]
    return best


@numba.njit(cache=True)
def next_corner(points, before, after, quality, start, budget):  # type: ignore[no-untyped-def]
    """The corner to cut off next, and what is left of `budget` (points that may be looked at)."""
    b = best_corner(quality, after, start)
    if quality[b] > 0:
        return b, budget
    for forbid in (CLOSED, OPEN, ANY):
        if budget < 0 and forbid != ANY:
            continue
        if forbid == ANY:
            b = flat_corner(points, before, after, start)
            if b >= 0:
                return b, budget
        b = start
        while True:  # ears that an earlier cut has freed
            quality[b], looked = ear_quality(points, before, after, b, forbid)
            budget -= looked
            b = after[b]
            if b == start:
                break
        b = best_corner(quality, after, start)
        if quality[b] > 0:
            return b, budget
    return start, budget


@numba.njit(cache=True)
def cut_twins(points, before, after, triangles):  # type: ignore[no-untyped-def]
    """Cut off each corner that stands where the one after it does; how many triangles that made."""
    count = 0
    for b in range(len(points)):
        if count < len(triangles) and same(points, b, after[b]):
            a, c = before[b], after[b]
            triangles[count] = a, b, c
            after[a], before[c] = c, a
            count += 1
    return count


@numba.njit(cache=True)
def clip_ears(points: np.ndarray) -> np.ndarray:
    """Triangles (n-2,3) int64 of corners of one polygon (n,2), n >= 3."""
    n = len(points)
    before, after = np.empty(n, np.int64), np.empty(n, np.int64)
    for i in range(n):
        before[i], after[i] = (i - 1) % n, (i + 1) % n
    triangles = np.empty((n - 2, 3), np.int64)
    # A polygon that crosses itself frees no ears however often one looks.
    budget = max(16 * n * n, min(n * n * n, 10_000_000))
    done = cut_twins(points, before, after, triangles)
    start, twin = 0, -1
    while after[before[start]] != start:  # a twin that is cut off already
        start += 1
    quality, i = np.zeros(n), start
    for _ in range(n - done):
        quality[i] = ear_quality(points, before, after, i, CLOSED)[0]
        i = after[i]
    for count in range(done, n - 2):
        if twin >= 0:
            b, twin = twin, -1
        else:
            b, budget = next_corner(points, before, after, quality, start, budget)
        a, c = before[b], after[b]
        triangles[count] = a, b, c
        after[a], before[c], start = c, a, c
        if same(points, a, c) or same(points, before[a], a):
            twin = a
        elif same(points, c, after[c]):
            twin = c
        for i in (a, c):
            quality[i], looked = ear_quality(points, before, after, i, CLOSED)
            budget -= looked
    return triangles


@numba.njit(cache=True)
def clip_polygons(points: np.ndarray) -> np.ndarray:
    """Triangles (P,n-2,3) int64 of the corners of polygons (P,n,2) of one size."""
    triangles = np.empty((points.shape[0], points.shape[1] - 2, 3), np.int64)
    for index in range(len(points)):
        triangles[index] = clip_ears(points[index])
    return triangles
