"""Compiled loops of the salient edges: look across slivers, measure angles.

Half-edge h = 3 f + k runs from corner k of face f to corner k + 1.
"""

import numba
import numpy as np

LONGEST_WALK = 64  # slivers crossed one after the other before an edge is left out


@numba.njit(inline="always")
def side(vertices, a, b):  # type: ignore[no-untyped-def]
    """The vector from vertex `a` to vertex `b`, as three numbers."""
    return (
        vertices[b, 0] - vertices[a, 0],
        vertices[b, 1] - vertices[a, 1],
        vertices[b, 2] - vertices[a, 2],
    )


@numba.njit(inline="always")
def cross(ux, uy, uz, vx, vy, vz):  # type: ignore[no-untyped-def]
    """The vector product of u and v, as three numbers."""
    return uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx


@numba.njit(cache=True, nogil=True)
def longest_side(vertices, faces):  # type: ignore[no-untyped-def]
    """Longest side of the bounding box of the vertices that faces use; 0 without faces."""
    side = 0.0
    for axis in range(3):
        low, high = np.inf, -np.inf
        for f in range(len(faces)):
            for corner in range(3):
                value = vertices[faces[f, corner], axis]
                low, high = min(low, value), max(high, value)
        side = max(side, high - low)
    return side


@numba.njit(cache=True, nogil=True)
def double_areas(vertices, faces):  # type: ignore[no-untyped-def]
    """Twice the area of each face, float64 (F,)."""
    result = np.empty(len(faces))
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy, uz = side(vertices, a, b)
        vx, vy, vz = side(vertices, a, c)
        nx, ny, nz = cross(ux, uy, uz, vx, vy, vz)
        result[f] = np.sqrt(nx * nx + ny * ny + nz * nz)
    return result


@numba.njit(cache=True, nogil=True)
def corner_sums(vertices, faces, slots, count):  # type: ignore[no-untyped-def]
    """Sums of unit face normals, weighted by the angle at the corner, float64 (count,3).

    `slots` int64 (V,): the row of each vertex in the result, -1 to leave it out.
    """
    sums = np.zeros((count, 3))
    for f in range(len(faces)):
        for k in range(3):
            at, b, c = faces[f, k], faces[f, (k + 1) % 3], faces[f, (k + 2) % 3]
            slot = slots[at]
            if slot < 0:
                continue
            ux, uy, uz = side(vertices, at, b)
            vx, vy, vz = side(vertices, at, c)
            nx, ny, nz = cross(ux, uy, uz, vx, vy, vz)
            size = np.sqrt(nx * nx + ny * ny + nz * nz)
            if size > 0:
                weight = np.arctan2(size, ux * vx + uy * vy + uz * vz) / size
                sums[slot, 0] += weight * nx
                sums[slot, 1] += weight * ny
                sums[slot, 2] += weight * nz
    return sums


@numba.njit(cache=True, nogil=True)
def face_shapes(vertices, faces, flat_height, cap_height, cap_sine):  # type: ignore[no-untyped-def]
    """Normals float64 (F,3), longest half-edge int64 (F,), and whether a face is degenerate (F,).

    Degenerate: height on the longest edge at most `flat_height`, or at most `cap_height` with an
    obtuse angle whose sine is below `cap_sine`. Normals of zero-area faces are zero.
    """
    total = len(faces)
    normals = np.zeros((total, 3))
    longest = np.empty(total, np.int64)
    degenerate = np.empty(total, np.bool_)
    for f in range(total):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy, uz = side(vertices, a, b)
        vx, vy, vz = side(vertices, b, c)
        wx, wy, wz = side(vertices, c, a)
        uu = ux * ux + uy * uy + uz * uz
        vv = vx * vx + vy * vy + vz * vz
        ww = wx * wx + wy * wy + wz * wz
        if uu >= vv and uu >= ww:
            k, long, product, cosine = 0, uu, vv * ww, vv + ww - uu
        elif vv >= ww:
            k, long, product, cosine = 1, vv, ww * uu, ww + uu - vv
        else:
            k, long, product, cosine = 2, ww, uu * vv, uu + vv - ww
        longest[f] = 3 * f + k
        nx, ny, nz = cross(ux, uy, uz, vx, vy, vz)
        double_area = np.sqrt(nx * nx + ny * ny + nz * nz)
        # Height on the longest edge = 2 area / edge; sine of the opposite angle = 2 area / product.
        height = double_area / np.sqrt(long) if long > 0 else 0.0
        degenerate[f] = height <= flat_height or (
            height <= cap_height and cosine < 0 and double_area < cap_sine * np.sqrt(product)
        )
        if double_area > 0:
            normals[f, 0] = nx / double_area
            normals[f, 1] = ny / double_area
            normals[f, 2] = nz / double_area
    return normals, longest, degenerate


@numba.njit(cache=True, nogil=True)
def real_side(h, faces, mates, longest, degenerate):  # type: ignore[no-untyped-def]
    """The real face that half-edge `h` looks at, and whether windings disagreed on the way.

    Returns (face or -1, turned). Over a degenerate face the way goes across its longest edge.
    """
    turned = False
    for _ in range(LONGEST_WALK):
        f = h // 3
        if not degenerate[f]:
            return f, turned
        if h == longest[f] or mates[longest[f]] < 0:
            return -1, turned
        out = longest[f]
        h = mates[out]
        turned ^= runs_alike(out, h, faces)
    return -1, turned


@numba.njit(inline="always")
def runs_alike(h, g, faces):  # type: ignore[no-untyped-def]
    """Whether two half-edges of one edge start at the same vertex: their faces disagree."""
    return faces[h // 3, h % 3] == faces[g // 3, g % 3]


@numba.njit(cache=True, nogil=True)
def sharp_edges(vertices, faces, mates, normals, longest, degenerate, angle):  # type: ignore[no-untyped-def]
    """Half-edges whose dihedral angle exceeds `angle` degrees, one of each pair.

    Returns (half-edges int64 (E,), faces int64 (E,2), turned bool (E,), angles float64 (E,)).
    """
    halves = 3 * len(faces)
    kept = np.empty(halves // 2 + 1, np.int64)
    sides = np.empty((halves // 2 + 1, 2), np.int64)
    flips = np.empty(halves // 2 + 1, np.bool_)
    angles = np.empty(halves // 2 + 1)
    count = 0
    for h in range(halves):
        mate = mates[h]
        if mate < h:
            continue
        f, turned = real_side(h, faces, mates, longest, degenerate)
        if f < 0:
            continue
        g, turned_too = real_side(mate, faces, mates, longest, degenerate)
        if g < 0 or g == f:
            continue
        flip = turned ^ turned_too ^ runs_alike(h, mate, faces)
        n, m = normals[f], normals[g]
        cosine = n[0] * m[0] + n[1] * m[1] + n[2] * m[2]
        x, y, z = cross(n[0], n[1], n[2], m[0], m[1], m[2])
        sine = np.sqrt(x * x + y * y + z * z)
        degrees = np.degrees(np.arctan2(sine, -cosine if flip else cosine))
        if degrees > angle:
            kept[count], sides[count, 0], sides[count, 1] = h, f, g
            flips[count], angles[count] = flip, degrees
            count += 1
    return kept[:count], sides[:count], flips[:count], angles[:count]
