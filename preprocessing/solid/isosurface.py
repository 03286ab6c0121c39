"""Marching cubes over bricks: a closed 2-manifold from corner values, whatever they mean.

One vertex per crossed grid edge, owned by one brick; the triangles of a cell depend on its eight
signs alone (isosurface_tables.py says why that gives closed, manifold surfaces). The extractor
knows nothing of distance: the watertight stage and the reader of the VAE both use it.
"""

from dataclasses import dataclass

import numpy as np

from preprocessing.frame import HALF_WIDTH
from preprocessing.mesh import Mesh
from preprocessing.solid import isosurface_kernels as kernels
from preprocessing.solid.bricks import BrickField, brick_lookup, spacing
from preprocessing.solid.isosurface_tables import EDGE_AXIS, EDGE_OFFSET, triangle_table

# Vertices start this share of a cell away from grid corners: no needles, and projection mends it.
CLEARANCE = 0.1


@dataclass(frozen=True)
class BrickSurface:
    """An extracted surface with the brick each element came from.

    vertices float64 (V,3); faces int32 (F,3); vertices of brick b are rows first_vertex[b] to
    first_vertex[b + 1], its faces rows first_face[b] to first_face[b + 1] (int64, B + 1 each).
    steps float64 (V,), where the cells of some vertices are finer: the length of their grid edges.
    """

    vertices: np.ndarray
    faces: np.ndarray
    first_vertex: np.ndarray
    first_face: np.ndarray
    steps: np.ndarray | None = None

    def spacing(self, chosen: np.ndarray, coarse: float) -> np.ndarray:
        """The lengths (K,) of the grid edges of some vertices, `coarse` but for finer cells."""
        return np.full(len(chosen), coarse) if self.steps is None else self.steps[chosen]


def extract_isosurface(field: BrickField, level: float = 0.0) -> Mesh:
    """The surface where the field crosses `level`: faces outward from the values above it.

    A value equal to the level counts as outside. Vertices are linear interpolations, float64, in
    the normalised frame. Raises ValueError when the surface is not closed inside the bricks
    (`open_neighbours` names the bricks to add; none can be added past the grid's border).
    """
    surface = extract_surface(field, level)
    return Mesh(surface.vertices, surface.faces)


def extract_surface(
    field: BrickField, level: float = 0.0, clearance: float = 0.0, join: str = "inside"
) -> BrickSurface:
    """`extract_isosurface` with brick ranges; vertices stay `clearance` cells off grid corners.

    join: as of triangle_table. A clearance moves vertices off the linear interpolation, for callers
    that correct positions themselves and want no needle-thin triangles.
    """
    lookup = brick_lookup(field.resolution, field.bricks)
    signs = kernels.sign_rows(field.values, level)
    entered = kernels.entered_neighbours(field.bricks, lookup, signs)
    if entered.any():
        raise ValueError(
            f"the surface leaves the bricks in {int(entered.sum())} places; it is closed only when "
            "open_neighbours() is empty"
        )
    counts, edges = triangle_table(join)
    crossed, start, vertices, faces = kernels.count_elements(signs, counts)
    first_vertex = np.concatenate([[0], np.cumsum(vertices)])
    first_face = np.concatenate([[0], np.cumsum(faces)])
    if first_vertex[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"{first_vertex[-1]} vertices are more than 32-bit numbers can name")
    positions = kernels.place_vertices(
        field.bricks,
        field.values,
        level,
        crossed,
        first_vertex,
        -HALF_WIDTH,
        spacing(field.resolution),
        clearance,
    )
    triangles = kernels.place_faces(
        field.bricks,
        lookup,
        signs,
        crossed,
        start,
        first_vertex,
        first_face,
        (counts, edges, EDGE_OFFSET, EDGE_AXIS),
    )
    return BrickSurface(positions, triangles, first_vertex, first_face)


def open_neighbours(field: BrickField, level: float = 0.0) -> np.ndarray:
    """Absent bricks that the level set enters, int32 (K,3), sorted, each once; empty when closed.

    Bricks past the grid's border are listed too (coordinates -1 or bricks_per_axis).
    """
    lookup = brick_lookup(field.resolution, field.bricks)
    flags = kernels.entered_neighbours(field.bricks, lookup, kernels.sign_rows(field.values, level))
    brick, code = np.nonzero(flags)
    step = np.stack([code // 9 - 1, code // 3 % 3 - 1, code % 3 - 1], axis=1)
    return np.unique(field.bricks[brick] + step, axis=0).astype(np.int32)
