"""Light copies of meshes for the page: vertices clustered on a grid, then quadric edge collapse.

Edge collapse alone costs more than a picture may (4.8 s on a cube of 720,296 flat faces).
Clustering takes time and memory in proportion to the faces and leaves CLUSTERED of them at most;
each cluster's vertex is where the planes of its faces meet (Lindstrom 2000), so that edges and
corners stay.
"""

from pathlib import Path

import numpy as np

from preprocessing.mesh import Mesh, save_mesh
from preprocessing.solid.remesh.decimation import decimate

FACES = 6000  # of a picture
CLUSTERED = 30_000  # faces that edge collapse is given at most
FINEST, COARSEST = 192, 8  # cells along the longest side
PULL = 1e-3  # of the planes' weight: to the mean of the vertices, along what planes leave free


def keep_picture(mesh: Mesh, path: Path) -> None:
    """A light copy of a mesh for the page, in the mesh's frame."""
    save_mesh(light_copy(mesh), path)


def light_copy(mesh: Mesh, faces: int = FACES) -> Mesh:
    """At most about `faces` faces; the mesh itself when it has no more, or would lose them all."""
    if len(mesh.faces) <= faces:
        return mesh
    cells, small = FINEST, mesh
    while len(small.faces) > CLUSTERED and cells >= COARSEST:
        small = clustered(mesh, cells)
        cells = int(cells * min(0.8, (CLUSTERED / max(len(small.faces), 1)) ** 0.5))
    small = decimate(small, faces)
    return small if len(small.faces) else mesh


def clustered(mesh: Mesh, cells: int) -> Mesh:
    """One vertex for each occupied cell of a grid of `cells` along the longest side.

    Faces whose corners fall into fewer than three cells vanish, and of equal ones one stays.
    """
    low = mesh.vertices.min(axis=0)
    size = float(np.ptp(mesh.vertices, axis=0).max()) / cells or 1.0
    cell = ((mesh.vertices - low) / size).astype(np.int64)
    key = (cell[:, 0] * (cells + 2) + cell[:, 1]) * (cells + 2) + cell[:, 2]
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    faces = group.reshape(-1)[mesh.faces]
    places = cluster_places(mesh, group.reshape(-1), len(first))
    middle = low + (cell[first] + 0.5) * size
    places = np.clip(places, middle - size, middle + size)  # planes may meet far away
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    if len(faces) == 0:
        return Mesh(places, faces)
    _, kept = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    used, faces = np.unique(faces[kept], return_inverse=True)
    return Mesh(places[used], faces.reshape(-1, 3))


def cluster_places(mesh: Mesh, group: np.ndarray, count: int) -> np.ndarray:
    """Where the planes of each cluster's faces meet best, float64 (count,3).

    `group` int64 (V,): the cluster of each vertex. The planes are weighted by area; the mean of the
    vertices decides along directions that they leave free.
    """
    corners = mesh.triangles
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normal, axis=1)
    normal = normal / np.where(area > 0, area, 1.0)[:, None]
    members = np.bincount(group, minlength=count)
    sums = np.stack([np.bincount(group, axis, count) for axis in mesh.vertices.T], axis=1)
    means = sums / np.maximum(members, 1)[:, None]
    matrix, right = np.zeros((count, 3, 3)), np.zeros((count, 3))
    for corner in range(3):
        owner = group[mesh.faces[:, corner]]
        # Relative to the cluster's mean, so that nothing cancels.
        offset = ((corners[:, 0] - means[owner]) * normal).sum(axis=1)
        for i in range(3):
            right[:, i] += np.bincount(owner, area * normal[:, i] * offset, count)
            for j in range(i, 3):
                matrix[:, i, j] += np.bincount(owner, area * normal[:, i] * normal[:, j], count)
    for i, j in ((1, 0), (2, 0), (2, 1)):
        matrix[:, i, j] = matrix[:, j, i]
    weight = np.trace(matrix, axis1=1, axis2=2)
    matrix += (PULL * weight + 1e-300)[:, None, None] * np.eye(3)
    return means + np.linalg.solve(matrix, right[..., None])[..., 0]
