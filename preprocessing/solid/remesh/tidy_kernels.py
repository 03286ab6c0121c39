"""Kernels that better the triangles of an offset surface, block by block, and bend its chords.

A block is a cube of BLOCK cells, and a face belongs to that of its first corner. A change writes
what is at most three edges from its face, and no edge is longer than 3.5 cells; it reads as far, or
faces round what is two edges and REACH (meeting_kernels.py) away, 12.1 cells. So what two blocks of
one colour do, BLOCK cells apart, never meets: the result is the same for any threads.
"""

import numba as nb
import numpy as np

from preprocessing.frame import HALF_WIDTH
from preprocessing.solid.remesh.borrowing_kernels import borrowed
from preprocessing.solid.remesh.change_kernels import (
    LONGEST,
    chord_error,
    flip_cleanly,
    try_collapse,
    try_flip,
    try_slide,
)
from preprocessing.solid.remesh.crease_kernels import lead
from preprocessing.solid.remesh.fairness_kernels import (
    FINE,
    smallest_cosine,
    squares,
    upright,
)
from preprocessing.solid.remesh.halfedge_edit_kernels import (
    MOST_SPOKES,
    before,
    corners,
    edge_between,
    mark,
    split,
    spokes,
    start,
    unsplit,
)
from preprocessing.solid.remesh.meeting_kernels import (
    is_sharp,
    star_is_clean,
    took_place,
)

BLOCK = 24
NEARER = 0.5  # share of a chord's error that a flip has to get below
COLOURS = 8


@nb.njit(parallel=True, cache=True)
def bad_faces(v, faces, frozen, most, again):  # type: ignore[no-untyped-def]
    """True (F,) where a face is to be tried: flagged in `again`, free, with a small angle.

    `most` is the cosine of the smallest angle that is well. Clears the flags of all others.
    """
    bad = np.zeros(faces.shape[0], np.bool_)
    for f in nb.prange(faces.shape[0]):
        if not again[f]:
            continue
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        free = a >= 0 and not (frozen[a] or frozen[b] or frozen[c])
        bad[f] = free and smallest_cosine(v, a, b, c) > most
        again[f] = bad[f]
    return bad


@nb.njit(parallel=True, cache=True)
def block_keys(v, faces, listed, step):  # type: ignore[no-untyped-def]
    """Colour and block of each listed face as one number, int32, and the blocks along an axis."""
    width = BLOCK * step
    n = int(2.0 * HALF_WIDTH / width) + 2
    keys = np.empty(listed.shape[0], np.int32)
    for row in nb.prange(listed.shape[0]):
        a = faces[listed[row], 0]
        i = min(max(int((v[a, 0] + HALF_WIDTH) / width), 0), n - 1)
        j = min(max(int((v[a, 1] + HALF_WIDTH) / width), 0), n - 1)
        k = min(max(int((v[a, 2] + HALF_WIDTH) / width), 0), n - 1)
        colour = (i & 1) * 4 + (j & 1) * 2 + (k & 1)
        keys[row] = ((colour * n + i) * n + j) * n + k
    return keys, n**3


@nb.njit(cache=True)
def _better(near, mesh, f, frozen, limits, rings, spare):  # type: ignore[no-untyped-def]
    """Try what may better face f; the vertex round which something changed, or -1."""
    v, faces, mates, leaving = mesh[0], mesh[2], mesh[3], mesh[4]
    one, two, three = squares(v, faces[f, 0], faces[f, 1], faces[f, 2])
    # Side k is the half-edge 3 f + k: ab, bc, ca.
    sides = (three, one, two)
    long = 0 if three >= one and three >= two else (1 if one >= two else 2)
    short = 0 if three <= one and three <= two else (1 if one <= two else 2)
    cap = sides[0] + sides[1] + sides[2] - sides[long] < 0.75 * sides[long]
    for turn in range(2):
        if cap == (turn == 0):
            h = 3 * f + long
            tip = start(faces, before(mates[h]))
            own = start(faces, before(h))
            if not frozen[tip] and try_flip(near, mesh, h, limits, rings):
                return own
        else:
            h = 3 * f + short
            a, b = start(faces, h), start(faces, mates[h])
            if try_collapse(near, mesh, h, frozen, limits, rings):
                return a if leaving[a] >= 0 else b
    for k in range(3):
        at = faces[f, k]
        if try_slide(near, mesh, at, limits, rings, spare):
            return at
    return -1


@nb.njit(cache=True)
def _tidy_block(near, mesh, frozen, limits, most, flags, listed, spare):  # type: ignore[no-untyped-def]
    """Try the listed faces of one block; how many changes were made."""
    v, faces = mesh[0], mesh[2]
    again = flags[0]
    rings = np.empty((4, MOST_SPOKES), np.int64)
    done = 0
    for f in listed:
        again[f] = False
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if a < 0 or frozen[a] or frozen[b] or frozen[c] or smallest_cosine(v, a, b, c) <= most:
            continue
        at = _better(near, mesh, f, frozen, limits, rings, spare)
        if at >= 0:
            done += 1
            mark(mesh, at, flags, rings)
    return done


@nb.njit(parallel=True, cache=True)
def tidy_blocks(near, mesh, frozen, limits, most, flags, listed, first, spare):  # type: ignore[no-untyped-def]
    """Try the faces listed[first[i]:first[i + 1]] of blocks i of one colour; changes made.

    Faces whose smallest angle has a cosine above `most` are bettered; those with a vertex in
    frozen (V,) keep their edges. flags: as of halfedge_edit_kernels.mark. Rows of vertices from
    `spare` on, one a block, are scratch.
    """
    done = np.zeros(first.shape[0] - 1, np.int64)
    for i in nb.prange(first.shape[0] - 1):
        block = listed[first[i] : first[i + 1]]
        done[i] = _tidy_block(near, mesh, frozen, limits, most, flags, block, spare + i)
    return done.sum()


@nb.njit(cache=True)
def _flip_nearer(near, mesh, h, rings):  # type: ignore[no-untyped-def]
    """Flip an edge if it comes much nearer to the offset by it; whether it was done."""
    v, gradient, faces, mates, leaving = mesh[:5]
    a, b, c, d = corners(faces, mates, h)
    if c == d or squares(v, c, d, a)[2] > (LONGEST * near[5]) ** 2:
        return False
    worst = max(smallest_cosine(v, a, b, c), smallest_cosine(v, b, a, d))
    if max(smallest_cosine(v, a, d, c), smallest_cosine(v, b, c, d)) > max(worst, FINE):
        return False
    if not (upright(v, gradient, a, d, c) and upright(v, gradient, b, c, d)):
        return False
    if edge_between(faces, mates, leaving, c, d) >= 0:
        return False
    if chord_error(near, mesh, c, d) > NEARER * chord_error(near, mesh, a, b):
        return False
    return flip_cleanly(mesh, h, rings)


@nb.njit(cache=True)
def _split_cleanly(mesh, h, new, row, longest, rings):  # type: ignore[no-untyped-def]
    """Split an edge at vertex `new`, unless a face would turn over or meet one; whether done."""
    v, gradient, faces, mates, leaving = mesh[:5]
    a, b, c, d = corners(faces, mates, h)
    _, one, two = squares(v, new, a, b)
    _, three, four = squares(v, new, c, d)
    if max(max(one, two), max(three, four)) > longest**2:
        return False
    fine = upright(v, gradient, a, new, c) and upright(v, gradient, new, b, c)
    if not (fine and upright(v, gradient, b, new, d) and upright(v, gradient, new, a, d)):
        return False
    split(faces, mates, leaving, h, new, row)
    count = spokes(mates, leaving[new], rings[0])
    sharp = is_sharp(mesh, new, rings[0], count) or is_sharp(mesh, a, rings[0], count)
    sharp = sharp or is_sharp(mesh, c, rings[0], count)
    if not star_is_clean(mesh, new, sharp, rings[0], rings[1]):
        unsplit(faces, mates, leaving, h // 3, row)
        return False
    return True


@nb.njit(cache=True)
def bend(near, mesh, origin, frozen, bends, rows, flags):  # type: ignore[no-untyped-def]
    """Bend chords; bends: their ends (K,2), how far they are off (K,), new points (K,3), gradients
    there (K,3), whether these were found (K,). Returns how many were bent.

    mesh: as of change_kernels.py. origin (V,) names an old vertex near each. rows: the first free
    rows of faces and of v, of which each bend has two and one of its own. flags as of
    halfedge_edit_kernels.mark. A chord inside is flipped if that is much better; all others are
    split, or led along the crease (crease_kernels.py).
    """
    near, mesh = borrowed(near), borrowed(mesh)
    v, gradient, faces, mates, leaving = mesh[:5]
    tight = mesh[5]
    ends, off, points, normals, found = bends
    rings = np.empty((4, MOST_SPOKES), np.int64)
    done = 0
    for i in range(ends.shape[0]):
        a = ends[i, 0]
        h = edge_between(faces, mates, leaving, a, ends[i, 1])
        if h < 0:
            continue  # flipped since
        new, row = rows[1] + i, rows[0] + 2 * i
        v[new] = points[i]
        gradient[new] = normals[i]
        tight[new] = max(tight[a], tight[ends[i, 1]])
        at = -1
        if off[i] < 0.0 and _flip_nearer(near, mesh, h, rings):
            at = start(faces, h)
        elif found[i] and _split_cleanly(mesh, h, new, row, LONGEST * near[5], rings):
            at = new
        else:
            h = edge_between(faces, mates, leaving, a, ends[i, 1])
            at = lead(near, mesh, h, frozen, new, row, rings)
        done += took_place(mesh, origin, at, new, a, flags, rings)
    return done
