"""Fewer faces for a watertight mesh, with the deviation measured both ways and bounded."""

from math import sqrt

import numpy as np

from preprocessing.distance.morton import morton_order
from preprocessing.distance.queries import TriangleTree, unsigned_distance
from preprocessing.mesh import Mesh
from preprocessing.solid.audit import topology
from preprocessing.solid.crossings import crossing_faces, on_lattice
from preprocessing.solid.remesh.decimation import decimate
from preprocessing.solid.remesh.nudging import nudge

SHRINK, GENTLEST = 0.5, 0.9


def simplify_mesh(mesh: Mesh, tolerance: float) -> Mesh:
    """The last of a series of ever coarser meshes within `tolerance` of a closed mesh.

    Each step asks quadric edge collapse for half the faces, and counts only if it is still closed
    and manifold with the same components and Euler number, if no face crosses another, and if no
    vertex, edge middle or face centre of either mesh is farther than `tolerance` from the other's
    surface. After a step that does not count, gentler ones (square roots of a half) are tried from
    the last that did. When none counts, the mesh comes back as it is.
    """
    asked = topology(mesh)
    tree, probes = TriangleTree.build(mesh), probe_points(mesh)
    best, share = mesh, SHRINK
    while share < GENTLEST and len(best.faces) > 8:
        small = decimate(best, int(share * len(best.faces)))
        candidate = Mesh(on_lattice(small.vertices), small.faces)
        found = topology(candidate)
        sound = found.watertight and found.vertex_manifold and found.volume > 0
        same = (found.components, found.euler) == (asked.components, asked.euler)
        fewer = len(candidate.faces) <= 0.95 * len(best.faces)
        near = sound and same and fewer and within(tolerance, tree, probes, candidate)
        if near and not crossing_faces(candidate, closed=True).any():
            best = candidate
        else:
            share = sqrt(share)
    return nudge(best)


def within(tolerance: float, tree: TriangleTree, probes: np.ndarray, candidate: Mesh) -> bool:
    """Whether candidate and the mesh of `tree`, with its `probes`, are that near to each other."""
    own = probe_points(candidate)
    back = tree.distance(own[morton_order(own)]).max()
    return bool(back <= tolerance and unsigned_distance(candidate, probes).max() <= tolerance)


def probe_points(mesh: Mesh) -> np.ndarray:
    """Vertices, middles of edges and centres of faces, float64 (P,3)."""
    corners = mesh.triangles
    ahead = mesh.faces[:, [1, 2, 0]]
    once = mesh.faces < ahead
    middles = (mesh.vertices[mesh.faces[once]] + mesh.vertices[ahead[once]]) / 2
    return np.concatenate([mesh.vertices, middles, corners.mean(axis=1)])
