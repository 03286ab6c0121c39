"""The audit of a watertight result: topology, orientation, and distance to the input."""

from dataclasses import dataclass

import numpy as np

from preprocessing.half_edge_kernels import COLLAPSED, count_fans, match_half_edges
from preprocessing.half_edges import count_components
from preprocessing.mesh import Mesh
from preprocessing.solid import audit_kernels as kernels


@dataclass(frozen=True)
class Topology:
    """What the faces say, whatever the positions: counts and three yes-or-no answers.

    watertight: every edge has a face on both sides, turned alike; edge_manifold: no edge has more
    than two faces or two of one direction; vertex_manifold: the faces round each vertex form one
    fan (false where an edge is at fault). volume is signed: positive is outward.
    """

    vertices: int
    faces: int
    components: int
    watertight: bool
    edge_manifold: bool
    vertex_manifold: bool
    volume: float
    euler: int


def topology(mesh: Mesh) -> Topology:
    """Audit the topology of a mesh; vertices that no face uses are not counted."""
    if len(mesh.faces) == 0:
        return Topology(0, 0, 0, False, False, False, 0.0, 0)
    count = len(mesh.vertices)
    edges = match_half_edges(mesh.faces, count)
    used = np.zeros(count, bool)
    used[mesh.faces] = True
    vertices = int(used.sum())
    whole = not (edges.mates == COLLAPSED).any()
    edge_manifold = whole and edges.nonmanifold == edges.flipped == 0
    watertight = edge_manifold and edges.boundary == 0
    return Topology(
        vertices=vertices,
        faces=len(mesh.faces),
        components=count_components(mesh.faces, count),
        watertight=watertight,
        edge_manifold=edge_manifold,
        vertex_manifold=watertight and count_fans(edges.mates) == vertices,
        volume=float(kernels.signed_volume(mesh.vertices, mesh.faces)),
        euler=vertices - int(edges.edges) + len(mesh.faces),
    )


def offset_error(distances: np.ndarray, eps: float) -> tuple[float, float]:
    """RMS and worst of |distance - eps| / eps."""
    error = np.abs(distances - eps) / eps
    return float(np.sqrt(np.mean(error**2))), float(error.max())
