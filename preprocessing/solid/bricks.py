"""Block-sparse grids: values on the corners of the 8x8x8-cell bricks where something happens.

The grid has `resolution` cells per axis over [-1.05, 1.05]^3, spacing h = 2.1 / resolution. Brick
(bx, by, bz) covers cells 8b to 8b+8 on each axis and stores the 9x9x9 corners of those cells, so a
brick can be worked on alone; corners shared by two bricks hold the same bits. When the resolution
is no multiple of 8 the last bricks reach past +1.05; their corners are corners like any other.
"""

from dataclasses import dataclass

import numpy as np

from preprocessing.frame import HALF_WIDTH

BRICK = 8
TABLE_BYTES = 12  # a brick of the whole grid, occupied or not: three int32 tables


def spacing(resolution: int) -> float:
    """Edge of one cell."""
    return 2 * HALF_WIDTH / resolution


def bricks_per_axis(resolution: int) -> int:
    """Bricks needed to cover the grid along one axis."""
    return -(-resolution // BRICK)


@dataclass(frozen=True)
class BrickField:
    """A scalar field on bricks, positive inside.

    resolution: cells per axis; bricks: int32 (B,3) brick coordinates, each once, in any order;
    values: float32 or float64 (B,9,9,9) on the corners, axes x, y, z.
    """

    resolution: int
    bricks: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        bricks = np.ascontiguousarray(self.bricks, np.int32)
        values = np.ascontiguousarray(self.values)
        corners = (BRICK + 1,) * 3
        if bricks.ndim != 2 or bricks.shape[1] != 3 or values.shape != (len(bricks), *corners):
            raise ValueError(
                f"bricks (B,3) and values (B,9,9,9) expected, got {bricks.shape} and {values.shape}"
            )
        if values.dtype not in (np.float32, np.float64):
            raise ValueError(f"values must be float32 or float64, not {values.dtype}")
        if len(bricks) and not (
            0 <= bricks.min() <= bricks.max() < bricks_per_axis(self.resolution)
        ):
            raise ValueError("a brick lies outside the grid")
        object.__setattr__(self, "bricks", bricks)
        object.__setattr__(self, "values", values)


def grid_points(resolution: int, bricks: np.ndarray) -> np.ndarray:
    """Positions of the corners of some bricks, float64 (B,9,9,9,3); corner i at -1.05 + i h."""
    corner = BRICK * np.asarray(bricks, np.int64)[:, None, :] + np.arange(BRICK + 1)[None, :, None]
    axis = -HALF_WIDTH + corner * spacing(resolution)
    shape = (len(bricks), *(BRICK + 1,) * 3)
    return np.stack(
        [
            np.broadcast_to(axis[:, :, None, None, 0], shape),
            np.broadcast_to(axis[:, None, :, None, 1], shape),
            np.broadcast_to(axis[:, None, None, :, 2], shape),
        ],
        axis=-1,
    )


def cells_at(points: np.ndarray, step: float) -> np.ndarray:
    """The cells int64 (K,3) that points (K,3) lie in."""
    return np.floor((points + HALF_WIDTH) / step).astype(np.int64)


def grid_edges(points: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The grid edges that points (K,3) lie on, off their ends: low corner int64 (K,3), axis (K,)
    and share of the edge (K,)."""
    cells = (points + HALF_WIDTH) / step
    nearest = np.round(cells)
    axis = np.abs(cells - nearest).argmax(axis=1)
    rows = np.arange(len(points))
    along = cells[rows, axis]
    nearest[rows, axis] = np.floor(along)
    return nearest.astype(np.int64), axis, along - nearest[rows, axis]


def rows_at(lookup: np.ndarray, bricks: np.ndarray) -> np.ndarray:
    """Rows int32 (K,) of bricks (K,3), -1 for those that are absent or beyond the grid."""
    inside = np.all((bricks >= 0) & (bricks < len(lookup)), axis=1)
    found = np.full(len(bricks), -1, np.int32)
    found[inside] = lookup[tuple(bricks[inside].T)]
    return found


def brick_lookup(resolution: int, bricks: np.ndarray) -> np.ndarray:
    """Row of each brick in a dense array int32 (n,n,n), -1 where the brick is absent."""
    n = bricks_per_axis(resolution)
    lookup = np.full((n, n, n), -1, np.int32)
    lookup[bricks[:, 0], bricks[:, 1], bricks[:, 2]] = np.arange(len(bricks), dtype=np.int32)
    return lookup
