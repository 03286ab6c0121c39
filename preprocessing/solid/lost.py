"""Visible points of the input that the output lost: an audit on request, for it casts rays.

A point is externally visible when two of 32 rays from it reach infinity (one alone slips through
the seam between two triangles). It is lost when the output passes it by more than eps + one cell:
in a crevice too narrow for the offset on this grid, which a smaller eps opens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from preprocessing.mesh import Mesh
from preprocessing.seeds import generator

POINTS, PART_POINTS = 100_000, 50_000
RAYS = 32


@dataclass(frozen=True)
class Seen:
    """Visible points (Q,3), the first `by_area` of them drawn by area; the face of each (Q,), a ray
    to infinity (Q,3), the normal there (Q,3)."""

    by_area: int
    points: np.ndarray
    faces: np.ndarray
    rays: np.ndarray
    normals: np.ndarray


def lost_share(given: Mesh, solid: Mesh, reach: float) -> float:
    """Share of the visible points of a mesh, by area, farther than `reach` from the solid.

    Both in the normalised frame. 0 where nothing is visible.
    """
    seen = visible_points(given)
    lost = is_lost(seen, solid, reach)[: seen.by_area]
    return float(lost.mean()) if len(lost) else 0.0


def is_lost(seen: Seen, solid: Mesh, reach: float) -> np.ndarray:
    """True (Q,) for visible points farther than `reach` from the solid."""
    gap = scene_of(solid).compute_distance(seen.points.astype(np.float32)).numpy()
    return np.asarray(gap > reach)


def scene_of(mesh: Mesh) -> Any:
    """An Open3D scene for rays and distances."""
    import open3d

    library: Any = vars(open3d)  # its stubs do not know that arrays are taken
    scene = library["t"].geometry.RaycastingScene()
    scene.add_triangles(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))
    return scene


def visible_points(mesh: Mesh) -> Seen:
    """The externally visible ones out of 1e5 points by area and 5e4 over the faces."""
    random = generator(0, "visible", "points")
    corners = mesh.triangles
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normal, axis=1)
    by_area = random.choice(len(area), POINTS, p=area / area.sum())
    by_face = np.arange(PART_POINTS) * len(area) // PART_POINTS
    face = np.concatenate([by_area, by_face])
    face = face[area[face] > 0]
    u, v = np.sqrt(random.random(len(face))), random.random(len(face))
    weight = np.stack([1 - u, u * (1 - v), u * v], axis=1)
    points = np.einsum("qc,qcx->qx", weight, corners[face])
    normal = normal[face] / area[face, None]
    scene, times, way = scene_of(mesh), np.zeros(len(face), int), np.zeros((len(face), 3))
    for ray in sphere_directions(RAYS):
        side = np.sign(normal @ ray)
        start = points + 1e-5 * side[:, None] * normal
        rays = np.concatenate([start, np.broadcast_to(ray, start.shape)], axis=1)
        out = np.isinf(scene.cast_rays(rays.astype(np.float32))["t_hit"].numpy())
        times[out] += 1
        way[out] = ray
    visible = times >= 2
    normal *= np.sign((normal * way).sum(axis=1, keepdims=True))
    first = int(visible[:POINTS].sum())
    return Seen(first, points[visible], face[visible], way[visible], normal[visible])


def sphere_directions(count: int) -> Iterator[np.ndarray]:
    """Directions spread evenly over the sphere (a Fibonacci spiral)."""
    turn = np.pi * (3 - np.sqrt(5))
    for i in range(count):
        z = 1 - (2 * i + 1) / count
        radius = np.sqrt(1 - z * z)
        yield np.array([radius * np.cos(turn * i), radius * np.sin(turn * i), z])
