"""Kernels that lead edges along the concave creases of an offset surface.

A chord from one sheet to another cuts through the air over the crease where they meet. It is split
on the crease, or below its middle, or one of its ends is moved onto the crease or a step towards
it, or it is flipped: whichever leaves the least squared error, and only if that is clearly less
than before, no face gets a sliver or looks inward, and none meets another. A face that leans inward
is allowed at a price (error_kernels.py): a deep crease is found chord by chord, and walls stand
between the parts found.

`near` is as of near_kernels.py and `mesh` as of change_kernels.py.
"""

import math

import numba as nb
import numpy as np

from preprocessing.solid.remesh.change_kernels import LONGEST
from preprocessing.solid.remesh.deviation_kernels import crease_between, settled_place
from preprocessing.solid.remesh.error_kernels import (
    LEAST,
    WRONG,
    face_error,
    pair_error,
    place,
    star_error,
)
from preprocessing.solid.remesh.fairness_kernels import normal
from preprocessing.solid.remesh.halfedge_edit_kernels import (
    corners,
    edge_between,
    flip,
    split,
    unflip,
    unsplit,
)
from preprocessing.solid.remesh.meeting_kernels import pair_is_clean, star_is_clean
from preprocessing.solid.remesh.near_kernels import offset_at

STEP = 0.3  # cells that an end goes towards the crease, or the place below, if it may not go there
GAIN = 0.95  # share of the squared error that may be left
WALK = 60  # steps down into a crevice, each as long as no sheet can be met on the way
CREASE, BELOW, START, END, FLIP = 0, 1, 2, 3, 4  # what may be done about a chord


@nb.njit(cache=True)
def below(near, p, n):  # type: ignore[no-untyped-def]
    """The place on the offset below p, against the normal n of any length, and whether found."""
    x, y, z = p
    nx, ny, nz = n
    long = math.sqrt(nx * nx + ny * ny + nz * nz)
    depth = 0.0
    if long == 0.0:
        return (x, y, z, 0.0, 0.0, 0.0), False
    for _ in range(WALK):
        move = offset_at(near, x, y, z)[0] - near[4]
        depth += move
        if move < 1e-7 * near[4] or depth > LONGEST * near[5]:
            break
        x, y, z = x - move * nx / long, y - move * ny / long, z - move * nz / long
    there, found = settled_place(near, x, y, z)
    return there, found and depth <= LONGEST * near[5]


@nb.njit(cache=True)
def _below_edge(near, v, a, b, c, d):  # type: ignore[no-untyped-def]
    """The place on the offset below the middle of edge ab with tips c and d, and whether found."""
    n, m = normal(v, a, b, c), normal(v, b, a, d)
    x, y, z = 0.5 * (v[a, 0] + v[b, 0]), 0.5 * (v[a, 1] + v[b, 1]), 0.5 * (v[a, 2] + v[b, 2])
    return below(near, (x, y, z), (n[0] + m[0], n[1] + m[1], n[2] + m[2]))


@nb.njit(cache=True)
def _saved(old, new):  # type: ignore[no-untyped-def]
    """The error saved; -1 where that is not clearly something."""
    return old - new if new < GAIN * old else -1.0


@nb.njit(cache=True)
def _split_saves(near, mesh, around, new, p, old):  # type: ignore[no-untyped-def]
    """The error that a new vertex at p on edge ab with tips c and d saves."""
    v = mesh[0]
    a, b, c, d = around
    place(mesh, new, p)
    new = np.int32(new)
    one = pair_error(near, v, (a, new, c), (new, b, c), LEAST)[0]
    if one < WRONG:
        one += pair_error(near, v, (b, new, d), (new, a, d), LEAST)[0]
    return _saved(old, one)


@nb.njit(cache=True)
def _move_saves(near, mesh, at, p, ring):  # type: ignore[no-untyped-def]
    """The error that moving a vertex to p saves."""
    back = place(mesh, at, p)
    new = star_error(near, mesh, at, -1, ring, LEAST)[0]
    place(mesh, at, back)
    if new >= WRONG:
        return -1.0
    return _saved(star_error(near, mesh, at, -1, ring, 2.0)[0], new)


@nb.njit(cache=True)
def _end_moves(near, mesh, at, crease, deep, ring):  # type: ignore[no-untyped-def]
    """The error that moving vertex `at` saves, and where to: to the crease, or else a step.

    crease, deep: a place and whether it was found.
    """
    v, step = mesh[0], STEP * near[5]
    saved = _move_saves(near, mesh, at, crease[0], ring) if crease[1] else -1.0
    if saved > 0.0 or not (crease[1] or deep[1]):
        return saved, crease[0]
    p = crease[0] if crease[1] else deep[0]
    x, y, z = p[0] - v[at, 0], p[1] - v[at, 1], p[2] - v[at, 2]
    long = math.sqrt(x * x + y * y + z * z)
    if crease[1] and long <= step:
        return saved, p
    share = step / max(step, long)
    p, found = settled_place(near, v[at, 0] + share * x, v[at, 1] + share * y, v[at, 2] + share * z)
    return (_move_saves(near, mesh, at, p, ring) if found else -1.0), p


@nb.njit(cache=True)
def _weigh(near, mesh, around, frozen, new, gains, rings):  # type: ignore[no-untyped-def]
    """Fill gains (5,) with the error that each change of edge ab saves; the new places."""
    v, gradient, faces, mates, leaving = mesh[:5]
    a, b, c, d = around
    one, two = face_error(near, v, a, b, c)[0], face_error(near, v, b, a, d)[0]
    old = one + two
    gains[:] = -1.0
    x, y, z, crossed = crease_between(near, v[a], gradient[a], v[b], gradient[b])
    p, found = settled_place(near, x, y, z)
    crease = p, crossed and found
    deep = _below_edge(near, v, a, b, c, d)
    one_end = other_end = p
    if crease[1]:
        gains[CREASE] = _split_saves(near, mesh, around, new, p, old)
    if not frozen[a]:
        gains[START], one_end = _end_moves(near, mesh, a, crease, deep, rings[0])
    if not frozen[b]:
        gains[END], other_end = _end_moves(near, mesh, b, crease, deep, rings[0])
    if deep[1]:
        gains[BELOW] = _split_saves(near, mesh, around, new, deep[0], old)
    if c != d and edge_between(faces, mates, leaving, c, d) < 0:
        gains[FLIP] = _saved(old, pair_error(near, v, (a, d, c), (b, c, d), LEAST)[0])
    return p, deep[0], one_end, other_end


@nb.njit(cache=True)
def _change_cleanly(mesh, around, kind, places, new, row, rings):  # type: ignore[no-untyped-def]
    """Do one of the changes unless faces then meet; the vertex round which it was done, or -1."""
    faces, mates, leaving = mesh[2], mesh[3], mesh[4]
    a, b, c = around[0], around[1], around[2]
    h = edge_between(faces, mates, leaving, a, b)
    if kind == FLIP:
        g = mates[h]
        flip(faces, mates, leaving, h)
        if pair_is_clean(mesh, (h // 3, g // 3), around, True, rings[0], rings[1]):
            return c
        unflip(faces, mates, leaving, h, g, around)
        return -1
    at, p = new, places[kind]
    if kind in (START, END):
        at = a if kind == START else b
        p = place(mesh, at, p)
    else:
        place(mesh, new, p)
        split(faces, mates, leaving, h, new, row)
    if star_is_clean(mesh, at, True, rings[0], rings[1]):
        return at
    if at == new:
        unsplit(faces, mates, leaving, h // 3, row)
    else:
        place(mesh, at, p)
    return -1


@nb.njit(cache=True)
def lead(near, mesh, h, frozen, new, row, rings):  # type: ignore[no-untyped-def]
    """Mend the chord of half-edge h; the vertex round which something changed, or -1.

    new and row: a free row of v and the first of two of faces, taken if the vertex is `new`.
    """
    around = corners(mesh[2], mesh[3], h)
    gains = np.empty(5)
    places = _weigh(near, mesh, around, frozen, new, gains, rings)
    for _ in range(5):
        kind = int(np.argmax(gains))
        if gains[kind] <= 0.0:
            return -1
        gains[kind] = -1.0
        at = _change_cleanly(mesh, around, kind, places, new, row, rings)
        if at >= 0:
            return at
    return -1
