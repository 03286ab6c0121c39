"""Kernels of the topology audit."""

import numba as nb
import numpy as np


@nb.njit(cache=True)
def half_edges(count, faces):  # type: ignore[no-untyped-def]
    """Half-edges by first vertex: offsets (V + 1,), their ends (H,), the third vertices (H,)."""
    offsets = np.zeros(count + 1, np.int64)
    for f in range(faces.shape[0]):
        for corner in range(3):
            offsets[faces[f, corner] + 1] += 1
    for v in range(count):
        offsets[v + 1] += offsets[v]
    place = offsets[:-1].copy()
    ends = np.empty(3 * faces.shape[0], np.int64)
    third = np.empty(3 * faces.shape[0], np.int64)
    for f in range(faces.shape[0]):
        for corner in range(3):
            a = faces[f, corner]
            ends[place[a]] = faces[f, (corner + 1) % 3]
            third[place[a]] = faces[f, (corner + 2) % 3]
            place[a] += 1
    return offsets, ends, third


@nb.njit(parallel=True, cache=True)
def vertex_faults(offsets, ends, third):  # type: ignore[no-untyped-def]
    """Per vertex: bit 1 an open edge starts here, 2 an edge used twice, 4 several fans; uint8."""
    count = offsets.shape[0] - 1
    faults = np.zeros(count, np.uint8)
    for v in nb.prange(count):
        low, high = offsets[v], offsets[v + 1]
        if low == high:
            continue
        fault = 0
        for h in range(low, high):
            # The half-edges leaving v end at each neighbour once and those arriving start there.
            same = back = 0
            for other in range(low, high):
                if ends[other] == ends[h]:
                    same += 1
                if third[other] == ends[h]:
                    back += 1
            if same > 1 or back > 1:
                fault |= 2
            if back == 0:
                fault |= 1
            back = 0
            for other in range(low, high):
                if ends[other] == third[h]:
                    back += 1
            if back == 0:
                fault |= 1
        if fault == 0:
            walked = 0
            here = low
            while True:
                walked += 1
                following = third[here]
                here = low
                while ends[here] != following:
                    here += 1
                if here == low or walked > high - low:
                    break
            if walked != high - low:
                fault |= 4
        faults[v] = fault
    return faults


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
