"""Compiled winding number of a closed mesh, counted along axis rays.

Notable:
- a triangle's share is the sum of three edge terms computed from the lower to the higher vertex, so
  that the two faces of an edge cancel bit for bit and no ray slips between them;
- most points need no ray: the balls that reach from two points to the surface hold none of it, so
  points whose balls meet have the same number.
"""

import numba
import numpy as np

from preprocessing.distance.tree_kernels import BOX

CHUNK = 512  # queries that share one start; fixed, so results do not depend on threads
DEPTH = 64
BEFORE = 8  # points whose balls are tried before a ray is cast


@numba.njit(cache=True, inline="always")
def edge_term(ay, az, a_row, by, bz, b_row):  # type: ignore[no-untyped-def]
    """The turns that edge a -> b, seen from the origin, adds to a planar winding number.

    Antisymmetric to the bit: always computed from the lower vertex row to the higher.
    """
    if (ay <= 0) == (by <= 0):
        return 0
    sign = 1
    if a_row > b_row:
        ay, az, by, bz = by, bz, ay, az
        sign = -1
    # The edge crosses the line y = 0; it counts where it does so on the side z > 0.
    area = ay * bz - az * by
    if (ay <= 0) != (area < 0):
        return 0
    return -sign if ay <= 0 else sign


@numba.njit(cache=True, forceinline=True)
def winding_along(triangles, rows, boxes, points, i, axis, up, nodes):  # type: ignore[no-untyped-def]
    """Winding number of a closed mesh around points[i], counted along the ray to axis `axis`.

    `up` chooses the direction. `rows` int64 (F,3): vertex rows of the triangles in tree order.
    """
    first_leaf = len(boxes) // 2
    b, c = (axis + 1) % 3, (axis + 2) % 3
    pa, pb, pc = points[i, axis], points[i, b], points[i, c]
    winding = 0
    nodes[0], depth = 0, 1
    while depth > 0:
        depth -= 1
        node = nodes[depth]
        if pb < boxes[node, b] or pb > boxes[node, 3 + b]:
            continue
        if pc < boxes[node, c] or pc > boxes[node, 3 + c]:
            continue
        if (up and pa > boxes[node, 3 + axis]) or (not up and pa < boxes[node, axis]):
            continue
        if node < first_leaf:
            nodes[depth], nodes[depth + 1] = 2 * node + 1, 2 * node + 2
            depth += 2
            continue
        begin = (node - first_leaf) * BOX
        for t in range(begin, min(begin + BOX, len(triangles))):
            y0, z0 = triangles[t, 0, b] - pb, triangles[t, 0, c] - pc
            y1, z1 = triangles[t, 1, b] - pb, triangles[t, 1, c] - pc
            y2, z2 = triangles[t, 2, b] - pb, triangles[t, 2, c] - pc
            turns = (
                edge_term(y0, z0, rows[t, 0], y1, z1, rows[t, 1])
                + edge_term(y1, z1, rows[t, 1], y2, z2, rows[t, 2])
                + edge_term(y2, z2, rows[t, 2], y0, z0, rows[t, 0])
            )
            if turns == 0:
                continue
            x0, x1, x2 = triangles[t, 0, axis], triangles[t, 1, axis], triangles[t, 2, axis]
            w0, w1, w2 = y1 * z2 - z1 * y2, y2 * z0 - z2 * y0, y0 * z1 - z0 * y1
            area = w0 + w1 + w2
            hit = (w0 * x0 + w1 * x1 + w2 * x2) / area if area != 0 else x0
            hit = min(max(hit, min(x0, x1, x2)), max(x0, x1, x2))
            if (hit > pa) == up and hit != pa:
                winding += turns
    return winding if up else -winding


@numba.njit(cache=True, parallel=True)
def winding_numbers(triangles, rows, boxes, points, distance):  # type: ignore[no-untyped-def]
    """Winding number int64 (Q,) of a closed mesh around each of `points` (Q,3), along a curve.

    `distance` (Q,) to the surface: where the way to one of the points before is shorter than the
    two distances together, no surface lies between the two and the number is the same.
    """
    total = len(points)
    result = np.empty(total, np.int64)
    for chunk in numba.prange((total + CHUNK - 1) // CHUNK):
        nodes = np.empty(2 * DEPTH, np.int64)
        first = chunk * CHUNK
        for i in range(first, min(total, first + CHUNK)):
            known = False
            for b in range(i - 1, max(first, i - BEFORE) - 1, -1):
                dx = points[i, 0] - points[b, 0]
                dy = points[i, 1] - points[b, 1]
                dz = points[i, 2] - points[b, 2]
                reach = (distance[i] + distance[b]) * 0.999999
                if dx * dx + dy * dy + dz * dz < reach * reach:
                    result[i], known = result[b], True
                    break
            if known:
                continue
            # The nearest side of the bounding box: fewest boxes on the way out.
            axis, up, shortest = 0, True, np.inf
            for k in range(3):
                if boxes[0, 3 + k] - points[i, k] < shortest:
                    axis, up, shortest = k, True, boxes[0, 3 + k] - points[i, k]
                if points[i, k] - boxes[0, k] < shortest:
                    axis, up, shortest = k, False, points[i, k] - boxes[0, k]
            if shortest < 0:
                result[i] = 0
            else:
                result[i] = winding_along(triangles, rows, boxes, points, i, axis, up, nodes)
    return result
