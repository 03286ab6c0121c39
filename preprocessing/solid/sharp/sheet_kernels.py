"""Kernels that ask on which sheets of a mitred offset the vertices of its mesh lie.

Every vertex has a few planes, the sheets of the offset that it lies on: one in the open, two on a
crease, three or more in a corner. An edge is right if its ends have one in common, a face if its
corners have. `mesh` is (vertices, planes (V,PLANES,3), their counts (V,), faces, mates, leaving).
"""

import math

import numba as nb
import numpy as np

from preprocessing.solid.remesh.fairness_kernels import smallest_cosine
from preprocessing.solid.remesh.halfedge_edit_kernels import after, before, start

PLANES = 6
SAME = 0.98  # cosine of normals that are one sheet's: 11 degrees
UPRIGHT = 0.1  # least cosine between a face and its sheet
LEANING = -0.9  # and between a face across sheets and these, where no better is found
BLUNT = 0.94  # cosine of 20 degrees: faces with a smaller angle are bettered


@nb.njit(cache=True, inline="always")
def dot(n, m):  # type: ignore[no-untyped-def]
    """The inner product of two vectors."""
    return n[0] * m[0] + n[1] * m[1] + n[2] * m[2]


@nb.njit(cache=True)
def height(n, p, x):  # type: ignore[no-untyped-def]
    """How far x lies over the plane through p with unit normal n."""
    return n[0] * (x[0] - p[0]) + n[1] * (x[1] - p[1]) + n[2] * (x[2] - p[2])


@nb.njit(cache=True)
def aside(p, q, x):  # type: ignore[no-untyped-def]
    """Squared distance from x to the segment pq."""
    ex, ey, ez = q[0] - p[0], q[1] - p[1], q[2] - p[2]
    wx, wy, wz = x[0] - p[0], x[1] - p[1], x[2] - p[2]
    ee = ex * ex + ey * ey + ez * ez
    t = min(max((wx * ex + wy * ey + wz * ez) / ee, 0.0), 1.0) if ee > 0.0 else 0.0
    return (wx - t * ex) ** 2 + (wy - t * ey) ** 2 + (wz - t * ez) ** 2


@nb.njit(cache=True)
def share_sheet(mesh, a, b, slack):  # type: ignore[no-untyped-def]
    """Whether two vertices lie on one sheet, flat or gently curved."""
    v, planes, count = mesh[0], mesh[1], mesh[2]
    allowed = slack + 0.2 * math.sqrt(
        (v[a, 0] - v[b, 0]) ** 2 + (v[a, 1] - v[b, 1]) ** 2 + (v[a, 2] - v[b, 2]) ** 2
    )
    for i in range(count[a]):
        for j in range(count[b]):
            n, m = planes[a, i], planes[b, j]
            if (
                dot(n, m) > SAME
                and abs(height(n, v[a], v[b])) <= allowed
                and abs(height(m, v[b], v[a])) <= allowed
            ):
                return True
    return False


@nb.njit(cache=True)
def common_plane(mesh, a, b, c):  # type: ignore[no-untyped-def]
    """Which plane of vertex a is also one of b and c, by normal; -1 for none."""
    planes, count = mesh[1], mesh[2]
    for i in range(count[a]):
        n = planes[a, i]
        one = two = False
        for j in range(count[b]):
            one |= dot(n, planes[b, j]) > SAME
        for j in range(count[c]):
            two |= dot(n, planes[c, j]) > SAME
        if one and two:
            return i
    return -1


@nb.njit(cache=True)
def upright(mesh, a, b, c, strict):  # type: ignore[no-untyped-def]
    """Whether a face looks the way its sheet does or, between sheets and if strict, as all do."""
    v, planes, count = mesh[0], mesh[1], mesh[2]
    ex, ey, ez = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
    fx, fy, fz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
    n = (ey * fz - ez * fy, ez * fx - ex * fz, ex * fy - ey * fx)
    i = common_plane(mesh, a, b, c)
    if i >= 0:
        return dot(n, planes[a, i]) > UPRIGHT * math.sqrt(dot(n, n))
    sx = sy = sz = 0.0
    for w in (np.int64(a), np.int64(b), np.int64(c)):
        for i in range(count[w]):
            sx += planes[w, i, 0] / count[w]
            sy += planes[w, i, 1] / count[w]
            sz += planes[w, i, 2] / count[w]
    s = (sx, sy, sz)
    return dot(n, s) > (UPRIGHT if strict else LEANING) * math.sqrt(dot(n, n) * dot(s, s))


@nb.njit(cache=True)
def has_all(mesh, a, b, slack):  # type: ignore[no-untyped-def]
    """Whether b lies on every sheet of a."""
    v, planes, count = mesh[0], mesh[1], mesh[2]
    for i in range(count[a]):
        n = planes[a, i]
        known = False
        for j in range(count[b]):
            known |= dot(n, planes[b, j]) > SAME
        if not known or abs(height(n, v[a], v[b])) > slack:
            return False
    return True


@nb.njit(cache=True)
def fits(mesh, a, b, ring, count, strict, fair):  # type: ignore[no-untyped-def]
    """Whether the faces round a may have b for a: upright, and on sheets where they were.

    ring: the `count` half-edges that leave a. fair: nor may the worst of them get worse.
    """
    v, faces = mesh[0], mesh[3]
    worst, new = -1.0, -1.0
    for i in range(count):
        p, q = start(faces, after(ring[i])), start(faces, before(ring[i]))
        worst = max(worst, smallest_cosine(v, a, p, q))
        if p == b or q == b:
            continue
        if not upright(mesh, b, p, q, strict):
            return False
        if common_plane(mesh, b, p, q) < 0 and common_plane(mesh, a, p, q) >= 0:
            return False
        new = max(new, smallest_cosine(v, b, p, q))
    return not fair or new < max(worst, BLUNT)
