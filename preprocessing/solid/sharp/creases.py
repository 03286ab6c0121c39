"""Vertices on the creases and corners of a mitred offset, where marching cubes cuts them off.

sheet_kernels.py says how a vertex knows its sheets. Edges between two sheets get a vertex where
these meet, faces between three the corner; then slivers beside the creases go, on their sheets.
Where that makes faces meet, the surroundings stay as marching cubes had them.
"""

from dataclasses import dataclass

import numpy as np

from preprocessing.half_edge_kernels import match_half_edges
from preprocessing.half_edges import widened
from preprocessing.mesh import Mesh
from preprocessing.solid.crossings import crossing_faces
from preprocessing.solid.isosurface import BrickSurface
from preprocessing.solid.projection import Marched
from preprocessing.solid.remesh import halfedge_edit_kernels as edits
from preprocessing.solid.remesh.near_kernels import gradients
from preprocessing.solid.sharp import crease_edit_kernels, crease_point_kernels, crease_tidy_kernels
from preprocessing.solid.sharp.sheet_kernels import PLANES

# Rounds of giving points, and how many before what stands in the way may move farther, in cells.
ROUNDS, STRICT, WIDE = 12, 3, 0.9


@dataclass
class Sheeted:
    """A mesh whose vertices know their sheets; rows beyond `used` (faces, vertices) are free."""

    vertices: np.ndarray
    planes: np.ndarray
    count: np.ndarray
    faces: np.ndarray
    mates: np.ndarray
    leaving: np.ndarray
    origin: np.ndarray
    held: np.ndarray
    used: np.ndarray

    @classmethod
    def of(cls, start: Marched, held: np.ndarray) -> "Sheeted":
        """Each vertex on the sheet that the gradient there is normal to; held (V,) ones stay."""
        vertices, faces = start.surface.vertices, start.surface.faces.astype(np.int32)
        size = np.linalg.norm(start.gradient, axis=1)
        planes = np.zeros((len(vertices), PLANES, 3))
        planes[:, 0] = start.gradient / np.maximum(size, 1e-9)[:, None]
        return cls(
            vertices.copy(),
            planes,
            (size > 0).astype(np.int64),
            faces,
            match_half_edges(faces, len(vertices)).mates.astype(np.int32),
            edits.leaving_halves(faces, len(vertices)),
            np.arange(len(vertices), dtype=np.int32),
            held.copy(),
            np.array([len(faces), len(vertices)]),
        )

    @property
    def mesh(self) -> tuple:
        """What the kernels take."""
        return self.vertices, self.planes, self.count, self.faces, self.mates, self.leaving

    def reserve(self, more: int) -> None:
        """Make room for `more` vertices, and two faces each."""
        faces, vertices = self.used

        def longer(array: np.ndarray, rows: int, value: int = 0) -> np.ndarray:
            end = np.full((max(0, rows - len(array)), *array.shape[1:]), value, array.dtype)
            return np.concatenate([array, end])

        for name in ("vertices", "planes", "count", "origin", "held"):
            setattr(self, name, longer(getattr(self, name), vertices + more))
        self.leaving = longer(self.leaving, vertices + more, -1)
        self.faces = longer(self.faces, faces + 2 * more, -1)
        self.mates = longer(self.mates, 3 * (faces + 2 * more), -1)

    def crease(self, near: tuple, close: float) -> int:
        """Give one round of edges and faces their points; how many they were.

        A vertex `close` to one goes there.
        """
        chosen = np.flatnonzero(crease_point_kernels.apart_edges(near, self.mesh, self.held))
        ends, points, normals, sizes = crease_point_kernels.edge_points(
            near, self.mesh, chosen, close
        )
        way = np.linalg.norm(self.vertices[ends] - points[:, None], axis=2).min(axis=1)
        order = np.argsort(way, kind="stable")
        order = order[sizes[order] > 0]
        self.reserve(len(order) + 1)
        proposals = tuple(one[order] for one in (ends, points, normals, sizes))
        done = crease_edit_kernels.place_on_edges(
            near, self.mesh, self.origin, proposals, self.used, close
        )
        chosen = np.flatnonzero(crease_edit_kernels.cornered_faces(self.mesh, self.held))
        self.reserve(len(chosen) + 1)
        return int(
            done
            + crease_edit_kernels.place_in_faces(
                near, self.mesh, self.origin, chosen, self.used, close
            )
        )


def sharpen(start: Marched, eps: float) -> Marched:
    """The surface with vertices on its creases; they are told, to stay what they are.

    Faces of the start meet nowhere, nor do those of the result: where they would, the vertices and
    those a face round them are held as they were.
    """
    near = start.cover.near(eps)
    held = start.lid.copy()
    while True:
        work = creased(start, near, held)
        faces, old = edits.compact(work.faces, len(work.faces), len(work.vertices))
        mesh, origin = Mesh(work.vertices[old], faces), work.origin[old]
        crossing = crossing_faces(mesh, closed=True)
        if not crossing.any():
            return by_brick(start, mesh, origin, work.count[old] > 1, near)
        held[origin[mesh.faces[crossing]]] = True
        held = widened(start.surface.faces, held)


def creased(start: Marched, near: tuple, held: np.ndarray) -> Sheeted:
    """One attempt, with the vertices in held (V,) and their edges as they are."""
    work = Sheeted.of(start, held)
    for turn in range(ROUNDS):
        tidied = crease_tidy_kernels.tidy_creases(near, work.mesh, work.held)
        close = crease_point_kernels.CLOSE if turn < STRICT else WIDE
        if not work.crease(near, close * near[5]) and turn >= STRICT and not tidied:
            break
    crease_tidy_kernels.tidy_creases(near, work.mesh, work.held)
    return work


def by_brick(
    start: Marched, mesh: Mesh, origin: np.ndarray, crease: np.ndarray, near: tuple
) -> Marched:
    """The mesh as a surface that says which brick each part came from, by an old vertex near it."""
    old = start.surface.first_vertex
    brick = np.searchsorted(old, origin, side="right") - 1
    order = np.argsort(brick, kind="stable")
    new = np.empty(len(order), np.int32)
    new[order] = np.arange(len(order))
    faces = new[mesh.faces]
    own = brick[order][faces[:, 0]]
    faces = faces[np.argsort(own, kind="stable")]
    first = [np.searchsorted(np.sort(b), np.arange(len(old))) for b in (brick, own)]
    vertices = mesh.vertices[order]
    surface = BrickSurface(vertices, faces, *first)
    gradient = gradients(near, vertices)[1]
    return Marched(surface, gradient, start.cover, start.lid[origin[order]], crease[order])
