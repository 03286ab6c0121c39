"""Kernels that better the triangles of an offset surface: caps flipped, needles collapsed.

A change counts only if the worst triangle it touches gets better, no face turns by much, and no new
chord is farther from eps than the tolerance. Where the normals at all corners agree, the last is
not asked of the distance.
"""

import math

import numba as nb
import numpy as np

from preprocessing.solid.remesh.deviation_kernels import is_near, offset_at, on_lattice, settle
from preprocessing.solid.remesh.halfedge_edit_kernels import (
    MOST_SPOKES,
    after,
    before,
    collapse,
    flip,
    joined,
    may_collapse,
    split,
    spokes,
    start,
)

TURN = 0.64  # cosine of the most that a face may turn: 50 degrees
FINE = 0.906  # cosine of 25 degrees
FAR = -1000.0  # added to a cost that still has to be checked
UPRIGHT = 0.1  # least cosine between a new face and the offset's normals at its corners
LONGEST = 2.5  # cells that a new edge may be long


@nb.njit(cache=True)
def _squares(v, a, b, c):  # type: ignore[no-untyped-def]
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
    one, two, three = _squares(v, a, b, c)
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
def _normal(v, a, b, c):  # type: ignore[no-untyped-def]
    ex, ey, ez = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
    fx, fy, fz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
    return ey * fz - ez * fy, ez * fx - ex * fz, ex * fy - ey * fx


@nb.njit(cache=True)
def _turned(n, m, most):  # type: ignore[no-untyped-def]
    """Whether the angle between two normals has a cosine below `most`."""
    dot = n[0] * m[0] + n[1] * m[1] + n[2] * m[2]
    both = (n[0] * n[0] + n[1] * n[1] + n[2] * n[2]) * (m[0] * m[0] + m[1] * m[1] + m[2] * m[2])
    return not (dot > 0.0 and dot * dot >= most * most * both)


@nb.njit(cache=True)
def _alike(gradient, a, b, most):  # type: ignore[no-untyped-def]
    """Whether the offset's normals at two vertices agree, by their cosine."""
    dot = gradient[a, 0] * gradient[b, 0] + gradient[a, 1] * gradient[b, 1]
    return dot + gradient[a, 2] * gradient[b, 2] > most


@nb.njit(cache=True)
def _error(near, v, a, b):  # type: ignore[no-untyped-def]
    """|distance - eps| / eps at the middle of ab."""
    x, y, z = v[a, 0] + v[b, 0], v[a, 1] + v[b, 1], v[a, 2] + v[b, 2]
    return abs(offset_at(near, 0.5 * x, 0.5 * y, 0.5 * z)[0] - near[4]) / near[4]


@nb.njit(cache=True)
def _chord_near(near, v, a, b, tolerance):  # type: ignore[no-untyped-def]
    """Whether the middle of ab is at distance eps within a share of it."""
    x, y, z = v[a, 0] + v[b, 0], v[a, 1] + v[b, 1], v[a, 2] + v[b, 2]
    return is_near(near, 0.5 * x, 0.5 * y, 0.5 * z, tolerance)


@nb.njit(cache=True)
def _face_near(near, v, a, b, c, tolerance):  # type: ignore[no-untyped-def]
    """Whether the middle of abc is at distance eps within a share of it."""
    x, y, z = v[a, 0] + v[b, 0] + v[c, 0], v[a, 1] + v[b, 1] + v[c, 1], v[a, 2] + v[b, 2] + v[c, 2]
    return is_near(near, x / 3.0, y / 3.0, z / 3.0, tolerance)


@nb.njit(cache=True)
def try_flip(near, v, gradient, faces, mates, leaving, h, limits):  # type: ignore[no-untyped-def]
    """Flip an edge if its two faces get better by it; whether it was done."""
    g = mates[h]
    a, b, c, d = start(faces, h), start(faces, g), start(faces, before(h)), start(faces, before(g))
    if c == d or joined(faces, mates, leaving, c, d):
        return False
    one, two = badness(v, a, b, c), badness(v, b, a, d)
    three, four = badness(v, a, d, c), badness(v, b, c, d)
    if three + four >= one + two or max(three, four) >= max(one, two):
        return False
    n, m = _normal(v, a, d, c), _normal(v, b, c, d)
    p, q = _normal(v, a, b, c), _normal(v, b, a, d)
    s = (p[0] + q[0], p[1] + q[1], p[2] + q[2])
    if _turned(n, m, TURN) or _turned(n, s, TURN) or _turned(m, s, TURN):
        return False
    one, two, three = _squares(v, c, d, a)
    if three > (LONGEST * near[5]) ** 2:
        return False
    flat = (
        _alike(gradient, a, b, limits[1])
        and _alike(gradient, a, c, limits[1])
        and _alike(gradient, a, d, limits[1])
    )
    if not flat:
        allowed = max(limits[0], _error(near, v, a, b))
        if not _chord_near(near, v, c, d, allowed):
            return False
    flip(faces, mates, leaving, h)
    return True


@nb.njit(cache=True)
def _may_move(near, v, gradient, faces, a, b, ring, count, limits):  # type: ignore[no-untyped-def]
    """How much worse the faces round a get once a lies where b does; 2 where that may not be.

    ring: the `count` half-edges that leave a. Faces with b as a corner vanish. FAR is added where
    the distance must be asked too.
    """
    flat = _alike(gradient, a, b, limits[1])
    long = (LONGEST * near[5]) ** 2
    worst = total = new_worst = 0.0
    for i in range(count):
        p, q = start(faces, after(ring[i])), start(faces, before(ring[i]))
        flat &= _alike(gradient, b, p, limits[1])
        old = badness(v, a, p, q)
        worst = max(worst, old)
        total -= old
        if p == b or q == b:
            continue
        if _turned(_normal(v, a, p, q), _normal(v, b, p, q), TURN):
            return 2.0
        new = badness(v, b, p, q)
        new_worst = max(new_worst, new)
        total += new
        if _squares(v, b, p, q)[2] > long:
            return 2.0
    if total >= 0.0 or new_worst > worst:
        return 2.0
    return total if flat else total + FAR


@nb.njit(cache=True)
def _stays_near(near, v, faces, a, b, ring, count, limits):  # type: ignore[no-untyped-def]
    """Whether the faces round a stay near the offset once a lies where b does."""
    for i in range(count):
        p, q = start(faces, after(ring[i])), start(faces, before(ring[i]))
        if p != b and not _chord_near(near, v, b, p, limits[0]):
            return False
        if p != b and q != b and not _face_near(near, v, b, p, q, limits[0]):
            return False
    return True


@nb.njit(cache=True)
def try_collapse(near, v, gradient, faces, mates, leaving, h, frozen, limits, rings):  # type: ignore[no-untyped-def]
    """Merge one end of an edge into the other if that betters the faces round it; whether done."""
    g = mates[h]
    count, more = may_collapse(faces, mates, h, rings[0], rings[1])
    if count == 0:
        return False
    a, b = start(faces, h), start(faces, g)
    one = two = 2.0
    if not frozen[a]:
        one = _may_move(near, v, gradient, faces, a, b, rings[0], count, limits)
    if not frozen[b]:
        two = _may_move(near, v, gradient, faces, b, a, rings[1], more, limits)
    for _ in range(2):
        if min(one, two) > 1.0:
            return False
        if one <= two:
            if one > FAR / 2 or _stays_near(near, v, faces, a, b, rings[0], count, limits):
                collapse(faces, mates, leaving, h, rings[0], count)
                return True
            one = 2.0
        else:
            if two > FAR / 2 or _stays_near(near, v, faces, b, a, rings[1], more, limits):
                collapse(faces, mates, leaving, g, rings[1], more)
                return True
            two = 2.0
    return False


@nb.njit(cache=True)
def try_slide(near, v, gradient, faces, mates, leaving, a, limits, rings):  # type: ignore[no-untyped-def]
    """Move vertex a half way to the middle of its neighbours, on the offset, if that helps.

    The last row of v is scratch. Whether it was done.
    """
    spare = v.shape[0] - 1
    count = spokes(mates, leaving[a], rings[0])
    if count == 0:
        return False
    x = y = z = 0.0
    for i in range(count):
        p = start(faces, after(rings[0][i]))
        x, y, z = x + v[p, 0], y + v[p, 1], z + v[p, 2]
    x, y, z, gx, gy, gz, error = settle(
        near,
        0.5 * (v[a, 0] + x / count),
        0.5 * (v[a, 1] + y / count),
        0.5 * (v[a, 2] + z / count),
    )
    if error > 1e-6:
        return False
    v[spare, 0], v[spare, 1], v[spare, 2] = on_lattice(x), on_lattice(y), on_lattice(z)
    gradient[spare, 0], gradient[spare, 1], gradient[spare, 2] = gx, gy, gz
    cost = _may_move(near, v, gradient, faces, a, spare, rings[0], count, limits)
    if cost > 1.0 or (
        cost < FAR / 2 and not _stays_near(near, v, faces, a, spare, rings[0], count, limits)
    ):
        return False
    v[a] = v[spare]
    gradient[a] = gradient[spare]
    return True


@nb.njit(cache=True)
def _better(near, v, gradient, faces, mates, leaving, f, frozen, limits, rings):  # type: ignore[no-untyped-def]
    """Try what may better face f; the vertex round which something changed, or -1."""
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    one, two, three = _squares(v, a, b, c)
    # Side k is the half-edge 3 f + k: ab, bc, ca.
    sides = (three, one, two)
    long = 0 if three >= one and three >= two else (1 if one >= two else 2)
    short = 0 if three <= one and three <= two else (1 if one <= two else 2)
    cap = sides[0] + sides[1] + sides[2] - sides[long] < 0.75 * sides[long]
    for turn in range(2):
        if cap == (turn == 0):
            h = 3 * f + long
            tip = start(faces, before(mates[h]))
            own = start(faces, before(h))
            if not frozen[tip] and try_flip(near, v, gradient, faces, mates, leaving, h, limits):
                return own
        else:
            h = 3 * f + short
            a, b = start(faces, h), start(faces, mates[h])
            if try_collapse(near, v, gradient, faces, mates, leaving, h, frozen, limits, rings):
                return a if leaving[a] >= 0 else b
    for k in range(3):
        at = faces[f, k]
        if try_slide(near, v, gradient, faces, mates, leaving, at, limits, rings):
            return at
    return -1


@nb.njit(cache=True)
def tidy(near, v, gradient, faces, mates, leaving, frozen, limits, most, ticks):  # type: ignore[no-untyped-def]
    """Better the faces whose smallest angle has a cosine above `most`, in passes; changes made.

    Faces with a vertex in frozen (V,) keep their edges. limits as of judge_edges. The last row of v
    and of gradient is scratch. ticks: (of vertices (V,), of faces (F,)), when each was last changed
    and last tried in vain, from 1 on; what has not changed since is not tried again.
    """
    changed, tried = ticks
    rings = np.empty((2, MOST_SPOKES), np.int64)
    now = max(changed.max(), tried.max())
    total = 0
    for _ in range(6):
        done = 0
        for f in range(faces.shape[0]):
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            if a < 0 or (tried[f] > 0 and tried[f] >= max(changed[a], changed[b], changed[c])):
                continue
            if smallest_cosine(v, a, b, c) <= most or frozen[a] or frozen[b] or frozen[c]:
                continue
            now += 1
            at = _better(near, v, gradient, faces, mates, leaving, f, frozen, limits, rings)
            if at < 0:
                tried[f] = now
                continue
            done += 1
            changed[at] = now
            for i in range(spokes(mates, leaving[at], rings[0])):
                changed[start(faces, after(rings[0][i]))] = now
        total += done
        if done == 0:
            break
    return total


@nb.njit(cache=True)
def _upright(v, gradient, a, b, c):  # type: ignore[no-untyped-def]
    """Whether a face looks the way that the offset does at its corners."""
    g = gradient[a] + gradient[b] + gradient[c]
    return not _turned(_normal(v, a, b, c), (g[0], g[1], g[2]), UPRIGHT)


@nb.njit(cache=True)
def _flip_nearer(near, v, gradient, faces, mates, leaving, h):  # type: ignore[no-untyped-def]
    """Flip an edge if its middle comes nearer to the offset by it; whether it was done."""
    g = mates[h]
    a, b, c, d = start(faces, h), start(faces, g), start(faces, before(h)), start(faces, before(g))
    if c == d or joined(faces, mates, leaving, c, d):
        return False
    if not (_upright(v, gradient, a, d, c) and _upright(v, gradient, b, c, d)):
        return False
    if _error(near, v, c, d) > 0.7 * _error(near, v, a, b):
        return False
    flip(faces, mates, leaving, h)
    return True


@nb.njit(cache=True)
def bend(near, mesh, origin, bends, counts, ticks):  # type: ignore[no-untyped-def]
    """Split half-edges at new points; bends: half-edges (K,), points (K,3), gradients (K,3).

    mesh: (v, gradient, faces, mates, leaving). origin (V,) names an old vertex near each. counts:
    the rows of faces and of v that are used, (2,) int64, and get more. ticks as of tidy. Where a
    split would turn a face over, the edge is flipped if that helps.
    """
    v, gradient, faces, mates, leaving = mesh
    chosen, points, normals = bends
    now = max(ticks[0].max(), ticks[1].max()) + 1
    for i in range(chosen.shape[0]):
        h = chosen[i]
        g = mates[h]
        a, b = start(faces, h), start(faces, g)
        new = counts[1]
        v[new] = points[i]
        gradient[new] = normals[i]
        c, d = start(faces, before(h)), start(faces, before(g))
        ticks[0][a] = ticks[0][b] = ticks[0][c] = ticks[0][d] = now
        fine = _upright(v, gradient, a, new, c) and _upright(v, gradient, new, b, c)
        fine = fine and _upright(v, gradient, b, new, d) and _upright(v, gradient, new, a, d)
        if not fine:
            _flip_nearer(near, v, gradient, faces, mates, leaving, h)
            continue
        origin[new] = origin[a]
        split(faces, mates, leaving, h, new, counts[0])
        ticks[0][new] = now
        counts[0] += 2
        counts[1] += 1
