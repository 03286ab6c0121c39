"""Kernels that lay a coarse dense field over bricks."""

import numba as nb
import numpy as np

from preprocessing.frame import HALF_WIDTH


@nb.njit(cache=True, inline="always")
def _sample(coarse, x, y, z):  # type: ignore[no-untyped-def]
    """Trilinear value of a dense field at grid coordinates, clamped to its border."""
    n = coarse.shape[0] - 1
    x, y, z = min(max(x, 0.0), n), min(max(y, 0.0), n), min(max(z, 0.0), n)
    i, j, k = min(int(x), n - 1), min(int(y), n - 1), min(int(z), n - 1)
    u, v, w = x - i, y - j, z - k
    total = 0.0
    for corner in range(8):
        a, b, c = corner >> 2, (corner >> 1) & 1, corner & 1
        weight = (u if a else 1.0 - u) * (v if b else 1.0 - v) * (w if c else 1.0 - w)
        total += weight * coarse[i + a, j + b, k + c]
    return total


@nb.njit(parallel=True, cache=True)
def raise_values(bricks, values, coarse, ratio):  # type: ignore[no-untyped-def]
    """values = max(values, coarse field) in place; `ratio` coarse cells to a fine one."""
    for b in nb.prange(bricks.shape[0]):
        for i in range(9):
            x = ratio * (8 * bricks[b, 0] + i)
            for j in range(9):
                y = ratio * (8 * bricks[b, 1] + j)
                for k in range(9):
                    raised = np.float32(_sample(coarse, x, y, ratio * (8 * bricks[b, 2] + k)))
                    values[b, i, j, k] = max(values[b, i, j, k], raised)


@nb.njit(parallel=True, cache=True)
def sample_field(points, coarse, step):  # type: ignore[no-untyped-def]
    """The coarse field at points (P,3) of the normalised frame, float64 (P,)."""
    found = np.empty(points.shape[0], np.float64)
    for p in nb.prange(points.shape[0]):
        found[p] = _sample(
            coarse,
            (points[p, 0] + HALF_WIDTH) / step,
            (points[p, 1] + HALF_WIDTH) / step,
            (points[p, 2] + HALF_WIDTH) / step,
        )
    return found
