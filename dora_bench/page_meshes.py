"""Meshes small enough for a page: quantised to 16 bits, delta-coded, deflated, base64.

Layout before deflate, all little-endian, byte planes apart (low bytes of a row, then high ones):
positions x, y, z as uint16 differences along a Morton order; faces as int32 rows a - previous a,
b - a, c - a, with a the smallest index of its face; then one uint8 per vertex, the distance to the
truth, or nothing. `assets/mesh.js` reads it back.
"""

import base64
import zlib
from typing import Any

import numpy as np

from preprocessing.distance.morton import morton_order
from preprocessing.distance.queries import TriangleTree, in_given_order
from preprocessing.mesh import Mesh

DISTANCE_RANGE = (1e-3, 1e-1)  # colours run over its logarithm; below it decimation decides


def pack_mesh(mesh: Mesh, distances: np.ndarray | None = None) -> dict[str, Any]:
    """The mesh as a JSON object; lossy to half a step of (longest side / 65,535).

    `distances` float64 (V,) are kept as 8 bits over the logarithm of `DISTANCE_RANGE`.
    """
    low = mesh.vertices.min(axis=0)
    step = float((mesh.vertices.max(axis=0) - low).max()) / 65535 or 1.0
    grid = np.rint((mesh.vertices - low) / step).astype(np.int64)
    order = np.lexsort([_morton(grid)])
    code = _morton(grid)[order]
    first = np.concatenate([[True], np.diff(code) != 0])  # equal positions become one vertex
    place = np.empty(len(grid), np.int64)
    place[order] = np.cumsum(first) - 1
    kept = order[first]
    faces = _ordered_faces(place[mesh.faces])
    parts = [_planes(_differences(axis).astype("<u2")) for axis in grid[kept].T]
    anchor = faces[:, 0]
    for row in (_differences(anchor), faces[:, 1] - anchor, faces[:, 2] - anchor):
        parts.append(_planes(row.astype("<i4")))
    if distances is not None:
        bottom, top = np.log(DISTANCE_RANGE)
        level = (np.log(np.maximum(distances[kept], 1e-12)) - bottom) / (top - bottom)
        parts.append(np.rint(np.clip(level, 0, 1) * 255).astype(np.uint8).tobytes())
    return {
        "vertices": len(kept),
        "faces": len(faces),
        "low": [round(float(value), 6) for value in low],
        "step": step,
        "distances": distances is not None,
        "data": base64.b64encode(zlib.compress(b"".join(parts), 9)).decode(),
    }


def distances_to(prediction: Mesh, truth: TriangleTree) -> np.ndarray:
    """Distance of every vertex of a mesh to another one's surface, float64 (V,)."""
    curve = morton_order(prediction.vertices)
    return in_given_order(curve, truth.distance(prediction.vertices[curve]))


def _morton(grid: np.ndarray) -> np.ndarray:
    """Interleaved bits of (V,3) 16-bit coordinates, uint64 (V,)."""
    code = np.zeros(len(grid), np.uint64)
    for bit in range(16):
        for axis in range(3):
            digit = (grid[:, axis].astype(np.uint64) >> np.uint64(bit)) & np.uint64(1)
            code |= digit << np.uint64(3 * bit + axis)
    return code


def _ordered_faces(faces: np.ndarray) -> np.ndarray:
    """Smallest index first in each face (orientation kept), sorted; without degenerate ones."""
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    turn = faces.argmin(axis=1)[:, None]
    faces = np.take_along_axis(faces, (turn + np.arange(3)) % 3, axis=1)
    return faces[np.lexsort(faces.T[::-1])]


def _differences(values: np.ndarray) -> np.ndarray:
    return np.diff(values, prepend=0)


def _planes(values: np.ndarray) -> bytes:
    """Byte 0 of every value, then byte 1 of every value, ..."""
    return values.view(np.uint8).reshape(len(values), -1).T.tobytes()
