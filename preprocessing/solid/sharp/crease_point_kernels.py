"""Kernels that find where the sheets of a mitred offset meet: its creases and its corners.

Where an edge's ends have no sheet in common, the planes of both meet somewhere between; that is
checked against the distance. `near` is as of
near_kernels.py; `mesh` as of sheet_kernels.py.
"""

import math

import numba as nb
import numpy as np

from preprocessing.solid.remesh.deviation_kernels import on_lattice, on_planes, settle
from preprocessing.solid.remesh.halfedge_edit_kernels import start
from preprocessing.solid.remesh.near_kernels import offset_at
from preprocessing.solid.sharp.sheet_kernels import PLANES, SAME, aside, dot, height, share_sheet

BENT = 0.03  # share of eps that the middle of an edge on a curved sheet may be off
LEVEL = 0.005  # share of eps that a point of a crease may be off
SURE = 1e-4  # and one that need not be sought further, or the middle of a crease's edge
CLOSE = 0.3  # cells within which a vertex goes to the crease, or a crease point to the corner
FAR = 2.5  # cells from its edge or face that a new point may lie


@nb.njit(cache=True)
def off(near, x):  # type: ignore[no-untyped-def]
    """How far a point is from distance eps, as a share of it."""
    return abs(offset_at(near, x[0], x[1], x[2])[0] - near[4]) / near[4]


@nb.njit(cache=True)
def on_three(p, n, q, m, r, o, x):  # type: ignore[no-untyped-def]
    """Put the common point of three planes in x (3,); whether they have one."""
    cx, cy, cz = m[1] * o[2] - m[2] * o[1], m[2] * o[0] - m[0] * o[2], m[0] * o[1] - m[1] * o[0]
    det = n[0] * cx + n[1] * cy + n[2] * cz
    if abs(det) < 0.05:
        return False
    a, b, c = dot(n, p) / det, dot(m, q) / det, dot(o, r) / det
    x[0] = a * cx + b * (o[1] * n[2] - o[2] * n[1]) + c * (n[1] * m[2] - n[2] * m[1])
    x[1] = a * cy + b * (o[2] * n[0] - o[0] * n[2]) + c * (n[2] * m[0] - n[0] * m[2])
    x[2] = a * cz + b * (o[0] * n[1] - o[1] * n[0]) + c * (n[0] * m[1] - n[1] * m[0])
    return True


@nb.njit(cache=True)
def gathered(mesh, corners, x, slack, normals, total):  # type: ignore[no-untyped-def]
    """Add to the `total` first normals (PLANES,3) those of the corners' planes through x; how many.

    corners: vertices. Planes within `slack` count.
    """
    v, planes, count = mesh[0], mesh[1], mesh[2]
    for w in corners:
        for i in range(count[w]):
            n = planes[w, i]
            wanted = abs(height(n, v[w], x)) < slack
            for k in range(total):
                wanted &= dot(n, normals[k]) <= SAME
            if wanted and total < PLANES:
                normals[total] = n
                total += 1
    return total


@nb.njit(cache=True)
def corner_of(near, mesh, corners, middle, most, x, normals):  # type: ignore[no-untyped-def]
    """The point nearest to the middle (3,) in three planes of the corners, within `most`.

    Fills x (3,) and normals (3,3); whether there is one at distance eps.
    """
    v, planes, count = mesh[0], mesh[1], mesh[2]
    listed = np.empty((3 * PLANES, 2), np.int64)
    total = 0
    for w in corners:
        for i in range(count[w]):
            new = True
            for k in range(total):
                new &= dot(planes[listed[k, 0], listed[k, 1]], planes[w, i]) <= SAME
            if new:
                listed[total, 0], listed[total, 1] = w, i
                total += 1
    best = most
    at = np.empty(3)
    found = False
    for i in range(total):
        for j in range(i + 1, total):
            for k in range(j + 1, total):
                a, b, c = listed[i, 0], listed[j, 0], listed[k, 0]
                n, m, o = planes[a, listed[i, 1]], planes[b, listed[j, 1]], planes[c, listed[k, 1]]
                if not on_three(v[a], n, v[b], m, v[c], o, at):
                    continue
                way = math.sqrt(aside(middle, middle, at))
                if way < best and off(near, at) < LEVEL:
                    best = way
                    x[:] = at
                    normals[0], normals[1], normals[2] = n, m, o
                    found = True
    return found


@nb.njit(cache=True)
def _meet(near, p, n, q, m, x, normals):  # type: ignore[no-untyped-def]
    """Where the sheets through p and q, with normals n and m there, meet: fills x and normals.

    Where they are curved, the planes of points ever nearer are taken. Whether that is at eps.
    """
    middle = 0.5 * (p + q)
    one, two = p.copy(), q.copy()
    normals[0], normals[1] = n, m
    for turn in range(4):
        x[0], x[1], x[2], crossing = on_planes(middle, one, normals[0], two, normals[1])
        if not crossing or aside(p, q, x) > (FAR * near[5]) ** 2:
            return False
        if off(near, x) < (SURE if turn < 3 else LEVEL):
            return True
        share = 0.3 if turn == 0 else 0.1
        for k in range(2):
            at = one if k == 0 else two
            sx, sy, sz, ux, uy, uz, error = settle(
                near,
                x[0] + share * (at[0] - x[0]),
                x[1] + share * (at[1] - x[1]),
                x[2] + share * (at[2] - x[2]),
            )
            u = (ux, uy, uz)
            size = math.sqrt(dot(u, u))
            if error < 1e-3 and size > 0.0 and dot(u, normals[k]) > 0.5 * size:
                at[0], at[1], at[2] = sx, sy, sz
                normals[k, 0], normals[k, 1], normals[k, 2] = ux / size, uy / size, uz / size
    return False


@nb.njit(cache=True)
def _is_at(mesh, a, x, normals, close):  # type: ignore[no-untyped-def]
    """Whether vertex a is close to x and has both normals (2,3): x is no news then."""
    v, planes, count = mesh[0], mesh[1], mesh[2]
    if aside(v[a], v[a], x) > close * close:
        return False
    for k in range(2):
        known = False
        for i in range(count[a]):
            known |= dot(planes[a, i], normals[k]) > SAME
        if not known:
            return False
    return True


@nb.njit(cache=True)
def _crease_of(near, mesh, a, b, x, normals):  # type: ignore[no-untyped-def]
    """The point nearest to edge ab where a sheet of a and one of b meet.

    Fills x (3,) and the first two normals; whether there is one.
    """
    v, planes, count = mesh[0], mesh[1], mesh[2]
    best = np.inf
    at, pair = np.empty(3), np.empty((2, 3))
    for i in range(count[a]):
        for j in range(count[b]):
            if _meet(near, v[a], planes[a, i], v[b], planes[b, j], at, pair):
                way = aside(v[a], v[b], at)
                if way < best and not (
                    _is_at(mesh, a, at, pair, CLOSE * near[5])
                    or _is_at(mesh, b, at, pair, CLOSE * near[5])
                ):
                    best = way
                    x[:] = at
                    normals[:2] = pair
    return best < np.inf


@nb.njit(cache=True)
def between(near, mesh, a, b, close, x, normals):  # type: ignore[no-untyped-def]
    """A point of the offset between two vertices without a common sheet: how many planes it has.

    On the crease, or in the corner `close` to it, of planes of theirs, or on a sheet that lies
    between. Fills x (3,) and normals (PLANES,3); 0 for none.
    """
    v, planes, count = mesh[0], mesh[1], mesh[2]
    corners = np.array((np.int64(a), np.int64(b)))
    if _crease_of(near, mesh, a, b, x, normals):
        corner, triple = np.empty(3), np.empty((3, 3))
        known = 2
        if count[a] + count[b] > 2 and corner_of(near, mesh, corners, x, close, corner, triple):
            x[:] = corner
            normals[:3] = triple
            known = 3
        return gathered(mesh, corners, x, 0.002 * near[4], normals, known)
    middle = 0.5 * (v[a] + v[b])
    bent = off(near, middle) > BENT
    px, py, pz, gx, gy, gz, error = settle(near, middle[0], middle[1], middle[2])
    g = np.array((gx, gy, gz)) / max(1e-9, math.sqrt(gx * gx + gy * gy + gz * gz))
    for w in corners:
        for i in range(count[w]):
            if dot(g, planes[w, i]) > SAME and not bent:
                return 0
    x[0], x[1], x[2] = px, py, pz
    normals[0] = g
    return 1 if error < 1e-6 and aside(v[a], v[b], x) < near[5] ** 2 else 0


@nb.njit(parallel=True, cache=True)
def apart_edges(near, mesh, held):  # type: ignore[no-untyped-def]
    """True (3F,) for one half-edge of each edge whose ends, not in held (V,), share no sheet.

    Or share one but have another between them, as on creases, where the middle is off.
    """
    v, _, count, faces, mates, _ = mesh
    found = np.zeros(3 * faces.shape[0], np.bool_)
    for h in nb.prange(3 * faces.shape[0]):
        if faces[h // 3, 0] < 0 or mates[h] < h:
            continue
        a, b = start(faces, h), start(faces, mates[h])
        if held[a] or held[b] or count[a] == 0 or count[b] == 0:
            continue
        # An end may be on a crease by chance and know one sheet of it: the middle is not off then.
        found[h] = not share_sheet(mesh, a, b, 0.02 * near[4])
        if count[a] > 1 and count[b] > 1 and not found[h]:
            found[h] = off(near, 0.5 * (v[a] + v[b])) > SURE
    return found


@nb.njit(parallel=True, cache=True)
def edge_points(near, mesh, chosen, close):  # type: ignore[no-untyped-def]
    """For half-edges (K,): their ends (K,2), points (K,3), planes (K,PLANES,3), how many (K,).

    close: how near to the point of a crease a corner must be to be taken for it.
    """
    faces, mates = mesh[3], mesh[4]
    total = chosen.shape[0]
    ends = np.empty((total, 2), np.int64)
    points = np.zeros((total, 3))
    normals = np.zeros((total, PLANES, 3))
    sizes = np.zeros(total, np.int64)
    for k in nb.prange(total):
        a, b = start(faces, chosen[k]), start(faces, mates[chosen[k]])
        ends[k, 0], ends[k, 1] = a, b
        sizes[k] = between(near, mesh, a, b, close, points[k], normals[k])
        for x in range(3):
            points[k, x] = on_lattice(points[k, x])
    return ends, points, normals, sizes
