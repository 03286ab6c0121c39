"""The offset field eps - distance of a triangle mesh on the bricks round its surface."""

from dataclasses import dataclass

import numpy as np

from preprocessing import brick_kernels as kernels
from preprocessing.bricks import BRICK, BrickField, brick_lookup, bricks_per_axis, spacing
from preprocessing.mesh import Mesh


@dataclass(frozen=True)
class TriangleBricks:
    """Which triangles reach which brick: triangles[offsets[b]:offsets[b + 1]] of bricks[b].

    bricks int32 (B,3) in ascending order; offsets int64 (B + 1,); triangles int32 (pairs,);
    records float64 (F,30), brick_kernels.py. Every triangle within `margin` of a brick is listed.
    """

    resolution: int
    margin: float
    bricks: np.ndarray
    offsets: np.ndarray
    triangles: np.ndarray
    records: np.ndarray


def triangle_bricks(mesh: Mesh, resolution: int, margin: float) -> TriangleBricks:
    """Bricks within `margin` of a mesh in the normalised frame, each with its triangles."""
    records = kernels.triangle_records(mesh.vertices, mesh.faces)
    n = bricks_per_axis(resolution)
    width = BRICK * spacing(resolution)
    counts = kernels.count_cover(records, margin, width, n)
    starts = np.concatenate([[0], np.cumsum(counts)])
    keys = kernels.fill_cover(records, margin, width, n, starts)
    numbers, offsets, triangles = kernels.group_pairs(keys, starts, n**3)
    bricks = np.stack(np.unravel_index(numbers, (n, n, n)), axis=1).astype(np.int32)
    return TriangleBricks(resolution, margin, bricks, offsets, triangles, records)


def offset_field(cover: TriangleBricks, eps: float) -> BrickField:
    """eps - distance on the corners, exact up to the cover's margin and constant beyond it."""
    step = spacing(cover.resolution)
    values = kernels.fill_corners(
        cover.bricks, cover.offsets, cover.triangles, cover.records, eps, cover.margin, step
    )
    lookup = brick_lookup(cover.resolution, cover.bricks)
    kernels.share_corners(cover.bricks, lookup, values, np.float32(eps - cover.margin))
    return BrickField(cover.resolution, cover.bricks, values)
