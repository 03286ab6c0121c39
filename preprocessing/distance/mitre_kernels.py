"""Kernels of the mitred distance to one convex edge or corner; mitre.py says what it is.

A feature is a row of the table that holds the triangles (solid/brick_kernels.py), told apart by a
negative number where these have a squared length: [0:3] a point, [3:6] the edge from it (zero for a
corner), [6:9] the normal of its bevel (zero for none), [9:12] and [12:15] the outward normals on
either side, [15:18] and [20:23] directions into the faces there, [18] the kind, [19] how much
farther than the offset a corner may reach, [23] the row where its page begins or -1, [24:30] a box.
The page of an edge has the normals of other planes that cut it off at its start and at its end;
that of a corner its edges' directions, then normals; both after their two numbers.
"""

import math

import numba as nb
import numpy as np

WIDTH = 30
KIND, BEYOND, PAGE = 18, 19, 23
EDGE, CORNER = -1.0, -2.0


@nb.njit(cache=True, inline="always")
def paged(records, page, i):  # type: ignore[no-untyped-def]
    """Number i of the page that begins at a row."""
    return records[page + i // WIDTH, i % WIDTH]


@nb.njit(cache=True)
def _cut(records, page, share, p, u, at, h, g):  # type: ignore[no-untyped-def]
    """The largest of h and the heights of p (3,) over the planes that cut the edge off at its ends.

    share: the edge's length; at: where p's foot is along it. Returns it and fills its gradient
    g (3,). A plane of one end fades out towards the other, so that it is no news there.
    """
    base = (g[0], g[1], g[2])
    best = h
    first = int(paged(records, page, 0))
    for i in range(first + int(paged(records, page, 1))):
        nx = paged(records, page, 2 + 3 * i)
        ny = paged(records, page, 3 + 3 * i)
        nz = paged(records, page, 4 + 3 * i)
        nu = nx * u[0] + ny * u[1] + nz * u[2]
        way = at if i < first else at - share
        left = share - at if i < first else at
        height = nx * p[0] + ny * p[1] + nz * p[2] + way * nu
        if min(height, h + left) <= best:
            continue
        if height <= h + left:
            best = height
            g[0], g[1], g[2] = nx, ny, nz
        else:
            best = h + left
            turn = -1.0 if i < first else 1.0
            g[0], g[1], g[2] = base[0] + turn * u[0], base[1] + turn * u[1], base[2] + turn * u[2]
    return best


@nb.njit(cache=True)
def on_edge(records, t, x, y, z):  # type: ignore[no-untyped-def]
    """Squared mitred distance to edge t and, as of nearest_on, the step that would undo it."""
    r = records[t]
    long = math.sqrt(r[3] * r[3] + r[4] * r[4] + r[5] * r[5])
    u = (r[3] / long, r[4] / long, r[5] / long)
    vx, vy, vz = x - r[0], y - r[1], z - r[2]
    s = vx * u[0] + vy * u[1] + vz * u[2]
    p = (vx - s * u[0], vy - s * u[1], vz - s * u[2])
    if (
        p[0] * r[15] + p[1] * r[16] + p[2] * r[17] > 0.0
        or p[0] * r[20] + p[1] * r[21] + p[2] * r[22] > 0.0
    ):
        return np.inf, 0.0, 0.0, 0.0
    at = min(max(s, 0.0), long)
    over = s - at
    one = p[0] * r[9] + p[1] * r[10] + p[2] * r[11]
    two = p[0] * r[12] + p[1] * r[13] + p[2] * r[14]
    bevel = p[0] * r[6] + p[1] * r[7] + p[2] * r[8]
    best = max(bevel, max(one, two))
    side = 9 if one >= two else 12
    if bevel >= best:
        side = 6
    gx, gy, gz = r[side], r[side + 1], r[side + 2]
    if r[PAGE] >= 0.0:
        g = np.array((gx, gy, gz))
        best = _cut(records, int(r[PAGE]), long, p, u, at, best, g)
        gx, gy, gz = g[0], g[1], g[2]
    if over != 0.0:
        along = gx * u[0] + gy * u[1] + gz * u[2]
        turn = math.copysign(1.0, over) - along
        best += abs(over)
        gx, gy, gz = gx + turn * u[0], gy + turn * u[1], gz + turn * u[2]
    away = math.sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2] + over * over)
    if away - r[BEYOND] > best:
        best = away - r[BEYOND]
        gx, gy, gz = p[0] + over * u[0], p[1] + over * u[1], p[2] + over * u[2]
        gx, gy, gz = gx / away, gy / away, gz / away
    scale = best / (gx * gx + gy * gy + gz * gz)
    return best * best, scale * gx, scale * gy, scale * gz


@nb.njit(cache=True)
def on_corner(records, t, x, y, z):  # type: ignore[no-untyped-def]
    """As on_edge, of corner t: the largest height over the planes that meet there."""
    r = records[t]
    vx, vy, vz = x - r[0], y - r[1], z - r[2]
    page = int(r[PAGE])
    edges = int(paged(records, page, 0))
    for i in range(2, 2 + 3 * edges, 3):
        along = vx * paged(records, page, i) + vy * paged(records, page, i + 1)
        if along + vz * paged(records, page, i + 2) > 0.0:
            return np.inf, 0.0, 0.0, 0.0
    best = gx = gy = gz = 0.0
    for k in range(int(paged(records, page, 1))):
        i = 2 + 3 * (edges + k)
        nx, ny, nz = (
            paged(records, page, i),
            paged(records, page, i + 1),
            paged(records, page, i + 2),
        )
        height = vx * nx + vy * ny + vz * nz
        if abs(height) > best:
            turn = math.copysign(1.0, height)
            best, gx, gy, gz = abs(height), turn * nx, turn * ny, turn * nz
    away = math.sqrt(vx * vx + vy * vy + vz * vz)
    if away - r[BEYOND] > best:
        best = away - r[BEYOND]
        gx, gy, gz = vx / away, vy / away, vz / away
    return best * best, best * gx, best * gy, best * gz
