"""Kernels that ask, exactly, whether faces meet after a change: with those round it, and far ones.

Faces meet where the offset turns sharply, and where two sheets of it face each other across thin
air. Vertices there are tight, and faces near them are looked up whatever they belong to: `tight`
(V,) is NARROW for these vertices and 1 for their neighbours, `heads` (n,n,n) names one of either in
each bucket of space and `chain` (V,) the next one, -1 for none. `extent` (V,) is no less than a
vertex's longest edge, beyond which its faces do not reach, and `reach` is how far away vertices
are looked at, at most. Vertices that have moved since are found if they have not gone far; what is
missed is found in the end, over all faces, and tried again with the vertices near it MET: tight,
and never merged unasked.

`mesh` is as of change_kernels.py.
"""

import math

import numba as nb
import numpy as np

from preprocessing.frame import HALF_WIDTH
from preprocessing.solid.crossing_kernels import faces_meet, has_area
from preprocessing.solid.remesh.fairness_kernels import agreement
from preprocessing.solid.remesh.halfedge_edit_kernels import (
    after,
    longer_than,
    mark,
    spokes,
    start,
)

# Cosine between the offset's normals at two ends of an edge below which faces may meet: 96 degrees.
SHARP = -0.1
# Degrees of tightness: by the air before them, and because faces met there.
NARROW, MET = 2, 3
BUCKET = 2  # cells along an edge of a bucket, more where there would be more than MOST_BUCKETS
MOST_BUCKETS = 128  # along an axis: 8 MB
REACH = 1.6  # cells that a face with edges of 2.5 cells reaches from its nearest corner, and some


@nb.njit(inline="always")
def _bucket(x, n):  # type: ignore[no-untyped-def]
    """The bucket of a coordinate."""
    return min(max(int((x + HALF_WIDTH) / (2.0 * HALF_WIDTH) * n), 0), n - 1)


@nb.njit(cache=True)
def put(mesh, at):  # type: ignore[no-untyped-def]
    """Make a vertex known to its bucket."""
    v, heads, chain = mesh[0], mesh[6], mesh[7]
    n = heads.shape[0]
    i, j, k = _bucket(v[at, 0], n), _bucket(v[at, 1], n), _bucket(v[at, 2], n)
    chain[at] = heads[i, j, k]
    heads[i, j, k] = at


@nb.njit(cache=True)
def extents(v, faces):  # type: ignore[no-untyped-def]
    """The length of the longest edge at each vertex, float32 (V,), rounded up; 0 in no face."""
    found = np.zeros(v.shape[0], np.float32)
    for f in range(faces.shape[0]):
        if faces[f, 0] >= 0:
            for k in range(3):
                a, b = faces[f, k], faces[f, (k + 1) % 3]
                long = longer_than(v, a, b)
                found[a], found[b] = max(found[a], long), max(found[b], long)
    return found


@nb.njit(cache=True)
def took_place(mesh, origin, at, new, a, flags, rings):  # type: ignore[no-untyped-def]
    """Make a change round vertex `at` known, if there was one: whether it is 0 or more.

    If it is the new vertex, that lies beside vertex a: origin (V,) names an old vertex near each.
    flags, rings: as of halfedge_edit_kernels.mark.
    """
    if at < 0:
        return False
    if at == new:
        origin[new] = origin[a]
        if mesh[5][new] > 0:
            put(mesh, new)
    mark(mesh, at, flags, rings)
    return True


@nb.njit(cache=True)
def put_all(mesh):  # type: ignore[no-untyped-def]
    """Fill the buckets anew, with the tight vertices that are in a face."""
    leaving, tight, heads = mesh[4], mesh[5], mesh[6]
    heads[:] = -1
    for at in range(leaving.shape[0]):
        if tight[at] > 0 and leaving[at] >= 0:
            put(mesh, at)


@nb.njit(cache=True)
def is_sharp(mesh, at, ring, count):  # type: ignore[no-untyped-def]
    """Whether the offset turns so far between a vertex and those round it that faces may meet.

    ring: the `count` half-edges that leave some vertex, whose ends are asked for.
    """
    gradient, faces = mesh[1], mesh[2]
    least = 1.0
    for i in range(count):
        least = min(least, agreement(gradient, at, start(faces, after(ring[i]))))
    return least < SHARP


@nb.njit(cache=True)
def pair_is_sharp(mesh, a, b, c, d):  # type: ignore[no-untyped-def]
    """As is_sharp, of two faces with corners a, b, c and d."""
    gradient = mesh[1]
    least = min(agreement(gradient, a, b), agreement(gradient, c, d))
    least = min(least, agreement(gradient, a, c), agreement(gradient, a, d))
    return min(least, agreement(gradient, b, c), agreement(gradient, b, d)) < SHARP


@nb.njit(cache=True)
def _meets_around(mesh, f, at, ring):  # type: ignore[no-untyped-def]
    """Whether face f meets a face round vertex `at` elsewhere than in what they share."""
    v, faces, mates, leaving = mesh[0], mesh[2], mesh[3], mesh[4]
    count = spokes(mates, leaving[at], ring)
    for i in range(count):
        g = ring[i] // 3
        if g != f and faces_meet(v, faces, f, g):
            return True
    return count == 0


@nb.njit(cache=True)
def _box(v, faces, mine, count):  # type: ignore[no-untyped-def]
    """Least and largest x, y, z of the faces of the half-edges mine[:count]."""
    lx = ly = lz = math.inf
    hx = hy = hz = -math.inf
    for i in range(count):
        for k in range(3):
            at = faces[mine[i] // 3, k]
            lx, ly, lz = min(lx, v[at, 0]), min(ly, v[at, 1]), min(lz, v[at, 2])
            hx, hy, hz = max(hx, v[at, 0]), max(hy, v[at, 1]), max(hz, v[at, 2])
    return lx, ly, lz, hx, hy, hz


@nb.njit(cache=True, inline="always")
def _outside(v, faces, g, box):  # type: ignore[no-untyped-def]
    """Whether a face is beyond a box along some axis."""
    a, b, c = faces[g, 0], faces[g, 1], faces[g, 2]
    for x in range(3):
        if min(v[a, x], v[b, x], v[c, x]) > box[3 + x]:
            return True
        if max(v[a, x], v[b, x], v[c, x]) < box[x]:
            return True
    return False


@nb.njit(cache=True)
def _touches(faces, mine, count, g):  # type: ignore[no-untyped-def]
    """Whether face g has a corner in common with those of mine[:count], or is one of them."""
    for i in range(count):
        f = mine[i] // 3
        for k in range(3):
            at = faces[f, k]
            if faces[g, 0] == at or faces[g, 1] == at or faces[g, 2] == at:
                return True
    return False


@nb.njit(cache=True)
def _meets_round_one(mesh, mine, count, box, c, other):  # type: ignore[no-untyped-def]
    """Whether a face of mine[:count] meets one round vertex c that it has no corner from."""
    v, faces, mates, leaving = mesh[0], mesh[2], mesh[3], mesh[4]
    spread = spokes(mates, leaving[c], other)
    for s in range(spread):
        g = other[s] // 3
        if _outside(v, faces, g, box) or _touches(faces, mine, count, g):
            continue
        for i in range(count):
            if faces_meet(v, faces, mine[i] // 3, g):
                return True
    return spread == 0


@nb.njit(cache=True)
def _meets_far(mesh, mine, count, other):  # type: ignore[no-untyped-def]
    """Whether faces of the half-edges mine[:count] meet any round a tight vertex but those that
    they touch; other: scratch."""
    v, leaving = mesh[0], mesh[4]
    heads, chain, extent, r = mesh[6:]
    n = heads.shape[0]
    box = _box(v, mesh[2], mine, count)
    for i in range(_bucket(box[0] - r, n), _bucket(box[3] + r, n) + 1):
        for j in range(_bucket(box[1] - r, n), _bucket(box[4] + r, n) + 1):
            for k in range(_bucket(box[2] - r, n), _bucket(box[5] + r, n) + 1):
                c = heads[i, j, k]
                while c >= 0:
                    within, far = leaving[c] >= 0, min(extent[c], r)
                    for x in range(3):
                        within &= box[x] - far <= v[c, x] <= box[3 + x] + far
                    if within and _meets_round_one(mesh, mine, count, box, c, other):
                        return True
                    c = chain[c]
    return False


@nb.njit(cache=True)
def pair_is_clean(mesh, pair, around, sharp, ring, other):  # type: ignore[no-untyped-def]
    """Whether two faces meet, exactly, none round the vertices `around`, their corners, if `sharp`
    or one of these is tight, and then no other; ring, other: scratch."""
    v, faces, tight = mesh[0], mesh[2], mesh[5]
    narrow = False
    for at in around:
        narrow |= tight[at] >= NARROW
    if not (sharp or narrow):
        return True
    for f in pair:
        if not has_area(v, faces[f, 0], faces[f, 1], faces[f, 2]):
            return False
        for at in around:
            if _meets_around(mesh, f, at, ring):
                return False
    ring[0], ring[1] = 3 * pair[0], 3 * pair[1]
    return not (narrow and _meets_far(mesh, ring, 2, other))


@nb.njit(cache=True)
def _meets_rim(mesh, at, ring, count, other):  # type: ignore[no-untyped-def]
    """Whether the faces ring[:count] round vertex `at` meet each other or one round its neighbours.

    other: scratch.
    """
    v, faces, mates = mesh[0], mesh[2], mesh[3]
    for i in range(count):
        # Round the neighbour all but the faces with the next one, whose turn comes.
        following = start(faces, after(ring[i + 1 if i + 1 < count else 0]))
        spread = spokes(mates, after(ring[i]), other)
        if spread == 0:
            return True
        for j in range(spread):
            g = other[j] // 3
            if faces[g, 0] == following or faces[g, 1] == following or faces[g, 2] == following:
                continue
            own = faces[g, 0] == at or faces[g, 1] == at or faces[g, 2] == at
            for k in range(count):
                f = ring[k] // 3
                if f != g and not (own and f < g) and faces_meet(v, faces, f, g):
                    return True
    return False


@nb.njit(cache=True)
def star_is_clean(mesh, at, sharp, ring, other):  # type: ignore[no-untyped-def]
    """Whether the faces round a vertex meet, exactly, none round its neighbours, if `sharp` or one
    of these is tight, and then no other; ring, other: scratch."""
    v, faces, mates, leaving, tight = mesh[0], mesh[2], mesh[3], mesh[4], mesh[5]
    count = spokes(mates, leaving[at], ring)
    narrow = tight[at] >= NARROW
    for i in range(count):
        narrow |= tight[start(faces, after(ring[i]))] >= NARROW
    if count == 0 or not (sharp or narrow):
        return count > 0
    for i in range(count):
        f = ring[i] // 3
        if not has_area(v, faces[f, 0], faces[f, 1], faces[f, 2]):
            return False
    if _meets_rim(mesh, at, ring, count, other):
        return False
    return not (narrow and _meets_far(mesh, ring, count, other))
