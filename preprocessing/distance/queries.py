"""Exact distance from points to a triangle mesh, and its sign from the winding number."""

from dataclasses import dataclass

import numpy as np

from preprocessing.distance.distance_kernels import nearest_triangles
from preprocessing.distance.morton import morton_order
from preprocessing.distance.split_kernels import split_order
from preprocessing.distance.tree_kernels import (
    BOX,
    LEAF,
    ROWS,
    WIDE,
    build_boxes,
    build_leaves,
    build_nodes,
    face_centres,
    gather,
)
from preprocessing.distance.winding_kernels import winding_numbers
from preprocessing.half_edge_kernels import match_half_edges
from preprocessing.held import MeshLike, as_mesh
from preprocessing.mesh import Mesh, MeshError


@dataclass(frozen=True)
class TriangleTree:
    """Two bounding-volume hierarchies over the triangles of a mesh, for many queries.

    `order` int64 (F,) the faces as the tree holds them; `triangles` float64 (F,3,3) and `rows`
    int64 (F,3), their corners and vertex rows in that order; `boxes` float64 (.,6) of the binary
    tree; `blocks` float32 (N,ROWS,WIDE) and `centres` float64 (N,4) of the 16-wide one, level by
    level from the leaves, levels[k] to levels[k + 1] being those of level k; `scale` units of the
    tree to a unit of the mesh. See `tree_kernels`.
    """

    order: np.ndarray
    triangles: np.ndarray
    rows: np.ndarray
    boxes: np.ndarray
    blocks: np.ndarray
    centres: np.ndarray
    levels: np.ndarray
    scale: float

    @classmethod
    def build(cls, mesh: Mesh) -> "TriangleTree":
        """Raises MeshError(empty) without faces and MeshError(not-finite) for a bad vertex."""
        if len(mesh.faces) == 0:
            raise MeshError("empty", "the mesh has no faces to measure distance to")
        x, y, z = face_centres(mesh.vertices, mesh.faces)
        if not all(np.isfinite(along).all() for along in (x, y, z)):
            raise MeshError("not-finite", "a vertex of the mesh is not finite")
        order = split_order(x, y, z, BOX)
        triangles, rows = gather(mesh.vertices, mesh.faces, order)
        boxes = build_boxes(triangles, 1 << (-(-len(order) // BOX) - 1).bit_length())
        # A power of two, so that nothing is rounded by it.
        side = float((boxes[0, 3:] - boxes[0, :3]).max())
        scale = float(2.0 ** -np.ceil(np.log2(side))) if side > 0 else 1.0
        leaves = -(-len(order) // LEAF)
        levels = [0, leaves]
        while levels[-1] - levels[-2] > 1:
            levels.append(levels[-1] + -(-(levels[-1] - levels[-2]) // WIDE))
        blocks = np.empty((levels[-1], ROWS, WIDE), np.float32)
        spots = np.empty((levels[-1], 4))
        build_leaves(triangles, scale, blocks[:leaves], spots[:leaves])
        for k in range(1, len(levels) - 1):
            level = slice(levels[k], levels[k + 1])
            build_nodes(triangles, scale, LEAF * WIDE ** (k - 1), blocks[level], spots[level])
        return cls(order, triangles, rows, boxes, blocks, spots, np.array(levels), scale)

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distance (Q,), face of the mesh (Q,) and closest point (Q,3) of each of `points` (Q,3).

        Several times faster where the points lie along a space-filling curve (`morton_order`).
        """
        squared, place, closest = self.walk(points)
        return np.sqrt(squared), self.order[place], closest

    def distance(self, points: np.ndarray) -> np.ndarray:
        """The distance alone, of points as `nearest` takes them, (Q,)."""
        return np.sqrt(self.walk(points)[0])

    def walk(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Squared distance (Q,), place in `order` (Q,) and closest point (Q,3)."""
        squared, place = np.empty(len(points)), np.empty(len(points), np.int64)
        closest = np.empty((len(points), 3))
        tree = (self.triangles, self.blocks, self.centres, self.levels, self.scale)
        nearest_triangles(*tree, points, squared, place, closest)
        return squared, place, closest

    def winding(self, points: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Winding number int64 (Q,) of a closed mesh; points and `distance` as of `nearest`."""
        return winding_numbers(self.triangles, self.rows, self.boxes, points, distance)


def unsigned_distance(mesh: MeshLike, points: np.ndarray) -> np.ndarray:
    """Distance from `points` (Q,3) to the surface of any mesh, float64 (Q,), in the mesh's unit."""
    points = checked_points(points)
    curve = morton_order(points)
    return in_given_order(curve, TriangleTree.build(as_mesh(mesh)).distance(points[curve]))


def in_given_order(curve: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (Q,...) of points along a curve, in the order that the points had before."""
    result = np.empty_like(values)
    result[curve] = values
    return result


def closest_points(
    mesh: MeshLike, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Nearest surface point of any mesh to each of `points` (Q,3).

    Returns (closest float64 (Q,3), distance float64 (Q,), face int64 (Q,), normal of that face
    float64 (Q,3), zero for a zero-area face). Of faces at equal distance any one is named.
    Raises MeshError for an empty mesh or bad vertices, ValueError for points that are not finite.
    """
    mesh, points = as_mesh(mesh), checked_points(points)
    curve = morton_order(points)
    found = TriangleTree.build(mesh).nearest(points[curve])
    distance, face, closest = (in_given_order(curve, values) for values in found)
    corners = mesh.vertices[mesh.faces[face]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    norm = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = np.divide(normal, norm, out=np.zeros_like(normal), where=norm > 0)
    return closest, distance, face, normal


def signed_distance(mesh: MeshLike, points: np.ndarray) -> np.ndarray:
    """Distance from `points` (Q,3) to the surface of a closed mesh, positive inside, float64 (Q,).

    As `SignedDistance`, for one set of points.
    """
    points = checked_points(points)
    return SignedDistance(as_mesh(mesh))(points)


class SignedDistance:
    """The signed distance of a closed mesh: its tree, built once for any number of calls.

    Inside is where the winding number is above zero, so parts that overlap are one solid; it is
    counted along a ray without rounding gaps, not guessed from the nearest normal. Raises
    MeshError(not-closed) for a mesh with an edge that faces do not run along as often in one
    direction as in the other, since it has no inside; MeshError for an empty mesh or bad vertices.
    """

    def __init__(self, mesh: Mesh) -> None:
        require_closed(mesh)
        self.tree = TriangleTree.build(mesh)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Distance float64 (Q,) of points (Q,3), positive inside, in the mesh's unit.

        Raises ValueError for points that are not finite.
        """
        points = checked_points(points)
        curve = morton_order(points)
        points = points.take(curve, axis=0)
        distance = self.tree.distance(points)
        inside = self.tree.winding(points, distance) > 0
        return in_given_order(curve, np.where(inside, distance, -distance))


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
    unbalanced = match_half_edges(mesh.faces, len(mesh.vertices)).unbalanced
    if unbalanced:
        raise MeshError(
            "not-closed",
            f"{unbalanced} edges are open or between faces that disagree about outside, so the "
            "mesh has no inside: make it watertight first",
        )
