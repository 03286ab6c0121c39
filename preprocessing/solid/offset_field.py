"""The offset field eps - distance of a triangle mesh on the bricks round its surface.

The distance is Euclidean, or mitred where features are given (distance/mitre.py).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from preprocessing.distance.mitre_kernels import PAGE
from preprocessing.memory import require_memory
from preprocessing.mesh import Mesh
from preprocessing.solid import brick_kernels as kernels
from preprocessing.solid.bricks import (
    BRICK,
    TABLE_BYTES,
    BrickField,
    brick_lookup,
    bricks_per_axis,
    spacing,
)
from preprocessing.solid.remesh.near_kernels import box_lists
from preprocessing.solid.sharp.field_kernels import raise_corners

# Measured peak of a whole run, remeshing included, over the bricks and the (triangle, brick) pairs.
BYTES_PER_BRICK, BYTES_PER_PAIR = 47_000, 8


@dataclass(frozen=True)
class TriangleBricks:
    """Which triangles reach which brick: triangles[offsets[b]:offsets[b + 1]] of bricks[b].

    bricks int32 (B,3), those of a field first; offsets int64 (B + 1,); triangles int32 (pairs,);
    records float64 (F,30), brick_kernels.py. Every triangle within `margin` of a brick is listed,
    and so is every mitred edge or corner: `mitred` says that there are such.
    """

    resolution: int
    margin: float
    bricks: np.ndarray
    offsets: np.ndarray
    triangles: np.ndarray
    records: np.ndarray
    mitred: bool = False

    def near(self, eps: float) -> tuple:
        """What the kernels of remesh/near_kernels.py take."""
        return *self._boxes, self.records, eps, spacing(self.resolution)

    @cached_property
    def _boxes(self) -> tuple:
        """The lookup and the lists of boxes, which every step of a surface asks for."""
        lists = self.bricks, self.offsets, self.triangles, self.records
        ends, listed = box_lists(*lists, self.margin, spacing(self.resolution))
        return brick_lookup(self.resolution, self.bricks), ends, listed


def triangle_bricks(
    mesh: Mesh, resolution: int, margin: float, features: tuple[np.ndarray, int] | None = None
) -> TriangleBricks:
    """Bricks within `margin` of a mesh in the normalised frame, each with its triangles.

    features: rows of edges and corners to measure mitred, with their pages, and how many the former
    are (distance/mitre.py). Raises MeshError(memory), with an estimate, when the grid's tables or
    the lists do not fit.
    """
    n = bricks_per_axis(resolution)
    require_room(TABLE_BYTES * n**3, resolution, dimension=3)
    records, measured = with_features(kernels.triangle_records(mesh.vertices, mesh.faces), features)
    width = BRICK * spacing(resolution)
    counts = kernels.count_cover(records[:measured], margin, width, n)
    starts = np.concatenate([[0], np.cumsum(counts)])
    require_room(BYTES_PER_PAIR * int(starts[-1]), resolution)
    keys = kernels.fill_cover(records[:measured], margin, width, n, starts)
    numbers, offsets, triangles = kernels.group_pairs(keys, starts, n**3)
    bricks = np.stack(np.unravel_index(numbers, (n, n, n)), axis=1).astype(np.int32)
    mitred = features is not None
    return TriangleBricks(resolution, margin, bricks, offsets, triangles, records, mitred)


def with_features(
    records: np.ndarray, features: tuple[np.ndarray, int] | None
) -> tuple[np.ndarray, int]:
    """Records (F,30) of triangles with those of features after them, and how many both are."""
    if features is None:
        return records, len(records)
    rows, count = features
    rows = rows.copy()
    rows[:count, PAGE] += np.where(rows[:count, PAGE] < 0, 0, len(records))
    return np.concatenate([records, rows]), len(records) + count


def require_room(need: int, resolution: int, dimension: int = 2) -> None:
    """Raise MeshError(memory) when a grid's `need` bytes do not fit, with a resolution that does.

    Bricks lie along a surface: what they take grows with the square of the resolution, but tables
    of the whole grid with its cube.
    """
    require_memory(
        need,
        f"resolution {resolution}",
        lambda share: f"resolution {int(resolution * share ** (1 / dimension)) // 8 * 8} would fit",
    )


def offset_field(cover: TriangleBricks, eps: float) -> BrickField:
    """eps - distance on the corners, exact up to the cover's margin and constant beyond it.

    Raises MeshError(memory), with an estimate, when the values and the surface extracted from them
    would not fit.
    """
    require_room(BYTES_PER_BRICK * len(cover.bricks), cover.resolution)
    values = np.empty((len(cover.bricks), 9, 9, 9), np.float32)
    rows = np.arange(len(cover.bricks))
    fill_values(values, rows, cover, eps)
    lookup = brick_lookup(cover.resolution, cover.bricks)
    kernels.share_corners(cover.bricks, lookup, values, np.float32(eps - cover.margin))
    return BrickField(cover.resolution, cover.bricks, values)


def fill_values(values: np.ndarray, rows: np.ndarray, cover: TriangleBricks, eps: float) -> None:
    """Fill values[rows], float32 (B,9,9,9), on the corners that each brick of the cover owns."""
    lists = (cover.bricks, cover.offsets, cover.triangles, cover.records)
    lengths = (eps, cover.margin, spacing(cover.resolution))
    kernels.fill_corners(values, rows, *lists, lengths)
    if cover.mitred:
        raise_corners(values, rows, *lists, lengths)
