"""Order along a Morton (Z-order) curve: neighbours in the order are mostly neighbours in space."""

import numpy as np

from preprocessing.distance.morton_kernels import bounding_cube, morton_codes, radix_argsort

BITS = 11  # per axis: 2048 cells along the longest side


def morton_order(points: np.ndarray) -> np.ndarray:
    """Rows of `points` (N,3), finite, along a Morton curve through their bounding cube, int64 (N,).

    Points of one cell keep their order, so the result is a pure function of the input.
    """
    if len(points) == 0:
        return np.empty(0, np.int64)
    low, side = bounding_cube(points)
    scale = (1 << BITS) / side if side > 0 else 0.0
    return radix_argsort(morton_codes(points, low, scale, BITS), 3 * BITS)
