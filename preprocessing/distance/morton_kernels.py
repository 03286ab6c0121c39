"""Morton codes: the bits of x, y and z interleaved, so that near codes are near points."""

import numba
import numpy as np


@numba.njit(inline="always")
def spread(value):  # type: ignore[no-untyped-def]
    """Put two zero bits after each of the low 21 bits of a uint64."""
    value = (value | (value << np.uint64(32))) & np.uint64(0x1F00000000FFFF)
    value = (value | (value << np.uint64(16))) & np.uint64(0x1F0000FF0000FF)
    value = (value | (value << np.uint64(8))) & np.uint64(0x100F00F00F00F00F)
    value = (value | (value << np.uint64(4))) & np.uint64(0x10C30C30C30C30C3)
    return (value | (value << np.uint64(2))) & np.uint64(0x1249249249249249)


@numba.njit(cache=True, nogil=True)
def bounding_cube(points):  # type: ignore[no-untyped-def]
    """Lowest corner float64 (3,) of points (N,3), and their longest side."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for i in range(len(points)):
        for axis in range(3):
            low[axis] = min(low[axis], points[i, axis])
            high[axis] = max(high[axis], points[i, axis])
    return low, (high - low).max()


@numba.njit(cache=True, nogil=True)
def morton_codes(points, low, scale, bits):  # type: ignore[no-untyped-def]
    """Codes uint64 (N,) of points (N,3): cell = (point - low) * scale, clipped to `bits` bits."""
    codes = np.empty(len(points), np.uint64)
    top = np.int64(1 << bits) - 1
    for i in range(len(points)):
        code = np.uint64(0)
        for axis in range(3):
            cell = np.int64((np.float64(points[i, axis]) - low[axis]) * scale)
            cell = min(max(cell, 0), top)
            code |= spread(np.uint64(cell)) << np.uint64(axis)
        codes[i] = code
    return codes


@numba.njit(cache=True, nogil=True)
def radix_argsort(codes, bits):  # type: ignore[no-untyped-def]
    """Stable order int64 (N,) of uint64 codes that use their low `bits` bits, 11 bits a pass."""
    total = len(codes)
    order = np.arange(total)
    other = np.empty(total, np.int64)
    for shift in range(0, bits, 11):
        starts = np.zeros(2049, np.int64)
        for i in range(total):
            starts[((codes[i] >> np.uint64(shift)) & np.uint64(2047)) + 1] += 1
        for d in range(2048):
            starts[d + 1] += starts[d]
        for i in range(total):
            digit = (codes[order[i]] >> np.uint64(shift)) & np.uint64(2047)
            other[starts[digit]] = order[i]
            starts[digit] += 1
        order, other = other, order
    return order
