"""Moving a marching-cubes surface onto distance = eps exactly, without folding it.

The distance has a kink on the input's surface, so interpolating it misplaces vertices by up to
half of eps. Each vertex walks along the exact gradient; where that fails, or turns a face over,
the vertex goes to the root on its own grid edge instead: as exact, and unable to fold anything,
because the triangles of a cell then stay inside the cell. (An edge of a finer cell that has a
coarse one's signs may have no root; there it stays where it walked.)
"""

from dataclasses import dataclass, replace

import numpy as np

from preprocessing.mesh import Mesh
from preprocessing.solid import projection_kernels as kernels
from preprocessing.solid.bricks import spacing
from preprocessing.solid.isosurface import BrickSurface
from preprocessing.solid.offset_field import TriangleBricks
from preprocessing.solid.remesh.near_kernels import gradients

# A face may turn by 75 degrees at most; a larger turn is a fold.
FOLD_COSINE = 0.26
# |distance - eps| / eps above which the walk along the gradient counts as failed.
FAILED = 1e-6
# Share of a grid edge that a vertex keeps away from its ends.
NEAREST = 0.001


@dataclass(frozen=True)
class Marched:
    """A surface that marching cubes meshed, on the offset of the triangles that bricks list.

    gradient float64 (V,3): of the distance at each vertex. lid bool (V,): vertices that are on no
    offset but close a hole, and stay where they are; crease bool (V,): vertices on mitred creases,
    which stay too.
    """

    surface: BrickSurface
    gradient: np.ndarray
    cover: TriangleBricks
    lid: np.ndarray
    crease: np.ndarray

    @property
    def mesh(self) -> Mesh:
        """The surface as a mesh."""
        return Mesh(self.surface.vertices, self.surface.faces)

    @property
    def stays(self) -> np.ndarray:
        """The vertices (V,) that remeshing may not touch."""
        fixed: np.ndarray = self.lid | self.crease
        return fixed


def project(surface: BrickSurface, cover: TriangleBricks, eps: float, lid: np.ndarray) -> Marched:
    """The surface with its vertices moved onto distance eps, but for those in lid (V,)."""
    step = spacing(cover.resolution)
    lists = (cover.offsets, cover.triangles, cover.records)
    moved, reached, gradient = kernels.project(
        surface.vertices, surface.first_vertex, *lists, eps, step
    )
    near = cover.near(eps)
    pending = np.abs(reached - eps) > FAILED * eps
    walked = ~pending
    moved[lid] = surface.vertices[lid]
    rooted = lid.copy()
    for _ in range(4):
        chosen = np.flatnonzero(pending & ~rooted)
        if len(chosen):
            rooted[chosen] = True
            places = held_back(surface, cover, eps, chosen, np.full(len(chosen), NEAREST))
            found = on_offset(near, places) | ~walked[chosen]
            moved[chosen[found]] = places[found]
        folded = kernels.folded_faces(surface.vertices, moved, surface.faces, FOLD_COSINE)
        pending[surface.faces[folded]] = True
        if not (pending & ~rooted).any():
            break
    gradient[rooted] = gradients(near, moved[rooted])[1]
    none = np.zeros(len(moved), bool)
    return Marched(replace(surface, vertices=moved), gradient, cover, lid, none)


def held_back(
    start: BrickSurface, cover: TriangleBricks, eps: float, chosen: np.ndarray, kept_off: np.ndarray
) -> np.ndarray:
    """Points (K,3) at distance eps on the grid edges of the chosen vertices, off the ends.

    Where a finer cell has the signs of a coarse one beside it, an edge may have no such point: then
    one near an end of it.
    """
    brick = np.searchsorted(start.first_vertex, chosen, side="right") - 1
    lists = (cover.offsets, cover.triangles, cover.records)
    steps = start.spacing(chosen, spacing(cover.resolution))
    found: np.ndarray = kernels.root_on_edge(
        chosen, brick, start.vertices, *lists, eps, steps, kept_off
    )
    return found


def on_offset(near: tuple, points: np.ndarray) -> np.ndarray:
    """Which points (K,3) are on the offset, but for what an edge's ends keep them off it."""
    found: np.ndarray = np.abs(gradients(near, points)[0] - near[4]) <= 2 * NEAREST * near[5]
    return found
