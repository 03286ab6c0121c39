"""Kernels that find the convex corners of a mesh and write the pages of its features (mitre.py).

What meets at vertex v: directions[ways[v]:ways[v + 1]] of its edges, unit vectors away from it, and
normals[owns[v]:owns[v + 1]] of its faces.
"""

import math

import numba as nb
import numpy as np

SAME = 1.0 - 1e-9  # cosine of normals that are one
TURNS = 500
# Sine of the least angle that all edges keep from being nearest: a narrower cone has no inside.
INSIDE = 1e-3
ABOVE = 1e-9


@nb.njit(cache=True)
def _is_convex(directions):  # type: ignore[no-untyped-def]
    """Whether a direction is at more than a right angle to all (K,3): the perceptron's search."""
    d = np.zeros(3)
    for k in range(directions.shape[0]):
        d -= directions[k]
    for _ in range(TURNS):
        size = math.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
        if size == 0.0:
            return False
        d /= size
        most = -2.0
        worst = 0
        for k in range(directions.shape[0]):
            e = directions[k]
            along = d[0] * e[0] + d[1] * e[1] + d[2] * e[2]
            if along > most:
                most, worst = along, k
        if most < -INSIDE:
            return True
        d -= max(0.05, 1.5 * (most + INSIDE)) * directions[worst]
    return False


@nb.njit(cache=True)
def _is_new(normals, first, k):  # type: ignore[no-untyped-def]
    """Whether no normal from `first` on and before k is that of k, or its opposite."""
    for i in range(first, k):
        dot = normals[i, 0] * normals[k, 0] + normals[i, 1] * normals[k, 1]
        if abs(dot + normals[i, 2] * normals[k, 2]) > SAME:
            return False
    return True


@nb.njit(parallel=True, cache=True)
def convex_corners(corners, ways, directions, owns, normals):  # type: ignore[no-untyped-def]
    """Which vertices (K,) are convex corners, and the numbers their pages take, int64 (K,)."""
    kept = np.zeros(corners.shape[0], np.bool_)
    sizes = np.zeros(corners.shape[0], np.int64)
    for c in nb.prange(corners.shape[0]):
        v = corners[c]
        if not _is_convex(directions[ways[v] : ways[v + 1]]):
            continue
        kept[c] = True
        planes = 0
        for k in range(owns[v], owns[v + 1]):
            planes += _is_new(normals, owns[v], k)
        sizes[c] = 2 + 3 * (ways[v + 1] - ways[v] + planes)
    return kept, sizes


@nb.njit(parallel=True, cache=True)
def fill_corners(text, base, corners, ways, directions, owns, normals):  # type: ignore[no-untyped-def]
    """Write the pages of convex corners (K,), which begin at text[base[k]]."""
    for c in nb.prange(corners.shape[0]):
        v = corners[c]
        at = base[c]
        text[at] = ways[v + 1] - ways[v]
        planes = 0
        i = at + 2
        for k in range(ways[v], ways[v + 1]):
            text[i : i + 3] = directions[k]
            i += 3
        for k in range(owns[v], owns[v + 1]):
            if _is_new(normals, owns[v], k):
                text[i : i + 3] = normals[k]
                i += 3
                planes += 1
        text[at + 1] = planes


@nb.njit(cache=True)
def _stands_over(row, bisector, turn, n):  # type: ignore[no-untyped-def]
    """Whether the plane with normal turn * n is over those of an edge somewhere between them.

    Where they are lowest, that is on the bisector, or either side of a bevel where a face meets it.
    """
    bevelled = row[6] != 0.0 or row[7] != 0.0 or row[8] != 0.0
    for side in range(2):
        most = over = 0.0
        for x in range(3):
            way = bisector[x] + (row[9 + 3 * side + x] if bevelled else 0.0)
            most += way * row[9 + 3 * side + x]
            over += turn * way * n[x]
        if over > most + ABOVE:
            return True
    return False


@nb.njit(cache=True)
def _cuts(row, bisector, sign, first, last, normals, found):  # type: ignore[no-untyped-def]
    """Normals that cut an edge's mitre off at one end, written to found; how many.

    sign: 1 at the start of the edge and -1 at its end.
    """
    count = 0
    long = math.sqrt(row[3] * row[3] + row[4] * row[4] + row[5] * row[5])
    for k in range(first, last):
        n = normals[k]
        along = sign * (n[0] * row[3] + n[1] * row[4] + n[2] * row[5]) / long
        turn = 1.0 if along < 0.0 else -1.0
        new = abs(along) > ABOVE and _is_new(normals, first, k)
        if new and _stands_over(row, bisector, turn, n):
            for x in range(3):
                found[count, x] = turn * n[x]
            count += 1
    return count


@nb.njit(parallel=True, cache=True)
def count_cuts(rows, bisectors, ends, plain, owns, normals):  # type: ignore[no-untyped-def]
    """The numbers that the pages of edges (K,30) take, int64 (K,): 0 where nothing cuts them off.

    plain (V,): vertices whose faces are not all known.
    """
    sizes = np.zeros(rows.shape[0], np.int64)
    for e in nb.prange(rows.shape[0]):
        total = 0
        for end in range(2):
            v = ends[e, end]
            if not plain[v]:
                found = np.empty((owns[v + 1] - owns[v], 3))
                sign = 1.0 - 2.0 * end
                total += _cuts(rows[e], bisectors[e], sign, owns[v], owns[v + 1], normals, found)
        if total > 0:
            sizes[e] = 2 + 3 * total
    return sizes


@nb.njit(parallel=True, cache=True)
def fill_cuts(text, base, rows, bisectors, ends, plain, owns, normals):  # type: ignore[no-untyped-def]
    """Write the pages of edges that have one; as count_cuts and fill_corners."""
    for e in nb.prange(rows.shape[0]):
        i = base[e] + 2
        for end in range(2):
            v = ends[e, end]
            if not plain[v]:
                found = np.empty((owns[v + 1] - owns[v], 3))
                sign = 1.0 - 2.0 * end
                count = _cuts(rows[e], bisectors[e], sign, owns[v], owns[v + 1], normals, found)
                if count > 0:
                    text[base[e] + end] = count
                for k in range(count):
                    text[i : i + 3] = found[k]
                    i += 3
