"""Following crevices over a finer lattice, cell by cell, where the coarse grid does not see them.

The outside floods the lattice of the cells known so far. Where it comes to a face beyond which the
coarse grid is solid, with room to spare and between two walls that face each other, the cell beyond
is cut finer, too.
"""

from dataclasses import dataclass
from itertools import count, product

import numpy as np

from preprocessing.solid.bricks import BRICK, BrickField, brick_lookup, rows_at
from preprocessing.solid.crevices import crevice_kernels as kernels
from preprocessing.solid.isosurface_tables import EDGE_CORNERS
from preprocessing.solid.offset_field import TriangleBricks, require_room

WAYS = np.array(list(product((-1, 0, 1), repeat=3)))
CORNERS = np.array(list(product((0, 1), repeat=3)))
SIDES = np.array([sign * unit for unit in np.eye(3, dtype=np.int64) for sign in (-1, 1)])
DEEPEST = 32  # cells that a crevice is followed
BYTES_PER_CELL = 37_000  # measured peak of a whole run over that without the cells
CLEARLY = 1e-5  # share of eps by which a corner is outside beyond rounding


@dataclass(frozen=True)
class Crevices:
    """Cells that are cut finer, int64 (R,3), in order, and what is known of them.

    rows, solid, excess, turns: as of crevice_kernels.py; reached bool (R,SIDE,SIDE,SIDE): where
    the outside comes to, as if the cells round them were cut, too. entrances int64 (K,3): grid
    corners among these where the coarse flood has not been; missing (M,3): bricks to go on in.
    """

    cells: np.ndarray
    rows: np.ndarray
    solid: np.ndarray
    excess: np.ndarray
    turns: np.ndarray
    reached: np.ndarray
    entrances: np.ndarray
    missing: np.ndarray


def explore(field: BrickField, cover: TriangleBricks, near: tuple, seeds: np.ndarray) -> Crevices:
    """Follow the crevices from some cells (K,3) as far as the coarse grid does not see them.

    near: of the cover, whose first bricks are those of the field; some cells lie in its bricks.
    Raises MeshError(memory) when so many would not fit.
    """
    own = brick_lookup(cover.resolution, field.bricks)
    known = brick_lookup(cover.resolution, cover.bricks)
    cells = np.empty((0, 3), np.int64)
    solid = np.empty((0, 8), bool)
    excess = np.empty((0, *(kernels.SIDE,) * 3), np.float32)
    turns = np.empty((0, 12))
    reached = np.empty(excess.shape, bool)
    missing = []
    new = np.unique(seeds, axis=0)
    new = new[rows_at(known, new // BRICK) >= 0]
    for turn in count():
        require_room(BYTES_PER_CELL * (len(cells) + len(new)), cover.resolution)
        signs, lattice = corner_signs(field, own, new), kernels.excesses(near, new)
        order = np.argsort(numbers(np.concatenate([cells, new])))
        fresh = order >= len(cells)
        cells = np.concatenate([cells, new])[order]
        solid = np.concatenate([solid, signs])[order]
        excess = np.concatenate([excess, lattice])[order]
        turns = np.concatenate([turns, kernels.edge_turns(signs, lattice)])[order]
        reached = np.concatenate([reached, outside_corners(signs)])[order]
        rows = rows_round(cells)
        before = reached.copy()
        beside = (fresh[rows] & (rows >= 0)).any(axis=(1, 2, 3))
        kernels.flood((excess > 0) | reached, reached, rows, beside)
        changed = fresh | (reached != before).any(axis=(1, 2, 3))
        goes_on = kernels.leaks(near, cells, rows, solid, excess, turns, reached, changed)
        row, side = np.nonzero(goes_on > (turn >= DEEPEST))
        beyond = np.concatenate([cells[row] + SIDES[side], between_diagonals(cells, rows, turns)])
        beyond = np.unique(beyond, axis=0)
        there = rows_at(known, beyond // BRICK) >= 0
        missing.append(beyond[~there] // BRICK)
        new = beyond[there]
        if not len(new):
            break
    unseen = solid & at_corners(reached) & (at_corners(excess) > CLEARLY)
    row, corner = np.nonzero(unseen)
    entrances = np.unique(cells[row] + CORNERS[corner], axis=0)
    bricks = np.unique(np.concatenate(missing), axis=0)
    return Crevices(cells, rows, solid, excess, turns, reached, entrances, bricks)


def outside_corners(solid: np.ndarray) -> np.ndarray:
    """True on the lattice of some cells at the corners outside, of which solid (K,8) are not."""
    found = np.zeros((len(solid), *(kernels.SIDE,) * 3), bool)
    found[:, :: kernels.FINE, :: kernels.FINE, :: kernels.FINE] = ~solid.reshape(-1, 2, 2, 2)
    return found


def at_corners(lattice: np.ndarray) -> np.ndarray:
    """The values (R,8) at the cells' corners."""
    return lattice[:, :: kernels.FINE, :: kernels.FINE, :: kernels.FINE].reshape(-1, 8)


def corner_signs(field: BrickField, own: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Which corners (K,8) of cells are solid on the coarse grid; beyond the field's bricks all."""
    row = own[tuple((cells // BRICK).T)]
    at = (cells % BRICK)[:, None] + CORNERS
    inside = field.values[row[:, None], at[..., 0], at[..., 1], at[..., 2]] > 0
    signs: np.ndarray = inside | (row < 0)[:, None]
    return signs


def numbers(cells: np.ndarray) -> np.ndarray:
    """A number (...,) for each cell or grid corner (...,3), in their order; one beyond a border
    has its own."""
    x, y, z = np.moveaxis(cells + 1, -1, 0)
    return (x << 40) + (y << 20) + z


def rows_round(cells: np.ndarray) -> np.ndarray:
    """Rows int32 (R,3,3,3) of the cells, in order, that lie round each; -1 for none."""
    keys, asked = numbers(cells), numbers(cells[:, None] + WAYS)
    row = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    found = np.where(keys[row] == asked, row, -1).astype(np.int32)
    return found.reshape(-1, 3, 3, 3)


def between_diagonals(cells: np.ndarray, rows: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """A cell beside each two that are cut and have nothing but a crossed edge in common.

    The finer surface ends at such an edge's vertex once then, not twice.
    """
    found = [np.empty((0, 3), np.int64)]
    for e, (low, _) in enumerate(EDGE_CORNERS):
        one, two = (axis for axis in range(3) if axis != e // 4)
        first, second = np.zeros((2, 3), np.int64)
        first[one], second[two] = 2 * CORNERS[low, one] - 1, 2 * CORNERS[low, two] - 1
        crossing, left, right = (rows[:, *(1 + way)] for way in (first + second, first, second))
        apart = (turns[:, e] >= 0) & (crossing >= 0) & (left < 0) & (right < 0)
        found.append(cells[apart] + first)
    return np.concatenate(found)
