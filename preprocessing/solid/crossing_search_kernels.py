"""Kernels that find the pairs of faces whose boxes meet: blocks of 8x8x8 cells, in parallel.

A face stands in every block that its box meets, and within a block in every cell. A pair is judged
in one cell only, that of the lowest corner of the two boxes' intersection.
"""

import math

import numba as nb
import numpy as np

from preprocessing.solid.crossing_kernels import faces_meet, flat_fans, has_area

CELLS = 8


@nb.njit(parallel=True, cache=True)
def face_cells(vertices, faces, origin, cell):  # type: ignore[no-untyped-def]
    """First and last cell of each face's box along each axis, int32 (F,6)."""
    found = np.empty((faces.shape[0], 6), np.int32)
    for f in nb.prange(faces.shape[0]):
        for axis in range(3):
            a, b = vertices[faces[f, 0], axis], vertices[faces[f, 1], axis]
            c = vertices[faces[f, 2], axis]
            low, high = min(a, min(b, c)), max(a, max(b, c))
            found[f, axis] = math.floor((low - origin[axis]) / cell)
            found[f, 3 + axis] = math.floor((high - origin[axis]) / cell)
    return found


@nb.njit(cache=True)
def group_faces(cells, shape):  # type: ignore[no-untyped-def]
    """Faces of each block of CELLS cells: offsets int64 (blocks + 1,), faces int32 (pairs,)."""
    n, m = shape[1], shape[2]
    offsets = np.zeros(shape[0] * n * m + 1, np.int64)
    for fill in range(2):
        if fill:
            for block in range(offsets.shape[0] - 1):
                offsets[block + 1] += offsets[block]
            place = offsets[:-1].copy()
            listed = np.empty(offsets[-1], np.int32)
        for f in range(cells.shape[0]):
            for i in range(cells[f, 0] >> 3, (cells[f, 3] >> 3) + 1):
                for j in range(cells[f, 1] >> 3, (cells[f, 4] >> 3) + 1):
                    for k in range(cells[f, 2] >> 3, (cells[f, 5] >> 3) + 1):
                        block = (i * n + j) * m + k
                        if fill:
                            listed[place[block]] = f
                            place[block] += 1
                        else:
                            offsets[block + 1] += 1
    return offsets, listed


@nb.njit(cache=True)
def _fill_cells(cells, listed, lows, start, entries):  # type: ignore[no-untyped-def]
    """Rows of `listed` in each of the block's cells: start int32 (513,), entries; how many."""
    start[:] = 0
    for fill in range(2):
        if fill:
            for c in range(CELLS**3, 0, -1):
                start[c] = start[c - 1]
            start[0] = 0
            for c in range(CELLS**3):
                start[c + 1] += start[c]
            if start[CELLS**3] > entries.shape[0]:
                return start[CELLS**3]
        for row in range(listed.shape[0]):
            f = listed[row]
            for i in range(max(cells[f, 0] - lows[0], 0), min(cells[f, 3] - lows[0], 7) + 1):
                for j in range(max(cells[f, 1] - lows[1], 0), min(cells[f, 4] - lows[1], 7) + 1):
                    for k in range(
                        max(cells[f, 2] - lows[2], 0), min(cells[f, 5] - lows[2], 7) + 1
                    ):
                        c = (i * CELLS + j) * CELLS + k
                        if fill:
                            entries[start[c]] = row
                        start[c] += 1
    # Filling moved each start to its end, which is the next cell's start.
    for c in range(CELLS**3, 0, -1):
        start[c] = start[c - 1]
    start[0] = 0
    return start[CELLS**3]


@nb.njit(cache=True)
def _boxes(vertices, faces, listed):  # type: ignore[no-untyped-def]
    """Boxes float64 (N,6) of the listed faces: low xyz, high xyz."""
    boxes = np.empty((listed.shape[0], 6), np.float64)
    for row in range(listed.shape[0]):
        f = listed[row]
        for axis in range(3):
            a, b = vertices[faces[f, 0], axis], vertices[faces[f, 1], axis]
            c = vertices[faces[f, 2], axis]
            boxes[row, axis] = min(a, min(b, c))
            boxes[row, 3 + axis] = max(a, max(b, c))
    return boxes


@nb.njit(cache=True)
def _search_cell(vertices, faces, cells, listed, boxes, members, cell, fans, met):  # type: ignore[no-untyped-def]
    """Judge the pairs of one cell (3,) and mark what meets in met (F,)."""
    for s in range(members.shape[0]):
        one = boxes[members[s]]
        f = listed[members[s]]
        for t in range(s):
            two = boxes[members[t]]
            if (
                one[0] > two[3] or two[0] > one[3] or one[1] > two[4]
                or two[1] > one[4] or one[2] > two[5] or two[2] > one[5]
            ):  # fmt: skip
                continue
            g = listed[members[t]]
            if (
                max(cells[f, 0], cells[g, 0]) == cell[0]
                and max(cells[f, 1], cells[g, 1]) == cell[1]
                and max(cells[f, 2], cells[g, 2]) == cell[2]
                and not (met[f] and met[g])
                and faces_meet(vertices, faces, f, g, fans)
            ):
                met[f] = True
                met[g] = True


@nb.njit(parallel=True, cache=True)
def meeting_faces(vertices, faces, cells, shape, offsets, listed, chosen, closed):  # type: ignore[no-untyped-def]
    """True (F,) for faces without an area and those that meet another where they should not.

    Where chosen (F,) is not empty, only blocks with a chosen face in them are searched.
    """
    met = np.zeros(faces.shape[0], np.bool_)
    flat = np.zeros(faces.shape[0], np.bool_)
    for f in nb.prange(faces.shape[0]):
        flat[f] = not has_area(vertices, faces[f, 0], faces[f, 1], faces[f, 2])
    fans = flat_fans(vertices, faces) if closed else np.zeros(vertices.shape[0], np.bool_)
    for block in nb.prange(offsets.shape[0] - 1):
        low, high = offsets[block], offsets[block + 1]
        if high - low < 2:
            continue
        if chosen.shape[0] > 0:
            asked = False
            for i in range(low, high):
                asked |= chosen[listed[i]]
            if not asked:
                continue
        some = np.empty(high - low, np.int32)
        count = 0
        for i in range(low, high):
            if not flat[listed[i]]:
                some[count] = listed[i]
                count += 1
        some = some[:count]
        lows = np.empty(3, np.int64)
        lows[0] = CELLS * (block // (shape[1] * shape[2]))
        lows[1] = CELLS * (block // shape[2] % shape[1])
        lows[2] = CELLS * (block % shape[2])
        boxes = _boxes(vertices, faces, some)
        start = np.empty(CELLS**3 + 1, np.int64)
        entries = np.empty(16 * count, np.int32)
        need = _fill_cells(cells, some, lows, start, entries)
        if need > entries.shape[0]:
            entries = np.empty(need, np.int32)
            _fill_cells(cells, some, lows, start, entries)
        here = np.empty(3, np.int64)
        for c in range(CELLS**3):
            if start[c + 1] - start[c] < 2:
                continue
            here[0] = lows[0] + c // (CELLS * CELLS)
            here[1] = lows[1] + c // CELLS % CELLS
            here[2] = lows[2] + c % CELLS
            members = entries[start[c] : start[c + 1]]
            _search_cell(vertices, faces, cells, some, boxes, members, here, fans, met)
    for f in nb.prange(faces.shape[0]):
        met[f] |= flat[f]
    return met
