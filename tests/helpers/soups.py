"""Random triangles, for tests of what has no shape."""

import numpy as np

from preprocessing.mesh import Mesh


def soup(seed: int) -> Mesh:
    """Twelve triangles that share nothing and cross, about two units wide."""
    draw = np.random.default_rng(seed)
    corners = draw.uniform(-1, 1, (12, 1, 3)) + 0.5 * draw.normal(size=(12, 3, 3))
    return Mesh(corners.reshape(-1, 3), np.arange(36).reshape(-1, 3))
