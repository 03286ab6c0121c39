"""Compiled loops over half-edges: who lies across each, how many fans, how many components.

Half-edge h = 3 f + k runs from corner k of face f to corner k + 1.
"""

from typing import NamedTuple

import numba
import numpy as np

BOUNDARY, NONMANIFOLD, COLLAPSED = -1, -2, -3


class HalfEdges(NamedTuple):
    """What lies across each half-edge, and counts of edges.

    `mates` int64 (3F,): the half-edge on the other side, or BOUNDARY for an edge of one face,
    NONMANIFOLD for one of three or more, COLLAPSED for the half-edges of a face that names a
    vertex twice: such a face takes no part. Of the `edges`: `boundary` have one face,
    `nonmanifold` three or more, `flipped` two that run along it in the same direction;
    `unbalanced` are all those that faces do not run along equally often in both directions.
    """

    mates: np.ndarray
    boundary: int
    nonmanifold: int
    unbalanced: int
    flipped: int
    edges: int


@numba.njit(cache=True, nogil=True)
def match_half_edges(faces, vertex_count):  # type: ignore[no-untyped-def]
    """Match the half-edges of faces (F,3) whose rows are below `vertex_count`: `HalfEdges`."""
    halves = 3 * len(faces)
    mates = np.full(halves, COLLAPSED, np.int64)
    lower = np.empty(halves, np.int64)
    upper = np.empty(halves, np.int64)
    starts = np.zeros(vertex_count + 1, np.int64)
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if a == b or b == c or c == a:
            lower[3 * f : 3 * f + 3] = -1
            continue
        for k in range(3):
            first, second = faces[f, k], faces[f, (k + 1) % 3]
            lower[3 * f + k], upper[3 * f + k] = min(first, second), max(first, second)
            starts[min(first, second) + 1] += 1
    for v in range(vertex_count):
        starts[v + 1] += starts[v]
    grouped = np.empty(starts[vertex_count], np.int64)
    fill = starts.copy()
    for h in range(halves):
        if lower[h] >= 0:
            grouped[fill[lower[h]]] = h
            fill[lower[h]] += 1

    boundary = nonmanifold = unbalanced = flipped = edges = 0
    for v in range(vertex_count):
        group = grouped[starts[v] : starts[v + 1]]
        if len(group) > 64:
            group[:] = group[np.argsort(upper[group], kind="mergesort")]
        else:
            for i in range(1, len(group)):
                moved, j = group[i], i - 1
                while j >= 0 and upper[group[j]] > upper[moved]:
                    group[j + 1] = group[j]
                    j -= 1
                group[j + 1] = moved
        i = 0
        while i < len(group):
            j = i + 1
            while j < len(group) and upper[group[j]] == upper[group[i]]:
                j += 1
            balance = 0
            for k in range(i, j):
                forward = faces[group[k] // 3, group[k] % 3] == v
                balance += 1 if forward else -1
            edges += 1
            unbalanced += balance != 0
            if j - i == 2:
                flipped += balance != 0
                mates[group[i]], mates[group[i + 1]] = group[i + 1], group[i]
            else:
                code = BOUNDARY if j - i == 1 else NONMANIFOLD
                boundary += code == BOUNDARY
                nonmanifold += code == NONMANIFOLD
                for k in range(i, j):
                    mates[group[k]] = code
            i = j
    return HalfEdges(mates, boundary, nonmanifold, unbalanced, flipped, edges)


@numba.njit(cache=True, nogil=True)
def count_fans(mates):  # type: ignore[no-untyped-def]
    """Fans of faces round vertices, of a closed mesh: one a vertex where it is manifold.

    `mates` int64 (3F,) as of `HalfEdges`, each a half-edge that runs the other way.
    """
    seen = np.zeros(len(mates), np.bool_)
    fans = 0
    for start in range(len(mates)):
        if seen[start]:
            continue
        fans += 1
        h = start
        while not seen[h]:
            seen[h] = True
            # The half-edge before h in its face arrives where h starts; its mate starts there.
            h = mates[h - 1 if h % 3 else h + 2]
    return fans


@numba.njit(cache=True, inline="always")
def _root(parent, v):  # type: ignore[no-untyped-def]
    while parent[v] != v:
        parent[v] = parent[parent[v]]
        v = parent[v]
    return v


@numba.njit(cache=True)
def vertex_components(count, faces):  # type: ignore[no-untyped-def]
    """Component of each vertex, int32 (V,), numbered by first vertex, and their number.

    Vertices that no face uses form components of their own.
    """
    parent = np.arange(count).astype(np.int32)
    for f in range(faces.shape[0]):
        a = _root(parent, faces[f, 0])
        b = _root(parent, faces[f, 1])
        if a < b:
            parent[b] = a
        elif b < a:
            parent[a] = b
            a = b
        c = _root(parent, faces[f, 2])
        if a < c:
            parent[c] = a
        else:
            parent[a] = c
    found = 0
    for v in range(count):
        if parent[v] == v:
            parent[v] = found
            found += 1
        else:
            parent[v] = parent[parent[v]]
    return parent, found
