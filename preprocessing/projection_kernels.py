"""Kernels that move vertices onto distance = eps, and the nearest-point search they use.

Records are those of brick_kernels.py. A vertex's brick lists every triangle that can matter while
the vertex stays within a cell of the brick.
"""

import math

import numba as nb
import numpy as np


@nb.njit(cache=True, inline="always")
def nearest_on_triangle(r, x, y, z):  # type: ignore[no-untyped-def]
    """Squared distance from (x, y, z) to a triangle record and the offset from its nearest point.

    Returns (squared distance, dx, dy, dz) with d = point - nearest point.
    """
    vx, vy, vz = x - r[0], y - r[1], z - r[2]
    beta = vx * r[12] + vy * r[13] + vz * r[14]
    gamma = vx * r[15] + vy * r[16] + vz * r[17]
    if beta > 0.0 and gamma > 0.0 and beta + gamma < 1.0:
        n = vx * r[9] + vy * r[10] + vz * r[11]
        return n * n, n * r[9], n * r[10], n * r[11]
    t = min(max((vx * r[3] + vy * r[4] + vz * r[5]) * r[21], 0.0), 1.0)
    bx, by, bz = vx - t * r[3], vy - t * r[4], vz - t * r[5]
    best = bx * bx + by * by + bz * bz
    t = min(max((vx * r[6] + vy * r[7] + vz * r[8]) * r[22], 0.0), 1.0)
    cx, cy, cz = vx - t * r[6], vy - t * r[7], vz - t * r[8]
    other = cx * cx + cy * cy + cz * cz
    if other < best:
        best, bx, by, bz = other, cx, cy, cz
    gx, gy, gz = r[6] - r[3], r[7] - r[4], r[8] - r[5]
    wx, wy, wz = vx - r[3], vy - r[4], vz - r[5]
    t = min(max((wx * gx + wy * gy + wz * gz) * r[23], 0.0), 1.0)
    cx, cy, cz = wx - t * gx, wy - t * gy, wz - t * gz
    other = cx * cx + cy * cy + cz * cz
    if other < best:
        best, bx, by, bz = other, cx, cy, cz
    return best, bx, by, bz


@nb.njit(cache=True, inline="always")
def box_distance(r, x, y, z):  # type: ignore[no-untyped-def]
    """Squared distance to a record's box, a lower bound of the distance to its triangle."""
    dx = max(0.0, max(r[24] - x, x - r[27]))
    dy = max(0.0, max(r[25] - y, y - r[28]))
    dz = max(0.0, max(r[26] - z, z - r[29]))
    return dx * dx + dy * dy + dz * dz


@nb.njit(cache=True)
def nearest(records, candidates, count, x, y, z, limit):  # type: ignore[no-untyped-def]
    """Nearest of the candidates closer than sqrt(limit): (squared distance, dx, dy, dz)."""
    best, bx, by, bz = limit, 0.0, 0.0, 0.0
    for i in range(count):
        r = records[candidates[i]]
        if box_distance(r, x, y, z) < best:
            d, dx, dy, dz = nearest_on_triangle(r, x, y, z)
            if d < best:
                best, bx, by, bz = d, dx, dy, dz
    return best, bx, by, bz


@nb.njit(parallel=True, cache=True)
def project(vertices, first, offsets, triangles, records, eps, step, rounds):  # type: ignore[no-untyped-def]
    """Move vertices (V,3) along the exact gradient onto distance = eps; returns the new ones.

    A step outward may meet another triangle's offset (a crease): it is repeated; a step inward is
    exact at once. No vertex moves more than half a cell.
    """
    moved = vertices.copy()
    for b in nb.prange(first.shape[0] - 1):
        listed = triangles[offsets[b] : offsets[b + 1]]
        near = np.empty(listed.shape[0], np.int32)
        for v in range(first[b], first[b + 1]):
            x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
            reach = (eps + 2.0 * step) ** 2
            best, dx, dy, dz = nearest(records, listed, listed.shape[0], x, y, z, reach)
            reach = (math.sqrt(best) + step) ** 2
            count = 0
            for i in range(listed.shape[0]):
                if box_distance(records[listed[i]], x, y, z) < reach:
                    near[count] = listed[i]
                    count += 1
            for _ in range(rounds):
                d = math.sqrt(best)
                if d == 0.0 or abs(d - eps) < 1e-9 * eps:
                    break
                scale = (eps - d) / d
                px, py, pz = x + scale * dx, y + scale * dy, z + scale * dz
                far = max(
                    abs(px - vertices[v, 0]),
                    max(abs(py - vertices[v, 1]), abs(pz - vertices[v, 2])),
                )
                if far > 0.5 * step:
                    break
                x, y, z = px, py, pz
                best, dx, dy, dz = nearest(records, near, count, x, y, z, (eps + 2.0 * step) ** 2)
            moved[v, 0], moved[v, 1], moved[v, 2] = x, y, z
    return moved


@nb.njit(parallel=True, cache=True)
def distances(vertices, first, offsets, triangles, records, limit):  # type: ignore[no-untyped-def]
    """Distance of every vertex to the input through its brick's triangles, float64 (V,)."""
    found = np.empty(vertices.shape[0], np.float64)
    for b in nb.prange(first.shape[0] - 1):
        listed = triangles[offsets[b] : offsets[b + 1]]
        for v in range(first[b], first[b + 1]):
            best, _, _, _ = nearest(
                records, listed, listed.shape[0],
                vertices[v, 0], vertices[v, 1], vertices[v, 2], limit,
            )  # fmt: skip
            found[v] = math.sqrt(best)
    return found
