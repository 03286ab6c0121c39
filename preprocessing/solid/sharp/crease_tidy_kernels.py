"""Kernels that better the slivers beside creases, every vertex staying on its sheets."""

import numba as nb
import numpy as np

from preprocessing.solid.remesh.deviation_kernels import on_lattice
from preprocessing.solid.remesh.fairness_kernels import smallest_cosine
from preprocessing.solid.remesh.halfedge_edit_kernels import (
    MOST_SPOKES,
    after,
    before,
    corners,
    edge_between,
    flip,
    spokes,
    start,
)
from preprocessing.solid.sharp.crease_edit_kernels import ON_SHEET, merge, swap
from preprocessing.solid.sharp.sheet_kernels import (
    BLUNT,
    PLANES,
    SAME,
    aside,
    common_plane,
    dot,
    height,
    upright,
)

BESIDE = 0.1  # share of a crease's edge within which a cap's tip belongs to the edge's end
CAP = 0.2  # of that edge, that the tip may be off it


@nb.njit(cache=True)
def _try_collapse(near, mesh, held, h, rings):  # type: ignore[no-untyped-def]
    """Merge one end of an edge into the other where that keeps all sheets; whether it was done."""
    faces, mates = mesh[3], mesh[4]
    for turn in range(2):
        g = h if turn == 0 else np.int64(mates[h])
        if not held[start(faces, g)] and merge(near, mesh, g, True, True, rings):
            return True
    return False


@nb.njit(cache=True)
def _try_flip(mesh, h):  # type: ignore[no-untyped-def]
    """Flip an edge inside one sheet if the worse of its faces gets better; whether it was done."""
    v, faces, mates = mesh[0], mesh[3], mesh[4]
    a, b, c, d = corners(faces, mates, h)
    if common_plane(mesh, a, b, c) < 0 or common_plane(mesh, a, b, d) < 0:
        return False
    old = max(smallest_cosine(v, a, b, c), smallest_cosine(v, b, a, d))
    if max(smallest_cosine(v, a, d, c), smallest_cosine(v, b, c, d)) >= old:
        return False
    return swap(mesh, h)


@nb.njit(cache=True)
def _foot(mesh, a, b, c, slack, x, shared):  # type: ignore[no-untyped-def]
    """Where c would stand on crease ab: fills x (3,) and the crease's planes; how many, 0 for no.

    Every sheet of c must be one of the crease, within `slack`, and the foot well between its ends.
    """
    v, planes, count = mesh[0], mesh[1], mesh[2]
    total = 0
    for i in range(count[a]):
        for j in range(count[b]):
            if dot(planes[a, i], planes[b, j]) > SAME and total < PLANES:
                shared[total] = planes[a, i]
                total += 1
                break
    if total < 2 or count[c] >= total:
        return 0
    e = (v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2])
    t = height(e, v[a], v[c]) / dot(e, e)
    if min(t, 1.0 - t) < BESIDE or aside(v[a], v[b], v[c]) > CAP**2 * dot(e, e):
        return 0
    for k in range(3):
        x[k] = on_lattice(v[a, k] + t * e[k])
    for i in range(count[c]):
        known = False
        for k in range(total):
            known |= dot(planes[c, i], shared[k]) > SAME
        if not known or abs(height(planes[c, i], v[c], x)) > slack:
            return 0
    return total


@nb.njit(cache=True)
def _all_upright(mesh, a, ring, total):  # type: ignore[no-untyped-def]
    """Whether the faces round a, which `total` half-edges leave, look the way they should."""
    faces = mesh[3]
    for i in range(total):
        h = ring[i]
        if not upright(mesh, a, start(faces, after(h)), start(faces, before(h)), True):
            return False
    return True


@nb.njit(cache=True)
def _to_crease(near, mesh, h, ring):  # type: ignore[no-untyped-def]
    """Flatten a cap on a crease, its longest side h: the tip goes there; whether it was done.

    What takes a cap for folded flat would see the crease run over its tip.
    """
    v, planes, count, faces, mates, leaving = mesh
    a, b, c, d = corners(faces, mates, h)
    if c == d or edge_between(faces, mates, leaving, c, d) >= 0:
        return False
    x, shared = np.empty(3), np.empty((PLANES, 3))
    total = _foot(mesh, a, b, c, ON_SHEET * near[4], x, shared)
    spread = spokes(mates, leaving[c], ring)
    if total == 0 or spread == 0:
        return False
    place, sheets, known = v[c].copy(), planes[c].copy(), count[c]
    v[c], count[c] = x, total
    planes[c, :total] = shared[:total]
    flip(faces, mates, leaving, h)
    spread = spokes(mates, leaving[c], ring)
    if spread > 0 and _all_upright(mesh, c, ring, spread):
        return True
    for _ in range(3):
        flip(faces, mates, leaving, 3 * (h // 3) + 1)
    v[c], planes[c], count[c] = place, sheets, known
    return False


@nb.njit(cache=True)
def _better(near, mesh, held, f, folded, rings):  # type: ignore[no-untyped-def]
    """Try what may better face f; whether something was done."""
    v, faces = mesh[0], mesh[3]
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    one, two, three = aside(v[a], v[a], v[b]), aside(v[b], v[b], v[c]), aside(v[c], v[c], v[a])
    short = 0 if one <= two and one <= three else (1 if two <= three else 2)
    long = 0 if one >= two and one >= three else (1 if two >= three else 2)
    if _to_crease(near, mesh, 3 * f + long, rings[0]):
        return True
    if _try_collapse(near, mesh, held, 3 * f + short, rings) or _try_flip(mesh, 3 * f + long):
        return True
    if folded:
        for k in range(3):
            if swap(mesh, 3 * f + k) or _try_collapse(near, mesh, held, 3 * f + k, rings):
                return True
    return False


@nb.njit(cache=True)
def tidy_creases(near, mesh, held):  # type: ignore[no-untyped-def]
    """Better slivers at creases, and faces that look the wrong way, in passes; changes made."""
    v, count, faces = mesh[0], mesh[2], mesh[3]
    rings = np.empty((2, MOST_SPOKES), np.int64)
    total = 0
    for _ in range(6):
        done = 0
        for f in range(faces.shape[0]):
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            if a < 0 or held[a] or held[b] or held[c]:
                continue
            whole = common_plane(mesh, a, b, c) >= 0
            folded = whole and not upright(mesh, a, b, c, True)
            sliver = smallest_cosine(v, a, b, c) >= BLUNT
            at_crease = not whole or max(count[a], max(count[b], count[c])) > 1
            if folded or (sliver and at_crease):
                done += _better(near, mesh, held, f, folded, rings)
        total += done
        if done == 0:
            break
    return total
