"""Exact farthest point sampling (FPS): one order whose every prefix is the sample of that size."""

import numpy as np

from preprocessing.distance.morton import morton_order
from preprocessing.points.fps_kernels import select_farthest

BUCKET = 64  # points; measured best of 32..128, in groups of 16, for 200,000 -> 32,768


def farthest_points(points: np.ndarray, count: int, start: int = 0) -> np.ndarray:
    """The first `count` points of the farthest point order of `points`, int64 (count,).

    `points` (N,3) float, used as float32. The order begins with row `start`; each next point is
    the one with the greatest squared distance (dx² + dy² + dz² in float32) to those chosen, and of
    equal ones the one with the lowest index, as a plain loop with argmax gives. No row is chosen
    twice, so `count = N` yields a permutation also where points coincide. The result is a pure
    function of the input: no threads, no randomness.

    Raises ValueError for a wrong shape, points that are not finite, or `count` or `start` out of
    range.
    """
    points = np.asarray(points, np.float32)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points must have the shape (N, 3), not {points.shape}")
    total = len(points)
    if not 0 <= count <= total:
        raise ValueError(f"cannot choose {count} of {total} points")
    if count == 0:
        return np.empty(0, np.int64)
    if not 0 <= start < total:
        raise ValueError(f"start must be a row from 0 to {total - 1}, not {start}")
    if not np.isfinite(points).all():
        raise ValueError("points must be finite")
    index = morton_order(points)
    offsets = np.append(np.arange(0, total, BUCKET), total)
    # Inside a bucket by index: the first of equal distances is then the lowest index.
    whole = total // BUCKET * BUCKET
    index[:whole].reshape(-1, BUCKET).sort(axis=1)
    index[whole:].sort()
    x, y, z = np.ascontiguousarray(points[index].T)
    return select_farthest(x, y, z, index, offsets, count, start)
