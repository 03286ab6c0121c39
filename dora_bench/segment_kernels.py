"""Exact distance from points to line segments: a tree of boxes over segments, walked in parallel.

A k-d tree over points sampled along the segments would be as fast and only approximate; ray
casters know triangles and not segments. The NumPy twin is in tests/dora_bench/test_edge_metrics.py.
"""

import numba
import numpy as np

LEAF = 4  # segments in a leaf box
CHUNK = 512  # queries one thread takes at a time; neighbours start from each other's answer


@numba.njit(inline="always")
def box_distance2(boxes, node, x, y, z):  # type: ignore[no-untyped-def]
    """Squared distance from a point to an axis-aligned box; 0 inside, inf for an empty box."""
    dx = max(boxes[node, 0] - x, 0.0, x - boxes[node, 3])
    dy = max(boxes[node, 1] - y, 0.0, y - boxes[node, 4])
    dz = max(boxes[node, 2] - z, 0.0, z - boxes[node, 5])
    return dx * dx + dy * dy + dz * dz


@numba.njit(inline="always")
def segment_distance2(segments, row, x, y, z):  # type: ignore[no-untyped-def]
    """Squared distance from a point to one segment; a segment of length 0 is its point."""
    ax, ay, az = segments[row, 0, 0], segments[row, 0, 1], segments[row, 0, 2]
    ux, uy, uz = segments[row, 1, 0] - ax, segments[row, 1, 1] - ay, segments[row, 1, 2] - az
    px, py, pz = x - ax, y - ay, z - az
    length2 = ux * ux + uy * uy + uz * uz
    t = 0.0
    if length2 > 0.0:
        t = min(max((px * ux + py * uy + pz * uz) / length2, 0.0), 1.0)
    px, py, pz = px - t * ux, py - t * uy, pz - t * uz
    return px * px + py * py + pz * pz


@numba.njit(cache=True, parallel=True)
def nearest_segments(points, segments, boxes):  # type: ignore[no-untyped-def]
    """Nearest segment of every point: distances float64 (N,) and rows int64 (N,).

    `boxes` float64 (2L-1, 6) is a heap of [low, high] boxes: node i has the children 2i+1 and
    2i+2, leaf j covers the segments LEAF*j to LEAF*j+LEAF. Ties go to the segment met first.
    """
    count = len(points)
    first_leaf = (len(boxes) - 1) // 2
    distances = np.empty(count)
    rows = np.empty(count, np.int64)
    for chunk in numba.prange((count + CHUNK - 1) // CHUNK):
        stack = np.empty(64, np.int64)
        row = 0
        for i in range(chunk * CHUNK, min(count, (chunk + 1) * CHUNK)):
            x, y, z = points[i, 0], points[i, 1], points[i, 2]
            best = segment_distance2(segments, row, x, y, z)
            stack[0] = 0
            height = 1
            while height > 0:
                height -= 1
                node = stack[height]
                if box_distance2(boxes, node, x, y, z) >= best:
                    continue
                if node >= first_leaf:
                    start = (node - first_leaf) * LEAF
                    for j in range(start, min(start + LEAF, len(segments))):
                        distance2 = segment_distance2(segments, j, x, y, z)
                        if distance2 < best:
                            best, row = distance2, j
                    continue
                near, far = 2 * node + 1, 2 * node + 2
                if box_distance2(boxes, far, x, y, z) < box_distance2(boxes, near, x, y, z):
                    near, far = far, near
                stack[height] = far
                stack[height + 1] = near
                height += 2
            distances[i] = np.sqrt(best)
            rows[i] = row
    return distances, rows
