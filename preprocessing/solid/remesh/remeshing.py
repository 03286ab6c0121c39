"""A better triangulation of an offset surface: right between the vertices, and without slivers.

Marching cubes puts vertices on the offset and leaves three faults: chords cut the round edges and
the creases, needles and caps stand where the surface passes close to a grid corner, and caps tilt.
Chords that are off by more than a tolerance get a vertex, on the crease where they cut one; needles
are collapsed and caps flipped, on the surface and manifold.
"""

from dataclasses import dataclass

import numpy as np

from preprocessing.half_edge_kernels import match_half_edges
from preprocessing.mesh import Mesh
from preprocessing.solid.bricks import brick_lookup, spacing
from preprocessing.solid.offset_field import TriangleBricks
from preprocessing.solid.remesh import deviation_kernels, tidy_kernels
from preprocessing.solid.remesh import halfedge_edit_kernels as kernels

ROUNDS, BENDS = 3, 2  # rounds of bending and tidying; times that edges are asked in a round
SMALLEST = np.cos(np.radians(20.0))  # faces with a smaller angle are bettered
ALIKE = np.cos(np.radians(10.0))  # normals that a chord need not be asked for


@dataclass
class Working:
    """A mesh being changed: rows beyond the counts are free. `origin`: an old vertex near each."""

    vertices: np.ndarray
    gradient: np.ndarray
    origin: np.ndarray
    frozen: np.ndarray
    faces: np.ndarray
    mates: np.ndarray
    leaving: np.ndarray
    changed: np.ndarray
    tried: np.ndarray

    @classmethod
    def of(
        cls, vertices: np.ndarray, faces: np.ndarray, frozen: np.ndarray, near: tuple
    ) -> "Working":
        """Take up a closed manifold mesh; `frozen` (V,) vertices and their faces stay."""
        faces = faces.astype(np.int32)
        mates = match_half_edges(faces, len(vertices)).mates.astype(np.int32)
        gradient = deviation_kernels.gradients(near, vertices)[1]
        leaving = kernels.leaving_halves(faces, len(vertices))
        origin = np.arange(len(vertices), dtype=np.int32)
        ticks = np.zeros(len(vertices), np.int64), np.zeros(len(faces), np.int64)
        return cls(vertices.copy(), gradient, origin, frozen, faces, mates, leaving, *ticks)

    def tidy(self, near: tuple, limits: tuple[float, float]) -> int:
        """Better the slivers; how many changes that took."""
        self._grow(1)
        changes = int(
            tidy_kernels.tidy(
                near, self.vertices, self.gradient, self.faces, self.mates, self.leaving,
                self.frozen, limits, SMALLEST, (self.changed, self.tried),
            )
        )  # fmt: skip
        self._grow(-1)
        return changes

    def bend(self, near: tuple, limits: tuple[float, float]) -> int:
        """Give a vertex to the chords that are off, the worst first; how many were."""
        known = (self.vertices, self.gradient, self.faces, self.mates)
        deviation = deviation_kernels.judge_edges(near, *known, self.frozen, limits)
        chosen = np.flatnonzero(deviation)
        chosen = chosen[np.argsort(-np.abs(deviation[chosen]), kind="stable")]
        points, normals, found = deviation_kernels.new_points(
            near, *known, chosen, deviation[chosen]
        )
        chosen, points, normals = chosen[found], points[found], normals[found]
        counts = np.array([len(self.faces), len(self.vertices)])
        self._grow(len(chosen))
        mesh = (self.vertices, self.gradient, self.faces, self.mates, self.leaving)
        ticks = (self.changed, self.tried)
        tidy_kernels.bend(near, mesh, self.origin, (chosen, points, normals), counts, ticks)
        return len(chosen)

    def _grow(self, more: int) -> None:
        """Add rows for `more` vertices and, where they are new ones on edges, their faces."""

        def longer(array: np.ndarray, rows: int, value: float = 0) -> np.ndarray:
            if rows < 0:
                return array[:rows]
            return np.concatenate([array, np.full((rows, *array.shape[1:]), value, array.dtype)])

        self.vertices, self.gradient = longer(self.vertices, more), longer(self.gradient, more)
        self.origin, self.frozen = longer(self.origin, more), longer(self.frozen, more)
        self.leaving = longer(self.leaving, more, -1)
        self.changed, self.tried = longer(self.changed, more), longer(self.tried, 2 * more)
        self.faces, self.mates = longer(self.faces, 2 * more, -1), longer(self.mates, 6 * more, -1)


def remesh(
    mesh: Mesh, cover: TriangleBricks, eps: float, tolerance: float, frozen: np.ndarray
) -> tuple[Mesh, np.ndarray]:
    """The mesh remeshed, and for each vertex an old one (V,) that it is or lies near.

    mesh: closed, manifold, at distance eps; tolerance: share of eps that the middle of an edge may
    be off; vertices in frozen (V,) and their faces stay as they are.
    """
    near = (
        brick_lookup(cover.resolution, cover.bricks),
        cover.offsets,
        cover.triangles,
        cover.records,
        eps,
        spacing(cover.resolution),
    )
    limits = (tolerance, ALIKE)
    work = Working.of(mesh.vertices, mesh.faces, frozen, near)
    work.tidy(near, limits)
    for _ in range(ROUNDS):
        bent = sum(work.bend(near, limits) for _ in range(BENDS))
        work.tidy(near, limits)
        if not bent:
            break
    faces, old = kernels.compact(work.faces, len(work.faces), len(work.vertices))
    return Mesh(work.vertices[old], faces), work.origin[old]
