"""Kernels that ask how far a chord is from distance eps, and where on the offset it should go.

A chord across a crease may leave the offset on one side near one end, and on the other side near
the other, and cross it in its middle: where the normals at its ends differ, it is asked at its
quarters, too.

`near` is as of near_kernels.py.
"""

import math

import numba as nb
import numpy as np

from preprocessing.solid.crossing_kernels import LATTICE
from preprocessing.solid.remesh.fairness_kernels import agreement
from preprocessing.solid.remesh.halfedge_edit_kernels import after, start
from preprocessing.solid.remesh.near_kernels import offset_at

ROUNDS = 8
SETTLED = 1e-9  # of eps
# Two sheets whose normals differ by less (sine squared) have no crease worth finding: 11 degrees.
PARALLEL = 0.04
# A new vertex keeps this share of the edge away from its ends.
ENDS = 0.08
HALVINGS = 8  # of a chord, until the change of its nearest sheet is where it is taken to be
# The shortest edges may be off by so many times the tolerance.
SHORT = 2.5
# Cosine between the normals at two ends below which the chord is asked at its quarters: 20 degrees.
TURNED = 0.94
SHARES = (0.5, 0.25, 0.75)
# Edges longer than so many cells may step over something between ends whose normals agree.
LONG = 0.6


@nb.njit(cache=True)
def settle(near, x, y, z):  # type: ignore[no-untyped-def]
    """Walk along the gradient to distance eps: (x, y, z, gradient, relative error left)."""
    eps, step = near[4], near[5]
    ox, oy, oz = x, y, z
    d, gx, gy, gz = offset_at(near, x, y, z)
    for _ in range(ROUNDS):
        if abs(d - eps) <= SETTLED * eps or (gx == 0.0 and gy == 0.0 and gz == 0.0):
            break
        x, y, z = x + (eps - d) * gx, y + (eps - d) * gy, z + (eps - d) * gz
        if (x - ox) ** 2 + (y - oy) ** 2 + (z - oz) ** 2 > step * step:
            return ox, oy, oz, gx, gy, gz, 1.0
        d, gx, gy, gz = offset_at(near, x, y, z)
    return x, y, z, gx, gy, gz, abs(d - eps) / eps


@nb.njit(inline="always")
def on_lattice(x):  # type: ignore[no-untyped-def]
    """The nearest multiple of 2^-23 (crossings.py)."""
    return np.rint(x * LATTICE) / LATTICE


@nb.njit(cache=True)
def settled_place(near, x, y, z):  # type: ignore[no-untyped-def]
    """Where settle leads, as a place (error_kernels.place), and whether it is on the offset."""
    x, y, z, gx, gy, gz, error = settle(near, x, y, z)
    return (on_lattice(x), on_lattice(y), on_lattice(z), gx, gy, gz), error < 1e-6


@nb.njit(cache=True)
def on_planes(m, p, g, q, h):  # type: ignore[no-untyped-def]
    """The point nearest to m (3,) in the planes through p and q with unit normals g and h.

    Returns (x, y, z, whether the planes cross).
    """
    c = g[0] * h[0] + g[1] * h[1] + g[2] * h[2]
    left = 1.0 - c * c
    if left < PARALLEL:
        return m[0], m[1], m[2], False
    r = g[0] * (p[0] - m[0]) + g[1] * (p[1] - m[1]) + g[2] * (p[2] - m[2])
    s = h[0] * (q[0] - m[0]) + h[1] * (q[1] - m[1]) + h[2] * (q[2] - m[2])
    a, b = (r - c * s) / left, (s - c * r) / left
    return m[0] + a * g[0] + b * h[0], m[1] + a * g[1] + b * h[1], m[2] + a * g[2] + b * h[2], True


@nb.njit(cache=True)
def _drawn_nearer(near, at, normal, x, y, z, share):  # type: ignore[no-untyped-def]
    """Move a point of a sheet, and its normal, to where the sheet is met from a share of the way to
    it from x, y, z."""
    sx, sy, sz, ux, uy, uz, error = settle(
        near, x + share * (at[0] - x), y + share * (at[1] - y), z + share * (at[2] - z)
    )
    # A third sheet between, or the other one: its plane says nothing about this one.
    if error < 1e-3 and ux * normal[0] + uy * normal[1] + uz * normal[2] > 0.7:
        at[0], at[1], at[2] = sx, sy, sz
        normal[0], normal[1], normal[2] = ux, uy, uz


@nb.njit(cache=True)
def crease_point(near, p, g, q, h):  # type: ignore[no-untyped-def]
    """Where the offset sheets at p and q (normals g and h) meet between them.

    The tangent planes' common point nearest to the middle, then the same with points of the two
    sheets ever nearer to it. Returns (x, y, z, whether found).
    """
    one, two = p.copy(), q.copy()
    n, o = g.copy(), h.copy()
    m = 0.5 * (p + q)
    x, y, z, found = on_planes(m, one, n, two, o)
    for turn in range(2):
        if not found:
            return x, y, z, False
        share = 0.3 if turn == 0 else 0.1
        _drawn_nearer(near, one, n, x, y, z, share)
        _drawn_nearer(near, two, o, x, y, z, share)
        x, y, z, found = on_planes(m, one, n, two, o)
    return x, y, z, found


@nb.njit(cache=True)
def _change_of_sheet(near, p, g, q, h):  # type: ignore[no-untyped-def]
    """Shares of the chord pq (normals g and h) between which the nearest sheet changes."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        t = 0.5 * (low + high)
        x, y, z = p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1]), p[2] + t * (q[2] - p[2])
        _, gx, gy, gz = offset_at(near, x, y, z)
        nearer = gx * (g[0] - h[0]) + gy * (g[1] - h[1]) + gz * (g[2] - h[2])
        if nearer >= 0.0:
            low = t
        else:
            high = t
    return low, high


@nb.njit(cache=True)
def crease_between(near, p, g, q, h):  # type: ignore[no-untyped-def]
    """As crease_point, begun where the nearest sheet changes along the chord.

    That holds where a sheet is curved, too, and its plane at the chord's end says little; it takes
    a dozen distances more. Where no sheet changes, on an arc, it is crease_point.
    """
    low, high = _change_of_sheet(near, p, g, q, h)
    one, two, n, o = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    m = p + low * (q - p)
    one[0], one[1], one[2], n[0], n[1], n[2], _ = settle(near, m[0], m[1], m[2])
    m = p + high * (q - p)
    two[0], two[1], two[2], o[0], o[1], o[2], _ = settle(near, m[0], m[1], m[2])
    x, y, z, found = on_planes(m, one, n, two, o)
    for _ in range(2):
        if not found:
            return crease_point(near, p, g, q, h)
        _drawn_nearer(near, one, n, x, y, z, 0.1)
        _drawn_nearer(near, two, o, x, y, z, 0.1)
        x, y, z, found = on_planes(m, one, n, two, o)
    return x, y, z, found


@nb.njit(cache=True)
def better_middle(near, p, g, q, h, deviation):  # type: ignore[no-untyped-def]
    """A point of the offset for the chord pq (normals g, h) that is off by `deviation`.

    A chord in the open cuts a crease, one inside cuts an arc. Returns (x, y, z, gradient, found).
    """
    mx, my, mz = 0.5 * (p[0] + q[0]), 0.5 * (p[1] + q[1]), 0.5 * (p[2] + q[2])
    if deviation > 0.0:
        x, y, z, found = crease_between(near, p, g, q, h)
        if found:
            mx, my, mz = x, y, z
    x, y, z, gx, gy, gz, error = settle(near, mx, my, mz)
    ex, ey, ez = q[0] - p[0], q[1] - p[1], q[2] - p[2]
    long = ex * ex + ey * ey + ez * ez
    along = (x - p[0]) * ex + (y - p[1]) * ey + (z - p[2]) * ez
    away = (x - p[0]) ** 2 + (y - p[1]) ** 2 + (z - p[2]) ** 2 - along * along / long
    found = error < 1e-6 and ENDS * long < along < (1.0 - ENDS) * long and away < long
    return on_lattice(x), on_lattice(y), on_lattice(z), gx, gy, gz, found


@nb.njit(cache=True, inline="always")
def between(v, a, b, t):  # type: ignore[no-untyped-def]
    """The point at a share of the chord ab."""
    return (
        v[a, 0] + t * (v[b, 0] - v[a, 0]),
        v[a, 1] + t * (v[b, 1] - v[a, 1]),
        v[a, 2] + t * (v[b, 2] - v[a, 2]),
    )


@nb.njit(cache=True)
def asked(gradient, a, b):  # type: ignore[no-untyped-def]
    """At how many of SHARES the chord ab is asked."""
    return 1 if agreement(gradient, a, b) >= TURNED else 3


@nb.njit(cache=True)
def chord_deviation(near, v, gradient, a, b):  # type: ignore[no-untyped-def]
    """(distance - eps) / eps of the chord ab, where it is asked and farthest from eps."""
    worst = 0.0
    for i in range(asked(gradient, a, b)):
        x, y, z = between(v, a, b, SHARES[i])
        off = (offset_at(near, x, y, z)[0] - near[4]) / near[4]
        worst = off if abs(off) > abs(worst) else worst
    return worst


@nb.njit(parallel=True, cache=True)
def judge_edges(near, mesh, frozen, dirty, limits):  # type: ignore[no-untyped-def]
    """How far edges are from eps, in eps, float32 (3F,): 0 where within limits.

    One half-edge of each pair is judged, where no end is in frozen (V,) and both are in dirty (V,).
    limits: (share of eps for an edge one cell long, cosine between normals above which a chord need
    not be asked). Longer edges may be off by less and shorter ones by more, as their length says,
    up to SHORT times the share: the faces beside them are as much smaller.
    """
    vertices, gradient, faces, mates = mesh[0], mesh[1], mesh[2], mesh[3]
    found = np.zeros(3 * faces.shape[0], np.float32)
    step = near[5]
    for h in nb.prange(3 * faces.shape[0]):
        if faces[h // 3, 0] < 0:
            continue
        a, b = start(faces, h), start(faces, after(h))
        if not (dirty[a] and dirty[b]) or frozen[a] or frozen[b] or mates[h] < h:
            continue
        long = math.sqrt(
            (vertices[a, 0] - vertices[b, 0]) ** 2
            + (vertices[a, 1] - vertices[b, 1]) ** 2
            + (vertices[a, 2] - vertices[b, 2]) ** 2
        )
        if agreement(gradient, a, b) > limits[1] and long < LONG * step:
            continue
        off = chord_deviation(near, vertices, gradient, a, b)
        if abs(off) * max(long, step / SHORT) > limits[0] * step:
            found[h] = off
    return found


@nb.njit(parallel=True, cache=True)
def new_points(near, mesh, chosen, deviation):  # type: ignore[no-untyped-def]
    """Where the chosen half-edges (K,) should bend: points (K,3), gradients (K,3), found (K,)."""
    vertices, gradient, faces, mates = mesh[0], mesh[1], mesh[2], mesh[3]
    points = np.empty((chosen.shape[0], 3), np.float64)
    normals = np.empty((chosen.shape[0], 3), np.float64)
    found = np.zeros(chosen.shape[0], np.bool_)
    for c in nb.prange(chosen.shape[0]):
        a, b = start(faces, chosen[c]), start(faces, mates[chosen[c]])
        p = points[c]
        n = normals[c]
        p[0], p[1], p[2], n[0], n[1], n[2], found[c] = better_middle(
            near, vertices[a], gradient[a], vertices[b], gradient[b], deviation[c]
        )
    return points, normals, found
