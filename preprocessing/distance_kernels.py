"""Compiled loops of exact distance: a tree of boxes over triangles, nearest triangle, winding.

Notable:
- float64 throughout; distances are exact to rounding, not to a grid;
- the tree is implicit (children of node i are 2i + 1 and 2i + 2), its triangles split at medians;
- its boxes are turned to lie along the surface: a point far from it then opens few of them, where
  boxes along the axes of a fine mesh all seem equally near (3 times faster for points in space);
- queries are walked in Morton order, each starting from the triangle nearest to the one before;
- the winding number is counted along an axis ray. A triangle's share is the sum of three edge
  terms computed from the lower to the higher vertex, so that the two faces of an edge cancel bit
  for bit and no ray slips between them.
"""

import numba
import numpy as np

CHUNK = 512  # queries that share one warm start; fixed, so results do not depend on threads
DEPTH = 64


@numba.njit(cache=True)
def build_boxes(triangles, leaf, leaves):  # type: ignore[no-untyped-def]
    """Boxes float64 (2 leaves - 1, 6) of the implicit tree: low xyz, high xyz.

    `triangles` float64 (F,3,3) in tree order, `leaf` of them to a leaf, `leaves` a power of two.
    Empty leaves get a box that nothing is near to.
    """
    boxes = np.empty((2 * leaves - 1, 6))
    boxes[:, :3] = np.inf
    boxes[:, 3:] = -np.inf
    for t in range(len(triangles)):
        node = leaves - 1 + t // leaf
        for corner in range(3):
            for axis in range(3):
                value = triangles[t, corner, axis]
                boxes[node, axis] = min(boxes[node, axis], value)
                boxes[node, 3 + axis] = max(boxes[node, 3 + axis], value)
    for node in range(leaves - 2, -1, -1):
        for axis in range(3):
            boxes[node, axis] = min(boxes[2 * node + 1, axis], boxes[2 * node + 2, axis])
            boxes[node, 3 + axis] = max(
                boxes[2 * node + 1, 3 + axis], boxes[2 * node + 2, 3 + axis]
            )
    return boxes


@numba.njit(cache=True, inline="always")
def box_distance(boxes, node, x, y, z):  # type: ignore[no-untyped-def]
    """Squared distance from a point to a node's box; inf for an empty one."""
    dx = max(boxes[node, 0] - x, x - boxes[node, 3], 0.0)
    dy = max(boxes[node, 1] - y, y - boxes[node, 4], 0.0)
    dz = max(boxes[node, 2] - z, z - boxes[node, 5], 0.0)
    return dx * dx + dy * dy + dz * dz


@numba.njit(cache=True, parallel=True)
def build_slabs(triangles, leaf, leaves, first):  # type: ignore[no-untyped-def]
    """Turned boxes float64 (nodes - first, 15) of the nodes from `first` on.

    Three unit axes, then the low and high limits along them; the last axis is the mean normal, so
    that the box of a piece of a smooth surface is nearly flat.
    """
    nodes = 2 * leaves - 1
    slabs = np.empty((nodes - first, 15))
    for node in numba.prange(first, nodes):
        row = slabs[node - first]
        begin, end = node, node
        while begin < leaves - 1:
            begin, end = 2 * begin + 1, 2 * end + 2
        begin, end = (begin - leaves + 1) * leaf, min((end - leaves + 2) * leaf, len(triangles))
        nx = ny = nz = 0.0
        tx, ty, tz, longest = 1.0, 0.0, 0.0, 0.0
        for t in range(begin, end):
            ux, uy, uz = (
                triangles[t, 1, 0] - triangles[t, 0, 0],
                triangles[t, 1, 1] - triangles[t, 0, 1],
                triangles[t, 1, 2] - triangles[t, 0, 2],
            )
            vx, vy, vz = (
                triangles[t, 2, 0] - triangles[t, 0, 0],
                triangles[t, 2, 1] - triangles[t, 0, 1],
                triangles[t, 2, 2] - triangles[t, 0, 2],
            )
            nx += uy * vz - uz * vy
            ny += uz * vx - ux * vz
            nz += ux * vy - uy * vx
            if ux * ux + uy * uy + uz * uz > longest:
                longest = ux * ux + uy * uy + uz * uz
                tx, ty, tz = ux, uy, uz
        size = np.sqrt(nx * nx + ny * ny + nz * nz)
        if size > 0:
            nx, ny, nz = nx / size, ny / size, nz / size
        else:
            nx, ny, nz = 0.0, 0.0, 1.0
        dot = tx * nx + ty * ny + tz * nz
        tx, ty, tz = tx - dot * nx, ty - dot * ny, tz - dot * nz
        size = np.sqrt(tx * tx + ty * ty + tz * tz)
        if size > 1e-3 * np.sqrt(longest) and size > 0:
            tx, ty, tz = tx / size, ty / size, tz / size
        else:
            # Any axis across the normal: start from the coordinate axis farthest from it.
            if abs(nx) <= abs(ny) and abs(nx) <= abs(nz):
                tx, ty, tz = 0.0, -nz, ny
            elif abs(ny) <= abs(nz):
                tx, ty, tz = nz, 0.0, -nx
            else:
                tx, ty, tz = -ny, nx, 0.0
            size = np.sqrt(tx * tx + ty * ty + tz * tz)
            tx, ty, tz = tx / size, ty / size, tz / size
        row[0], row[1], row[2] = tx, ty, tz
        row[3], row[4], row[5] = ny * tz - nz * ty, nz * tx - nx * tz, nx * ty - ny * tx
        row[6], row[7], row[8] = nx, ny, nz
        row[9:12] = np.inf
        row[12:15] = -np.inf
        for t in range(begin, end):
            for corner in range(3):
                x, y, z = triangles[t, corner, 0], triangles[t, corner, 1], triangles[t, corner, 2]
                for axis in range(3):
                    along = row[3 * axis] * x + row[3 * axis + 1] * y + row[3 * axis + 2] * z
                    row[9 + axis] = min(row[9 + axis], along)
                    row[12 + axis] = max(row[12 + axis], along)
    return slabs


@numba.njit(cache=True, inline="always")
def node_distance(boxes, slabs, node, x, y, z):  # type: ignore[no-untyped-def]
    """Squared distance from a point to the turned box of a node, or to its box if it has none."""
    s = node - (len(boxes) - len(slabs))
    if s < 0:
        return box_distance(boxes, node, x, y, z)
    a = slabs[s, 0] * x + slabs[s, 1] * y + slabs[s, 2] * z
    b = slabs[s, 3] * x + slabs[s, 4] * y + slabs[s, 5] * z
    c = slabs[s, 6] * x + slabs[s, 7] * y + slabs[s, 8] * z
    a = max(slabs[s, 9] - a, a - slabs[s, 12], 0.0)
    b = max(slabs[s, 10] - b, b - slabs[s, 13], 0.0)
    c = max(slabs[s, 11] - c, c - slabs[s, 14], 0.0)
    return a * a + b * b + c * c


@numba.njit(cache=True)
def dot(a, b):  # type: ignore[no-untyped-def]
    """Scalar product of two triples."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@numba.njit(cache=True)
def cross(a, b):  # type: ignore[no-untyped-def]
    """Vector product of two triples."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@numba.njit(cache=True)
def closest_on_sliver(triangle, x, y, z):  # type: ignore[no-untyped-def]
    """As `closest_on_triangle`: the foot on the plane where it is inside, or the nearest edge."""
    best, cx, cy, cz = np.inf, 0.0, 0.0, 0.0
    sides = np.empty((3, 3))
    for k in range(3):
        for axis in range(3):
            sides[k, axis] = triangle[(k + 1) % 3, axis] - triangle[k, axis]
    normal = cross(sides[0], sides[1])
    size = np.sqrt(dot(normal, normal))
    inside = size > 0
    height = fx = fy = fz = 0.0
    if inside:
        nx, ny, nz = normal[0] / size, normal[1] / size, normal[2] / size
        normal = (nx, ny, nz)
        height = dot((x - triangle[0, 0], y - triangle[0, 1], z - triangle[0, 2]), normal)
        fx, fy, fz = x - height * nx, y - height * ny, z - height * nz
    for k in range(3):
        ax, ay, az = triangle[k, 0], triangle[k, 1], triangle[k, 2]
        length = dot(sides[k], sides[k])
        share = dot((x - ax, y - ay, z - az), sides[k]) / length if length > 0 else 0.0
        share = min(max(share, 0.0), 1.0)
        ex, ey, ez = ax + share * sides[k, 0], ay + share * sides[k, 1], az + share * sides[k, 2]
        away = (x - ex, y - ey, z - ez)
        if dot(away, away) < best:
            best, cx, cy, cz = dot(away, away), ex, ey, ez
        if inside:
            inside = dot(cross(sides[k], (fx - ax, fy - ay, fz - az)), normal) >= 0
    if inside and height * height < best:
        best, cx, cy, cz = height * height, fx, fy, fz
    return best, cx, cy, cz


@numba.njit(cache=True)
def closest_on_triangle(triangle, x, y, z):  # type: ignore[no-untyped-def]
    """Squared distance from (x, y, z) to one triangle (3,3), and its closest point.

    Ericson, Real-Time Collision Detection, 5.1.5. The share of each corner loses its digits on a
    sliver, which is done another way.
    """
    ax, ay, az = triangle[0, 0], triangle[0, 1], triangle[0, 2]
    bx, by, bz = triangle[1, 0] - ax, triangle[1, 1] - ay, triangle[1, 2] - az
    cx, cy, cz = triangle[2, 0] - ax, triangle[2, 1] - ay, triangle[2, 2] - az
    px, py, pz = x - ax, y - ay, z - az
    bb = bx * bx + by * by + bz * bz
    bc = bx * cx + by * cy + bz * cz
    cc = cx * cx + cy * cy + cz * cz
    d1 = bx * px + by * py + bz * pz
    d2 = cx * px + cy * py + cz * pz
    # Barycentric numerators: v along b, w along c, u at a.
    d3, d4 = d1 - bb, d2 - bc
    d5, d6 = d1 - bc, d2 - cc
    v = w = 0.0
    if d1 <= 0 and d2 <= 0:
        pass
    elif d3 >= 0 and d4 <= d3:
        v = 1.0
    elif d6 >= 0 and d5 <= d6:
        w = 1.0
    else:
        vc = d1 * d4 - d3 * d2
        vb = d5 * d2 - d1 * d6
        va = d3 * d6 - d5 * d4
        if vc <= 0 and d1 >= 0 and d3 <= 0 and d1 > d3:
            v = d1 / (d1 - d3)
        elif vb <= 0 and d2 >= 0 and d6 <= 0 and d2 > d6:
            w = d2 / (d2 - d6)
        elif va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0 and (d4 - d3) + (d5 - d6) > 0:
            w = (d4 - d3) / ((d4 - d3) + (d5 - d6))
            v = 1.0 - w
        elif va + vb + vc > 1e-8 * bb * cc:
            # Clipped: rounding must not leave the triangle and come too near.
            total = va + vb + vc
            v = min(max(vb / total, 0.0), 1.0)
            w = min(max(vc / total, 0.0), 1.0 - v)
        else:
            return closest_on_sliver(triangle, x, y, z)
    qx, qy, qz = v * bx + w * cx, v * by + w * cy, v * bz + w * cz
    dx, dy, dz = px - qx, py - qy, pz - qz
    return dx * dx + dy * dy + dz * dz, ax + qx, ay + qy, az + qz


@numba.njit(cache=True, parallel=True)
def nearest_triangles(triangles, boxes, slabs, leaf, points, order):  # type: ignore[no-untyped-def]
    """Squared distance (Q,), nearest triangle in tree order (Q,) and closest point (Q,3).

    `order` int64 (Q,): rows of `points` (Q,3) along a space-filling curve.
    """
    total = len(points)
    squared = np.empty(total)
    nearest = np.empty(total, np.int64)
    closest = np.empty((total, 3))
    first_leaf = len(boxes) // 2
    for chunk in numba.prange((total + CHUNK - 1) // CHUNK):
        nodes = np.empty(DEPTH, np.int64)
        bounds = np.empty(DEPTH)
        guess = 0
        for place in range(chunk * CHUNK, min(total, (chunk + 1) * CHUNK)):
            i = order[place]
            x, y, z = points[i, 0], points[i, 1], points[i, 2]
            best, qx, qy, qz = closest_on_triangle(triangles[guess], x, y, z)
            nodes[0], bounds[0] = 0, box_distance(boxes, 0, x, y, z)
            depth = 1
            while depth > 0:
                depth -= 1
                if bounds[depth] >= best:
                    continue
                node = nodes[depth]
                while node < first_leaf:
                    left = 2 * node + 1
                    d_left = node_distance(boxes, slabs, left, x, y, z)
                    d_right = node_distance(boxes, slabs, left + 1, x, y, z)
                    if d_left <= d_right:
                        node, other, near, far = left, left + 1, d_left, d_right
                    else:
                        node, other, near, far = left + 1, left, d_right, d_left
                    if far < best:
                        nodes[depth], bounds[depth] = other, far
                        depth += 1
                    if near >= best:
                        node = -1
                        break
                if node < 0:
                    continue
                begin = (node - first_leaf) * leaf
                for t in range(begin, min(begin + leaf, len(triangles))):
                    d, rx, ry, rz = closest_on_triangle(triangles[t], x, y, z)
                    if d < best:
                        best, guess, qx, qy, qz = d, t, rx, ry, rz
            squared[i], nearest[i] = best, guess
            closest[i, 0], closest[i, 1], closest[i, 2] = qx, qy, qz
    return squared, nearest, closest


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


@numba.njit(cache=True)
def winding_along(triangles, rows, boxes, leaf, point, axis, up, nodes):  # type: ignore[no-untyped-def]
    """Winding number of a closed mesh around `point`, counted along the ray to axis `axis`.

    `up` chooses the direction. `rows` int64 (F,3): vertex rows of the triangles in tree order.
    """
    first_leaf = len(boxes) // 2
    b, c = (axis + 1) % 3, (axis + 2) % 3
    pa, pb, pc = point[axis], point[b], point[c]
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
        begin = (node - first_leaf) * leaf
        for t in range(begin, min(begin + leaf, len(triangles))):
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
def winding_numbers(triangles, rows, boxes, leaf, points, order, distance):  # type: ignore[no-untyped-def]
    """Winding number int64 (Q,) of a closed mesh around each point.

    `distance` (Q,) to the surface: where the way from the point before is shorter than either
    distance, nothing lies between the two and the number is the same.
    """
    total = len(points)
    result = np.empty(total, np.int64)
    for chunk in numba.prange((total + CHUNK - 1) // CHUNK):
        nodes = np.empty(2 * DEPTH, np.int64)
        before = -1
        for place in range(chunk * CHUNK, min(total, (chunk + 1) * CHUNK)):
            i = order[place]
            if before >= 0:
                dx = points[i, 0] - points[before, 0]
                dy = points[i, 1] - points[before, 1]
                dz = points[i, 2] - points[before, 2]
                reach = max(distance[i], distance[before]) * 0.999999
                if dx * dx + dy * dy + dz * dz < reach * reach:
                    result[i] = result[before]
                    before = i
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
                result[i] = winding_along(triangles, rows, boxes, leaf, points[i], axis, up, nodes)
            before = i
    return result
