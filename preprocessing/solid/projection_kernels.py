"""Kernels that move vertices onto distance = eps, and the nearest-point search they use.

Records are those of brick_kernels.py. A vertex's brick lists every triangle that can matter while
the vertex stays within a cell of the brick.
"""

import math

import numba as nb
import numpy as np

from preprocessing.distance.mitre_kernels import EDGE, KIND, on_corner, on_edge
from preprocessing.frame import HALF_WIDTH

ROUNDS = 12
# Vertices whose triangle list is narrowed together.
GROUP = 16
# |distance - eps| / eps at which a vertex has arrived.
SETTLED = 1e-9


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
def nearest_on(records, t, x, y, z):  # type: ignore[no-untyped-def]
    """As nearest_on_triangle, of any row: of an edge or corner, by the mitred distance.

    A step of (eps - distance) / distance times the vector leads along the gradient to eps.
    """
    kind = records[t, KIND]
    if kind >= 0.0:
        return nearest_on_triangle(records[t], x, y, z)
    return on_edge(records, t, x, y, z) if kind == EDGE else on_corner(records, t, x, y, z)


@nb.njit(cache=True, inline="always")
def box_distance(r, x, y, z):  # type: ignore[no-untyped-def]
    """Squared distance to a record's box, a lower bound of the distance to what is in it."""
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
            d, dx, dy, dz = nearest_on(records, candidates[i], x, y, z)
            if d < best:
                best, bx, by, bz = d, dx, dy, dz
    return best, bx, by, bz


@nb.njit(cache=True)
def _gather(records, listed, vertices, low, high, reach, near):  # type: ignore[no-untyped-def]
    """Triangles whose box comes within `reach` of the box of vertices low..high; their number."""
    lo = np.empty(3, np.float64)
    hi = np.empty(3, np.float64)
    for axis in range(3):
        lo[axis] = hi[axis] = vertices[low, axis]
        for v in range(low + 1, high):
            lo[axis] = min(lo[axis], vertices[v, axis])
            hi[axis] = max(hi[axis], vertices[v, axis])
    count = 0
    for t in listed:
        r = records[t]
        dx = max(0.0, max(r[24] - hi[0], lo[0] - r[27]))
        dy = max(0.0, max(r[25] - hi[1], lo[1] - r[28]))
        dz = max(0.0, max(r[26] - hi[2], lo[2] - r[29]))
        if dx * dx + dy * dy + dz * dz < reach * reach:
            near[count] = t
            count += 1
    return count


@nb.njit(cache=True)
def _settle(records, near, count, spare, p, away, eps, step):  # type: ignore[no-untyped-def]
    """Move point p (3,) along the gradient until its distance is eps; returns the last distance.

    `away` (3,) becomes the gradient there, zero beyond the cut.

    A step inward is exact at once: the nearest point stays the nearest. A step outward may come
    under the offset of another triangle (a crease) and is repeated. The move stays below half a
    cell along each axis.
    """
    x, y, z = p[0], p[1], p[2]
    limit = (eps + 2.0 * step) ** 2
    best, dx, dy, dz = nearest(records, near, count, x, y, z, limit)
    d = math.sqrt(best)
    few = 0
    within = 0.0
    for _ in range(ROUNDS):
        if d == 0.0 or abs(d - eps) <= SETTLED * eps:
            break
        scale = (eps - d) / d
        px, py, pz = x + scale * dx, y + scale * dy, z + scale * dz
        if max(abs(px - p[0]), max(abs(py - p[1]), abs(pz - p[2]))) > 0.5 * step:
            break
        move = abs(eps - d)
        if within < move:
            # Only these can be nearest after a total of twice this move, as which a mitred distance
            # changes by at most sqrt(2) times and a distance to a box by at most once.
            within = 2.0 * move
            few = 0
            bound = (d + 2.5 * within) ** 2
            for i in range(count):
                if box_distance(records[near[i]], x, y, z) < bound:
                    spare[few] = near[i]
                    few += 1
        within -= move
        x, y, z = px, py, pz
        best, dx, dy, dz = nearest(records, spare, few, x, y, z, limit)
        d = math.sqrt(best)
    p[0], p[1], p[2] = x, y, z
    scale = 1.0 / d if d > 0.0 else 0.0
    away[0], away[1], away[2] = scale * dx, scale * dy, scale * dz
    return d


@nb.njit(parallel=True, cache=True)
def project(vertices, first, offsets, triangles, records, eps, step):  # type: ignore[no-untyped-def]
    """Vertices (V,3) moved onto distance = eps, the distance reached (V,), its gradient (V,3).

    `first` (B + 1,) are the vertices of each brick, offsets and triangles its triangle list.
    """
    moved = vertices.copy()
    reached = np.empty(vertices.shape[0], np.float64)
    away = np.empty_like(vertices)
    for b in nb.prange(first.shape[0] - 1):
        if first[b] == first[b + 1]:
            continue
        listed = triangles[offsets[b] : offsets[b + 1]]
        near = np.empty(listed.shape[0], np.int32)
        spare = np.empty(listed.shape[0], np.int32)
        for low in range(first[b], first[b + 1], GROUP):
            high = min(low + GROUP, first[b + 1])
            # A vertex lies within a cell of a corner closer than eps and moves less than one.
            count = _gather(records, listed, vertices, low, high, eps + 2.0 * step, near)
            for v in range(low, high):
                reached[v] = _settle(records, near, count, spare, moved[v], away[v], eps, step)
    return moved, reached, away


@nb.njit(parallel=True, cache=True)
def root_on_edge(chosen, brick_of, vertices, offsets, triangles, records, eps, steps, clearance):  # type: ignore[no-untyped-def]
    """Points (K,3) at distance eps on the grid edges of the chosen unprojected vertices.

    One end of a crossed edge is nearer than eps and one farther, so there is a root; bisection
    with secants finds it. Kept `clearance` (K,), a share of the edge, away from its ends. steps
    (K,): the lengths of the edges. Where no end is on the other side, the nearer one.
    """
    found = np.empty((chosen.shape[0], 3), np.float64)
    for c in nb.prange(chosen.shape[0]):
        step = steps[c]
        limit = (eps + 2.0 * step) ** 2
        v = chosen[c]
        listed = triangles[offsets[brick_of[c]] : offsets[brick_of[c] + 1]]
        count = listed.shape[0]
        p = vertices[v].copy()
        axis = 0
        widest = -1.0
        for x in range(3):
            cells = (p[x] + HALF_WIDTH) / step
            off = abs(cells - round(cells))
            if off > widest:
                widest, axis = off, x
        start = -HALF_WIDTH + step * math.floor((p[axis] + HALF_WIDTH) / step)
        low, high = 0.0, 1.0
        p[axis] = start
        one = math.sqrt(nearest(records, listed, count, p[0], p[1], p[2], limit)[0]) - eps
        p[axis] = start + step
        two = math.sqrt(nearest(records, listed, count, p[0], p[1], p[2], limit)[0]) - eps
        t = 0.0 if abs(one) < abs(two) else 1.0
        if (one < 0.0) != (two < 0.0):
            for turn in range(60):
                t = low - one * (high - low) / (two - one) if turn % 2 == 0 else 0.5 * (low + high)
                p[axis] = start + t * step
                value = math.sqrt(nearest(records, listed, count, p[0], p[1], p[2], limit)[0]) - eps
                if abs(value) < SETTLED * eps:
                    break
                if (value < 0.0) == (one < 0.0):
                    low, one = t, value
                else:
                    high, two = t, value
        p[axis] = start + min(max(t, clearance[c]), 1.0 - clearance[c]) * step
        found[c] = p
    return found


@nb.njit(parallel=True, cache=True)
def folded_faces(before, after, faces, cosine):  # type: ignore[no-untyped-def]
    """True (F,) where a face's normal turned by more than acos(cosine) between two positions."""
    folded = np.zeros(faces.shape[0], np.bool_)
    for f in nb.prange(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        mx, my, mz = _normal(before, a, b, c)
        nx, ny, nz = _normal(after, a, b, c)
        dot = mx * nx + my * ny + mz * nz
        both = (mx * mx + my * my + mz * mz) * (nx * nx + ny * ny + nz * nz)
        folded[f] = not (dot > 0.0 and dot * dot >= cosine * cosine * both)
    return folded


@nb.njit(cache=True, inline="always")
def _normal(v, a, b, c):  # type: ignore[no-untyped-def]
    ex, ey, ez = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
    fx, fy, fz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
    return ey * fz - ez * fy, ez * fx - ex * fz, ex * fy - ey * fx
