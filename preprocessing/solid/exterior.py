"""The offset field where the outside reaches it, and nowhere else.

A flood from the grid's border goes over the corners farther than eps; a brick is measured when the
flood comes to it. So what is enclosed costs nothing, and what the flood does not reach is solid:
the surface of this field is the outer shells, all of them and nothing else.
"""

from dataclasses import replace
from itertools import product

import numpy as np

from preprocessing.solid import brick_kernels
from preprocessing.solid import exterior_kernels as kernels
from preprocessing.solid.bricks import BRICK, BrickField, brick_lookup, rows_at
from preprocessing.solid.isosurface import open_neighbours
from preprocessing.solid.offset_field import (
    BYTES_PER_BRICK,
    TriangleBricks,
    fill_values,
    require_room,
)

# Cells that a crevice too thin for the grid may go on beyond the last corner outside it.
DEEP = 3
NOWHERE = np.empty((0, 3), np.int64)


def exterior_field(
    cover: TriangleBricks,
    eps: float,
    entrances: np.ndarray = NOWHERE,
    wanted: np.ndarray = NOWHERE,
) -> tuple[BrickField, TriangleBricks]:
    """eps - distance on the bricks that the outside reaches, and their part of the cover, which
    goes on with the bricks beside them.

    entrances (K,3): grid corners outside that the flood may start from, too; wanted (M,3): bricks
    that the cover is to go on with as well.

    Voids that nothing reaches count as solid, and so do corners beyond the bricks on their side.
    Raises MeshError(memory), with an estimate, as `offset_field` does.
    """
    count = len(cover.bricks)
    lookup = brick_lookup(cover.resolution, cover.bricks)
    # Pages of what is never reached are never touched, so these cost nothing there.
    values = np.empty((count, 9, 9, 9), np.float32)
    outs, reach = np.zeros((2, count, 64), np.uint8)
    filled, open_space = np.zeros(count, bool), np.zeros(lookup.shape, bool)
    state = (cover.bricks, lookup, outs, reach, filled, open_space)

    def measure(rows: np.ndarray) -> None:
        filled[rows] = True
        require_room(BYTES_PER_BRICK * int(filled.sum()), cover.resolution)
        fill_values(values, rows, cover, eps)
        kernels.outside_bits(values, rows, outs)

    def spread(waiting: np.ndarray) -> None:
        while len(rows := kernels.flood(*state, waiting)):
            measure(rows)
            waiting = rows

    spread(np.empty(0, np.int64))
    owner = rows_at(lookup, entrances // BRICK)
    entrances, owner = entrances[owner >= 0], owner[owner >= 0]
    if len(owner):
        rows = np.unique(owner).astype(np.int64)
        measure(rows[~filled[rows]])
        i, j, k = (entrances % BRICK).T
        np.bitwise_or.at(reach, (owner, 8 * i + j), np.uint8(1) << k.astype(np.uint8))
        spread(rows)
    rows = np.flatnonzero(filled)
    kernels.move_down(values, rows)
    kernels.fill_enclosed(values[: len(rows)], outs[rows], reach[rows])
    near = np.where(open_space, kernels.ABSENT, kernels.ENCLOSED).astype(np.int32)
    field = share(cover, rows, values, near, eps - cover.margin)
    # Cells whose own brick has nothing but solid, at the corner of bricks that the flood reached.
    solid = lookup[tuple(open_neighbours(field).T)]
    if len(solid):
        values[len(rows) : len(rows) + len(solid)] = 1
        rows = np.concatenate([rows, solid])
        field = share(cover, rows, values, near, eps - cover.margin)
    also = np.zeros(count, bool)
    also[beside(cover.bricks, lookup, reach, rows)] = True
    asked = rows_at(lookup, wanted)
    also[asked[asked >= 0]] = True
    also[rows] = False
    kept = np.concatenate([rows, np.flatnonzero(also)])
    offsets, triangles = kernels.keep_lists(cover.offsets, cover.triangles, kept)
    return field, replace(cover, bricks=cover.bricks[kept], offsets=offsets, triangles=triangles)


def beside(
    bricks: np.ndarray, lookup: np.ndarray, reach: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Rows of the bricks that the outside comes near to but not into, ascending.

    A crevice thinner than a cell may end there, and the distance has to be known where it does.
    """
    near = kernels.extents(reach[rows])
    found = np.zeros(len(bricks), bool)
    for way in product((-1, 0, 1), repeat=3):
        comes = np.ones(len(rows), bool)
        for axis, step in enumerate(way):
            if step:
                end = near[:, axis, 1] >= 8 - DEEP if step > 0 else near[:, axis, 0] < DEEP
                comes &= end
        other = rows_at(lookup, bricks[rows[comes]] + way)
        found[other[other >= 0]] = True
    found[rows] = False
    return np.flatnonzero(found)


def share(
    cover: TriangleBricks, rows: np.ndarray, values: np.ndarray, near: np.ndarray, outside: float
) -> BrickField:
    """The field of the cover's rows, whose values come first; near (n,n,n): share_corners."""
    bricks, values = cover.bricks[rows], values[: len(rows)]
    near[tuple(bricks.T)] = np.arange(len(rows), dtype=np.int32)
    brick_kernels.share_corners(bricks, near, values, np.float32(outside))
    return BrickField(cover.resolution, bricks, values)
