"""Wavefront OBJ: vertices and polygons; materials, normals, curves and groups are passed over.

Free-form surfaces and geometry in other files are refused by name.

Notable: a backslash at the end of a `v` or `f` line continues it, and nowhere else: names and
comments may end in one (a Windows folder).
"""

import re

import numpy as np

from preprocessing.formats.polygons import triangulate
from preprocessing.formats.text import plain_text, refuse_underscores
from preprocessing.mesh_errors import MeshError

VERTEX, FACE = (b"v ", b"v\t"), (b"f ", b"f\t", b"fo ", b"fo\t")
NOT_READ = tuple(
    w + s for w in (b"surf", b"bzp", b"bsp", b"cdp", b"call", b"csh") for s in (b" ", b"\t")
)
"""Statements that bring a surface in ways that are not read: patches, and what other files hold."""
OTHERS = (b"vt", b"vn", b"vp", b"p", b"l", b"o", b"g", b"s", b"mtllib", b"usemtl")
"""Statements that an OBJ without geometry may still hold."""


def read_obj(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V,3) float64 and faces (F,3) int64. Negative indices count back from the face.

    Raises MeshError(unreadable, unsupported-format, index-out-of-range).
    """
    text = plain_text(data)
    vertex_lines, face_lines, seen = sorted_lines(text)
    if not vertex_lines and not face_lines:
        check_is_obj(text)
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


def check_is_obj(text: bytes) -> None:
    """Raise MeshError(unreadable) where no line is a statement of an OBJ without geometry."""
    words = [line.split(None, 1)[0] for line in text.splitlines() if line.strip()]
    if words and not any(word.startswith(b"#") or word in OTHERS for word in words):
        raise MeshError("unreadable", "no line of the file is a statement of an OBJ")


def sorted_lines(data: bytes) -> tuple[list[bytes], list[bytes], list[int]]:
    """What follows `v` and what follows `f`, and how many vertices stand before each face.

    Raises MeshError(unsupported-format) for what would be lost.
    """
    vertex_lines: list[bytes] = []
    face_lines: list[bytes] = []
    seen: list[int] = []
    lines = iter(data.splitlines())
    for line in lines:
        if line.startswith((b" ", b"\t")):
            line = line.lstrip()
        is_vertex = line.startswith(VERTEX)
        if not is_vertex and not line.startswith(FACE):
            if line.startswith(NOT_READ):
                word = line.split()[0].decode()
                what = f"`{word}` in the OBJ is not read; export one file of polygons"
                raise MeshError("unsupported-format", what)
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
    lines = [line.split(b"#", 1)[0] for line in lines]
    refuse_underscores(lines, "a vertex line")
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
