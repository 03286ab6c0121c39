"""Compiled nearest triangle: a walk down the hierarchy of oriented boxes for each point.

Notable:
- distances are float64 and exact to rounding, not to a grid. The blocks of the tree are measured in
  float32 only to leave out what is certainly farther; `SLACK` allows for their rounding;
- points come along a space-filling curve, each starting from the triangle nearest to the last.
"""

import numba
import numpy as np

from preprocessing.distance.tree_kernels import LEAF, WIDE
from preprocessing.distance.triangle_kernels import closest_on_triangle

CHUNK = 512  # queries that share one warm start; fixed, so results do not depend on threads
LEVELS = 16  # more than any tree has
# A squared distance in float32 is off by less than this times (itself + squared half diagonal of
# the block's box): 18 and 5 roundings of 6e-8 at most.
SLACK = 4e-6
ROUGH = {"contract", "nnan", "nsz"}  # for what only leaves out: fused products, plain minima
DE_BRUIJN = 0x077CB531
PLACES = np.array([((DE_BRUIJN << k) & 0xFFFFFFFF) >> 27 for k in range(32)]).argsort()


@numba.njit(cache=True, inline="always")
def edge_distance(px, py, pz, ex, ey, ez, inverse):  # type: ignore[no-untyped-def]
    """Squared distance from p to the segment from 0 to e, `inverse` being 1 over e squared."""
    share = min(max((px * ex + py * ey + pz * ez) * inverse, np.float32(0)), np.float32(1))
    x, y, z = px - share * ex, py - share * ey, pz - share * ez
    return x * x + y * y + z * z


@numba.njit(cache=True, fastmath=ROUGH, forceinline=True)
def leaf_distances(blocks, row, x, y, z, limit, squared):  # type: ignore[no-untyped-def]
    """Fill `squared` float32 (WIDE,) with squared distances to the triangles of a leaf.

    The plane's where the foot is inside, else the nearest edge's. Returns a bit for each column at
    most `limit` away. There is no branch, so that all columns are measured at once.
    """
    within = np.int32(0)
    for j in range(len(squared)):
        nx, ny, nz = blocks[row, 9, j], blocks[row, 10, j], blocks[row, 11, j]
        ux, uy, uz = (
            blocks[row, 3, j] - blocks[row, 0, j],
            blocks[row, 4, j] - blocks[row, 1, j],
            blocks[row, 5, j] - blocks[row, 2, j],
        )
        vx, vy, vz = (
            blocks[row, 6, j] - blocks[row, 3, j],
            blocks[row, 7, j] - blocks[row, 4, j],
            blocks[row, 8, j] - blocks[row, 5, j],
        )
        wx, wy, wz = (
            blocks[row, 0, j] - blocks[row, 6, j],
            blocks[row, 1, j] - blocks[row, 7, j],
            blocks[row, 2, j] - blocks[row, 8, j],
        )
        ax, ay, az = x - blocks[row, 0, j], y - blocks[row, 1, j], z - blocks[row, 2, j]
        bx, by, bz = x - blocks[row, 3, j], y - blocks[row, 4, j], z - blocks[row, 5, j]
        cx, cy, cz = x - blocks[row, 6, j], y - blocks[row, 7, j], z - blocks[row, 8, j]
        edge = min(
            min(
                edge_distance(ax, ay, az, ux, uy, uz, blocks[row, 12, j]),
                edge_distance(bx, by, bz, vx, vy, vz, blocks[row, 13, j]),
            ),
            edge_distance(cx, cy, cz, wx, wy, wz, blocks[row, 14, j]),
        )
        height = ax * nx + ay * ny + az * nz
        # Where the foot lies beside each edge: (normal x edge) . (p - corner).
        u = (ny * uz - nz * uy) * ax + (nz * ux - nx * uz) * ay + (nx * uy - ny * ux) * az
        v = (ny * vz - nz * vy) * bx + (nz * vx - nx * vz) * by + (nx * vy - ny * vx) * bz
        w = (ny * wz - nz * wy) * cx + (nz * wx - nx * wz) * cy + (nx * wy - ny * wx) * cz
        squared[j] = height * height if min(min(u, v), w) > np.float32(0) else edge
        within |= np.int32(squared[j] <= limit) << np.int32(j)
    return within


@numba.njit(cache=True, fastmath=ROUGH, forceinline=True)
def child_distances(blocks, row, x, y, z, limit, squared):  # type: ignore[no-untyped-def]
    """As `leaf_distances`, to the oriented boxes of a node's children."""
    zero, within = np.float32(0), np.int32(0)
    for j in range(len(squared)):
        a = blocks[row, 0, j] * x + blocks[row, 1, j] * y + blocks[row, 2, j] * z
        b = blocks[row, 3, j] * x + blocks[row, 4, j] * y + blocks[row, 5, j] * z
        c = blocks[row, 6, j] * x + blocks[row, 7, j] * y + blocks[row, 8, j] * z
        a = max(max(blocks[row, 9, j] - a, a - blocks[row, 12, j]), zero)
        b = max(max(blocks[row, 10, j] - b, b - blocks[row, 13, j]), zero)
        c = max(max(blocks[row, 11, j] - c, c - blocks[row, 14, j]), zero)
        squared[j] = a * a + b * b + c * c
        within |= np.int32(squared[j] <= limit) << np.int32(j)
    return within


@numba.njit(cache=True, inline="always")
def lowest(bits):  # type: ignore[no-untyped-def]
    """Place of the lowest bit that is set, by a de Bruijn sequence (Leiserson 1998)."""
    return PLACES[((np.int64(bits & -bits) * DE_BRUIJN) & 0xFFFFFFFF) >> 27]


@numba.njit(cache=True, parallel=True)
def nearest_triangles(  # type: ignore[no-untyped-def]
    triangles, blocks, centres, levels, scale, points, squared, nearest, closest
):
    """Fill squared distance (Q,), nearest triangle in tree order (Q,) and closest point (Q,3).

    `blocks`, `centres`, `levels`, `scale` as in `distance.TriangleTree`; `points` (Q,3) lie along a
    space-filling curve.
    """
    total = len(points)
    top = len(levels) - 2
    for chunk in numba.prange((total + CHUNK - 1) // CHUNK):
        waiting = np.empty(LEVELS * WIDE, np.int64)
        depths = np.empty(LEVELS * WIDE, np.int64)
        bounds = np.empty(LEVELS * WIDE)
        near = np.empty(WIDE, np.float32)
        guess = 0
        for i in range(chunk * CHUNK, min(total, (chunk + 1) * CHUNK)):
            x, y, z = points[i, 0], points[i, 1], points[i, 2]
            best, qx, qy, qz = closest_on_triangle(triangles, guess, x, y, z)
            reach = best * scale * scale  # the same in units of the tree
            waiting[0], depths[0], bounds[0], count = 0, top, -1.0, 1
            while count > 0:
                count -= 1
                if bounds[count] >= reach:
                    continue
                node, level = waiting[count], depths[count]
                row = levels[level] + node
                fx = np.float32((x - centres[row, 0]) * scale)
                fy = np.float32((y - centres[row, 1]) * scale)
                fz = np.float32((z - centres[row, 2]) * scale)
                slack = SLACK * centres[row, 3]
                limit = np.float32(reach * (1 + SLACK) + slack)
                if level == 0:
                    begin = node * LEAF
                    within = leaf_distances(blocks, row, fx, fy, fz, limit, near)
                    if len(triangles) - begin < LEAF:
                        within &= (1 << (len(triangles) - begin)) - 1
                    while within:
                        j = lowest(within)
                        within &= within - 1
                        if near[j] <= limit:
                            t = begin + j
                            d, rx, ry, rz = closest_on_triangle(triangles, t, x, y, z)
                            if d < best:
                                best, guess, qx, qy, qz = d, t, rx, ry, rz
                                reach = best * scale * scale
                                limit = np.float32(reach * (1 + SLACK) + slack)
                    continue
                within = child_distances(blocks, row, fx, fy, fz, limit, near)
                begin, bottom = node * WIDE, count
                children = levels[level] - levels[level - 1] - begin
                if children < WIDE:
                    within &= (1 << children) - 1
                while within:
                    j = lowest(within)
                    within &= within - 1
                    # The nearest comes to lie on top.
                    bound = (near[j] - slack) * (1 - SLACK)
                    k = count
                    while k > bottom and bounds[k - 1] < bound:
                        waiting[k], bounds[k] = waiting[k - 1], bounds[k - 1]
                        k -= 1
                    waiting[k], bounds[k], depths[count] = begin + j, bound, level - 1
                    count += 1
            squared[i], nearest[i] = best, guess
            closest[i, 0], closest[i, 1], closest[i, 2] = qx, qy, qz
