"""Moving a marching-cubes surface onto distance = eps exactly, without folding it.

The distance has a kink on the input's surface, so interpolating it misplaces vertices by up to
half of eps. Each vertex walks along the exact gradient; where that fails, or turns a face over,
the vertex goes to the root on its own grid edge instead: as exact, and unable to fold anything,
because the triangles of a cell then stay inside the cell.
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
    pending = np.abs(reached - eps) > FAILED * eps
    moved[lid] = surface.vertices[lid]
    rooted = lid.copy()
    for _ in range(4):
        chosen = np.flatnonzero(pending & ~rooted)
        if len(chosen):
            brick = np.searchsorted(surface.first_vertex, chosen, side="right") - 1
            moved[chosen] = kernels.root_on_edge(
                chosen, brick, surface.vertices, *lists, eps, step, np.full(len(chosen), NEAREST)
            )
            rooted[chosen] = True
        folded = kernels.folded_faces(surface.vertices, moved, surface.faces, FOLD_COSINE)
        pending[surface.faces[folded]] = True
        if not (pending & ~rooted).any():
            break
    gradient[rooted] = gradients(cover.near(eps), moved[rooted])[1]
    none = np.zeros(len(moved), bool)
    return Marched(replace(surface, vertices=moved), gradient, cover, lid, none)
