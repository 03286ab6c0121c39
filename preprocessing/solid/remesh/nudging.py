"""Faces that meet nowhere, and seem to: a corner of theirs moves by a hair.

A filter that tests faces in rounded numbers calls some of two in one plane crossing that are far
apart (seeming_kernels.py). Whoever checks a solid with it would think the solid wrong. A corner
moved out of the plane by one step of the lattice, 1e-7, leaves the filter no doubt.
"""

from dataclasses import dataclass

import numpy as np

from preprocessing.mesh import Mesh
from preprocessing.solid.crossing_kernels import LATTICE
from preprocessing.solid.crossings import crossing_faces

STEPS = (1, -1, 2, -2, 3, -3)  # of the lattice, tried one after the other
ROOM = 2 * max(STEPS) / LATTICE


def nudge(mesh: Mesh) -> Mesh:
    """The mesh, on the lattice, with no faces that seem to meet, as far as a few steps do it.

    No faces meet that did not before. It is the mesh itself if none seem to.
    """
    seeming = np.flatnonzero(crossing_faces(mesh, seeming=True))
    if not len(seeming):
        return mesh
    moved = Mesh(mesh.vertices.copy(), mesh.faces)
    boxes = Boxes.of(mesh)
    for face in seeming:
        for corner in mesh.faces[face]:
            if _settle(moved, boxes, int(face), int(corner)):
                break
    return moved


@dataclass(frozen=True)
class Boxes:
    """Least and largest places (F,3) of faces; order, least (F,): the faces by their least x, and
    that; widest: the largest extent along x."""

    low: np.ndarray
    high: np.ndarray
    order: np.ndarray
    least: np.ndarray
    widest: float

    @classmethod
    def of(cls, mesh: Mesh) -> "Boxes":
        """Of the faces of a mesh."""
        corners = mesh.triangles
        low, high = corners.min(axis=1), corners.max(axis=1)
        order = np.argsort(low[:, 0], kind="stable")
        return cls(low, high, order, low[order, 0], float((high - low)[:, 0].max()))

    def near(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The faces (K,) whose boxes meet that from low (3,) to high, and ROOM round it."""
        low, high = low - ROOM, high + ROOM
        start, end = np.searchsorted(self.least, (low[0] - self.widest, high[0]))
        rows = self.order[start:end]
        rows = rows[(self.low[rows] <= high).all(axis=1) & (self.high[rows] >= low).all(axis=1)]
        return np.sort(rows)


def _settle(mesh: Mesh, boxes: Boxes, face: int, corner: int) -> bool:
    """Whether the faces round a corner of a face seem to meet no other, it moved off the face's
    plane by a step if need be."""
    own = mesh.vertices[corner]
    star = boxes.near(own, own)
    star = star[(mesh.faces[star] == corner).any(axis=1)]
    near = boxes.near(boxes.low[star].min(axis=0), boxes.high[star].max(axis=0))
    used, faces = np.unique(mesh.faces[near], return_inverse=True)
    part, chosen = Mesh(mesh.vertices[used], faces.reshape(-1, 3)), np.isin(near, star)
    at = int(np.searchsorted(used, corner))
    one, two, three = mesh.vertices[mesh.faces[face]]
    axis = int(np.abs(np.cross(two - one, three - one)).argmax())
    place = part.vertices[at, axis]
    for step in (0, *STEPS):
        part.vertices[at, axis] = place + step / LATTICE
        seem = crossing_faces(part, chosen, seeming=True).any()
        if not seem and not crossing_faces(part, chosen).any():
            mesh.vertices[corner] = part.vertices[at]
            return True
    return False
