"""Kernels that better the slivers beside creases, every vertex staying on its sheets."""

import numba as nb
import numpy as np

from preprocessing.solid.remesh.fairness_kernels import smallest_cosine
from preprocessing.solid.remesh.halfedge_edit_kernels import (
    MOST_SPOKES,
    collapse,
    corners,
    may_collapse,
    start,
)
from preprocessing.solid.sharp.crease_edit_kernels import ON_SHEET, swap
from preprocessing.solid.sharp.sheet_kernels import (
    BLUNT,
    aside,
    common_plane,
    fits,
    has_all,
    upright,
)


@nb.njit(cache=True)
def _try_collapse(near, mesh, held, h, rings):  # type: ignore[no-untyped-def]
    """Merge one end of an edge into the other where that keeps all sheets; whether it was done."""
    faces, mates, leaving = mesh[3], mesh[4], mesh[5]
    for turn in range(2):
        g = h if turn == 0 else mates[h]
        a, b = start(faces, g), start(faces, mates[g])
        if held[a] or not has_all(mesh, a, b, ON_SHEET * near[4]):
            continue
        ring, _ = may_collapse(faces, mates, g, rings[0], rings[1])
        if ring > 0 and fits(mesh, a, b, rings[0], ring, True, True):
            collapse(faces, mates, leaving, g, rings[0], ring)
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
def _better(near, mesh, held, f, folded, rings):  # type: ignore[no-untyped-def]
    """Try what may better face f; whether something was done."""
    v, faces = mesh[0], mesh[3]
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    one, two, three = aside(v[a], v[a], v[b]), aside(v[b], v[b], v[c]), aside(v[c], v[c], v[a])
    short = 0 if one <= two and one <= three else (1 if two <= three else 2)
    long = 0 if one >= two and one >= three else (1 if two >= three else 2)
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
