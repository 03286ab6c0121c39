"""Coarse-to-fine evaluation of a field: values are computed only where its zero surface can be.

A decoder is a function f(x) whose zero set is the surface, and every evaluation costs attention
over all latents. Marching cubes on a dense grid of 512^3 cells needs 135 million of them, of which
all but about one in a hundred lie far from the surface and decide nothing. So the grid is refined
as an octree: f is evaluated on all corners of a coarse grid, cells that the surface cannot cross
are dropped, the others are halved, and so on to the resolution asked for. The question is which
cells can be dropped without losing a part thinner than a coarse cell. f is close to a (truncated)
distance, so a cell whose corners share a sign and are all farther from zero than half its diagonal
is empty; nearer ones stay, even without a change of sign.

New corners of a halved cell start as the trilinear interpolation of the old ones. The true value is
computed for those whose interpolated value is so near zero that the field may bend across it, as
far as the second differences of the parent's corners tell: in cells whose parent changes sign or
touches one that does, and in cells whose parent is near zero with no change of sign around it.
While cells are too coarse to tell, a constant bend is allowed in the former and all of the latter
are evaluated. Then, until nothing changes, both ends of every edge that changes sign are evaluated,
and bricks that the surface enters are added. So every vertex lies between true values, and what the
surface reaches from a found cell is found.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from preprocessing.frame import HALF_WIDTH
from preprocessing.solid.bricks import (
    BRICK,
    BrickField,
    brick_lookup,
    bricks_per_axis,
    spacing,
)
from preprocessing.solid.isosurface import open_neighbours

Field = Callable[[np.ndarray], np.ndarray]
COARSEST = 48  # cells per axis: the dense level has this many at least, below twice as many
WIDE, COARSEST_WIDE = 0.04, 24  # a field that tells distances up to WIDE is read from coarser cells
# What is thinner than twice this was not in the training offsets either (eps 2/512).
THIN = 2 / 512
# Beside a change of sign a field is taken to differ from its interpolation by at most BEND times
# the square of the new cell, and by at most BENDS times what `curvature` tells but no less than
# FLAT of the former: found on trained models, whose dense grids have specks of a cell
# (benchmarks/vae_reader.py). Elsewhere it is taken to have a ridge at most, RIDGE times that high.
BEND, BENDS, FLAT, RIDGE = 60.0, 3.0, 0.1, 4.0
SATURATED = 0.95  # values from which on a truncated field hides how it bends
RESOLVED = 0.6  # cells below this share of the truncation show it: coarser levels do without


@dataclass
class Level:
    """Bricks (B,3) of one resolution, their corner values (B,9,9,9), which are evaluated."""

    resolution: int
    bricks: np.ndarray
    values: np.ndarray
    known: np.ndarray


class FieldError(ValueError):
    """A field that holds no surface or no numbers."""


def read_field(
    field: Field, resolution: int, *, unit: float | None = None
) -> tuple[BrickField, int]:
    """The bricks of `field` that hold its zero surface, and the query count: evaluated points.

    field: positions float32 (Q,3) -> values (Q,), positive inside. The border of the grid counts
    as outside. unit: the distance that a value of 1 stands for (a TSDF's truncation); it tells
    which cells without a sign change come near enough to zero to be looked into. None: cells
    below half of the largest magnitude are. A resolution with few factors of two is read on a
    finer coarsest grid. Raises FieldError when a value is not finite.
    """
    coarsest = COARSEST_WIDE if unit is not None and unit >= WIDE else COARSEST
    halvings = 0
    while resolution % 2 ** (halvings + 1) == 0 and resolution >> (halvings + 1) >= coarsest:
        halvings += 1
    evaluator = Evaluator(field)
    level = dense_level(evaluator, resolution >> halvings)
    scale = unit or 0.0
    if unit is None:
        scale = spacing(level.resolution) / max(float(np.abs(level.values).max()), 1e-30)
    for _ in range(halvings):
        level = refined(
            evaluator, level, scale, spacing(level.resolution) < RESOLVED * (unit or 0.0)
        )
    crossed = crossing(level.values).any(axis=(1, 2, 3))
    return BrickField(
        level.resolution, level.bricks[crossed], level.values[crossed]
    ), evaluator.count


class Evaluator:
    """The field on grid corners given by index; counts the queries."""

    def __init__(self, field: Field) -> None:
        self.field, self.count = field, 0

    def __call__(self, resolution: int, corners: np.ndarray) -> np.ndarray:
        """Values float32 (K,) at integer corners (K,3); negative on the border and past it."""
        points = (corners * spacing(resolution) - HALF_WIDTH).astype(np.float32)
        values = np.asarray(self.field(points), np.float32).copy()
        self.count += len(corners)
        if not np.isfinite(values).all():
            raise FieldError("the field holds NaN or infinity")
        border = ((corners <= 0) | (corners >= resolution)).any(axis=1)
        values[border] = np.minimum(values[border], np.float32(-1e-3))
        return values


def dense_level(evaluator: Evaluator, resolution: int) -> Level:
    """All bricks of a coarse grid."""
    axis = np.arange(bricks_per_axis(resolution))
    bricks = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    shape = (len(bricks), *(BRICK + 1,) * 3)
    level = Level(resolution, bricks, np.zeros(shape, np.float32), np.zeros(shape, bool))
    evaluate(evaluator, level, np.ones(shape, bool))
    return level


def refined(evaluator: Evaluator, parent: Level, scale: float, resolved: bool) -> Level:
    """The next level: bricks and corners below the parent's cells of interest, grown until closed.

    scale: the distance that a value of 1 stands for. resolved: whether the parent's cells are
    small enough for its second differences to tell how the field bends.
    """
    cell = spacing(parent.resolution)
    # A rod of radius THIN that meets no corner still comes this near to one.
    near = min(SATURATED, (np.sqrt(0.5) * cell - THIN) / scale)
    bend = BEND * (cell / 2) ** 2 / scale
    bends = curvature(parent) if resolved else np.full_like(parent.values, np.inf)
    bound = np.clip(BENDS * bends, FLAT * bend, bend)
    touched = with_neighbours(parent, crossing(parent.values))
    suspect = (corner_reduce(np.abs(parent.values), np.minimum) < near) & ~touched
    bricks, values, known, wanted = [], [], [], []
    half, per_axis = BRICK // 2, bricks_per_axis(2 * parent.resolution)
    for octant in np.ndindex(2, 2, 2):
        i, j, k = (half * o for o in octant)
        cells = np.s_[:, i : i + half, j : j + half, k : k + half]
        here = (2 * parent.bricks + octant < per_axis).all(axis=1)  # not beyond the border
        kept = np.flatnonzero(here & (touched | suspect)[cells].any(axis=(1, 2, 3)))
        corners = (slice(i, i + half + 1), slice(j, j + half + 1), slice(k, k + half + 1))
        bricks.append(2 * parent.bricks[kept] + octant)
        values.append(upsampled(parent.values[:, *corners][kept]))
        fine = np.zeros(values[-1].shape, bool)
        fine[:, ::2, ::2, ::2] = parent.known[:, *corners][kept]
        known.append(fine)
        size = np.abs(values[-1])
        small = size < upsampled(bound[:, *corners][kept])
        ridge = size < RIDGE * upsampled(bends[:, *corners][kept])
        wanted.append(
            child_corners(touched[cells][kept]) & small
            | child_corners(suspect[cells][kept]) & ridge
        )
    level = Level(
        2 * parent.resolution,
        np.concatenate(bricks),
        np.concatenate(values),
        np.concatenate(known),
    )
    evaluate(evaluator, level, np.concatenate(wanted))
    close(evaluator, level)
    return level


def curvature(level: Level) -> np.ndarray:
    """How far the field may lie off its interpolation beside corners, float32 (B,9,9,9): an eighth
    of the second differences along the axes, infinite where values of SATURATED and more enter.

    Towards an absent brick the second difference one corner inwards stands for it. Beside corners
    that were interpolated themselves it tells the coarser level's, which is larger.
    """
    total = np.zeros_like(level.values)
    values = np.where(np.abs(level.values) < SATURATED, level.values, np.float32(np.nan))
    lookup = np.pad(brick_lookup(level.resolution, level.bricks), 1, constant_values=-1)
    for axis, step in zip((1, 2, 3), np.eye(3, dtype=np.int64), strict=True):
        along = np.moveaxis(values, axis, 1)
        low, high = (lookup[tuple((level.bricks + 1 + way).T)] for way in (-step, step))
        ends = along[low, BRICK - 1][:, None], along[high, 1][:, None]
        second = np.diff(np.concatenate([ends[0], along, ends[1]], axis=1), n=2, axis=1)
        second[low < 0, 0], second[high < 0, -1] = second[low < 0, 1], second[high < 0, -2]
        total += np.moveaxis(np.abs(second), 1, axis) / 8
    return np.where(np.isnan(total), np.float32(np.inf), total)


def with_neighbours(level: Level, cells: np.ndarray) -> np.ndarray:
    """Cells bool (B,8,8,8) that share a corner with a marked one, across bricks, and those."""
    marked = cell_corners(cells)
    border = on_border(marked.shape)
    where, _ = places(level, np.unique(corner_keys(level, marked & border)), border)
    marked[where] = True
    return corner_reduce(marked, np.logical_or)


def close(evaluator: Evaluator, level: Level) -> None:
    """Evaluate until both ends of every crossed edge are true and no crossed brick is missing."""
    while True:
        wanted = crossed_ends(level.values) & ~level.known
        if wanted.any():
            evaluate(evaluator, level, wanted)
            continue
        field = BrickField(level.resolution, level.bricks, level.values)
        missing = open_neighbours(field).astype(level.bricks.dtype)
        if not len(missing):
            return
        shape = (len(missing), *(BRICK + 1,) * 3)
        level.bricks = np.concatenate([level.bricks, missing])
        level.values = np.concatenate([level.values, np.zeros(shape, np.float32)])
        level.known = np.concatenate([level.known, np.zeros(shape, bool)])
        new = np.zeros(level.known.shape, bool)
        new[-len(missing) :] = True
        evaluate(evaluator, level, new)


def evaluate(evaluator: Evaluator, level: Level, wanted: np.ndarray) -> None:
    """Fill wanted corners that are not known, once per corner, in every brick that shares it."""
    unique = np.unique(corner_keys(level, wanted & ~level.known))
    if not len(unique):
        return
    side = level.resolution + BRICK + 2
    corners = np.stack(np.unravel_index(unique, (side, side, side)), axis=1)
    computed = evaluator(level.resolution, corners)
    where, place = places(level, unique, wanted | on_border(wanted.shape))
    level.values[where] = computed[place]
    level.known[where] = True


def on_border(shape: tuple[int, ...]) -> np.ndarray:
    """Corners bool (B,9,9,9) that other bricks share."""
    border = np.zeros(shape, bool)
    border[:, [0, -1]] = border[:, :, [0, -1]] = border[:, :, :, [0, -1]] = True
    return border


def places(
    level: Level, keys: np.ndarray, among: np.ndarray
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Where the corners `among` (B,9,9,9) have one of the sorted `keys`: indices, and which."""
    if not len(keys):
        return tuple(np.empty(0, np.int64) for _ in range(4)), np.empty(0, np.int64)
    candidates = corner_keys(level, among)
    place = np.searchsorted(keys, candidates).clip(max=len(keys) - 1)
    hit = keys[place] == candidates
    return tuple(index[hit] for index in np.nonzero(among)), place[hit]


def corner_keys(level: Level, mask: np.ndarray) -> np.ndarray:
    """One integer per masked corner, the same for all bricks that share the corner."""
    brick, i, j, k = np.nonzero(mask)
    x, y, z = (BRICK * level.bricks[brick].astype(np.int64)).T
    side = level.resolution + BRICK + 2
    return ((x + i) * side + (y + j)) * side + (z + k)


def corner_reduce(values: np.ndarray, combine: np.ufunc) -> np.ndarray:
    """(B,9,9,9) corners -> (B,8,8,8) cells, `combine` over the eight corners of each."""
    for axis in (1, 2, 3):
        low = [slice(None)] * 4
        high = [slice(None)] * 4
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        values = combine(values[tuple(low)], values[tuple(high)])
    return values


def crossing(values: np.ndarray) -> np.ndarray:
    """Cells bool (B,8,8,8) with corners of both signs (zero counts as outside)."""
    inside = values > 0
    return corner_reduce(inside, np.logical_or) & ~corner_reduce(inside, np.logical_and)


def crossed_ends(values: np.ndarray) -> np.ndarray:
    """Corners bool (B,9,9,9) with an edge to a corner of the other sign: all that a vertex of the
    surface is interpolated from."""
    inside = values > 0
    ends = np.zeros(inside.shape, bool)
    for axis in (1, 2, 3):
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(4))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(4))
        crossed = inside[low] != inside[high]
        ends[low] |= crossed
        ends[high] |= crossed
    return ends


def cell_corners(cells: np.ndarray) -> np.ndarray:
    """Corners bool (B,9,9,9) that belong to a marked cell (B,8,8,8)."""
    corners = np.zeros((len(cells), *(BRICK + 1,) * 3), bool)
    for i, j, k in np.ndindex(2, 2, 2):
        corners[:, i : i + BRICK, j : j + BRICK, k : k + BRICK] |= cells
    return corners


def child_corners(cells: np.ndarray) -> np.ndarray:
    """Corners bool (B,9,9,9) of the finer cells below marked coarse ones (B,4,4,4)."""
    return cell_corners(cells.repeat(2, 1).repeat(2, 2).repeat(2, 3))


def upsampled(values: np.ndarray) -> np.ndarray:
    """Corners (B,5,5,5) -> (B,9,9,9), trilinear; bricks that share corners agree to the bit."""
    for axis in (1, 2, 3):
        shape = list(values.shape)
        shape[axis] = BRICK + 1
        finer = np.empty(shape, values.dtype)
        even, odd, low, high = ([slice(None)] * 4 for _ in range(4))
        even[axis], odd[axis] = slice(None, None, 2), slice(1, None, 2)
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        finer[tuple(even)] = values
        finer[tuple(odd)] = (values[tuple(low)] + values[tuple(high)]) * values.dtype.type(0.5)
        values = finer
    return values
