"""Faces that seem to meet, to the test in rounded numbers that most tools use.

T. Möller, "A fast triangle-triangle intersection test", Journal of Graphics Tools 2(2), 1997, in
its form without divisions. Of two faces in one plane it takes rounding for heights above the
other's plane, and then some for crossing that are a face apart. The order of the operations is that
of the best-known filter, pymeshlab's, in float64, and it is asked with the face listed earlier as
the first, as there: what that filter is mistaken about is found.
"""

import math

import numba as nb


@nb.njit(cache=True, inline="always")
def _normal(v, a, b, c):  # type: ignore[no-untyped-def]
    """Cross product of ab and ac."""
    ux, uy, uz = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
    wx, wy, wz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
    return uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx


@nb.njit(cache=True, inline="always")
def _along(n, v, p):  # type: ignore[no-untyped-def]
    """Product of a vector and the place of vertex p."""
    return n[0] * v[p, 0] + n[1] * v[p, 1] + n[2] * v[p, 2]


@nb.njit(cache=True, inline="always")
def _one_side(r, s, t):  # type: ignore[no-untyped-def]
    """Whether three heights have one sign."""
    return r * s > 0.0 and r * t > 0.0


@nb.njit(cache=True)
def _lone_first(p, q, r, s, t, u):  # type: ignore[no-untyped-def]
    """Places p, q, r of corners and their heights s, t, u, that of the corner alone on its side
    first, and whether there is one: not if all lie in the plane."""
    if s * t > 0.0:
        return (r, p, q), (u, s, t), True
    if s * u > 0.0:
        return (q, p, r), (t, s, u), True
    if t * u > 0.0 or s != 0.0:
        return (p, q, r), (s, t, u), True
    if t != 0.0:
        return (q, p, r), (t, s, u), True
    return (r, p, q), (u, s, t), u != 0.0


@nb.njit(cache=True)
def seem_to_meet(v, faces, f, g):  # type: ignore[no-untyped-def]
    """Whether two faces that share no corner seem to meet; False of others.

    False, too, if all corners of one are found in the plane of the other: what the test does then
    is right.
    """
    for i in range(3):
        for k in range(3):
            if faces[f, i] == faces[g, k]:
                return False
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    d, e, h = faces[g, 0], faces[g, 1], faces[g, 2]
    n = _normal(v, a, b, c)
    size = math.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2])
    n = (n[0] / size, n[1] / size, n[2] / size)
    back = -_along(n, v, a)
    x, y, z = _along(n, v, d) + back, _along(n, v, e) + back, _along(n, v, h) + back
    if _one_side(x, y, z):
        return False
    m = _normal(v, d, e, h)
    back = -_along(m, v, d)
    i, j, k = _along(m, v, a) + back, _along(m, v, b) + back, _along(m, v, c) + back
    if _one_side(i, j, k):
        return False
    # The common line of the planes is seen along the axis it is steepest in: by noise, here.
    line = (
        abs(n[1] * m[2] - n[2] * m[1]),
        abs(n[2] * m[0] - n[0] * m[2]),
        abs(n[0] * m[1] - n[1] * m[0]),
    )
    axis = 1 if line[1] > line[0] else 0
    axis = 2 if line[2] > line[axis] else axis
    (p, q, r), (i, j, k), crossed = _lone_first(v[a, axis], v[b, axis], v[c, axis], i, j, k)
    if not crossed:
        return False
    (s, t, u), (x, y, z), crossed = _lone_first(v[d, axis], v[e, axis], v[h, axis], x, y, z)
    if not crossed:
        return False
    first, second = i - j, i - k
    third, fourth = x - y, x - z
    one, two = first * second, third * fourth
    both = one * two
    low = p * both + (q - p) * i * second * two
    high = p * both + (r - p) * i * first * two
    least = s * both + (t - s) * x * one * fourth
    most = s * both + (u - s) * x * one * third
    return not (max(low, high) < min(least, most) or max(least, most) < min(low, high))
