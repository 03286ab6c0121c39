"""The creases of a mitred offset in closed form, and how far a mesh's own sharp edges are."""

from collections import defaultdict

import numpy as np

from preprocessing.half_edge_kernels import match_half_edges
from preprocessing.mesh import Mesh


def mitred_creases(mesh: Mesh, edges: np.ndarray, eps: float) -> np.ndarray:
    """Edges (K,2,3) of a solid moved to where the planes at their ends meet, moved by eps, (K,2,3).

    Every end has three planes; no mitre is cut short.
    """
    corners = mesh.triangles
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    planes = defaultdict(list)
    for face, normal in zip(mesh.faces, normals, strict=True):
        for corner in mesh.vertices[face]:
            known = planes[tuple(np.round(corner, 9))]
            if all(normal @ other < 1 - 1e-9 for other in known):
                known.append(normal)
    moved = np.empty_like(edges)
    for k, ends in enumerate(edges):
        for end, corner in enumerate(ends):
            meeting = np.array(planes[tuple(np.round(corner, 9))])
            away = np.linalg.lstsq(meeting, np.full(len(meeting), eps), rcond=None)[0]
            assert len(meeting) == 3
            moved[k, end] = corner + away
    return moved


def sharp_edges(mesh: Mesh, angle: float) -> np.ndarray:
    """Segments (K,2,3) of the edges whose faces turn by more than `angle` degrees."""
    corners = mesh.triangles
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    mates = match_half_edges(mesh.faces, len(mesh.vertices)).mates
    h = np.flatnonzero(mates > np.arange(len(mates)))
    one, two = normals[h // 3], normals[mates[h] // 3]
    sine = np.linalg.norm(np.cross(one, two), axis=1)
    h = h[np.degrees(np.arctan2(sine, (one * two).sum(axis=1))) > angle]
    return np.stack([mesh.vertices[mesh.faces[h // 3, (h + k) % 3]] for k in range(2)], axis=1)


def along(segments: np.ndarray, step: float) -> np.ndarray:
    """Points (P,3) on segments (K,2,3), both ends and at most `step` apart."""
    found = []
    for a, b in segments:
        count = 2 + int(np.linalg.norm(b - a) / step)
        found.append(a + np.linspace(0, 1, count)[:, None] * (b - a))
    return np.concatenate(found)


def distance_to_segments(points: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """The distance (P,) of points (P,3) to their nearest segment (K,2,3)."""
    best = np.full(len(points), np.inf)
    for a, b in segments:
        length = max((b - a) @ (b - a), 1e-300)
        t = np.clip((points - a) @ (b - a) / length, 0, 1)
        best = np.minimum(best, np.linalg.norm(points - a - t[:, None] * (b - a), axis=1))
    return best
