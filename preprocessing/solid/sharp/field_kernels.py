"""Kernel that lays the mitred edges and corners over a field of Euclidean offsets."""

import math

import numba as nb
import numpy as np

from preprocessing.distance.mitre_kernels import KIND
from preprocessing.frame import HALF_WIDTH
from preprocessing.solid.projection_kernels import box_distance, nearest_on


@nb.njit(inline="always")
def _span(low, high, origin, step):  # type: ignore[no-untyped-def]
    """The brick's corners along an axis that lie between two places, as a range."""
    return max(0, math.ceil((low - origin) / step)), min(7, math.floor((high - origin) / step)) + 1


@nb.njit(parallel=True, cache=True)
def raise_corners(values, rows, bricks, offsets, triangles, records, lengths):  # type: ignore[no-untyped-def]
    """Raise values[rows], float32 (B,9,9,9), to eps minus the distance to mitred features.

    As brick_kernels.fill_corners, whose values these are: owned corners, lengths (eps, margin,
    step).
    """
    eps, margin, step = lengths
    for at in nb.prange(rows.shape[0]):
        b = rows[at]
        ox = -HALF_WIDTH + step * (8 * bricks[b, 0])
        oy = -HALF_WIDTH + step * (8 * bricks[b, 1])
        oz = -HALF_WIDTH + step * (8 * bricks[b, 2])
        for pair in range(offsets[b], offsets[b + 1]):
            t = triangles[pair]
            r = records[t]
            if r[KIND] >= 0.0:
                continue
            i0, i1 = _span(r[24] - margin, r[27] + margin, ox, step)
            j0, j1 = _span(r[25] - margin, r[28] + margin, oy, step)
            k0, k1 = _span(r[26] - margin, r[29] + margin, oz, step)
            for i in range(i0, i1):
                for j in range(j0, j1):
                    for k in range(k0, k1):
                        x, y, z = ox + step * i, oy + step * j, oz + step * k
                        known = eps - values[b, i, j, k]
                        if box_distance(r, x, y, z) < known * known:
                            d = nearest_on(records, t, x, y, z)[0]
                            if d < known * known:
                                values[b, i, j, k] = np.float32(eps - math.sqrt(d))
