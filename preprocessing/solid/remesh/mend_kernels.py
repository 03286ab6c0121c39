"""Kernels that mend the faces left far from the offset: a vertex inside, or an edge led better.

Where three sheets meet in a corner, chords can be right and the face between them is off. It gets a
vertex in the corner, or below its middle: whichever leaves less squared error, and only if that is
clearly less than before, no face gets a sliver and none meets another. Else its edges are led along
the crease, as of crease_kernels.py.

`near` is as of near_kernels.py and `mesh` as of change_kernels.py.
"""

import math

import numba as nb
import numpy as np

from preprocessing.solid.remesh.borrowing_kernels import borrowed
from preprocessing.solid.remesh.change_kernels import LONGEST
from preprocessing.solid.remesh.crease_kernels import GAIN, below, lead
from preprocessing.solid.remesh.deviation_kernels import settled_place
from preprocessing.solid.remesh.error_kernels import (
    WRONG,
    face_error,
    is_poor,
    pair_error,
    place,
)
from preprocessing.solid.remesh.fairness_kernels import agreement, normal
from preprocessing.solid.remesh.halfedge_edit_kernels import (
    MOST_SPOKES,
    edge_between,
    split_face,
    unsplit_face,
)
from preprocessing.solid.remesh.meeting_kernels import star_is_clean, took_place
from preprocessing.solid.remesh.near_kernels import offset_at

ALIKE = 0.97  # cosine between the normals at two corners above which a face need not be asked
SLIM = math.cos(math.radians(9.0))  # faces with a smaller angle do not come to be
LEAST_CORNER = 0.02  # volume spanned by three normals below which they make no corner


@nb.njit(cache=True, inline="always")
def _middle(v, a, b, c):  # type: ignore[no-untyped-def]
    return (
        (v[a, 0] + v[b, 0] + v[c, 0]) / 3.0,
        (v[a, 1] + v[b, 1] + v[c, 1]) / 3.0,
        (v[a, 2] + v[b, 2] + v[c, 2]) / 3.0,
    )


@nb.njit(cache=True)
def _is_off(near, v, a, b, c, most):  # type: ignore[no-untyped-def]
    """How far the middle of a face is off, in eps; 0 if not more than `most`."""
    x, y, z = _middle(v, a, b, c)
    off = abs(offset_at(near, x, y, z)[0] - near[4]) / near[4]
    return off if off > most else 0.0


@nb.njit(parallel=True, cache=True)
def off_faces(near, mesh, frozen, asked, most):  # type: ignore[no-untyped-def]
    """How far the middles of faces are off, in eps, float32 (F,): 0 where not more than `most`,
    where the normals at the corners agree, and for faces not in asked (F,) or with a corner in
    frozen (V,)."""
    v, gradient, faces = mesh[0], mesh[1], mesh[2]
    found = np.zeros(faces.shape[0], np.float32)
    for f in nb.prange(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if a < 0 or not asked[f] or frozen[a] or frozen[b] or frozen[c]:
            continue
        one, two = agreement(gradient, a, b), agreement(gradient, b, c)
        if min(one, two, agreement(gradient, c, a)) <= ALIKE:
            found[f] = _is_off(near, v, a, b, c, most)
    return found


@nb.njit(cache=True)
def _corner(near, mesh, a, b, c):  # type: ignore[no-untyped-def]
    """The place on the offset by the point where its planes at three vertices meet; if found."""
    v, g = mesh[0], mesh[1]
    n, m, o = g[a], g[b], g[c]
    p, q, r = np.cross(m, o), np.cross(o, n), np.cross(n, m)
    volume = (n * p).sum()
    if abs(volume) < LEAST_CORNER:
        return (0.0, 0.0, 0.0, 0.0, 0.0, 0.0), False
    at = ((n * v[a]).sum() * p + (m * v[b]).sum() * q + (o * v[c]).sum() * r) / volume
    if ((at - v[a]) ** 2).sum() > (LONGEST * near[5]) ** 2:
        return (0.0, 0.0, 0.0, 0.0, 0.0, 0.0), False
    return settled_place(near, at[0], at[1], at[2])


@nb.njit(cache=True)
def _error_with(near, mesh, a, b, c, new, p):  # type: ignore[no-untyped-def]
    """The squared error of face abc once it has a vertex `new` at p inside."""
    v = mesh[0]
    place(mesh, new, p)
    new = np.int32(new)
    error = pair_error(near, v, (a, b, new), (b, c, new), SLIM)[0]
    if error >= WRONG or is_poor(near, v, c, a, new, SLIM):
        return WRONG
    return error + face_error(near, v, c, a, new)[0]


@nb.njit(cache=True)
def _insert_better(near, mesh, f, new, row, rings):  # type: ignore[no-untyped-def]
    """Put vertex `new` into face f where that mends it; whether it was done."""
    v, faces, mates, leaving = mesh[0], mesh[2], mesh[3], mesh[4]
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    least = GAIN * face_error(near, v, a, b, c)[0]
    best, mended = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0), False
    for kind in range(2):
        if kind == 0:
            p, found = _corner(near, mesh, a, b, c)
        else:
            p, found = below(near, _middle(v, a, b, c), normal(v, a, b, c))
        error = _error_with(near, mesh, a, b, c, new, p) if found else WRONG
        if error < least:
            least, best, mended = error, p, True
    if not mended:
        return False
    place(mesh, new, best)
    split_face(faces, mates, leaving, f, new, row)
    if star_is_clean(mesh, new, True, rings[0], rings[1]):
        return True
    unsplit_face(faces, mates, leaving, f, row)
    return False


@nb.njit(cache=True)
def mend(near, mesh, origin, frozen, listed, rows, most, flags):  # type: ignore[no-untyped-def]
    """Mend the listed faces, where they are still off by more than `most`; how many were.

    origin, frozen, rows, flags: as of tidy_kernels.bend.
    """
    near, mesh = borrowed(near), borrowed(mesh)
    v, faces, mates, leaving, tight = mesh[0], mesh[2], mesh[3], mesh[4], mesh[5]
    rings = np.empty((4, MOST_SPOKES), np.int64)
    done = 0
    for i in range(listed.shape[0]):
        f = listed[i]
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if frozen[a] or frozen[b] or frozen[c]:
            continue  # its row holds another face since
        if _is_off(near, v, a, b, c, most) == 0.0:
            continue
        new, row = rows[1] + i, rows[0] + 2 * i
        tight[new] = max(tight[a], tight[b], tight[c])
        at = new if _insert_better(near, mesh, f, new, row, rings) else -1
        for p, q in ((a, b), (b, c), (c, a)):
            if at < 0:  # a split taken back has turned the corners in their row
                h = edge_between(faces, mates, leaving, p, q)
                at = lead(near, mesh, h, frozen, new, row, rings)
        done += took_place(mesh, origin, at, new, a, flags, rings)
    return done
