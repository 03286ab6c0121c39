"""Kernels of the cells that are cut finer; outside.py explains the steps.

A cell has FINE^3 small ones and SIDE^3 = (FINE + 1)^3 lattice points. Arrays of R cells: `rows`
int32 (R,3,3,3), the rows of the cells round each, -1 where one is not cut; `solid` bool (R,8), the
signs of its corners on the coarse grid (corner 4 dx + 2 dy + dz); `excess` float32 (R,SIDE,SIDE,
SIDE), distance / eps - 1; `turns` float64 (R,12), where along a coarse edge the sign changes, in
small cells from its low end, or -1 (edges as in isosurface_tables.py).
`near` is as of near_kernels.py.
"""

import math

import numba as nb
import numpy as np

from preprocessing.frame import HALF_WIDTH
from preprocessing.solid.projection_kernels import nearest
from preprocessing.solid.remesh.near_kernels import box_at, offset_at

FINE = 4
SIDE = FINE + 1
# Shares of eps of clearance, and of a cell, beyond which and up to which the air across a crevice
# is looked at, and the cosine of the angle between its walls' normals that makes them face.
LEAST, WIDE, FACING = 0.08, 1.25, -0.35
STEPS = 12  # along which the wall across is looked for
HAIR = 1e-6
CLEAR = 0.1  # share of a small edge that a vertex keeps from its ends


@nb.njit(cache=True)
def _is_narrow(near, x, y, z, unknown):  # type: ignore[no-untyped-def]
    """Whether a point lies in the air between two walls that face each other, a cell apart.

    Away from its wall the other one becomes the nearer before there is more room than that.
    unknown: the answer where the way leads to a brick that nobody has.
    """
    lookup, eps, step = near[0], near[4], near[5]
    d, gx, gy, gz = offset_at(near, x, y, z)
    if d <= (1.0 + LEAST) * eps:
        return False
    for s in range(1, STEPS + 1):
        t = WIDE * step * s / STEPS
        if unknown and box_at(lookup, step, x + t * gx, y + t * gy, z + t * gz) < 0:
            return True
        other, hx, hy, hz = offset_at(near, x + t * gx, y + t * gy, z + t * gz)
        if gx * hx + gy * hy + gz * hz < FACING:
            return other < eps + 0.5 * WIDE * step
        if other < eps:
            return False
    return False


@nb.njit(parallel=True, cache=True)
def narrow_faces(near, vertices, faces):  # type: ignore[no-untyped-def]
    """True (F,) where the middle of a face lies in a crevice."""
    found = np.zeros(faces.shape[0], np.bool_)
    for f in nb.prange(faces.shape[0]):
        m = (vertices[faces[f, 0]] + vertices[faces[f, 1]] + vertices[faces[f, 2]]) / 3.0
        found[f] = _is_narrow(near, m[0], m[1], m[2], False)
    return found


@nb.njit(parallel=True, cache=True)
def excesses(near, cells):  # type: ignore[no-untyped-def]
    """Distance / eps - 1 on the lattice of some cells (K,3): float32 (K,SIDE,SIDE,SIDE).

    A cell asks the box that it lies in: its far corners would be in others, in bricks perhaps that
    nobody has.
    """
    found = np.empty((cells.shape[0], SIDE, SIDE, SIDE), np.float32)
    lookup, offsets, triangles, records, eps, step = near
    small, limit = step / FINE, eps + 2.0 * step
    for r in nb.prange(cells.shape[0]):
        middle = -HALF_WIDTH + step * (cells[r].astype(np.float64) + 0.5)
        box = box_at(lookup, step, middle[0], middle[1], middle[2])
        listed = triangles[offsets[box] : offsets[box + 1]]
        for i in range(SIDE):
            x = -HALF_WIDTH + small * (cells[r, 0] * FINE + i)
            for j in range(SIDE):
                y = -HALF_WIDTH + small * (cells[r, 1] * FINE + j)
                for k in range(SIDE):
                    z = -HALF_WIDTH + small * (cells[r, 2] * FINE + k)
                    best = nearest(records, listed, len(listed), x, y, z, limit * limit)[0]
                    found[r, i, j, k] = math.sqrt(best) / eps - 1.0
    return found


@nb.njit(cache=True)
def edge_corner(e):  # type: ignore[no-untyped-def]
    """The axis of an edge of the cell and its low corner (dx, dy, dz)."""
    axis, one, two = e // 4, e // 2 % 2, e % 2
    if axis == 0:
        return axis, 0, one, two
    if axis == 1:
        return axis, one, 0, two
    return axis, one, two, 0


@nb.njit(cache=True)
def _on_edge(axis, dx, dy, dz, s):  # type: ignore[no-untyped-def]
    """The lattice point (i, j, k) at s of the edge along an axis from a low corner."""
    if axis == 0:
        return s, dy * FINE, dz * FINE
    if axis == 1:
        return dx * FINE, s, dz * FINE
    return dx * FINE, dy * FINE, s


@nb.njit(cache=True)
def edge_turns(solid, excess):  # type: ignore[no-untyped-def]
    """`turns`: how far the outside reaches along each coarse edge whose ends differ."""
    turns = np.full((solid.shape[0], 12), -1.0)
    for r in range(solid.shape[0]):
        for e in range(12):
            axis, dx, dy, dz = edge_corner(e)
            low = 4 * dx + 2 * dy + dz
            high = low + (4, 2, 1)[axis]
            if solid[r, low] == solid[r, high]:
                continue
            before, after, t = 0.0, 0.0, 0
            for s in range(SIDE):
                i, j, k = _on_edge(axis, dx, dy, dz, FINE - s if solid[r, low] else s)
                after = np.float64(excess[r, i, j, k])
                if s > 0 and (after <= 0.0 or s == FINE):
                    break
                before, t = after, s
            share = before / (before - after) if before > 0.0 and after <= 0.0 else 0.5
            turn = t + min(max(share, CLEAR), 1.0 - CLEAR)
            turns[r, e] = FINE - turn if solid[r, low] else turn
    return turns


@nb.njit(cache=True)
def _corner_solid(solid, r, axis, end, one, two):  # type: ignore[no-untyped-def]
    """The sign of the corner of a cell face at (one, two) of its plane."""
    if axis == 0:
        return solid[r, 4 * end + 2 * one + two]
    if axis == 1:
        return solid[r, 4 * one + 2 * end + two]
    return solid[r, 4 * one + 2 * two + end]


@nb.njit(cache=True)
def _face_turn(turns, r, axis, end, along, at):  # type: ignore[no-untyped-def]
    """The turn on an edge of a cell face, along its first or second direction, at 0 or 1 of the
    other."""
    first = 1 if axis == 0 else 0
    second = 1 if axis == 2 else 2
    way, other = (first, second) if along == 0 else (second, first)
    # The rank of an edge: its place along the lower of the two other axes, then the higher.
    rank = 2 * end + at if axis < other else 2 * at + end
    return turns[r, 4 * way + rank]


@nb.njit(cache=True)
def chord(solid, turns, r, axis, end):  # type: ignore[no-untyped-def]
    """The half-plane (a, b, c) that is solid on a face of the coarse cell: a u + b v + c > 0.

    u, v: along the two directions of the face, in small cells. The last is whether it is one.
    """
    s00 = _corner_solid(solid, r, axis, end, 0, 0)
    s01 = _corner_solid(solid, r, axis, end, 0, 1)
    s10 = _corner_solid(solid, r, axis, end, 1, 0)
    s11 = _corner_solid(solid, r, axis, end, 1, 1)
    if s00 == s11 and s01 == s10:
        return 0.0, 0.0, 1.0 if s00 else -1.0, s00 == s01
    u = np.empty(2)
    v = np.empty(2)
    n = 0
    for at in range(2):
        t = _face_turn(turns, r, axis, end, 0, at)
        if t >= 0.0:
            u[n], v[n] = t, FINE * at
            n += 1
        t = _face_turn(turns, r, axis, end, 1, at)
        if t >= 0.0:
            u[n], v[n] = FINE * at, t
            n += 1
    a, b = v[0] - v[1], u[1] - u[0]
    c = -(a * u[0] + b * v[0])
    # The corner farthest from the chord says which side is solid.
    best, way = 0.0, 1.0
    for one in range(2):
        for two in range(2):
            side = a * FINE * one + b * FINE * two + c
            if abs(side) > best:
                best = abs(side)
                same = _corner_solid(solid, r, axis, end, one, two) == (side > 0.0)
                way = 1.0 if same else -1.0
    return way * a, way * b, way * c, True


@nb.njit(cache=True)
def _on_face(axis, end, u, v):  # type: ignore[no-untyped-def]
    """The lattice point (i, j, k) at (u, v) of a cell face."""
    w = FINE * end
    if axis == 0:
        return w, u, v
    if axis == 1:
        return u, w, v
    return u, v, w


@nb.njit(cache=True)
def _across(axis, end):  # type: ignore[no-untyped-def]
    """Where in `rows` the cell beyond a face is."""
    way = 2 * end
    return way if axis == 0 else 1, way if axis == 1 else 1, way if axis == 2 else 1


@nb.njit(parallel=True, cache=True)
def leaks(near, cells, rows, solid, excess, turns, reached, asked):  # type: ignore[no-untyped-def]
    """Faces (R,6), 2 axis + end, beyond which the cell is to be cut, too, of cells in asked (R,).

    1 where the outside goes on through them in a crevice and the coarse cell is solid; 2 where the
    coarse signs on the face may mean two things: that cell has to be.
    """
    found = np.zeros((cells.shape[0], 6), np.uint8)
    small = near[5] / FINE
    for r in nb.prange(cells.shape[0]):
        for face in range(6):
            axis, end = face // 2, face % 2
            x, y, z = _across(axis, end)
            if rows[r, x, y, z] >= 0 or not asked[r]:
                continue
            a, b, c, one = chord(solid, turns, r, axis, end)
            if not one:
                found[r, face] = 2
                continue
            best = np.float32(LEAST)
            bi, bj, bk = -1, -1, -1
            for u in range(SIDE):
                for v in range(SIDE):
                    i, j, k = _on_face(axis, end, u, v)
                    better = reached[r, i, j, k] and excess[r, i, j, k] > best
                    if better and a * u + b * v + c > 0.0:
                        best, bi, bj, bk = excess[r, i, j, k], i, j, k
            if bi >= 0:
                # A hair inside, as the brick beyond may be one that nobody has.
                found[r, face] = _is_narrow(
                    near,
                    -HALF_WIDTH + small * (cells[r, 0] * FINE + min(max(bi, HAIR), FINE - HAIR)),
                    -HALF_WIDTH + small * (cells[r, 1] * FINE + min(max(bj, HAIR), FINE - HAIR)),
                    -HALF_WIDTH + small * (cells[r, 2] * FINE + min(max(bk, HAIR), FINE - HAIR)),
                    True,
                )
    return found


@nb.njit(cache=True)
def _is_free(rows, r, i, j, k):  # type: ignore[no-untyped-def]
    """Whether all cells that share a lattice point of a cell are cut: no coarse one does."""
    for x in range(0 if i == 0 else 1, 3 if i == FINE else 2):
        for y in range(0 if j == 0 else 1, 3 if j == FINE else 2):
            for z in range(0 if k == 0 else 1, 3 if k == FINE else 2):
                if rows[r, x, y, z] < 0:
                    return False
    return True


@nb.njit(cache=True)
def _join(square):  # type: ignore[no-untyped-def]
    """Turn what in a square (SIDE,SIDE) hangs together with its rim in neither way: air first."""
    for what in (True, False):
        joined = np.zeros((SIDE, SIDE), np.bool_)
        changed = True
        while changed:
            changed = False
            for u in range(SIDE):
                for v in range(SIDE):
                    if joined[u, v] or square[u, v] != what:
                        continue
                    if (
                        min(u, v) == 0
                        or max(u, v) == FINE
                        or joined[u - 1, v]
                        or joined[u + 1, v]
                        or joined[u, v - 1]
                        or joined[u, v + 1]
                    ):
                        joined[u, v] = changed = True
        for u in range(SIDE):
            for v in range(SIDE):
                if square[u, v] == what and not joined[u, v]:
                    square[u, v] = not what


@nb.njit(parallel=True, cache=True)
def settle(rows, solid, excess, turns, reached):  # type: ignore[no-untyped-def]
    """Which lattice points are air, and which of those are so because the coarse grid says so.

    Corners and edges that a coarse cell shares have its signs; on a face that one shares the air
    hangs together with the face's rim, and so does the rest.
    """
    air = excess > 0.0
    given = np.zeros(air.shape, np.bool_)
    for r in nb.prange(rows.shape[0]):
        for e in range(12):
            axis, dx, dy, dz = edge_corner(e)
            low = solid[r, 4 * dx + 2 * dy + dz]
            for s in range(SIDE):
                i, j, k = _on_edge(axis, dx, dy, dz, s)
                turned = turns[r, e] >= 0.0 and s > turns[r, e]
                outside = low == turned  # says the coarse grid
                if not _is_free(rows, r, i, j, k):
                    air[r, i, j, k] = given[r, i, j, k] = outside
                elif outside and s % FINE == 0:
                    air[r, i, j, k] = given[r, i, j, k] = True
        square = np.empty((SIDE, SIDE), np.bool_)
        for axis in range(3):
            for end in range(2):
                x, y, z = _across(axis, end)
                if rows[r, x, y, z] >= 0:
                    continue
                for u in range(SIDE):
                    for v in range(SIDE):
                        i, j, k = _on_face(axis, end, u, v)
                        rim = min(u, v) == 0 or max(u, v) == FINE
                        square[u, v] = air[r, i, j, k] and (rim or reached[r, i, j, k])
                _join(square)
                for u in range(1, FINE):
                    for v in range(1, FINE):
                        i, j, k = _on_face(axis, end, u, v)
                        air[r, i, j, k] = given[r, i, j, k] = square[u, v]
    return air, given


@nb.njit(cache=True)
def flood(air, reached, rows, asked):  # type: ignore[no-untyped-def]
    """Go on from the points reached in the asked cells (R,), in place, to all air that hangs
    together with them.

    Along small edges, and across small faces: where only two opposite corners of one are air, the
    surface joins these.
    """
    room = np.empty(reached.size, np.int64)
    count = 0
    flat = reached.reshape(-1)
    for p in range(flat.size):
        if flat[p] and asked[p // SIDE**3]:
            room[count] = p
            count += 1
    while count:
        count -= 1
        p = room[count]
        k, j, i, r = p % SIDE, p // SIDE % SIDE, p // SIDE**2 % SIDE, p // SIDE**3
        for way in range(27):
            dx, dy, dz = way // 9 - 1, way // 3 % 3 - 1, way % 3 - 1
            x, y, z = i + dx, j + dy, k + dz
            if abs(dx) + abs(dy) + abs(dz) == 3 or min(x, y, z) < 0 or max(x, y, z) > FINE:
                continue
            if air[r, x, y, z] and not reached[r, x, y, z]:
                reached[r, x, y, z] = True
                room[count] = ((r * SIDE + x) * SIDE + y) * SIDE + z
                count += 1
        # The same point as others of the cells that share it know it.
        for dx in range(-1 if i == 0 else 0, 2 if i == FINE else 1):
            for dy in range(-1 if j == 0 else 0, 2 if j == FINE else 1):
                for dz in range(-1 if k == 0 else 0, 2 if k == FINE else 1):
                    other = rows[r, 1 + dx, 1 + dy, 1 + dz]
                    x, y, z = i - FINE * dx, j - FINE * dy, k - FINE * dz
                    if other >= 0 and air[other, x, y, z] and not reached[other, x, y, z]:
                        reached[other, x, y, z] = True
                        room[count] = ((other * SIDE + x) * SIDE + y) * SIDE + z
                        count += 1
