"""Exact distance from points to a triangle mesh, and its sign from the winding number."""

from dataclasses import dataclass

import numpy as np

from preprocessing.distance_kernels import (
    build_boxes,
    build_slabs,
    nearest_triangles,
    winding_numbers,
)
from preprocessing.edge_kernels import match_half_edges
from preprocessing.mesh import Mesh, MeshError
from preprocessing.morton import morton_order
from preprocessing.split_kernels import split_order

LEAF = 4  # triangles to a leaf box
TOP = 63  # nodes at the root that keep plain boxes: turned ones do not pay there


@dataclass(frozen=True)
class TriangleTree:
    """A tree of boxes over the triangles of a mesh, for many queries.

    `order` int64 (F,) the faces as the tree holds them; `triangles` float64 (F,3,3) and `rows`
    int64 (F,3), their corners and vertex rows in that order; `boxes` float64 (nodes,6) along the
    axes and `slabs` float64 (nodes - TOP,15) along the surface, see `distance_kernels`.
    """

    order: np.ndarray
    triangles: np.ndarray
    rows: np.ndarray
    boxes: np.ndarray
    slabs: np.ndarray

    @classmethod
    def build(cls, mesh: Mesh) -> "TriangleTree":
        """Raises MeshError(empty) without faces and MeshError(not-finite) for a bad vertex."""
        if len(mesh.faces) == 0:
            raise MeshError("empty", "the mesh has no faces to measure distance to")
        triangles = mesh.triangles
        if not np.isfinite(triangles).all():
            raise MeshError("not-finite", "a vertex of the mesh is not finite")
        x, y, z = np.ascontiguousarray(triangles.mean(axis=1).T)
        order = split_order(x, y, z, LEAF)
        triangles = triangles[order]
        leaves = 1 << max(0, (-(-len(order) // LEAF) - 1).bit_length())
        boxes = build_boxes(triangles, LEAF, leaves)
        first = min(TOP, len(boxes))
        slabs = build_slabs(triangles, LEAF, leaves, first)
        return cls(order, triangles, mesh.faces[order], boxes, slabs)

    def nearest(
        self, points: np.ndarray, curve: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distance (Q,), face of the mesh (Q,), closest point (Q,3); `curve` from morton_order."""
        squared, place, closest = nearest_triangles(
            self.triangles, self.boxes, self.slabs, LEAF, points, curve
        )
        return np.sqrt(squared), self.order[place], closest

    def winding(self, points: np.ndarray, curve: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Winding number int64 (Q,) of a closed mesh; `distance` (Q,) from `nearest`."""
        return winding_numbers(self.triangles, self.rows, self.boxes, LEAF, points, curve, distance)


def unsigned_distance(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """Distance from `points` (Q,3) to the surface of any mesh, float64 (Q,), in the mesh's unit."""
    points = checked_points(points)
    return TriangleTree.build(mesh).nearest(points, morton_order(points))[0]


def closest_points(
    mesh: Mesh, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Nearest surface point of any mesh to each of `points` (Q,3).

    Returns (closest float64 (Q,3), distance float64 (Q,), face int64 (Q,), normal of that face
    float64 (Q,3), zero for a zero-area face). Of faces at equal distance any one is named.
    Raises MeshError for an empty mesh or bad vertices, ValueError for points that are not finite.
    """
    points = checked_points(points)
    distance, face, closest = TriangleTree.build(mesh).nearest(points, morton_order(points))
    corners = mesh.vertices[mesh.faces[face]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    norm = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = np.divide(normal, norm, out=np.zeros_like(normal), where=norm > 0)
    return closest, distance, face, normal


def signed_distance(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """Distance from `points` (Q,3) to the surface of a closed mesh, positive inside, float64 (Q,).

    Inside is where the winding number is above zero, so parts that overlap are one solid; it is
    counted along a ray without rounding gaps, not guessed from the nearest normal. Raises
    MeshError(not-closed) for a mesh with an edge that faces do not run along as often in one
    direction as in the other, since it has no inside; the others as `closest_points`.
    """
    points = checked_points(points)
    require_closed(mesh)
    tree, curve = TriangleTree.build(mesh), morton_order(points)
    distance, _, _ = tree.nearest(points, curve)
    return np.where(tree.winding(points, curve, distance) > 0, distance, -distance)


def checked_points(points: np.ndarray) -> np.ndarray:
    """Points as contiguous float64 (Q,3); ValueError when they are not that or not finite."""
    points = np.ascontiguousarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points must have the shape (Q, 3), not {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("points must be finite")
    return points


def require_closed(mesh: Mesh) -> None:
    """Raise MeshError(not-closed) unless faces run along every edge as often there as back."""
    unbalanced = match_half_edges(mesh.faces, len(mesh.vertices))[3]
    if unbalanced:
        raise MeshError(
            "not-closed",
            f"{unbalanced} edges are open or between faces that disagree about outside, so the "
            "mesh has no inside: make it watertight first",
        )
