"""OFF: plain, with colours, normals or texture coordinates; polygons of any size."""

import numpy as np

from preprocessing.formats.polygons import triangulate
from preprocessing.mesh_errors import MeshError

KEYWORDS = {"OFF", "COFF", "NOFF", "CNOFF", "STOFF", "STCOFF", "STNOFF", "STCNOFF"}


def read_off(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V,3) float64 and faces (F,3) int64; one vertex or face a line, `#` comments.

    Position comes first on a vertex line whatever else stands there, and colours come last on a
    face line, so both are passed over. Raises MeshError(truncated, unreadable,
    unsupported-format, empty, index-out-of-range).
    """
    rows = [row for line in data.splitlines() if (row := line.split(b"#", 1)[0].split())]
    if not rows:
        raise MeshError("empty", "the file has no content")
    keyword = rows[0][0].decode("ascii", "replace")
    if keyword in KEYWORDS:
        rows[0] = rows[0][1:]
        if [word.upper() for word in rows[0]] == [b"BINARY"]:
            raise MeshError("unsupported-format", "binary OFF; save it as text or as PLY")
        rows = rows if rows[0] else rows[1:]
    elif not keyword.isdigit():
        raise MeshError("unsupported-format", f"the first word is {keyword!r}, not OFF")
    try:
        vertex_count, face_count = int(rows[0][0]), int(rows[0][1])
    except (IndexError, ValueError):
        raise MeshError("unreadable", "no line with the counts of vertices and faces") from None
    if vertex_count < 0 or face_count < 0:
        raise MeshError("unreadable", "a count is negative")
    if vertex_count + face_count > len(rows) - 1:
        raise MeshError(
            "truncated",
            f"{vertex_count} vertices and {face_count} faces announced, {len(rows) - 1} lines held",
        )
    try:
        vertices = [
            (float(row[0]), float(row[1]), float(row[2])) for row in rows[1 : 1 + vertex_count]
        ]
        polygons = [
            [int(word) for word in row[1 : 1 + int(row[0])]]
            for row in rows[1 + vertex_count : 1 + vertex_count + face_count]
        ]
        announced = [int(row[0]) for row in rows[1 + vertex_count :][:face_count]]
    except (IndexError, ValueError) as error:
        raise MeshError("unreadable", f"a line is not what it should be: {error}") from None
    counts = np.array([len(polygon) for polygon in polygons], np.int64)
    if announced != counts.tolist():
        raise MeshError("truncated", "a face line names fewer vertices than it announces")
    corners = np.array([index for polygon in polygons for index in polygon], np.int64)
    places = np.array(vertices, np.float64).reshape(-1, 3)
    return places, triangulate(places, corners, counts)
