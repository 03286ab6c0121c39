"""Kernels that take vertices out of the flat parts of an offset surface.

There a chord is right however long it is, and marching cubes has a vertex in every cell. A vertex
is merged into a neighbour where the normals all round agree, no face turns, and no edge gets longer
than two cells or angle smaller than 25 degrees: then the faces saved bend round edges instead. In
crevices, whose cells are cut finer, the surface may bend where edges stay short and faces within
the tolerance, and 20 degrees do.
"""

import math

import numba as nb
import numpy as np

from preprocessing.solid.remesh.borrowing_kernels import borrowed
from preprocessing.solid.remesh.change_kernels import stays_near
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
    corners,
    longer_than,
    may_collapse,
    spokes,
    start,
    uncollapse,
)
from preprocessing.solid.remesh.meeting_kernels import MET, star_is_clean

FLAT = math.cos(math.radians(2.5))
WIDE = 2.2  # cells that an edge may get long
STEADY = 0.99  # cosine of the most that a face may turn
# The same where the cells are finer, and the distance is asked; the smallest angle there.
BENT, SHORT, TURN = math.cos(math.radians(35.0)), 1.5, 0.8
SLIM = math.cos(math.radians(20.0))


@nb.njit(cache=True)
def _longest_edge(mesh, at, ring, count, finer):  # type: ignore[no-untyped-def]
    """How long, in cells, edges may get by taking a vertex out, 0 if none; ring: the `count`
    half-edges that leave it; finer: whether it is of a finer cell."""
    gradient, faces = mesh[1], mesh[2]
    least = 1.0
    for i in range(count):
        least = min(least, agreement(gradient, at, start(faces, after(ring[i]))))
    if least >= FLAT:
        return WIDE
    return SHORT if finer and least >= BENT else 0.0


@nb.njit(cache=True)
def _merge(mesh, h, cleanly, rings):  # type: ignore[no-untyped-def]
    """Merge the start of h into its end, unless it is asked whether faces then meet and they do;
    whether it was done."""
    v, faces, mates, leaving, extent = mesh[0], mesh[2], mesh[3], mesh[4], mesh[8]
    around = corners(faces, mates, h)
    b = around[1]
    count, _ = may_collapse(faces, mates, h, rings[0], rings[1])
    if count == 0:
        return False
    collapse(faces, mates, leaving, h, rings[0], count)
    if cleanly and not star_is_clean(mesh, b, False, rings[2], rings[3]):
        uncollapse(faces, mates, leaving, h, rings[0], count, around)
        return False
    for i in range(spokes(mates, leaving[b], rings[1])):
        p = start(faces, after(rings[1][i]))
        long = longer_than(v, p, b)
        extent[p], extent[b] = max(extent[p], long), max(extent[b], long)
    return True


@nb.njit(cache=True)
def _worst_after(mesh, at, b, ring, count, most, limits):  # type: ignore[no-untyped-def]
    """Cosine of the smallest angle once vertex `at` lies where b does; 1 if it is above `most`.

    limits: the squared length of an edge and the cosine of a turn beyond which it is 1, too.
    """
    v, faces = mesh[0], mesh[2]
    worst = 0.0
    for i in range(count):
        p, q = start(faces, after(ring[i])), start(faces, before(ring[i]))
        if p == b or q == b:
            continue
        worst = max(worst, smallest_cosine(v, b, p, q))
        if worst >= most or max(squares(v, b, p, q)) > limits[0]:
            return 1.0
        if turned(normal(v, at, p, q), normal(v, b, p, q), limits[1]):
            return 1.0
    return worst


@nb.njit(cache=True)
def thin(near, mesh, asked, finer, tolerance):  # type: ignore[no-untyped-def]
    """Merge vertices in asked (V,) into neighbours, in order; how many.

    near, mesh, finer: as of change_kernels.py and Working. tolerance: share of eps that faces of
    finer cells may be off. Only there it is asked whether faces then meet, and where they have met
    nothing is merged; all tight vertices are in their buckets.
    """
    near, mesh = borrowed(near), borrowed(mesh)
    faces, mates, leaving, tight = mesh[2], mesh[3], mesh[4], mesh[5]
    rings = np.empty((4, MOST_SPOKES), np.int64)
    ring = rings[0]
    done = 0
    for at in range(leaving.shape[0]):
        if leaving[at] < 0 or not asked[at] or tight[at] == MET:
            continue
        count = spokes(mates, leaving[at], ring)
        long = _longest_edge(mesh, at, ring, count, finer[at])
        if count == 0 or long == 0.0:
            continue
        bent = long < WIDE
        limits = ((long * near[5]) ** 2, TURN if bent else STEADY)
        least, chosen = SLIM if finer[at] else FINE, -1
        for i in range(count):
            b = start(faces, after(ring[i]))
            if tight[b] == MET:
                continue
            worst = _worst_after(mesh, at, b, ring, count, least, limits)
            if worst < least and not (
                bent and not stays_near(near, mesh, at, b, ring, count, tolerance)
            ):
                least, chosen = worst, ring[i]
        if chosen >= 0:
            done += _merge(mesh, chosen, finer[at], rings)
    return done
