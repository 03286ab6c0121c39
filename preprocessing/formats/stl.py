"""STL, binary and ASCII: triangles without indices."""

import re

import numpy as np

from preprocessing.mesh_errors import MeshError

RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
HEADER = 84


def read_stl(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (3F,3) float64 and faces (F,3) int64, three vertices of its own for each face.

    A file is binary when its length is the one its face counter asks for, else ASCII when it
    starts with `solid` and names a facet. Raises MeshError(truncated, unreadable, empty).
    """
    if not data:
        raise MeshError("empty", "the file has no bytes")
    declared = int.from_bytes(data[80:HEADER], "little") if len(data) >= HEADER else -1
    exact = declared >= 0 and len(data) == HEADER + declared * RECORD.itemsize
    if not exact and data[:512].lstrip().lower().startswith(b"solid"):
        corners = ascii_corners(data)
    else:
        corners = binary_corners(data, declared)
    return corners, np.arange(len(corners)).reshape(-1, 3)


def binary_corners(data: bytes, declared: int) -> np.ndarray:
    """Corners (3F,3) of a binary STL; bytes after the announced facets are ignored."""
    if declared < 0:
        raise MeshError("truncated", f"{len(data)} bytes; a binary STL starts with {HEADER}")
    held = (len(data) - HEADER) // RECORD.itemsize
    if declared > held:
        raise MeshError("truncated", f"{declared} facets announced, {held} in the file")
    if declared == 0 and held > 0:
        raise MeshError("unreadable", f"no facets announced, but room for {held} in the file")
    records = np.frombuffer(data, RECORD, declared, HEADER)
    return records["corners"].reshape(-1, 3).astype(np.float64)


def ascii_corners(data: bytes) -> np.ndarray:
    """Corners (3F,3) of an ASCII STL, of all its solids."""
    *loops, rest = re.split(rb"\bendloop\b", data.lower())
    if re.search(rb"\bvertex\b", rest):
        raise MeshError("truncated", "the file ends inside a facet")
    words = [loop.split(b"vertex")[1:] for loop in loops]
    for number, corners in enumerate(words):
        if len(corners) != 3:
            raise MeshError("unreadable", f"facet {number} has {len(corners)} vertices, not 3")
    numbers = [corner.split() for corners in words for corner in corners]
    try:
        return np.array(
            [[float(x), float(y), float(z)] for x, y, z in numbers], np.float64
        ).reshape(-1, 3)
    except ValueError as error:
        raise MeshError("unreadable", f"a vertex line is not three numbers: {error}") from None


def write_stl(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    """A binary STL with float32 corners and normals computed from them in float64."""
    corners = vertices.astype("<f4")[faces]
    exact = corners.astype(np.float64)
    normals = np.cross(exact[:, 1] - exact[:, 0], exact[:, 2] - exact[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    records = np.zeros(len(faces), RECORD)
    records["normal"] = np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
    records["corners"] = corners
    return b"\0" * 80 + len(faces).to_bytes(4, "little") + records.tobytes()
