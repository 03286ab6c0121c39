"""STL, binary and text: triangles without indices.

Notable: names may hold keywords, one file may hold several solids, and a binary file may start
with `solid` and end in stray bytes.
"""

import re

import numpy as np

from preprocessing.formats.text import plain_text, refuse_underscores
from preprocessing.mesh_errors import MeshError
from preprocessing.mesh_joining import closed_by_index, join_positions

RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
HEADER = 84


def read_stl(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (3F,3) float64 and faces (F,3) int64, three vertices of its own for each face.

    A file is binary when its length is the one its face counter asks for, else text when it reads
    like text. Raises MeshError(truncated, unreadable, empty).
    """
    if not data:
        raise MeshError("empty", "the file has no bytes")
    declared = int.from_bytes(data[80:HEADER], "little") if len(data) >= HEADER else -1
    exact = declared >= 0 and len(data) == HEADER + declared * RECORD.itemsize
    text = data if exact else plain_text(data)
    fits = 0 <= declared <= (len(data) - HEADER) // RECORD.itemsize
    as_text = not exact and is_text(text, fits)
    corners = ascii_corners(text) if as_text else binary_corners(data, declared)
    return corners, np.arange(len(corners)).reshape(-1, 3)


def is_text(data: bytes, fits: bool) -> bool:
    """Whether an STL is text: no zero byte at its start, which each record of a binary one has.

    `fits`: there is room for what a binary one announces. Where not, the start does not matter.
    """
    start = data[:1024].lower()
    if b"\0" not in start and (start.lstrip().startswith(b"solid") or b"facet" in start):
        return True
    return not fits and re.search(rb"\bend\s*loop\b", data, re.IGNORECASE) is not None


def binary_corners(data: bytes, declared: int) -> np.ndarray:
    """Corners (3F,3) of a binary STL; a few stray bytes after the facets are passed over."""
    if declared < 0:
        raise MeshError("truncated", f"{len(data)} bytes; a binary STL starts with {HEADER}")
    held = (len(data) - HEADER) // RECORD.itemsize
    if declared > held and b"\0" not in data[:1024]:
        raise MeshError("unreadable", "neither text with facets nor a binary STL")
    if declared > held:
        raise MeshError("truncated", f"{declared} facets announced, {held} in the file")
    if declared < held:
        raise MeshError(
            "unreadable", f"{declared} facets announced, but room for {held} in the file"
        )
    records = np.frombuffer(data, RECORD, declared, HEADER)
    return records["corners"].reshape(-1, 3).astype(np.float64)


def ascii_corners(data: bytes) -> np.ndarray:
    """Corners (3F,3) of a text STL, of all its solids, whatever their names."""
    named = re.compile(rb"^[ \t]*(?:end[ \t]*)?solid\b.*$", re.MULTILINE)
    lines = re.sub(rb"\r\n?", b"\n", data.lower())
    body = re.sub(rb"\bend\s+facet\b", b"endfacet", named.sub(b"", lines))
    marks = named.findall(lines)
    if b"facet" not in body:  # all in one line: a name ends where the first facet starts
        body = re.sub(rb"\bsolid\b.*?(?=\bfacet\b|$)", b"", lines, flags=re.DOTALL)
        marks = re.findall(rb"\b(?:end\s*)?solid\b", lines)
    *loops, rest = re.split(rb"\bend\s*loop\b", body)
    if re.search(rb"\bvertex\b", rest):
        raise MeshError("truncated", "the file ends inside a facet")
    facets = len(re.findall(rb"\bfacet\b", body))
    if facets != len(loops):
        raise MeshError("unreadable", f"{facets} facets, but {len(loops)} loops of vertices")
    words = [loop.split(b"vertex")[1:] for loop in loops]
    for number, corners in enumerate(words):
        if len(corners) != 3:
            raise MeshError("unreadable", f"facet {number} has {len(corners)} vertices, not 3")
    refuse_underscores((corner for corners in words for corner in corners), "a vertex line")
    numbers = [corner.split() for corners in words for corner in corners]
    try:
        places = np.array([[float(x), float(y), float(z)] for x, y, z in numbers], np.float64)
    except ValueError as error:
        raise MeshError("unreadable", f"a vertex line is not three numbers: {error}") from None
    # A cut between two facets leaves no other trace than a solid that does not end, and is open.
    unended = bool(marks) and not marks[-1].lstrip().startswith(b"end")
    if unended and not closed_by_index(join_positions(places.reshape(-1, 3))[1].reshape(-1, 3)):
        raise MeshError("truncated", "the file ends before its `endsolid`")
    return places.reshape(-1, 3)


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
