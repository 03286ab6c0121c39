"""Kernels that weigh a change: the squared error over the faces it touches, and their angles.

`near` is as of near_kernels.py and `mesh` as of change_kernels.py. The error of a face is that of
the distance at its middle and at those of its edges, in eps, squared and times the face's area,
and more for one that stands or leans inward. One that looks inward has the error WRONG.
"""

import math

import numba as nb

from preprocessing.solid.remesh.change_kernels import LONGEST
from preprocessing.solid.remesh.fairness_kernels import normal, smallest_cosine, squares
from preprocessing.solid.remesh.halfedge_edit_kernels import spokes
from preprocessing.solid.remesh.near_kernels import offset_at

WRONG = 1e9
# Cosines between a face and the distance's gradient at its middle. Below the first it leans inward,
# as where a crease is found on one side only; that has to save more than TILTED, the square of an
# error of 20 %. Below the second it is wrong.
UPRIGHT, INWARD = 0.05, -0.9
TILTED = 0.04
LEAST = 0.9961  # cosine of the least angle that a face may get by bending: 5 degrees


@nb.njit(cache=True)
def squared_error(near, x, y, z):  # type: ignore[no-untyped-def]
    """Squared relative error of the distance at a point."""
    e = (offset_at(near, x, y, z)[0] - near[4]) / near[4]
    return e * e


@nb.njit(cache=True)
def face_error(near, v, a, b, c):  # type: ignore[no-untyped-def]
    """Squared error over a face times its area, and the area (both of twice the area)."""
    nx, ny, nz = normal(v, a, b, c)
    area = math.sqrt(nx * nx + ny * ny + nz * nz)
    ax, ay, az = v[a, 0], v[a, 1], v[a, 2]
    bx, by, bz = v[b, 0], v[b, 1], v[b, 2]
    cx, cy, cz = v[c, 0], v[c, 1], v[c, 2]
    d, gx, gy, gz = offset_at(
        near, (ax + bx + cx) / 3.0, (ay + by + cy) / 3.0, (az + bz + cz) / 3.0
    )
    facing = nx * gx + ny * gy + nz * gz
    if facing <= INWARD * area:
        return WRONG, area
    total = ((d - near[4]) / near[4]) ** 2
    if facing <= UPRIGHT * area:
        total += 4.0 * TILTED
    total += squared_error(near, 0.5 * (ax + bx), 0.5 * (ay + by), 0.5 * (az + bz))
    total += squared_error(near, 0.5 * (ax + cx), 0.5 * (ay + cy), 0.5 * (az + cz))
    total += squared_error(near, 0.5 * (cx + bx), 0.5 * (cy + by), 0.5 * (cz + bz))
    return 0.25 * total * area, area


@nb.njit(cache=True)
def is_poor(near, v, a, b, c, most):  # type: ignore[no-untyped-def]
    """Whether a cosine of a face is above `most` or an edge of it too long."""
    return smallest_cosine(v, a, b, c) > most or max(squares(v, a, b, c)) > (LONGEST * near[5]) ** 2


@nb.njit(cache=True)
def pair_error(near, v, first, second, most):  # type: ignore[no-untyped-def]
    """Error and area of two faces; WRONG where one is poor."""
    if is_poor(near, v, first[0], first[1], first[2], most):
        return WRONG, 0.0
    if is_poor(near, v, second[0], second[1], second[2], most):
        return WRONG, 0.0
    one, area = face_error(near, v, first[0], first[1], first[2])
    if one >= WRONG:
        return WRONG, area
    two, more = face_error(near, v, second[0], second[1], second[2])
    return one + two, area + more


@nb.njit(cache=True)
def star_error(near, mesh, at, other, ring, most):  # type: ignore[no-untyped-def]
    """Error and area of the faces round a vertex that have not `other` for a corner.

    WRONG where one is poor. ring is scratch.
    """
    v, faces, mates, leaving = mesh[0], mesh[2], mesh[3], mesh[4]
    count = spokes(mates, leaving[at], ring)
    error, area = 0.0 if count > 0 else WRONG, 0.0
    for turn in range(2):
        for i in range(count):
            f = ring[i] // 3
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            if a == other or b == other or c == other:
                continue
            if turn == 0:  # what costs little first
                if is_poor(near, v, a, b, c, most):
                    return WRONG, area
            else:
                one, more = face_error(near, v, a, b, c)
                if one >= WRONG:
                    return WRONG, area
                error += one
                area += more
    return error, area


@nb.njit(cache=True)
def worst_cosine(mesh, at, ring):  # type: ignore[no-untyped-def]
    """Cosine of the smallest angle of the faces round a vertex; ring is scratch."""
    v, faces, mates, leaving = mesh[0], mesh[2], mesh[3], mesh[4]
    worst = 0.0
    for i in range(spokes(mates, leaving[at], ring)):
        f = ring[i] // 3
        worst = max(worst, smallest_cosine(v, faces[f, 0], faces[f, 1], faces[f, 2]))
    return worst


@nb.njit(cache=True)
def place(mesh, at, p):  # type: ignore[no-untyped-def]
    """Put a vertex and the normal there to p: x, y, z, normal. Returns what was there."""
    v, gradient = mesh[0], mesh[1]
    old = (v[at, 0], v[at, 1], v[at, 2], gradient[at, 0], gradient[at, 1], gradient[at, 2])
    v[at, 0], v[at, 1], v[at, 2] = p[0], p[1], p[2]
    gradient[at, 0], gradient[at, 1], gradient[at, 2] = p[3], p[4], p[5]
    return old
