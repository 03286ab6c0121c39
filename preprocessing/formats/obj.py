"""Wavefront OBJ: vertices and polygons; materials, normals, curves and groups are passed over.

Notable: a backslash at the end of a `v` or `f` line continues it, and nowhere else: names and
comments may end in one (a Windows folder).
"""

import re

import numpy as np

from preprocessing.formats.polygons import triangulate
from preprocessing.formats.text import plain_text
from preprocessing.mesh_errors import MeshError

VERTEX, FACE = (b"v ", b"v\t"), (b"f ", b"f\t", b"fo ", b"fo\t")


def read_obj(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V,3) float64 and faces (F,3) int64. Negative indices count back from the face.

    Raises MeshError(unreadable, index-out-of-range).
    """
    vertex_lines, face_lines, seen = sorted_lines(plain_text(data))
    vertices = vertex_positions(vertex_lines)
    # 3/4/5, 3//5 and 3/4 all start with the vertex.
    plain = re.sub(rb"/\S*", b"", b"\n".join(face_lines))
    counts = np.array([len(line.split()) for line in plain.split(b"\n")], np.int64)
    if not face_lines:
        return vertices, np.empty((0, 3), np.int64)
    corners = numbers(plain, np.int64)
    if len(corners) != counts.sum():
        raise MeshError("unreadable", "a face line holds something that is no integer")
    if (corners == 0).any():
        raise MeshError("index-out-of-range", "a face names vertex 0; OBJ counts from 1")
    back = np.repeat(np.array(seen, np.int64), counts)
    return vertices, triangulate(
        vertices, np.where(corners < 0, corners + back, corners - 1), counts
    )


def sorted_lines(data: bytes) -> tuple[list[bytes], list[bytes], list[int]]:
    """What follows `v` and what follows `f`, and how many vertices stand before each face."""
    vertex_lines: list[bytes] = []
    face_lines: list[bytes] = []
    seen: list[int] = []
    lines = iter(data.splitlines())
    for line in lines:
        if line.startswith((b" ", b"\t")):
            line = line.lstrip()
        is_vertex = line.startswith(VERTEX)
        if not is_vertex and not line.startswith(FACE):
            continue
        while b"\\" in line and (line := line.split(b"#", 1)[0].rstrip()).endswith(b"\\"):
            line = line[:-1] + b" " + next(lines, b"")
        if is_vertex:
            vertex_lines.append(line[2:])
        else:
            face_lines.append(line.split(b"#", 1)[0][2:])
            seen.append(len(vertex_lines))
    return vertex_lines, face_lines, seen


def vertex_positions(lines: list[bytes]) -> np.ndarray:
    """The first three numbers of each line (V,3) float64; weights and colours are left."""
    widths = set(map(len, map(bytes.split, lines)))
    if len(widths) == 1 and (width := widths.pop()) >= 3:
        flat = numbers(b"\n".join(lines), np.float64)
        if len(flat) == width * len(lines):
            return np.ascontiguousarray(flat.reshape(-1, width)[:, :3])
    rows = [line.split(None, 3)[:3] for line in lines]
    try:
        return np.array([[float(x), float(y), float(z)] for x, y, z in rows]).reshape(-1, 3)
    except ValueError as error:
        raise MeshError("unreadable", f"a vertex line is not three numbers: {error}") from None


def numbers(text: bytes, kind: type) -> np.ndarray:
    """All numbers of a text in C; fewer than it has words where one of them is no number."""
    try:
        return np.fromstring(text, kind, sep=" ")
    except ValueError:
        return np.empty(0, kind)


def write_obj(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    """`v` and `f` lines; nine significant digits hold a float32 exactly.

    A line is formatted with one % over a flat list: trimesh's writer took 20 times as long.
    """
    flat = vertices.astype(np.float32).ravel().tolist()
    text = ("v %.9g %.9g %.9g\n" * len(vertices)) % tuple(flat)
    return (text + ("f %d %d %d\n" * len(faces)) % tuple((faces + 1).ravel().tolist())).encode()
