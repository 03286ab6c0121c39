"""Kernels that measure triangles: their smallest angle, how far they turn."""

import math

import numba as nb

FINE = 0.906  # cosine of 25 degrees
UPRIGHT = 0.1  # least cosine between a new face and the offset's normals at its corners


@nb.njit(cache=True)
def squares(v, a, b, c):  # type: ignore[no-untyped-def]
    """Squared lengths of the sides bc, ca and ab."""
    one = two = three = 0.0
    for x in range(3):
        one += (v[c, x] - v[b, x]) ** 2
        two += (v[a, x] - v[c, x]) ** 2
        three += (v[b, x] - v[a, x]) ** 2
    return one, two, three


@nb.njit(cache=True)
def smallest_cosine(v, a, b, c):  # type: ignore[no-untyped-def]
    """Cosine of the smallest angle of a triangle: the larger, the worse; 1 for a flat one."""
    one, two, three = squares(v, a, b, c)
    if one <= two and one <= three:
        other, third, least = two, three, one
    elif two <= three:
        other, third, least = one, three, two
    else:
        other, third, least = one, two, three
    both = other * third
    return min(1.0, 0.5 * (other + third - least) / math.sqrt(both)) if both > 0.0 else 1.0


@nb.njit(cache=True)
def badness(v, a, b, c):  # type: ignore[no-untyped-def]
    """0 for a face whose smallest angle is 25 degrees or more, 1 for a flat one."""
    return (max(0.0, smallest_cosine(v, a, b, c) - FINE) / (1.0 - FINE)) ** 2


@nb.njit(cache=True, inline="always")
def normal(v, a, b, c):  # type: ignore[no-untyped-def]
    """The normal of a triangle, as long as twice its area."""
    ex, ey, ez = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
    fx, fy, fz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
    return ey * fz - ez * fy, ez * fx - ex * fz, ex * fy - ey * fx


@nb.njit(cache=True)
def turned(n, m, most):  # type: ignore[no-untyped-def]
    """Whether the angle between two normals has a cosine below `most`."""
    dot = n[0] * m[0] + n[1] * m[1] + n[2] * m[2]
    both = (n[0] * n[0] + n[1] * n[1] + n[2] * n[2]) * (m[0] * m[0] + m[1] * m[1] + m[2] * m[2])
    return not (dot > 0.0 and dot * dot >= most * most * both)


@nb.njit(cache=True)
def upright(v, gradient, a, b, c):  # type: ignore[no-untyped-def]
    """Whether a face looks the way that the offset does at its corners."""
    g = (
        gradient[a, 0] + gradient[b, 0] + gradient[c, 0],
        gradient[a, 1] + gradient[b, 1] + gradient[c, 1],
        gradient[a, 2] + gradient[b, 2] + gradient[c, 2],
    )
    return not turned(normal(v, a, b, c), g, UPRIGHT)


@nb.njit(cache=True, inline="always")
def agreement(gradient, a, b):  # type: ignore[no-untyped-def]
    """The cosine between the offset's normals at two vertices."""
    dot = gradient[a, 0] * gradient[b, 0] + gradient[a, 1] * gradient[b, 1]
    return dot + gradient[a, 2] * gradient[b, 2]
