"""Kernels that better the slivers which the gentle changes leave.

A face with a small angle has its edges flipped and collapsed either way and its corners moved, one
after the other, until the smallest angle of the faces that a change touches gets clearly larger by
it. Their squared error may not grow beyond the tolerance, none may look inward, and none meet.

`near` is as of near_kernels.py and `mesh` as of change_kernels.py.
"""

import math

import numba as nb
import numpy as np

from preprocessing.solid.remesh.borrowing_kernels import borrowed
from preprocessing.solid.remesh.deviation_kernels import settled_place
from preprocessing.solid.remesh.error_kernels import (
    WRONG,
    face_error,
    pair_error,
    place,
    star_error,
    worst_cosine,
)
from preprocessing.solid.remesh.fairness_kernels import smallest_cosine
from preprocessing.solid.remesh.halfedge_edit_kernels import (
    MOST_SPOKES,
    after,
    collapse,
    corners,
    edge_between,
    flip,
    mark,
    may_collapse,
    spokes,
    start,
    uncollapse,
    unflip,
)
from preprocessing.solid.remesh.meeting_kernels import pair_is_clean, star_is_clean

POOR = math.cos(math.radians(12.0))  # faces with a smaller angle are rescued
SHARES = (0.8, 0.3)  # of the way to the middle of its neighbours that a corner is moved


@nb.njit(parallel=True, cache=True)
def poor_faces(v, faces, frozen, fresh):  # type: ignore[no-untyped-def]
    """True (F,) for the flagged faces in `fresh` with a small angle; their flags are cleared."""
    poor = np.zeros(faces.shape[0], np.bool_)
    for f in nb.prange(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if fresh[f] and a >= 0 and not (frozen[a] and frozen[b] and frozen[c]):
            poor[f] = smallest_cosine(v, a, b, c) > POOR
        fresh[f] = False
    return poor


@nb.njit(cache=True, inline="always")
def _clearly_below(worst):  # type: ignore[no-untyped-def]
    """The cosine of a smallest angle that is a tenth larger than that of the cosine `worst`."""
    return math.cos(1.1 * math.acos(min(1.0, worst)) + 0.01)


@nb.njit(cache=True, inline="always")
def _within(new, tolerance):  # type: ignore[no-untyped-def]
    """Whether an (error, area) is within the tolerance."""
    return new[0] <= (0.7 * tolerance) ** 2 * new[1]


@nb.njit(cache=True)
def _good_enough(near, mesh, at, new, tolerance, ring):  # type: ignore[no-untyped-def]
    """Whether an (error, area) is within the tolerance or no worse than what is round vertex `at`.

    ring is scratch. The old error is asked last: it takes a distance at every face and edge.
    """
    if new[0] >= WRONG:
        return False
    if _within(new, tolerance):
        return True
    return new[0] <= star_error(near, mesh, at, -1, ring, 2.0)[0] < WRONG


@nb.njit(cache=True)
def _try_flips(near, mesh, f, tolerance, rings):  # type: ignore[no-untyped-def]
    """Flip an edge of face f; the vertex round which it changed, or -1."""
    v, faces, mates, leaving = mesh[0], mesh[2], mesh[3], mesh[4]
    for k in range(3):
        h = 3 * f + k
        a, b, c, d = corners(faces, mates, h)
        worst = max(smallest_cosine(v, a, b, c), smallest_cosine(v, b, a, d))
        most = _clearly_below(worst)
        if max(smallest_cosine(v, a, d, c), smallest_cosine(v, b, c, d)) > most:
            continue
        if c == d or edge_between(faces, mates, leaving, c, d) >= 0:
            continue
        new = pair_error(near, v, (a, d, c), (b, c, d), most)
        if new[0] >= WRONG:
            continue
        if not _within(new, tolerance):
            old = face_error(near, v, a, b, c)[0] + face_error(near, v, b, a, d)[0]
            if not new[0] <= old < WRONG:
                continue
        g = mates[h]
        flip(faces, mates, leaving, h)
        if pair_is_clean(mesh, (f, g // 3), (a, b, c, d), True, rings[0], rings[1]):
            return c
        unflip(faces, mates, leaving, h, g, (a, b, c, d))
    return -1


@nb.njit(cache=True)
def _try_collapse(near, mesh, h, tolerance, rings):  # type: ignore[no-untyped-def]
    """Merge the start of h into its end; whether it was done."""
    v, faces, mates, leaving = mesh[0], mesh[2], mesh[3], mesh[4]
    count, _ = may_collapse(faces, mates, h, rings[0], rings[1])
    if count == 0:
        return False
    a, b, c, d = corners(faces, mates, h)
    most = _clearly_below(worst_cosine(mesh, a, rings[2]))
    back = (v[a, 0], v[a, 1], v[a, 2])
    v[a, 0], v[a, 1], v[a, 2] = v[b, 0], v[b, 1], v[b, 2]
    new = star_error(near, mesh, a, b, rings[2], most)
    v[a, 0], v[a, 1], v[a, 2] = back
    if not _good_enough(near, mesh, a, new, tolerance, rings[2]):
        return False
    collapse(faces, mates, leaving, h, rings[0], count)
    if star_is_clean(mesh, b, True, rings[2], rings[3]):
        return True
    uncollapse(faces, mates, leaving, h, rings[0], count, (a, b, c, d))
    return False


@nb.njit(cache=True)
def _towards_neighbours(near, mesh, at, share, ring):  # type: ignore[no-untyped-def]
    """A place on the offset, a share of the way to the mean of the neighbours, and if found."""
    v, faces, mates, leaving = mesh[0], mesh[2], mesh[3], mesh[4]
    count = spokes(mates, leaving[at], ring)
    x = y = z = 0.0
    for i in range(count):
        p = start(faces, after(ring[i]))
        x, y, z = x + v[p, 0] - v[at, 0], y + v[p, 1] - v[at, 1], z + v[p, 2] - v[at, 2]
    part = share / max(count, 1)
    p, found = settled_place(near, v[at, 0] + part * x, v[at, 1] + part * y, v[at, 2] + part * z)
    return p, found and count > 0


@nb.njit(cache=True)
def _try_move(near, mesh, at, share, tolerance, rings):  # type: ignore[no-untyped-def]
    """Move a vertex towards the middle of its neighbours; whether it was done."""
    p, found = _towards_neighbours(near, mesh, at, share, rings[0])
    if not found:
        return False
    most = _clearly_below(worst_cosine(mesh, at, rings[0]))
    back = place(mesh, at, p)
    new = star_error(near, mesh, at, -1, rings[0], most)
    place(mesh, at, back)
    if not _good_enough(near, mesh, at, new, tolerance, rings[0]):
        return False
    place(mesh, at, p)
    if star_is_clean(mesh, at, True, rings[0], rings[1]):
        return True
    place(mesh, at, back)
    return False


@nb.njit(cache=True)
def _rescue_face(near, mesh, f, frozen, tolerance, rings):  # type: ignore[no-untyped-def]
    """Better face f; the vertex round which something changed, or -1."""
    faces, mates = mesh[2], mesh[3]
    if not (frozen[faces[f, 0]] or frozen[faces[f, 1]] or frozen[faces[f, 2]]):
        at = _try_flips(near, mesh, f, tolerance, rings)
        if at >= 0:
            return at
    for k in range(6):
        h = 3 * f + k // 2 if k % 2 == 0 else mates[3 * f + k // 2]
        b = start(faces, mates[h])
        if not frozen[start(faces, h)] and _try_collapse(near, mesh, h, tolerance, rings):
            return b
    for share in SHARES:
        for k in range(3):
            at = faces[f, k]
            if not frozen[at] and _try_move(near, mesh, at, share, tolerance, rings):
                return at
    return -1


@nb.njit(cache=True)
def rescue(near, mesh, frozen, listed, tolerance, flags):  # type: ignore[no-untyped-def]
    """Better the listed faces; how many changes were made. flags: as of halfedge_edit.mark."""
    near, mesh = borrowed(near), borrowed(mesh)
    v, faces = mesh[0], mesh[2]
    rings = np.empty((4, MOST_SPOKES), np.int64)
    done = 0
    for f in listed:
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if a < 0 or smallest_cosine(v, a, b, c) <= POOR:
            continue
        at = _rescue_face(near, mesh, f, frozen, tolerance, rings)
        if at >= 0:
            mark(mesh, at, flags, rings)
            done += 1
    return done
