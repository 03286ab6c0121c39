"""Kernels that better a face of an offset surface: flip a cap, collapse a needle, slide a vertex.

A change counts only if the worst triangle it touches gets better, no face turns by much, no new
chord is farther from eps than the tolerance, and no faces meet (meeting_kernels.py). Where the
normals at all corners agree, the distance is not asked.

`mesh` is (v, gradient, faces, mates, leaving, tight, heads, chain, extent, reach): vertices, the
offset's normals there, half-edges as of halfedge_edit_kernels.py, and what meeting_kernels.py
takes. `limits` are as of judge_edges.
"""

import numba as nb

from preprocessing.solid.remesh.deviation_kernels import (
    SHARES,
    asked,
    between,
    chord_deviation,
    on_lattice,
    settle,
)
from preprocessing.solid.remesh.fairness_kernels import (
    agreement,
    badness,
    normal,
    squares,
    turned,
)
from preprocessing.solid.remesh.halfedge_edit_kernels import (
    after,
    before,
    collapse,
    corners,
    edge_between,
    flip,
    may_collapse,
    spokes,
    start,
    uncollapse,
    unflip,
)
from preprocessing.solid.remesh.meeting_kernels import (
    is_sharp,
    pair_is_clean,
    pair_is_sharp,
    star_is_clean,
)
from preprocessing.solid.remesh.near_kernels import is_near

TURN = 0.64  # cosine of the most that a face may turn: 50 degrees
FAR = -1000.0  # added to a cost that still has to be checked
LONGEST = 2.5  # cells that a new edge may be long


@nb.njit(cache=True)
def chord_error(near, mesh, a, b):  # type: ignore[no-untyped-def]
    """|distance - eps| / eps of ab, where it is asked and farthest from eps."""
    return abs(chord_deviation(near, mesh[0], mesh[1], a, b))


@nb.njit(cache=True)
def _chord_near(near, mesh, a, b, tolerance):  # type: ignore[no-untyped-def]
    """Whether ab is at distance eps within a share of it, where chord_deviation asks."""
    for i in range(asked(mesh[1], a, b)):
        x, y, z = between(mesh[0], a, b, SHARES[i])
        if not is_near(near, x, y, z, tolerance):
            return False
    return True


@nb.njit(cache=True)
def _face_near(near, v, a, b, c, tolerance):  # type: ignore[no-untyped-def]
    """Whether the middle of abc is at distance eps within a share of it."""
    x, y, z = v[a, 0] + v[b, 0] + v[c, 0], v[a, 1] + v[b, 1] + v[c, 1], v[a, 2] + v[b, 2] + v[c, 2]
    return is_near(near, x / 3.0, y / 3.0, z / 3.0, tolerance)


@nb.njit(cache=True)
def flip_cleanly(mesh, h, rings):  # type: ignore[no-untyped-def]
    """Flip an edge unless faces then meet; whether it was done."""
    faces, mates, leaving = mesh[2], mesh[3], mesh[4]
    a, b, c, d = corners(faces, mates, h)
    g = mates[h]
    flip(faces, mates, leaving, h)
    sharp = pair_is_sharp(mesh, a, b, c, d)
    if not pair_is_clean(mesh, (h // 3, g // 3), (a, b, c, d), sharp, rings[0], rings[1]):
        unflip(faces, mates, leaving, h, g, (a, b, c, d))
        return False
    return True


@nb.njit(cache=True)
def try_flip(near, mesh, h, limits, rings):  # type: ignore[no-untyped-def]
    """Flip an edge if its two faces get better by it; whether it was done."""
    v, gradient, faces, mates, leaving = mesh[:5]
    a, b, c, d = corners(faces, mates, h)
    if c == d or squares(v, c, d, a)[2] > (LONGEST * near[5]) ** 2:
        return False
    one, two = badness(v, a, b, c), badness(v, b, a, d)
    three, four = badness(v, a, d, c), badness(v, b, c, d)
    if three + four >= one + two or max(three, four) >= max(one, two):
        return False
    n, m = normal(v, a, d, c), normal(v, b, c, d)
    p, q = normal(v, a, b, c), normal(v, b, a, d)
    s = (p[0] + q[0], p[1] + q[1], p[2] + q[2])
    if turned(n, m, TURN) or turned(n, s, TURN) or turned(m, s, TURN):
        return False
    if edge_between(faces, mates, leaving, c, d) >= 0:
        return False
    flat = min(agreement(gradient, a, b), agreement(gradient, a, c)) > limits[1]
    if not (flat and agreement(gradient, a, d) > limits[1]):
        allowed = max(limits[0], chord_error(near, mesh, a, b))
        if not _chord_near(near, mesh, c, d, allowed):
            return False
    return flip_cleanly(mesh, h, rings)


@nb.njit(cache=True)
def _may_move(near, mesh, a, b, ring, count, limits):  # type: ignore[no-untyped-def]
    """How much worse the faces round a get once a lies where b does; 2 where that may not be.

    ring: the `count` half-edges that leave a. Faces with b as a corner vanish. FAR is added where
    the distance must be asked too.
    """
    v, gradient, faces = mesh[0], mesh[1], mesh[2]
    flat = agreement(gradient, a, b) > limits[1]
    long = (LONGEST * near[5]) ** 2
    worst = total = new_worst = 0.0
    for i in range(count):
        p, q = start(faces, after(ring[i])), start(faces, before(ring[i]))
        flat &= agreement(gradient, b, p) > limits[1]
        old = badness(v, a, p, q)
        worst = max(worst, old)
        total -= old
        if p == b or q == b:
            continue
        if turned(normal(v, a, p, q), normal(v, b, p, q), TURN):
            return 2.0
        new = badness(v, b, p, q)
        new_worst = max(new_worst, new)
        total += new
        if squares(v, b, p, q)[2] > long:
            return 2.0
    if total >= 0.0 or new_worst > worst:
        return 2.0
    return total if flat else total + FAR


@nb.njit(cache=True)
def stays_near(near, mesh, a, b, ring, count, tolerance):  # type: ignore[no-untyped-def]
    """Whether the faces round a stay near the offset once a lies where b does."""
    v, faces = mesh[0], mesh[2]
    for i in range(count):
        p, q = start(faces, after(ring[i])), start(faces, before(ring[i]))
        if p != b and not _chord_near(near, mesh, b, p, tolerance):
            return False
        if p != b and q != b and not _face_near(near, v, b, p, q, tolerance):
            return False
    return True


@nb.njit(cache=True)
def _collapse_cleanly(mesh, h, ring, count, spare, other):  # type: ignore[no-untyped-def]
    """Merge the start of h into its end unless faces near it then meet; whether it was done."""
    faces, mates, leaving = mesh[2], mesh[3], mesh[4]
    a, b, c, d = corners(faces, mates, h)
    sharp = is_sharp(mesh, a, ring, count) or is_sharp(mesh, b, ring, count)
    collapse(faces, mates, leaving, h, ring, count)
    if not star_is_clean(mesh, b, sharp, spare, other):
        uncollapse(faces, mates, leaving, h, ring, count, (a, b, c, d))
        return False
    return True


@nb.njit(cache=True)
def try_collapse(near, mesh, h, frozen, limits, rings):  # type: ignore[no-untyped-def]
    """Merge one end of an edge into the other if that betters the faces round it; whether done."""
    faces, mates = mesh[2], mesh[3]
    g = mates[h]
    count, more = may_collapse(faces, mates, h, rings[0], rings[1])
    if count == 0:
        return False
    a, b = start(faces, h), start(faces, g)
    one = two = 2.0
    if not frozen[a]:
        one = _may_move(near, mesh, a, b, rings[0], count, limits)
    if not frozen[b]:
        two = _may_move(near, mesh, b, a, rings[1], more, limits)
    for _ in range(2):
        if min(one, two) > 1.0:
            return False
        if one <= two:
            if (
                one > FAR / 2 or stays_near(near, mesh, a, b, rings[0], count, limits[0])
            ) and _collapse_cleanly(mesh, h, rings[0], count, rings[2], rings[3]):
                return True
            one = 2.0
        else:
            if (
                two > FAR / 2 or stays_near(near, mesh, b, a, rings[1], more, limits[0])
            ) and _collapse_cleanly(mesh, g, rings[1], more, rings[2], rings[3]):
                return True
            two = 2.0
    return False


@nb.njit(cache=True)
def _middle_of_ring(v, faces, a, ring, count):  # type: ignore[no-untyped-def]
    """Half way from a vertex to the mean of its neighbours."""
    x = y = z = 0.0
    for i in range(count):
        p = start(faces, after(ring[i]))
        x, y, z = x + v[p, 0], y + v[p, 1], z + v[p, 2]
    return (
        0.5 * (v[a, 0] + x / count),
        0.5 * (v[a, 1] + y / count),
        0.5 * (v[a, 2] + z / count),
    )


@nb.njit(cache=True)
def try_slide(near, mesh, a, limits, rings, spare):  # type: ignore[no-untyped-def]
    """Move vertex a half way to the middle of its neighbours, on the offset, if that helps.

    Row `spare` of v and of gradient is scratch. Whether it was done.
    """
    v, gradient, faces, mates, leaving = mesh[:5]
    ring = rings[0]
    count = spokes(mates, leaving[a], ring)
    if count == 0:
        return False
    x, y, z = _middle_of_ring(v, faces, a, ring, count)
    v[spare, 0], v[spare, 1], v[spare, 2] = x, y, z
    gradient[spare] = gradient[a]
    # Most slides do not help, whether on the offset or beside it.
    if _may_move(near, mesh, a, spare, ring, count, limits) > 1.0:
        return False
    x, y, z, gx, gy, gz, error = settle(near, x, y, z)
    if error > 1e-6:
        return False
    v[spare, 0], v[spare, 1], v[spare, 2] = on_lattice(x), on_lattice(y), on_lattice(z)
    gradient[spare, 0], gradient[spare, 1], gradient[spare, 2] = gx, gy, gz
    cost = _may_move(near, mesh, a, spare, ring, count, limits)
    if cost > 1.0 or (
        cost < FAR / 2 and not stays_near(near, mesh, a, spare, ring, count, limits[0])
    ):
        return False
    x, y, z = v[a, 0], v[a, 1], v[a, 2]
    gx, gy, gz = gradient[a, 0], gradient[a, 1], gradient[a, 2]
    v[a] = v[spare]
    gradient[a] = gradient[spare]
    sharp = is_sharp(mesh, a, ring, count)
    if not star_is_clean(mesh, a, sharp, rings[2], rings[3]):
        v[a, 0], v[a, 1], v[a, 2] = x, y, z
        gradient[a, 0], gradient[a, 1], gradient[a, 2] = gx, gy, gz
        return False
    return True
