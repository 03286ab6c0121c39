"""Kernels of the topology audit."""

import numba as nb


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
