"""Faces that cross or touch others, found exactly: vertices lie on a lattice that float32 holds."""

import numpy as np

from preprocessing.mesh import Mesh
from preprocessing.mesh_joining import join_positions
from preprocessing.solid import crossing_search_kernels as kernels
from preprocessing.solid.crossing_kernels import LATTICE

MOST_BLOCKS = 2**21
CELLS_PER_FACE = 1.6  # width of a cell over the mean extent of a face


def on_lattice(vertices: np.ndarray) -> np.ndarray:
    """Vertices (V,3) of the normalised frame rounded to multiples of 2^-23, float64.

    float32 holds every such number below 2, so a file holds exactly what was audited.
    """
    return np.rint(vertices * LATTICE) / LATTICE


def coincident_vertices(mesh: Mesh) -> int:
    """How many vertices are in exactly the place of an earlier one."""
    return len(mesh.vertices) - len(join_positions(mesh.vertices)[0])


def crossing_faces(
    mesh: Mesh,
    chosen: np.ndarray | None = None,
    closed: bool = False,
    seeming: bool = False,
) -> np.ndarray:
    """True (F,) for each face that meets another one elsewhere than in corners both name.

    Touching counts, in a point too, and so does a face without an area. Exact for vertices on the
    lattice; others are scaled by a power of two into its range, where they exceed it, and rounded.
    `chosen`, bool (F,), limits the search to pairs with such a face. `closed`
    says that faces run along every edge as often there as back, which saves half the time.
    `seeming` asks for the faces that seem to meet another, to the usual test in rounded numbers
    (seeming_kernels.py), be it true or not.
    """
    if len(mesh.faces) == 0:
        return np.zeros(0, bool)
    largest = float(np.abs(mesh.vertices).max())
    scale = 1.0 if largest < 2 else 2.0 ** -(np.floor(np.log2(largest)))
    vertices = on_lattice(mesh.vertices * scale)
    faces = np.ascontiguousarray(mesh.faces, np.int32)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    some = vertices[faces[:: len(faces) // 4096 + 1]]
    one, two, three = some[:, 0], some[:, 1], some[:, 2]
    # Not ptp along the axis of the corners, which is ten times as slow.
    largest_of, least_of = (pick(pick(one, two), three) for pick in (np.maximum, np.minimum))
    extent = float((largest_of - least_of).mean())
    cell = max(CELLS_PER_FACE * extent, 2.0 / LATTICE)
    while np.prod(shape := np.floor((high - low) / (kernels.CELLS * cell)) + 1) > MOST_BLOCKS:
        cell *= 1.25
    shape = shape.astype(np.int64)
    cells = kernels.face_cells(vertices, faces, low, cell)
    offsets, listed = kernels.group_faces(cells, shape)
    some = np.zeros(0, bool) if chosen is None else chosen
    found: np.ndarray = kernels.meeting_faces(
        vertices, faces, cells, shape, offsets, listed, some, closed, seeming
    )
    return found
