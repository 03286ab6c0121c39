"""Kernels that find the pairs of faces whose boxes meet: blocks of 8x8x8 cells, in parallel.

A face stands in every block that its box meets, and within a block in every cell. A pair is judged
in one cell only, that of the lowest corner of the two boxes' intersection.
"""

import math

import numba as nb
import numpy as np

from preprocessing.solid.crossing_kernels import (
    faces_meet,
    fan_shared,
    flat_fans,
    has_area,
    is_beside,
    raise_walls,
)
from preprocessing.solid.seeming_kernels import seem_to_meet

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
    """Boxes float32 (N,6) of the listed faces: low xyz, high xyz. Exact: they hold the lattice."""
    boxes = np.empty((listed.shape[0], 6), np.float32)
    for row in range(listed.shape[0]):
        f = listed[row]
        for axis in range(3):
            a, b = vertices[faces[f, 0], axis], vertices[faces[f, 1], axis]
            c = vertices[faces[f, 2], axis]
            boxes[row, axis] = min(a, min(b, c))
            boxes[row, 3 + axis] = max(a, max(b, c))
    return boxes


@nb.njit(cache=True)
def _overlaps(here, s, found):  # type: ignore[no-untyped-def]
    """Flag in found (N,) which of the boxes before box s of here (6,N) overlap it."""
    a, b, c = here[0, s], here[1, s], here[2, s]
    d, e, f = here[3, s], here[4, s], here[5, s]
    for t in range(s):
        found[t] = (
            (here[0, t] <= d) & (here[3, t] >= a) & (here[1, t] <= e)
            & (here[4, t] >= b) & (here[2, t] <= f) & (here[5, t] >= c)
        )  # fmt: skip


@nb.njit(cache=True)
def _search_cell(  # type: ignore[no-untyped-def]
    vertices, faces, cells, members, here, cell, fans, asked, scratch, met
):
    """Judge the pairs of faces of one cell (3,) and mark what meets in met (F,).

    members: face rows (N,); here (6,N): their boxes; scratch: (walls (3,4), flags (N,)). asked:
    (chosen, seeming), as of meeting_faces.
    """
    chosen, seeming = asked
    every = chosen.shape[0] == 0
    walls, found = scratch
    for s in range(members.shape[0]):
        _overlaps(here, s, found)
        f = members[s]
        mine = every or chosen[f]
        raised = False
        for t in range(s):
            g = members[t]
            if not found[t] or not (mine or chosen[g]) or (met[f] and met[g]):
                continue
            if (
                max(cells[f, 0], cells[g, 0]) != cell[0]
                or max(cells[f, 1], cells[g, 1]) != cell[1]
                or max(cells[f, 2], cells[g, 2]) != cell[2]
            ):
                continue
            if seeming:
                # As the filter has it, boxes that only touch are none: flat ones in one plane.
                apart = False
                for k in range(3):
                    apart |= here[k, s] >= here[3 + k, t] or here[k, t] >= here[3 + k, s]
                if not apart and seem_to_meet(vertices, faces, min(f, g), max(f, g)):
                    met[f] = True
                    met[g] = True
                continue
            if fan_shared(faces, f, g, fans):
                continue
            if not raised:
                raise_walls(vertices, faces[f, 0], faces[f, 1], faces[f, 2], walls)
                raised = True
            if is_beside(vertices, walls, faces[g, 0], faces[g, 1], faces[g, 2]):
                continue
            if faces_meet(vertices, faces, f, g):
                met[f] = True
                met[g] = True


@nb.njit(parallel=True, cache=True)
def _asked_blocks(count, faces, offsets, listed, chosen):  # type: ignore[no-untyped-def]
    """True for blocks with a chosen face, all if none is, and for the vertices (count,) in them."""
    asked = np.full(offsets.shape[0] - 1, chosen.shape[0] == 0)
    wanted = np.zeros(count, np.bool_)
    for block in nb.prange(asked.shape[0]):
        for i in range(offsets[block], offsets[block + 1]):
            if chosen.shape[0] > 0 and chosen[listed[i]]:
                asked[block] = True
        if asked[block]:
            for i in range(offsets[block], offsets[block + 1]):
                for k in range(3):
                    wanted[faces[listed[i], k]] = True
    return asked, wanted


@nb.njit(parallel=True, cache=True)
def meeting_faces(  # type: ignore[no-untyped-def]
    vertices, faces, cells, shape, offsets, listed, chosen, closed, seeming
):
    """True (F,) for faces without an area and those that meet another where they should not.

    Where chosen (F,) is not empty, only pairs with a chosen face are judged. seeming: mark what
    seems to meet instead (seeming_kernels.py); not with closed.
    """
    which = (chosen, seeming)
    met = np.zeros(faces.shape[0], np.bool_)
    flat = np.zeros(faces.shape[0], np.bool_)
    for f in nb.prange(faces.shape[0]):
        flat[f] = not has_area(vertices, faces[f, 0], faces[f, 1], faces[f, 2])
    asked, wanted = _asked_blocks(vertices.shape[0], faces, offsets, listed, chosen)
    fans = flat_fans(vertices, faces, wanted) if closed else np.zeros_like(wanted)
    for block in nb.prange(offsets.shape[0] - 1):
        low, high = offsets[block], offsets[block + 1]
        if high - low < 2 or not asked[block]:
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
        cell = np.empty(3, np.int64)
        most = 0
        for c in range(CELLS**3):
            most = max(most, start[c + 1] - start[c])
        members, here = np.empty(most, np.int32), np.empty((6, most), np.float32)
        scratch = (np.empty((3, 4), np.float64), np.empty(most, np.bool_))
        for c in range(CELLS**3):
            size = start[c + 1] - start[c]
            if size < 2:
                continue
            cell[0] = lows[0] + c // (CELLS * CELLS)
            cell[1] = lows[1] + c // CELLS % CELLS
            cell[2] = lows[2] + c % CELLS
            for i in range(size):
                row = entries[start[c] + i]
                members[i] = some[row]
                for k in range(6):
                    here[k, i] = boxes[row, k]
            _search_cell(
                vertices, faces, cells, members[:size], here, cell, fans, which, scratch, met
            )
    for f in nb.prange(faces.shape[0]):
        met[f] |= flat[f]
    return met
