"""OFF: plain, with colours, normals or texture coordinates; polygons of any size.

Notable: the keyword may be lower-case or glued to the counts (as in ModelNet40), and a file whose
numbers ignore lines altogether is read as well, where it has nothing but positions and faces.
"""

import re

import numpy as np

from preprocessing.formats.polygons import triangulate
from preprocessing.formats.text import plain_text, refuse_underscores
from preprocessing.mesh_errors import MeshError

HEADER = re.compile(rb"(?:ST)?C?N?4?n?OFF(?![A-Za-z_])", re.IGNORECASE)
Rows = list[list[bytes]]


def read_off(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V,3) float64 and faces (F,3) int64; `#` starts a comment.

    Position comes first on a vertex line whatever else stands there, and colours come last on a
    face line, so both are passed over. Raises MeshError(truncated, unreadable,
    unsupported-format, empty, index-out-of-range).
    """
    lines = plain_text(data).splitlines()
    rows = [row for line in lines if (row := line.split(b"#", 1)[0].split())]
    if not rows:
        raise MeshError("empty", "the file has no content")
    plain, rows = without_keyword(rows)
    refuse_underscores((word for row in rows for word in row), "a line")
    vertex_count, face_count, rows = counted(rows)
    body = by_lines(rows, vertex_count, face_count)
    if body is None and plain:
        body = by_words(rows, vertex_count, face_count)
    if body is None:
        reason = "truncated" if len(rows) <= vertex_count + face_count else "unreadable"
        announced = f"{vertex_count} vertices and {face_count} faces announced"
        raise MeshError(reason, f"{announced}; the {len(rows)} lines that follow hold others")
    places, corners, counts = body
    return places, triangulate(places, corners, counts)


def without_keyword(rows: Rows) -> tuple[bool, Rows]:
    """The rows after the keyword, if there is one, and whether it announces positions alone."""
    first = rows[0][0]
    found = HEADER.match(first)
    if found is None:
        if not first.isdigit():
            name = first.decode("ascii", "replace")
            raise MeshError("unsupported-format", f"the first word is {name!r}, not OFF")
        return True, rows
    keyword, glued = found[0].decode(), first[found.end() :]
    if "4" in keyword or ("n" in keyword and keyword != keyword.lower()):  # nOFF, not noff
        raise MeshError("unsupported-format", f"{keyword} has more than three coordinates")
    start = ([glued] if glued else []) + rows[0][1:]
    if [word.upper() for word in start] == [b"BINARY"]:
        raise MeshError("unsupported-format", "binary OFF; save it as text or as PLY")
    return keyword.upper() == "OFF", ([start] if start else []) + rows[1:]


def counted(rows: Rows) -> tuple[int, int, Rows]:
    """The counts of vertices and faces, and the rows after them."""
    words: list[bytes] = []
    while rows and len(words) < 2:
        words, rows = words + rows[0], rows[1:]
    try:
        vertex_count, face_count = int(words[0]), int(words[1])
    except (IndexError, ValueError):
        raise MeshError("unreadable", "no line with the counts of vertices and faces") from None
    if vertex_count < 0 or face_count < 0:
        raise MeshError("unreadable", "a count is negative")
    if len(words) == 2 and rows and len(rows[0]) == 1:  # the count of edges on a line of its own
        rows = rows[1:]
    return vertex_count, face_count, [words[3:], *rows] if len(words) > 3 else rows


def by_lines(
    rows: Rows, vertex_count: int, face_count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Positions (V,3), corners and their count a polygon, one row each; None where they differ."""
    if len(rows) != vertex_count + face_count:
        return None
    vertices, polygons = rows[:vertex_count], rows[vertex_count:]
    try:
        places = [(float(row[0]), float(row[1]), float(row[2])) for row in vertices]
        counts = [int(row[0]) for row in polygons]
        corners = [[int(word) for word in row[1 : 1 + int(row[0])]] for row in polygons]
    except IndexError:
        return None
    except ValueError as error:
        raise MeshError("unreadable", f"a line is not what it should be: {error}") from None
    if [len(polygon) for polygon in corners] != counts:
        return None
    flat = np.array([index for polygon in corners for index in polygon], np.int64)
    return np.array(places, np.float64).reshape(-1, 3), flat, np.array(counts, np.int64)


def by_words(
    rows: Rows, vertex_count: int, face_count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """As by_lines for a file whose numbers ignore lines; None where their number is another."""
    words = [word for row in rows for word in row]
    if len(words) < 3 * vertex_count + face_count:
        return None
    try:
        places = np.array([float(word) for word in words[: 3 * vertex_count]]).reshape(-1, 3)
        numbers = [int(word) for word in words[3 * vertex_count :]]
    except ValueError:
        return None
    counts, corners, at = [], [], 0
    for _ in range(face_count):
        if at >= len(numbers) or numbers[at] < 0:
            return None
        counts.append(numbers[at])
        corners += numbers[at + 1 : at + 1 + numbers[at]]
        at += 1 + numbers[at]
    if at != len(numbers):
        return None
    return places, np.array(corners, np.int64), np.array(counts, np.int64)
