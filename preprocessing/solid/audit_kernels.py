"""Kernels of the topology audit."""

import math

import numba as nb
import numpy as np


@nb.njit(cache=True)
def signed_volume(vertices, faces):  # type: ignore[no-untyped-def]
    """Sum of signed tetrahedra from the first face's corner: far from 0 costs no digits."""
    total = 0.0
    o = vertices[faces[0, 0]]
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = vertices[a, 0] - o[0], vertices[a, 1] - o[1], vertices[a, 2] - o[2]
        bx, by, bz = vertices[b, 0] - o[0], vertices[b, 1] - o[1], vertices[b, 2] - o[2]
        cx, cy, cz = vertices[c, 0] - o[0], vertices[c, 1] - o[1], vertices[c, 2] - o[2]
        total += ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
    return total / 6.0


@nb.njit(parallel=True, cache=True)
def twice_areas(vertices, faces):  # type: ignore[no-untyped-def]
    """Twice the area of each face, float64 (F,)."""
    found = np.empty(faces.shape[0], np.float64)
    for f in nb.prange(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy, uz = (
            vertices[b, 0] - vertices[a, 0],
            vertices[b, 1] - vertices[a, 1],
            vertices[b, 2] - vertices[a, 2],
        )
        wx, wy, wz = (
            vertices[c, 0] - vertices[a, 0],
            vertices[c, 1] - vertices[a, 1],
            vertices[c, 2] - vertices[a, 2],
        )
        x, y, z = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        found[f] = math.sqrt(x * x + y * y + z * z)
    return found
