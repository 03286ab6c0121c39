"""Kernels that take vertices out of the flat parts of an offset surface.

There a chord is right however long it is, and marching cubes has a vertex in every cell. A vertex
is merged into a neighbour where the normals all round agree, no face turns, and no edge gets longer
than two cells or angle smaller than 25 degrees: then the faces saved bend round edges instead.
"""

import math

import numba as nb
import numpy as np

from preprocessing.solid.remesh.borrowing_kernels import borrowed
from preprocessing.solid.remesh.fairness_kernels import (
    FINE,
    agreement,
    normal,
    smallest_cosine,
    squares,
    turned,
)
from preprocessing.solid.remesh.halfedge_edit_kernels import (
    MOST_SPOKES,
    after,
    before,
    collapse,
    may_collapse,
    spokes,
    start,
)
from preprocessing.solid.remesh.meeting_kernels import MET

FLAT = math.cos(math.radians(2.5))
WIDE = 2.2  # cells that an edge may get long
STEADY = 0.99  # cosine of the most that a face may turn


@nb.njit(cache=True)
def _is_flat(mesh, at, ring, count):  # type: ignore[no-untyped-def]
    """Whether the offset's normals round a vertex agree with its own."""
    gradient, faces = mesh[1], mesh[2]
    for i in range(count):
        if agreement(gradient, at, start(faces, after(ring[i]))) < FLAT:
            return False
    return count > 0


@nb.njit(cache=True)
def _worst_after(mesh, at, b, ring, count, most, long):  # type: ignore[no-untyped-def]
    """Cosine of the smallest angle once vertex `at` lies where b does; 1 if it is above `most`."""
    v, faces = mesh[0], mesh[2]
    worst = 0.0
    for i in range(count):
        p, q = start(faces, after(ring[i])), start(faces, before(ring[i]))
        if p == b or q == b:
            continue
        worst = max(worst, smallest_cosine(v, b, p, q))
        if worst >= most or max(squares(v, b, p, q)) > long:
            return 1.0
        if turned(normal(v, at, p, q), normal(v, b, p, q), STEADY):
            return 1.0
    return worst


@nb.njit(cache=True)
def thin(mesh, frozen, step):  # type: ignore[no-untyped-def]
    """Merge vertices of the flat parts into neighbours, in order; how many. step: a cell's width.

    mesh, frozen: as of change_kernels.py and Working. Whether faces then meet is not asked, so
    where they did, nothing is merged.
    """
    mesh = borrowed(mesh)
    faces, mates, leaving, tight = mesh[2], mesh[3], mesh[4], mesh[5]
    ring = np.empty(MOST_SPOKES, np.int64)
    other = np.empty(MOST_SPOKES, np.int64)
    long = (WIDE * step) ** 2
    done = 0
    for at in range(leaving.shape[0]):
        if leaving[at] < 0 or frozen[at] or tight[at] == MET:
            continue
        count = spokes(mates, leaving[at], ring)
        if not _is_flat(mesh, at, ring, count):
            continue
        least, chosen = FINE, -1
        for i in range(count):
            b = start(faces, after(ring[i]))
            if tight[b] == MET:
                continue
            worst = _worst_after(mesh, at, b, ring, count, least, long)
            if worst < least:
                least, chosen = worst, ring[i]
        if chosen < 0:
            continue
        count, _ = may_collapse(faces, mates, chosen, ring, other)
        if count > 0:
            collapse(faces, mates, leaving, chosen, ring, count)
            done += 1
    return done
