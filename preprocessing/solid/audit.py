"""The audit of a watertight result: topology, orientation, and distance to the input."""

from dataclasses import dataclass

import numpy as np

from preprocessing.mesh import Mesh
from preprocessing.solid import audit_kernels as kernels
from preprocessing.solid.shell_kernels import vertex_components


@dataclass(frozen=True)
class Topology:
    """What the faces say, whatever the positions: counts and three yes-or-no answers.

    watertight: every edge has a face on both sides, turned alike; edge_manifold: no edge has more
    than two faces or two of one direction; vertex_manifold: the faces round each vertex form one
    fan (false where an edge at the vertex is at fault). volume is signed: positive is outward.
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
    offsets, ends, third = kernels.half_edges(count, mesh.faces)
    faults = kernels.vertex_faults(offsets, ends, third)
    used = int(np.count_nonzero(np.diff(offsets)))
    _, components = vertex_components(count, mesh.faces)
    open_edges, shared = bool((faults & 1).any()), bool((faults & 2).any())
    halves = len(ends)
    edges = halves // 2 if not (open_edges or shared) else _edge_count(mesh.faces)
    return Topology(
        vertices=used,
        faces=len(mesh.faces),
        components=components - (count - used),
        watertight=not (open_edges or shared),
        edge_manifold=not shared,
        vertex_manifold=not faults.any(),
        volume=float(kernels.signed_volume(mesh.vertices, mesh.faces)),
        euler=used - edges + len(mesh.faces),
    )


def _edge_count(faces: np.ndarray) -> int:
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    return len(np.unique(edges[:, 0] * (int(edges.max()) + 1) + edges[:, 1]))


def offset_error(distances: np.ndarray, eps: float) -> tuple[float, float]:
    """RMS and worst of |distance - eps| / eps."""
    error = np.abs(distances - eps) / eps
    return float(np.sqrt(np.mean(error**2))), float(error.max())
