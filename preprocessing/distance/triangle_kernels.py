"""Compiled closest point on one triangle, float64, exact to rounding on slivers too."""

import numba
import numpy as np


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


@numba.njit(cache=True, forceinline=True)
def closest_on_triangle(triangles, t, x, y, z):  # type: ignore[no-untyped-def]
    """Squared distance from (x, y, z) to triangle `t` of (F,3,3), and its closest point.

    Ericson, Real-Time Collision Detection, 5.1.5. The share of each corner loses its digits on a
    sliver, which is done another way.
    """
    ax, ay, az = triangles[t, 0, 0], triangles[t, 0, 1], triangles[t, 0, 2]
    bx, by, bz = triangles[t, 1, 0] - ax, triangles[t, 1, 1] - ay, triangles[t, 1, 2] - az
    cx, cy, cz = triangles[t, 2, 0] - ax, triangles[t, 2, 1] - ay, triangles[t, 2, 2] - az
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
            return closest_on_sliver(triangles[t], x, y, z)
    qx, qy, qz = v * bx + w * cx, v * by + w * cy, v * bz + w * cz
    dx, dy, dz = px - qx, py - qy, pz - qz
    return dx * dx + dy * dy + dz * dz, ax + qx, ay + qy, az + qz
