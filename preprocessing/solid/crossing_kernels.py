"""Exact tests whether two faces of a mesh meet elsewhere than in the corners they share.

Vertices lie on the lattice of multiples of 2^-23 with coordinates below 2 (crossings.py), so that
differences are integers of 25 bits: a determinant is first taken in float64 with a bound on its
rounding and, where that does not decide, in integers. Touching counts as meeting.
"""

import numba as nb
import numpy as np

LATTICE = 2.0**23
LOW = (1 << 24) - 1
# Relative rounding of a sum of three products of an exact minor and a difference, with room.
ROUNDING = 6e-16
# Share of a face that a wall must stand clear of another: far more than rounding.
SURE = 1e-7


@nb.njit(cache=True, inline="always")
def _exact_side(ux, uy, uz, wx, wy, wz, dx, dy, dz):  # type: ignore[no-untyped-def]
    """Sign of det(u, w, d) of lattice vectors, in integers: minors in two parts of 24 bits."""
    ux, uy, uz = np.int64(ux * LATTICE), np.int64(uy * LATTICE), np.int64(uz * LATTICE)
    wx, wy, wz = np.int64(wx * LATTICE), np.int64(wy * LATTICE), np.int64(wz * LATTICE)
    dx, dy, dz = np.int64(dx * LATTICE), np.int64(dy * LATTICE), np.int64(dz * LATTICE)
    mx, my, mz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
    high = (mx >> 24) * dx + (my >> 24) * dy + (mz >> 24) * dz
    low = (mx & LOW) * dx + (my & LOW) * dy + (mz & LOW) * dz
    high += low >> 24
    low &= LOW
    if high > 0 or (high == 0 and low > 0):
        return 1
    return 0 if high == 0 and low == 0 else -1


@nb.njit(cache=True)
def side(v, a, b, c, d):  # type: ignore[no-untyped-def]
    """Which side of the plane abc vertex d lies on: 1 ahead of its normal, -1 behind, 0 in it."""
    ux, uy, uz = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
    wx, wy, wz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
    dx, dy, dz = v[d, 0] - v[a, 0], v[d, 1] - v[a, 1], v[d, 2] - v[a, 2]
    x, y, z = (uy * wz - uz * wy) * dx, (uz * wx - ux * wz) * dy, (ux * wy - uy * wx) * dz
    total = x + y + z
    bound = ROUNDING * (abs(x) + abs(y) + abs(z))
    if total > bound:
        return 1
    if total < -bound:
        return -1
    return _exact_side(ux, uy, uz, wx, wy, wz, dx, dy, dz)


@nb.njit(cache=True, inline="always")
def _turn(v, a, b, c, x, y):  # type: ignore[no-untyped-def]
    """Sign of the turn a, b, c in the plane of axes x and y; exact, for it fits in 52 bits."""
    area = (v[b, x] - v[a, x]) * (v[c, y] - v[a, y]) - (v[b, y] - v[a, y]) * (v[c, x] - v[a, x])
    return (area > 0.0) - (area < 0.0)


@nb.njit(cache=True)
def _between(v, a, b, p, x, y):  # type: ignore[no-untyped-def]
    """Whether p, known to be on the line ab, lies on the segment ab."""
    return min(v[a, x], v[b, x]) <= v[p, x] <= max(v[a, x], v[b, x]) and min(v[a, y], v[b, y]) <= v[
        p, y
    ] <= max(v[a, y], v[b, y])


@nb.njit(cache=True)
def _segments_meet(v, p, q, a, b, x, y):  # type: ignore[no-untyped-def]
    """Whether the closed segments pq and ab of one plane meet."""
    s, t = _turn(v, p, q, a, x, y), _turn(v, p, q, b, x, y)
    m, n = _turn(v, a, b, p, x, y), _turn(v, a, b, q, x, y)
    if s * t < 0 and m * n < 0:
        return True
    return (
        (s == 0 and _between(v, p, q, a, x, y))
        or (t == 0 and _between(v, p, q, b, x, y))
        or (m == 0 and _between(v, a, b, p, x, y))
        or (n == 0 and _between(v, a, b, q, x, y))
    )


@nb.njit(cache=True)
def _flat_axes(v, a, b, c):  # type: ignore[no-untyped-def]
    """The two axes in which triangle abc has an area; (-1, -1) for a triangle without one."""
    for drop in range(3):
        x, y = (drop + 1) % 3, (drop + 2) % 3
        if _turn(v, a, b, c, x, y) != 0:
            return x, y
    return -1, -1


@nb.njit(cache=True)
def has_area(v, a, b, c):  # type: ignore[no-untyped-def]
    """Whether the corners of a triangle are not in one line, exactly."""
    return _flat_axes(v, a, b, c)[0] >= 0


@nb.njit(cache=True)
def segment_meets(v, p, q, a, b, c):  # type: ignore[no-untyped-def]
    """Whether the closed segment pq meets the closed triangle abc, which has an area."""
    s, t = side(v, a, b, c, p), side(v, a, b, c, q)
    if s * t > 0:
        return False
    if s == 0 and t == 0:
        x, y = _flat_axes(v, a, b, c)
        one, two, three = _turn(v, a, b, p, x, y), _turn(v, b, c, p, x, y), _turn(v, c, a, p, x, y)
        if min(one, two, three) >= 0 or max(one, two, three) <= 0:
            return True
        return (
            _segments_meet(v, p, q, a, b, x, y)
            or _segments_meet(v, p, q, b, c, x, y)
            or _segments_meet(v, p, q, c, a, x, y)
        )
    one, two, three = side(v, p, q, a, b), side(v, p, q, b, c), side(v, p, q, c, a)
    return min(one, two, three) >= 0 or max(one, two, three) <= 0


@nb.njit(cache=True)
def _apart(v, a, b, c, d, e, f):  # type: ignore[no-untyped-def]
    """Whether the plane abc has d, e and f strictly on one side."""
    s = side(v, a, b, c, d)
    return s != 0 and side(v, a, b, c, e) == s and side(v, a, b, c, f) == s


@nb.njit(cache=True)
def _folded(v, a, b, c, d):  # type: ignore[no-untyped-def]
    """Whether triangles on edge ab with tips c and d lie in one plane on one side of ab."""
    if side(v, a, b, c, d) != 0:
        return False
    x, y = _flat_axes(v, a, b, c)
    return _turn(v, a, b, c, x, y) == _turn(v, a, b, d, x, y)


@nb.njit(cache=True)
def raise_walls(v, a, b, c, walls):  # type: ignore[no-untyped-def]
    """Fill walls (3,4): normals and places of the planes that stand upright on the edges of abc."""
    ux, uy, uz = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
    wx, wy, wz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
    nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
    room = SURE * (nx * nx + ny * ny + nz * nz)
    for k in range(3):
        p, q = (a, b) if k == 0 else ((b, c) if k == 1 else (c, a))
        x, y, z = v[q, 0] - v[p, 0], v[q, 1] - v[p, 1], v[q, 2] - v[p, 2]
        ox, oy, oz = y * nz - z * ny, z * nx - x * nz, x * ny - y * nx
        walls[k, 0], walls[k, 1], walls[k, 2] = ox, oy, oz
        walls[k, 3] = v[p, 0] * ox + v[p, 1] * oy + v[p, 2] * oz + room


@nb.njit(cache=True)
def is_beside(v, walls, d, e, f):  # type: ignore[no-untyped-def]
    """Whether one of a face's walls surely has def, another face, behind it."""
    for k in range(3):
        ox, oy, oz, wall = walls[k, 0], walls[k, 1], walls[k, 2], walls[k, 3]
        if (
            v[d, 0] * ox + v[d, 1] * oy + v[d, 2] * oz > wall
            and v[e, 0] * ox + v[e, 1] * oy + v[e, 2] * oz > wall
            and v[f, 0] * ox + v[f, 1] * oy + v[f, 2] * oz > wall
        ):
            return True
    return False


@nb.njit(cache=True)
def fan_shared(faces, f, g, fans):  # type: ignore[no-untyped-def]
    """Whether two faces share a corner in fans (V,), round which faces meet nowhere else."""
    for i in range(3):
        at = faces[f, i]
        if fans[at] and (at == faces[g, 0] or at == faces[g, 1] or at == faces[g, 2]):
            return True
    return False


@nb.njit(cache=True)
def faces_meet(v, faces, f, g):  # type: ignore[no-untyped-def]
    """Whether faces f and g, both with an area, meet elsewhere than in shared corners and edges."""
    shared = 0
    one = two = 0
    for i in range(3):
        for j in range(3):
            if faces[f, i] == faces[g, j]:
                shared += 1
                # Of two shared corners keep the sums: the third corner is what remains of 0+1+2.
                one += i
                two += j
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    d, e, h = faces[g, 0], faces[g, 1], faces[g, 2]
    if shared == 0:
        if _apart(v, a, b, c, d, e, h) or _apart(v, d, e, h, a, b, c):
            return False
        return (
            segment_meets(v, a, b, d, e, h)
            or segment_meets(v, b, c, d, e, h)
            or segment_meets(v, c, a, d, e, h)
            or segment_meets(v, d, e, a, b, c)
            or segment_meets(v, e, h, a, b, c)
            or segment_meets(v, h, d, a, b, c)
        )
    if shared == 1:
        p, q = faces[f, (one + 1) % 3], faces[f, (one + 2) % 3]
        r, s = faces[g, (two + 1) % 3], faces[g, (two + 2) % 3]
        return segment_meets(v, p, q, d, e, h) or segment_meets(v, r, s, a, b, c)
    if shared == 2:
        tip = 3 - one
        base, end = faces[f, (tip + 1) % 3], faces[f, (tip + 2) % 3]
        return _folded(v, base, end, faces[f, tip], faces[g, 3 - two])
    return True


@nb.njit(cache=True)
def flat_fans(v, faces, wanted):  # type: ignore[no-untyped-def]
    """True (V,) where the faces round a wanted vertex surely meet in their common corners alone.

    Seen along the mean normal every face of such a fan faces the eye, by more than rounding can
    change, and they go round once: a ray across the eye's direction lies in one of them. Seen so,
    the fan does not overlap itself. Only of a closed mesh, whose faces go round in whole turns.
    """
    count = v.shape[0]
    normal = np.zeros((count, 3), np.float64)
    passed = np.zeros(count, np.int32)
    for turn in range(2):
        for f in range(faces.shape[0]):
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            if not (wanted[a] or wanted[b] or wanted[c]):
                continue
            ux, uy, uz = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
            wx, wy, wz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
            nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
            if turn == 0:
                for at in (a, b, c):
                    normal[at, 0] += nx
                    normal[at, 1] += ny
                    normal[at, 2] += nz
                continue
            # How a face faces the eye is decided by its smallest sine, so slivers fail, rightly.
            size = nx * nx + ny * ny + nz * nz
            long = max(ux * ux + uy * uy + uz * uz, wx * wx + wy * wy + wz * wz)
            for k in range(3):
                at, p, q = (a, b, c) if k == 0 else ((b, c, a) if k == 1 else (c, a, b))
                mx, my, mz = normal[at, 0], normal[at, 1], normal[at, 2]
                facing = nx * mx + ny * my + nz * mz
                mm = mx * mx + my * my + mz * mz
                if not (facing > 0.0 and facing * facing > 1e-3 * size * mm) or size < (
                    1e-10 * long * long
                ):
                    passed[at] += 1000
                    continue
                # The ray: one axis, made upright to the mean normal by the cross product.
                if abs(mx) <= abs(my) and abs(mx) <= abs(mz):
                    rx, ry, rz = 0.0, -mz, my
                elif abs(my) <= abs(mz):
                    rx, ry, rz = mz, 0.0, -mx
                else:
                    rx, ry, rz = -my, mx, 0.0
                sx, sy, sz = ry * mz - rz * my, rz * mx - rx * mz, rx * my - ry * mx
                first = (
                    sx * (v[p, 0] - v[at, 0])
                    + sy * (v[p, 1] - v[at, 1])
                    + sz * (v[p, 2] - v[at, 2])
                )
                last = (
                    sx * (v[q, 0] - v[at, 0])
                    + sy * (v[q, 1] - v[at, 1])
                    + sz * (v[q, 2] - v[at, 2])
                )
                if first >= 0.0 and last < 0.0:
                    passed[at] += 1
    return passed == 1
