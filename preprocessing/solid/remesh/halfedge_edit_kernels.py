"""Kernels that change a closed manifold triangle mesh in place: flip, collapse and split an edge.

Half-edge h = 3 f + k runs from corner k of face f to corner k + 1; mates[h] runs back. leaving[v]
is some half-edge that starts at v. A face that is gone has -1 for its first corner.
"""

import math

import numba as nb
import numpy as np

MOST_SPOKES = 64


@nb.njit(inline="always")
def after(h):  # type: ignore[no-untyped-def]
    """The next half-edge of the face."""
    return h + 1 if h % 3 < 2 else h - 2


@nb.njit(inline="always")
def before(h):  # type: ignore[no-untyped-def]
    """The half-edge before in the face."""
    return h - 1 if h % 3 > 0 else h + 2


@nb.njit(inline="always")
def start(faces, h):  # type: ignore[no-untyped-def]
    """The vertex that a half-edge starts at."""
    return faces[h // 3, h % 3]


@nb.njit(inline="always")
def longer_than(v, a, b):  # type: ignore[no-untyped-def]
    """A float32 that the distance of two vertices is clearly less than."""
    x, y, z = v[a, 0] - v[b, 0], v[a, 1] - v[b, 1], v[a, 2] - v[b, 2]
    return np.float32(1.0001 * math.sqrt(x * x + y * y + z * z))


@nb.njit(cache=True)
def leaving_halves(faces, count):  # type: ignore[no-untyped-def]
    """Some half-edge that starts at each vertex, int32 (count,), -1 for none."""
    leaving = np.full(count, -1, np.int32)
    for f in range(faces.shape[0]):
        for k in range(3):
            leaving[faces[f, k]] = 3 * f + k
    return leaving


@nb.njit(cache=True)
def spokes(mates, first, around):  # type: ignore[no-untyped-def]
    """Half-edges that leave the vertex that `first` leaves; how many, 0 for too many."""
    count = 0
    h = first
    while True:
        if count == around.shape[0]:
            return 0
        around[count] = h
        count += 1
        h = mates[before(h)]
        if h == first:
            return count


@nb.njit(inline="always")
def _pair(mates, g, h):  # type: ignore[no-untyped-def]
    mates[g] = h
    mates[h] = g


@nb.njit(inline="always")
def corners(faces, mates, h):  # type: ignore[no-untyped-def]
    """The start and the end of a half-edge, and the tips of its face and of the one across."""
    g = mates[h]
    return start(faces, h), start(faces, g), start(faces, before(h)), start(faces, before(g))


@nb.njit(inline="always")
def _rim(mates, h):  # type: ignore[no-untyped-def]
    """Mates of the four sides of the two faces on edge ab with tips c and d: bc, ca, ad, db."""
    g = mates[h]
    return mates[after(h)], mates[before(h)], mates[after(g)], mates[before(g)]


@nb.njit(cache=True)
def edge_between(faces, mates, leaving, a, b):  # type: ignore[no-untyped-def]
    """The half-edge from vertex a to vertex b, -1 where there is none."""
    first = leaving[a]
    h = first
    while True:
        if start(faces, after(h)) == b:
            return h
        h = mates[before(h)]
        if h == first:
            return -1


@nb.njit(cache=True)
def flip(faces, mates, leaving, h):  # type: ignore[no-untyped-def]
    """Turn edge ab with tips c and d into edge cd; the caller knows that no edge joins these."""
    f, e = h // 3, mates[h] // 3
    a, b, c, d = corners(faces, mates, h)
    bc, ca, ad, db = _rim(mates, h)
    faces[f, 0], faces[f, 1], faces[f, 2] = a, d, c
    faces[e, 0], faces[e, 1], faces[e, 2] = b, c, d
    _pair(mates, 3 * f, ad)
    _pair(mates, 3 * f + 1, 3 * e + 1)
    _pair(mates, 3 * f + 2, ca)
    _pair(mates, 3 * e, bc)
    _pair(mates, 3 * e + 2, db)
    leaving[a], leaving[d], leaving[c], leaving[b] = 3 * f, 3 * f + 1, 3 * f + 2, 3 * e


@nb.njit(cache=True)
def unflip(faces, mates, leaving, h, g, around):  # type: ignore[no-untyped-def]
    """Take a flip of half-edge h, whose mate was g, back at once: all half-edges are as before.

    around: the corners a, b, c, d from before.
    """
    a, b, c, d = around
    f, e = h // 3, g // 3
    ad, ca, bc, db = mates[3 * f], mates[3 * f + 2], mates[3 * e], mates[3 * e + 2]
    faces[f, h % 3], faces[f, after(h) % 3], faces[f, before(h) % 3] = a, b, c
    faces[e, g % 3], faces[e, after(g) % 3], faces[e, before(g) % 3] = b, a, d
    _pair(mates, h, g)
    _pair(mates, after(h), bc)
    _pair(mates, before(h), ca)
    _pair(mates, after(g), ad)
    _pair(mates, before(g), db)
    leaving[a], leaving[b], leaving[c], leaving[d] = h, g, before(h), before(g)


@nb.njit(cache=True)
def may_collapse(faces, mates, h, ring, other):  # type: ignore[no-untyped-def]
    """Whether edge ab may vanish: a and b have two neighbours in common, its tips, and no more.

    Fills ring with the half-edges leaving a and other with those leaving b; returns how many each,
    (0, 0) for no.
    """
    g = mates[h]
    count, more = spokes(mates, h, ring), spokes(mates, g, other)
    if count < 3 or more < 3 or count + more < 7:
        return 0, 0
    common = 0
    for i in range(count):
        x = start(faces, after(ring[i]))
        for j in range(more):
            if start(faces, after(other[j])) == x:
                common += 1
    if common != 2:
        return 0, 0
    # A tip with three faces would be left with two.
    for tip in (before(h), before(g)):
        if mates[before(mates[before(mates[before(tip)])])] == tip:
            return 0, 0
    return count, more


@nb.njit(cache=True)
def collapse(faces, mates, leaving, h, ring, count):  # type: ignore[no-untyped-def]
    """Merge the start of h into its end; ring are the `count` half-edges leaving the start."""
    g = mates[h]
    a, b, c, d = corners(faces, mates, h)
    for i in range(count):
        faces[ring[i] // 3, ring[i] % 3] = b
    bc, ca, ad, db = _rim(mates, h)
    _pair(mates, bc, ca)
    _pair(mates, ad, db)
    faces[h // 3, 0] = faces[g // 3, 0] = -1
    leaving[a] = -1
    leaving[c], leaving[d], leaving[b] = bc, ad, ca


@nb.njit(cache=True)
def uncollapse(faces, mates, leaving, h, ring, count, old):  # type: ignore[no-untyped-def]
    """Take a collapse of h back at once; old: the corners a, b, c, d that it had."""
    g = mates[h]
    a, b, c, d = old
    for i in range(count):
        faces[ring[i] // 3, ring[i] % 3] = a
    f, e = h // 3, g // 3
    faces[f, h % 3], faces[f, after(h) % 3], faces[f, before(h) % 3] = a, b, c
    faces[e, g % 3], faces[e, after(g) % 3], faces[e, before(g) % 3] = b, a, d
    for side in (after(h), before(h), after(g), before(g)):
        mates[mates[side]] = side
    leaving[a], leaving[b], leaving[c], leaving[d] = h, g, before(h), before(g)


@nb.njit(cache=True)
def split(faces, mates, leaving, h, v, count):  # type: ignore[no-untyped-def]
    """Put vertex v on edge ab; the two new faces are rows `count` and `count` + 1."""
    f, e = h // 3, mates[h] // 3
    a, b, c, d = corners(faces, mates, h)
    bc, ca, ad, db = _rim(mates, h)
    x, y = count, count + 1
    faces[f, 0], faces[f, 1], faces[f, 2] = a, v, c
    faces[x, 0], faces[x, 1], faces[x, 2] = v, b, c
    faces[e, 0], faces[e, 1], faces[e, 2] = v, a, d
    faces[y, 0], faces[y, 1], faces[y, 2] = b, v, d
    _pair(mates, 3 * f, 3 * e)
    _pair(mates, 3 * x, 3 * y)
    _pair(mates, 3 * f + 1, 3 * x + 2)
    _pair(mates, 3 * e + 2, 3 * y + 1)
    _pair(mates, 3 * f + 2, ca)
    _pair(mates, 3 * x + 1, bc)
    _pair(mates, 3 * e + 1, ad)
    _pair(mates, 3 * y + 2, db)
    leaving[a], leaving[b], leaving[v] = 3 * f, 3 * y, 3 * f + 1
    leaving[c], leaving[d] = 3 * f + 2, 3 * e + 2


@nb.njit(cache=True)
def unsplit(faces, mates, leaving, f, count):  # type: ignore[no-untyped-def]
    """Take a split back at once: f is the row of the face on a, rows `count` and + 1 are new."""
    e = mates[3 * f] // 3
    x, y = count, count + 1
    a, b, c, d = faces[f, 0], faces[x, 1], faces[f, 2], faces[e, 2]
    bc, ca, ad, db = mates[3 * x + 1], mates[3 * f + 2], mates[3 * e + 1], mates[3 * y + 2]
    leaving[faces[f, 1]] = -1
    faces[f, 0], faces[f, 1], faces[f, 2] = a, b, c
    faces[e, 0], faces[e, 1], faces[e, 2] = b, a, d
    faces[x, 0] = faces[y, 0] = -1
    _pair(mates, 3 * f, 3 * e)
    _pair(mates, 3 * f + 1, bc)
    _pair(mates, 3 * f + 2, ca)
    _pair(mates, 3 * e + 1, ad)
    _pair(mates, 3 * e + 2, db)
    leaving[a], leaving[b], leaving[c], leaving[d] = 3 * f, 3 * e, 3 * f + 2, 3 * e + 2


@nb.njit(cache=True)
def split_face(faces, mates, leaving, f, v, count):  # type: ignore[no-untyped-def]
    """Put vertex v into face f; the two new faces are rows `count` and `count` + 1."""
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    bc, ca = mates[3 * f + 1], mates[3 * f + 2]
    x, y = count, count + 1
    faces[f, 2] = v
    faces[x, 0], faces[x, 1], faces[x, 2] = b, c, v
    faces[y, 0], faces[y, 1], faces[y, 2] = c, a, v
    _pair(mates, 3 * x, bc)
    _pair(mates, 3 * y, ca)
    _pair(mates, 3 * f + 1, 3 * x + 2)
    _pair(mates, 3 * x + 1, 3 * y + 2)
    _pair(mates, 3 * y + 1, 3 * f + 2)
    leaving[a], leaving[b], leaving[c], leaving[v] = 3 * f, 3 * x, 3 * y, 3 * f + 2


@nb.njit(cache=True)
def unsplit_face(faces, mates, leaving, f, count):  # type: ignore[no-untyped-def]
    """Take split_face back at once: rows `count` and + 1 are new."""
    x, y = count, count + 1
    a, b, c = faces[f, 0], faces[f, 1], faces[y, 0]
    bc, ca = mates[3 * x], mates[3 * y]
    leaving[faces[f, 2]] = -1
    faces[f, 2] = c
    faces[x, 0] = faces[y, 0] = -1
    _pair(mates, 3 * f + 1, bc)
    _pair(mates, 3 * f + 2, ca)
    leaving[a], leaving[b], leaving[c] = 3 * f, 3 * f + 1, 3 * f + 2


@nb.njit(cache=True)
def mark(mesh, at, flags, rings):  # type: ignore[no-untyped-def]
    """Flag what a change round vertex `at` may have changed, and measure its edges.

    flags: faces to be tried again, faces to be rescued again (F,), vertices with new edges (V,).
    mesh: as of change_kernels.py. rings (2,MOST_SPOKES) are scratch.
    """
    v, faces, mates, leaving, extent = mesh[0], mesh[2], mesh[3], mesh[4], mesh[8]
    again, fresh, dirty = flags
    dirty[at] = True
    own = np.float32(0.0)
    for i in range(spokes(mates, leaving[at], rings[0])):
        p = start(faces, after(rings[0][i]))
        dirty[p] = True
        own = max(own, longer_than(v, at, p))
        longest = np.float32(0.0)
        for j in range(spokes(mates, leaving[p], rings[1])):
            again[rings[1][j] // 3] = True
            fresh[rings[1][j] // 3] = True
            longest = max(longest, longer_than(v, p, start(faces, after(rings[1][j]))))
        extent[p] = longest
    extent[at] = own


@nb.njit(cache=True)
def compact(faces, count, vertices):  # type: ignore[no-untyped-def]
    """Faces int32 and vertices that are left, and the old row of each vertex, int32."""
    new = np.full(vertices, -1, np.int32)
    old = np.empty(vertices, np.int32)
    kept = np.empty((count, 3), np.int32)
    total = 0
    for f in range(count):
        if faces[f, 0] >= 0:
            for k in range(3):
                kept[total, k] = faces[f, k]
                new[faces[f, k]] = 0
            total += 1
    used = 0
    for v in range(vertices):
        if new[v] == 0:
            new[v] = used
            old[used] = v
            used += 1
    for f in range(total):
        for k in range(3):
            kept[f, k] = new[kept[f, k]]
    return kept[:total].copy(), old[:used].copy()


@nb.njit(parallel=True, cache=True)
def changed_faces(old_vertices, old_faces, vertices, faces):  # type: ignore[no-untyped-def]
    """True (F,) for a face that differs, in its corners or their places, from that of its row."""
    changed = np.ones(faces.shape[0], np.bool_)
    for f in nb.prange(old_faces.shape[0]):
        same = True
        for k in range(3):
            a = faces[f, k]
            same &= a == old_faces[f, k]
            if same:
                for x in range(3):
                    same &= vertices[a, x] == old_vertices[a, x]
        changed[f] = not same
    return changed
