"""Vertices that stand in one place become one: exactly, or by a tolerance along open seams."""

import numpy as np

from preprocessing.half_edges import edge_faults, open_edges

MIXER = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: an odd multiplier that spreads bits (Knuth)."""

FLOAT32 = float(np.finfo(np.float32).eps)
MOST = 1e150
"""Coordinates beyond it cannot be squared; load_mesh refuses them by name."""

SEAM = 2e-6
"""How far apart the sides of a seam may lie, over the longest side of the mesh: six decimals."""


def drop_degenerate(faces: np.ndarray) -> np.ndarray:
    """Faces (F,3) without those that name a vertex twice."""
    a, b, c = faces.T
    return faces[(a != b) & (b != c) & (c != a)]


def closed_by_index(faces: np.ndarray) -> bool:
    """Whether each edge belongs to exactly two faces, by indices alone."""
    return len(faces) > 0 and edge_faults(faces).two_faces_each


def without_indices(vertices: np.ndarray, faces: np.ndarray) -> bool:
    """Whether each corner of each face has a vertex of its own, as in a format without indices."""
    count = 3 * len(faces)
    return len(vertices) == count and bool((np.bincount(faces.ravel(), minlength=count) == 1).all())


def join_positions(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (W,3) without repeated places, in order of first use, and (V,) old -> new index.

    Equal means equal as numbers (0.0 and -0.0 are one place); NaN equals nothing.
    """
    # Sorting one hash a place is three times as fast as sorting the places; a collision (or NaN)
    # shows as a vertex that is not where its group is, and then the places themselves are sorted.
    bits = np.ascontiguousarray(vertices + 0.0).view(np.uint64)
    keys = np.zeros(len(bits), np.uint64)
    for axis in range(3):
        keys = (keys ^ (bits[:, axis] >> np.uint64(29)) ^ bits[:, axis]) * MIXER
    first, group = np.unique(keys, return_index=True, return_inverse=True)[1:]
    if not (vertices[first][group] == vertices).all():
        order = np.lexsort(vertices.T[::-1])
        new = np.ones(len(order), bool)
        new[1:] = (vertices[order[1:]] != vertices[order[:-1]]).any(axis=1)
        # lexsort is stable, so the first row of each group is the first in the file.
        first, group = order[new], np.empty(len(order), np.int64)
        group[order] = np.cumsum(new) - 1
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return vertices[np.sort(first)], rank[group]


def weld_seams(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, int, float]:
    """Which vertex (V,) stands for each, how many were joined to another, and the farthest way.

    Only vertices on open edges of faces (F,3) are joined, within SEAM of the longest side, and only
    where that leaves fewer edges open. Two corners of one face stay two, and so does a row of
    vertices finer than that.
    """
    from scipy.spatial import cKDTree

    same = np.arange(len(vertices))
    rim = np.unique(open_edges(faces))
    places = vertices[rim]
    if len(rim) == 0 or not (np.abs(places) < MOST).all():
        return same, 0, 0.0
    longest = float((places.max(axis=0) - places.min(axis=0)).max())
    reach = max(SEAM * longest, 4 * FLOAT32 * float(np.abs(places).max()))
    pairs = cKDTree(places).query_pairs(reach, output_type="ndarray")
    if len(pairs) == 0:
        return same, 0, 0.0
    which = same.copy()
    which[rim] = rim[clusters(places, pairs, 2 * reach)]
    joined = which[faces]
    folded = joined[(joined == np.roll(joined, 1, axis=1)).any(axis=1)]
    which = np.where(np.isin(which, folded[folded == np.roll(folded, 1, axis=1)]), same, which)
    if edge_faults(which[faces]).open_edges >= edge_faults(faces).open_edges:
        return same, 0, 0.0
    gap = float(np.linalg.norm(vertices[which] - vertices, axis=1).max())
    return which, int((which != same).sum()), gap


def clusters(places: np.ndarray, pairs: np.ndarray, widest: float) -> np.ndarray:
    """The first place (N,) of those that hang together by `pairs` (K,2).

    Places (N,3) that spread over more than `widest` are left alone.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(places)
    links = coo_array((np.ones(len(pairs), bool), pairs.T), (count, count))
    groups, labels = connected_components(links, directed=False)
    low, high = np.full((groups, 3), np.inf), np.full((groups, 3), -np.inf)
    np.minimum.at(low, labels, places)
    np.maximum.at(high, labels, places)
    first = np.full(groups, count)
    np.minimum.at(first, labels, np.arange(count))
    wide = (high - low).max(axis=1) > widest
    return np.where(wide[labels], np.arange(count), first[labels])
