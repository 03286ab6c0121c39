"""Kernels of the marching cubes over bricks; isosurface.py explains the steps.

Signs are kept as bits: 81 rows of 9 bits a brick. A brick owns the grid edges that start at one of
its 8x8x8 lower corners; the crossed ones are bits too, 24 a row (x, y, z edges of 8 corners), so a
vertex number is a row's start plus a count of lower bits.
"""

import numba as nb
import numpy as np


@nb.njit(inline="always")
def _bits(mask):  # type: ignore[no-untyped-def]
    """Number of set bits of a 24-bit integer."""
    mask = mask - ((mask >> 1) & 0x555555)
    mask = (mask & 0x333333) + ((mask >> 2) & 0x333333)
    mask = (mask + (mask >> 4)) & 0x0F0F0F
    return (mask + (mask >> 8) + (mask >> 16)) & 0x1F


@nb.njit(parallel=True, cache=True)
def sign_rows(values, level):  # type: ignore[no-untyped-def]
    """Bit k of row (i, j) is set where corner (i, j, k) is above the level: int32 (B,9,9)."""
    rows = np.empty((values.shape[0], 9, 9), np.int32)
    for b in nb.prange(values.shape[0]):
        for i in range(9):
            for j in range(9):
                mask = 0
                for k in range(9):
                    if values[b, i, j, k] > level:
                        mask |= 1 << k
                rows[b, i, j] = mask
    return rows


@nb.njit(parallel=True, cache=True)
def count_elements(signs, triangles_of):  # type: ignore[no-untyped-def]
    """Crossed edges of each owned row, their running start in the brick, and totals per brick."""
    count = signs.shape[0]
    crossed = np.zeros((count, 64), np.int32)
    start = np.zeros((count, 64), np.int16)
    vertices = np.zeros(count, np.int64)
    faces = np.zeros(count, np.int64)
    for b in nb.prange(count):
        total = 0
        triangles = 0
        for i in range(8):
            for j in range(8):
                low = signs[b, i, j]
                right = signs[b, i, j + 1]
                up = signs[b, i + 1, j]
                far = signs[b, i + 1, j + 1]
                mask = (
                    ((low ^ up) & 0xFF)
                    | (((low ^ right) & 0xFF) << 8)
                    | (((low ^ (low >> 1)) & 0xFF) << 16)
                )
                crossed[b, i * 8 + j] = mask
                start[b, i * 8 + j] = total
                total += _bits(mask)
                some = low | right | up | far
                every = low & right & up & far
                active = (some | (some >> 1)) & ~(every & (every >> 1)) & 0xFF
                k = 0
                while active:
                    if active & 1:
                        pattern = (
                            ((low >> k) & 3)
                            | (((right >> k) & 3) << 2)
                            | (((up >> k) & 3) << 4)
                            | (((far >> k) & 3) << 6)
                        )
                        triangles += triangles_of[pattern]
                    active >>= 1
                    k += 1
        vertices[b] = total
        faces[b] = triangles
    return crossed, start, vertices, faces


@nb.njit(parallel=True, cache=True)
def place_vertices(bricks, values, level, crossed, first, origin, step, clearance):  # type: ignore[no-untyped-def]
    """Vertices float64 (V,3) by linear interpolation, at least `clearance` cells off a corner."""
    vertices = np.empty((first[-1], 3), np.float64)
    for b in nb.prange(bricks.shape[0]):
        index = first[b]
        for i in range(8):
            for j in range(8):
                mask = crossed[b, i * 8 + j]
                if mask == 0:
                    continue
                for axis in range(3):
                    for k in range(8):
                        if not (mask >> (8 * axis + k)) & 1:
                            continue
                        low = np.float64(values[b, i, j, k])
                        if axis == 0:
                            high = np.float64(values[b, i + 1, j, k])
                        elif axis == 1:
                            high = np.float64(values[b, i, j + 1, k])
                        else:
                            high = np.float64(values[b, i, j, k + 1])
                        t = (level - low) / (high - low)
                        t = min(max(t, clearance), 1.0 - clearance)
                        x = np.float64(8 * bricks[b, 0] + i)
                        y = np.float64(8 * bricks[b, 1] + j)
                        z = np.float64(8 * bricks[b, 2] + k)
                        if axis == 0:
                            x += t
                        elif axis == 1:
                            y += t
                        else:
                            z += t
                        vertices[index, 0] = origin + step * x
                        vertices[index, 1] = origin + step * y
                        vertices[index, 2] = origin + step * z
                        index += 1
    return vertices


@nb.njit(parallel=True, cache=True)
def place_faces(  # type: ignore[no-untyped-def]
    bricks, lookup, signs, crossed, start, first, first_face, table
):
    """Faces int32 (F,3) in brick order; every vertex is found from its grid edge's owner.

    table: triangles of each pattern, their edges, and each edge's owner and axis.
    """
    triangles_of, edges_of, offset, axes = table
    faces = np.empty((first_face[-1], 3), np.int32)
    n = lookup.shape[0]
    for b in nb.prange(bricks.shape[0]):
        if first_face[b] == first_face[b + 1]:
            continue
        near = np.empty(8, np.int32)
        for slot in range(8):
            x = bricks[b, 0] + (slot >> 2)
            y = bricks[b, 1] + ((slot >> 1) & 1)
            z = bricks[b, 2] + (slot & 1)
            near[slot] = lookup[x, y, z] if x < n and y < n and z < n else -1
        index = first_face[b]
        for i in range(8):
            for j in range(8):
                low = signs[b, i, j]
                right = signs[b, i, j + 1]
                up = signs[b, i + 1, j]
                far = signs[b, i + 1, j + 1]
                some = low | right | up | far
                every = low & right & up & far
                active = (some | (some >> 1)) & ~(every & (every >> 1)) & 0xFF
                k = -1
                while active:
                    k += 1
                    cell = active & 1
                    active >>= 1
                    if not cell:
                        continue
                    pattern = (
                        ((low >> k) & 3)
                        | (((right >> k) & 3) << 2)
                        | (((up >> k) & 3) << 4)
                        | (((far >> k) & 3) << 6)
                    )
                    for t in range(triangles_of[pattern]):
                        for corner in range(3):
                            edge = edges_of[pattern, t, corner]
                            ii = i + offset[edge, 0]
                            jj = j + offset[edge, 1]
                            kk = k + offset[edge, 2]
                            owner = near[(ii >> 3) * 4 + (jj >> 3) * 2 + (kk >> 3)]
                            row = (ii & 7) * 8 + (jj & 7)
                            lower = (1 << (8 * axes[edge] + (kk & 7))) - 1
                            faces[index, corner] = (
                                first[owner]
                                + start[owner, row]
                                + _bits(crossed[owner, row] & lower)
                            )
                        index += 1
    return faces


@nb.njit(parallel=True, cache=True)
def entered_neighbours(bricks, lookup, signs):  # type: ignore[no-untyped-def]
    """Flags (B,27): the level set crosses a grid edge shared with that absent neighbour."""
    n = lookup.shape[0]
    flags = np.zeros((bricks.shape[0], 27), np.bool_)
    for b in nb.prange(bricks.shape[0]):
        for code in range(27):
            dx, dy, dz = code // 9 - 1, code // 3 % 3 - 1, code % 3 - 1
            fixed = abs(dx) + abs(dy) + abs(dz)
            if fixed == 0 or fixed == 3:
                continue
            x, y, z = bricks[b, 0] + dx, bricks[b, 1] + dy, bricks[b, 2] + dz
            if 0 <= x < n and 0 <= y < n and 0 <= z < n and lookup[x, y, z] >= 0:
                continue
            i0, i1 = (0, 9) if dx == 0 else (4 + 4 * dx, 5 + 4 * dx)
            j0, j1 = (0, 9) if dy == 0 else (4 + 4 * dy, 5 + 4 * dy)
            keep = 0x1FF if dz == 0 else (1 if dz < 0 else 0x100)
            crossed = False
            for i in range(i0, i1):
                for j in range(j0, j1):
                    row = signs[b, i, j]
                    if dz == 0 and (row ^ (row >> 1)) & 0xFF:
                        crossed = True
                    if i + 1 < i1 and (row ^ signs[b, i + 1, j]) & keep:
                        crossed = True
                    if j + 1 < j1 and (row ^ signs[b, i, j + 1]) & keep:
                        crossed = True
            flags[b, code] = crossed
    return flags
