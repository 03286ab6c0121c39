"""The order of a balanced tree: points split in halves at the median of their longest side."""

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def select(values, order, begin, end, place):  # type: ignore[no-untyped-def]
    """Reorder order[begin:end] so that `place` holds the entry that sorting by value puts there.

    Hoare's selection with the median of three; entries before are not above it, after not below.
    """
    low, high = begin, end - 1
    while low < high:
        middle = (low + high) // 2
        a, b, c = values[order[low]], values[order[middle]], values[order[high]]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while values[order[i]] < pivot:
                i += 1
            while values[order[j]] > pivot:
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if place <= j:
            high = j
        elif place >= i:
            low = i
        else:
            return


@numba.njit(cache=True, nogil=True)
def split_order(x, y, z, leaf):  # type: ignore[no-untyped-def]
    """Order int64 (N,) of points x, y, z (N,): every subtree over full leaves is one run of it.

    Each split gives the left half a power of two of full leaves, so that the runs match the nodes
    of an implicit tree over leaves of `leaf` points.
    """
    order = np.arange(len(x))
    stack = np.empty((128, 2), np.int64)
    stack[0, 0], stack[0, 1], depth = 0, len(x), 1
    while depth > 0:
        depth -= 1
        begin, end = stack[depth, 0], stack[depth, 1]
        count = end - begin
        if count <= leaf:
            continue
        left = leaf
        while 2 * left < count:
            left *= 2
        low_x = low_y = low_z = np.inf
        high_x = high_y = high_z = -np.inf
        for i in range(begin, end):
            at = order[i]
            low_x, high_x = min(low_x, x[at]), max(high_x, x[at])
            low_y, high_y = min(low_y, y[at]), max(high_y, y[at])
            low_z, high_z = min(low_z, z[at]), max(high_z, z[at])
        side_x, side_y, side_z = high_x - low_x, high_y - low_y, high_z - low_z
        if side_x >= side_y and side_x >= side_z:
            select(x, order, begin, end, begin + left)
        elif side_y >= side_z:
            select(y, order, begin, end, begin + left)
        else:
            select(z, order, begin, end, begin + left)
        stack[depth, 0], stack[depth, 1] = begin, begin + left
        stack[depth + 1, 0], stack[depth + 1, 1] = begin + left, end
        depth += 2
    return order
