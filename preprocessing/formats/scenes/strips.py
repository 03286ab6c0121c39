"""Strips and fans of triangles to single ones."""

import numpy as np


def strip(corners: np.ndarray) -> np.ndarray:
    """Triangles (n-2,3) of a strip (n,): every second one turned, so that all face one way."""
    if len(corners) < 3:
        return np.empty((0, 3), np.int64)
    triangles = np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1)
    triangles[1::2] = triangles[1::2, [1, 0, 2]]
    return triangles


def fan(corners: np.ndarray) -> np.ndarray:
    """Triangles (n-2,3) of a fan (n,) about its first corner."""
    if len(corners) < 3:
        return np.empty((0, 3), np.int64)
    first = np.full(len(corners) - 2, corners[0])
    return np.stack([first, corners[1:-1], corners[2:]], axis=1)
