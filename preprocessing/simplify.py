"""Fewer faces for a watertight mesh, with the deviation measured both ways and bounded."""

import numpy as np

from preprocessing.audit import topology
from preprocessing.distance import unsigned_distance
from preprocessing.mesh import Mesh
from preprocessing.meshlab import decimate

SHRINK = 0.6


def simplify_mesh(mesh: Mesh, tolerance: float) -> Mesh:
    """The smallest of a series of ever coarser meshes within `tolerance` of a closed mesh.

    Each step asks quadric edge collapse for 0.6 times the faces, and counts only if it is still
    closed and manifold with as many components, and if no vertex, edge middle or face centre of
    either mesh is farther than `tolerance` from the other's surface. The first step that does
    not count ends the series; when that is the very first, the mesh comes back as it is.
    """
    asked = topology(mesh)
    probes = probe_points(mesh)
    best = mesh
    while len(best.faces) > 8:
        vertices, faces = decimate(best.vertices, best.faces, int(SHRINK * len(best.faces)))
        candidate = Mesh(vertices, faces)
        found = topology(candidate)
        sound = found.watertight and found.vertex_manifold and found.volume > 0
        same = (found.components, found.euler) == (asked.components, asked.euler)
        if not (sound and same) or len(faces) > 0.95 * len(best.faces):
            break
        if deviation(mesh, candidate, probes) > tolerance:
            break
        best = candidate
    return best


def deviation(mesh: Mesh, other: Mesh, probes: np.ndarray) -> float:
    """Largest distance of `probes` (of mesh) to `other` and of other's probes to mesh."""
    there = unsigned_distance(other, probes).max()
    back = unsigned_distance(mesh, probe_points(other)).max()
    return float(max(there, back))


def probe_points(mesh: Mesh) -> np.ndarray:
    """Vertices, middles of edges and centres of faces, float64 (P,3)."""
    corners = mesh.triangles
    ahead = mesh.faces[:, [1, 2, 0]]
    once = mesh.faces < ahead
    middles = (mesh.vertices[mesh.faces[once]] + mesh.vertices[ahead[once]]) / 2
    return np.concatenate([mesh.vertices, middles, corners.mean(axis=1)])
