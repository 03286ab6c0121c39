"""The normal at a closest point, also where it falls on an edge or a vertex.

There several faces are equally close and a tree names any of them; which one would depend on
rounding. The one that best agrees with the given normal is taken, so the answer is a property
of the two surfaces alone. The NumPy twin is in tests/dora_bench/test_normal_kernels.py.
"""

import numba
import numpy as np

TOUCH = 1e-9  # a closest point nearer than this to an edge or vertex lies on it; frame [-1, 1]


@numba.njit(inline="always")
def near_segment(p, a, b):  # type: ignore[no-untyped-def]
    """Whether p lies within TOUCH of the segment from a to b."""
    length2, along = 0.0, 0.0
    for k in range(3):
        length2 += (b[k] - a[k]) ** 2
        along += (p[k] - a[k]) * (b[k] - a[k])
    t = min(max(along / length2, 0.0), 1.0) if length2 > 0 else 0.0
    gap2 = 0.0
    for k in range(3):
        gap2 += (p[k] - a[k] - t * (b[k] - a[k])) ** 2
    return gap2 < TOUCH * TOUCH


@numba.njit(cache=True, parallel=True)
def agreeing_normals(  # type: ignore[no-untyped-def]
    closest, face, vertices, faces, normals, ring_starts, ring_faces, wanted
):
    """Unit normal float64 (Q,3) of the surface at each closest point (Q,3) on `face` (Q,).

    `normals` (F,3) unit; `ring_faces[ring_starts[v]:ring_starts[v+1]]` are the faces around vertex
    v. Of the faces that touch the point, the one with the largest |cosine| to one of `wanted`
    (Q,S,3); ties go to the lowest row.
    """
    result = np.empty((len(closest), 3))
    for i in numba.prange(len(closest)):
        f = face[i]
        best, chosen = -1.0, f
        for corner in range(3):
            a, b = faces[f, corner], faces[f, (corner + 1) % 3]
            if not near_segment(closest[i], vertices[a], vertices[b]):
                continue
            for vertex in (a, b):
                for place in range(ring_starts[vertex], ring_starts[vertex + 1]):
                    g = ring_faces[place]
                    touches = False
                    for k in range(3):
                        touches |= near_segment(
                            closest[i], vertices[faces[g, k]], vertices[faces[g, (k + 1) % 3]]
                        )
                    if not touches:
                        continue
                    for s in range(wanted.shape[1]):
                        cosine = 0.0
                        for k in range(3):
                            cosine += normals[g, k] * wanted[i, s, k]
                        cosine = abs(cosine)
                        if cosine > best or (cosine == best and g < chosen):
                            best, chosen = cosine, g
        for k in range(3):
            result[i, k] = normals[chosen, k]
    return result
