"""Polygons of any number of corners to triangles."""

import numpy as np

from preprocessing.mesh_errors import MeshError


def check_indices(indices: np.ndarray, vertex_count: int) -> None:
    """Raise MeshError(index-out-of-range) unless all of `indices` are in 0..vertex_count-1."""
    if len(indices) and (indices.min() < 0 or indices.max() >= vertex_count):
        wrong = int(indices.min() if indices.min() < 0 else indices.max())
        raise MeshError(
            "index-out-of-range", f"a face names vertex {wrong}, but there are {vertex_count}"
        )


def triangulate(vertices: np.ndarray, corners: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Triangles (F,3) of polygons given as one flat list of `corners` and `counts` per polygon.

    Polygons of less than three corners vanish. A polygon is cut into a fan from the corner whose
    fan folds least: for a concave quad that is the right diagonal; a fan cuts larger concave
    polygons only approximately. Raises MeshError(index-out-of-range).
    """
    check_indices(corners, len(vertices))
    starts = np.cumsum(counts) - counts
    triangles, order = [], []
    for size in np.unique(counts[counts >= 3]):
        which = np.flatnonzero(counts == size)
        polygons = corners[starts[which][:, None] + np.arange(size)]
        if size > 3:
            polygons = turn_to_best_fan(vertices, polygons)
        fan = np.stack([np.arange(1, size - 1), np.arange(2, size)], axis=1)
        first = np.broadcast_to(polygons[:, :1, None], (len(which), size - 2, 1))
        triangles.append(np.concatenate([first, polygons[:, fan]], axis=2).reshape(-1, 3))
        order.append(np.repeat(which, size - 2))
    if not triangles:
        return np.empty((0, 3), np.int64)
    if len(triangles) == 1:
        return triangles[0].astype(np.int64)
    return np.concatenate(triangles)[np.argsort(np.concatenate(order), kind="stable")]


def turn_to_best_fan(vertices: np.ndarray, polygons: np.ndarray) -> np.ndarray:
    """Rotate the corners (P,n) of each polygon so that the fan from its first corner folds least.

    Only polygons whose fan has a triangle facing away from the polygon are touched.
    """
    polygons = polygons.copy()
    places = vertices[polygons]
    # Newell's normal: the sum of the fan's, wherever the fan starts.
    crosses = np.cross(places[:, 1:-1] - places[:, :1], places[:, 2:] - places[:, :1])
    normal = crosses.sum(axis=1, keepdims=True)
    folded = np.flatnonzero(((crosses * normal).sum(axis=2) < 0).any(axis=1))
    for index in folded:
        best, best_fold = 0, -np.inf
        for start in range(polygons.shape[1]):
            turned = np.roll(places[index], -start, axis=0)
            fan = np.cross(turned[1:-1] - turned[0], turned[2:] - turned[0])
            fold = float((fan @ normal[index, 0]).min())
            if fold > best_fold:
                best, best_fold = start, fold
        polygons[index] = np.roll(polygons[index], -best)
    return polygons
