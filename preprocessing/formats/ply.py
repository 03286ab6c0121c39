"""PLY: ASCII and binary of both byte orders, polygons of any size, triangle strips."""

import re
from dataclasses import dataclass, field

import numpy as np

from preprocessing.formats.polygons import triangulate
from preprocessing.formats.text import plain_text, refuse_underscores
from preprocessing.mesh_errors import MeshError

TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
ORDERS = {"ascii 1.0": "", "binary_little_endian 1.0": "<", "binary_big_endian 1.0": ">"}
CORNERS = ("vertex_indices", "vertex_index")
PADDING = b"\0 \t\r\n\x1a"
"""What may follow the last element: ends of lines, and what pads a file."""


@dataclass
class Element:
    """One element of the header: its row count and its properties in order."""

    name: str
    count: int
    scalars: dict[str, str] = field(default_factory=dict)
    """Property name -> numpy type, for every property, lists included (their entries' type)."""
    lists: dict[str, str] = field(default_factory=dict)
    """List property name -> numpy type of its length."""


Columns = dict[str, np.ndarray]
"""Scalar property -> (count,); list property -> its entries flat, `name#` -> their lengths."""


def read_ply(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V,3) float64 and faces (F,3) int64.

    Raises MeshError(unreadable, unsupported-format, truncated, index-out-of-range, empty).
    """
    order, elements, body = read_header(plain_text(data))
    tables: dict[str, Columns] = {}
    for element in elements:
        read = ascii_columns if order == "" else binary_columns
        tables[element.name], body = read(element, body, order)
    if body.strip(PADDING):
        raise MeshError("unreadable", f"{len(body)} bytes follow after all that is announced")
    vertices = positions(tables.get("vertex", {}))
    polygons = polygon_lists(tables.get("face", {}))
    strips = [unroll_strips(*lists) for lists in polygon_lists(tables.get("tristrips", {}))]
    polygons += [(faces.ravel(), np.full(len(faces), 3)) for faces in strips]
    if not polygons:
        return vertices, np.empty((0, 3), np.int64)
    corners, counts = (np.concatenate(columns) for columns in zip(*polygons, strict=True))
    return vertices, triangulate(vertices, corners, counts)


def positions(vertex: Columns) -> np.ndarray:
    """Vertices (V,3) float64 of the columns of the vertex element."""
    if not {"x", "y", "z"} <= vertex.keys() or {"x#", "y#", "z#"} & vertex.keys():
        reason = "unreadable" if vertex else "empty"
        raise MeshError(reason, "the header has no vertex element with numbers x, y and z")
    return np.column_stack([vertex[axis].astype(np.float64) for axis in "xyz"])


def polygon_lists(table: Columns) -> list[tuple[np.ndarray, np.ndarray]]:
    """Corners and their count a row, of the list of corners in a table; empty without rows."""
    lists = [name[:-1] for name in table if name.endswith("#")]
    name = next((name for name in CORNERS if name in lists), None)
    if name is None:
        if any(len(column) for column in table.values()):
            raise MeshError("unreadable", f"faces have the lists {lists}, none {CORNERS[0]}")
        return []
    corners = table[name].astype(np.int64)
    if not (corners == table[name]).all():
        raise MeshError("unreadable", f"{name} holds something that is no whole number")
    return [(corners, table[f"{name}#"].astype(np.int64))]


def read_header(data: bytes) -> tuple[str, list[Element], bytes]:
    """Byte order ('' for text), elements, and the bytes after the header line by line."""
    if not data.startswith(b"ply"):
        raise MeshError("unreadable", "the first line is not `ply`")
    found = re.search(rb"[\r\n][ \t]*end_header[ \t]*(\r\n|\n|\r|$)", data)
    if found is None:
        if re.search(rb"[\r\n][ \t]*format\s", data) is None:
            raise MeshError("unreadable", "the header has no format line")
        raise MeshError("truncated", "the header has no end_header line")
    header = data[: found.start()]
    order: str | None = None
    elements: list[Element] = []
    for line in header.decode("latin-1").replace("\r", "\n").split("\n")[1:]:
        words = line.split()
        try:
            if words[:1] == ["format"]:
                order = ORDERS[" ".join(words[1:])]
            elif not words or words[0] in ("comment", "obj_info"):
                continue
            else:
                declare(elements, words)
        except (KeyError, IndexError, ValueError):
            if words[0] == "format":
                known = ", ".join(ORDERS)
                raise MeshError("unsupported-format", f"PLY {line!r}; read are {known}") from None
            raise MeshError("unreadable", f"header line {line[:80]!r}") from None
    if order is None:
        raise MeshError("unreadable", "the header has no format line")
    for element in elements:
        if element.count and not element.scalars:
            raise MeshError("unreadable", f"the element {element.name} has no properties")
    # After `\r`, a `\n` is the first byte of the body where the header's lines end in `\r`.
    bare = re.match(rb"ply[ \t]*\r(?!\n)", data) is not None
    end = found.end() - (found[1] == b"\r\n" and bare)
    return order, elements, data[end:]


def declare(elements: list[Element], words: list[str]) -> None:
    """Add what a header line declares. Raises KeyError, IndexError or ValueError if it cannot."""
    if words[0] == "element":
        name, count = words[1], int(words[2])
        if count < 0 or any(element.name == name for element in elements):
            raise ValueError
        elements.append(Element(name, count))
        return
    if words[0] != "property":
        raise ValueError
    name = words[4] if words[1] == "list" else words[2]
    if name in elements[-1].scalars:
        raise ValueError
    elements[-1].scalars[name] = TYPES[words[3] if words[1] == "list" else words[1]]
    if words[1] == "list":
        length = TYPES[words[2]]
        if length.startswith("f"):
            raise ValueError
        elements[-1].lists[name] = length


def binary_columns(element: Element, data: bytes, order: str) -> tuple[Columns, bytes]:
    """The columns of one binary element and the bytes after it."""
    least = sum(int(kind[1]) for name, kind in element.scalars.items() if name not in element.lists)
    least += sum(int(kind[1]) for kind in element.lists.values())
    if element.count * least > len(data):
        raise MeshError(
            "truncated", f"{element.count} of {element.name} announced; the file is too short"
        )
    if element.count == 0 or not element.lists:
        row = np.dtype([(name, order + kind) for name, kind in element.scalars.items()])
        table = np.frombuffer(data, row, element.count)
        columns = {name: table[name] for name in element.scalars}
        columns.update({f"{name}#": np.zeros(0, np.int64) for name in element.lists})
        return columns, data[element.count * row.itemsize :]
    return even_rows(element, data, order) or uneven_rows(element, data, order)


def even_rows(element: Element, data: bytes, order: str) -> tuple[Columns, bytes] | None:
    """Read an element all of whose lists are as long as in its first row; None if they are not."""
    fields: list[tuple] = []
    offset = 0
    for name, kind in element.scalars.items():
        if name in element.lists:
            length = np.dtype(order + element.lists[name])
            if offset + length.itemsize > len(data):
                return None
            count = int(np.frombuffer(data, length, 1, offset)[0])
            if count < 0 or count > len(data):
                return None
            fields += [(f"{name}#", length), (name, order + kind, (count,))]
            offset += length.itemsize + count * int(kind[1])
        else:
            fields.append((name, order + kind))
            offset += int(kind[1])
    row = np.dtype(fields)
    if element.count * row.itemsize > len(data):
        return None
    table = np.frombuffer(data, row, element.count)
    columns: Columns = {}
    for name in element.scalars:
        columns[name] = table[name].ravel()
        if name in element.lists:
            columns[f"{name}#"] = table[f"{name}#"]
            if (columns[f"{name}#"] != columns[f"{name}#"][0]).any():
                return None
    return columns, data[element.count * row.itemsize :]


def uneven_rows(element: Element, data: bytes, order: str) -> tuple[Columns, bytes]:
    """Read an element row by row."""
    kinds = {name: np.dtype(order + kind) for name, kind in element.scalars.items()}
    lengths = {name: np.dtype(order + kind) for name, kind in element.lists.items()}
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in kinds}
    counts: dict[str, list[int]] = {name: [] for name in lengths}
    offset = 0
    try:
        for _ in range(element.count):
            for name, kind in kinds.items():
                count = 1
                if name in lengths:
                    count = int(np.frombuffer(data, lengths[name], 1, offset)[0])
                    counts[name].append(count)
                    offset += lengths[name].itemsize
                if count < 0:
                    raise MeshError("unreadable", f"a list {name} has a negative length")
                pieces[name].append(np.frombuffer(data, kind, count, offset))
                offset += count * kind.itemsize
    except ValueError as error:
        if isinstance(error, MeshError):
            raise
        raise MeshError("truncated", f"the file ends inside {element.name}") from None
    columns = {name: np.concatenate(parts) for name, parts in pieces.items()}
    columns.update({f"{name}#": np.array(count, np.int64) for name, count in counts.items()})
    return columns, data[offset:]


def ascii_columns(element: Element, data: bytes, _: str = "") -> tuple[Columns, bytes]:
    """The columns of one ASCII element and the text after it; one row a line."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = data.lstrip().split(b"\n", element.count) if element.count < len(data) else []
    if len(lines) < element.count or (element.count and not lines[element.count - 1].strip()):
        raise MeshError(
            "truncated", f"{element.count} of {element.name} announced; the file is too short"
        )
    rest = lines[element.count] if len(lines) > element.count else b""
    values: dict[str, list[float]] = {name: [] for name in element.scalars}
    counts: dict[str, list[int]] = {name: [] for name in element.lists}
    refuse_underscores(lines[: element.count], f"a row of {element.name}")
    try:
        for line in lines[: element.count]:
            words, at = line.split(), 0
            for name, column in values.items():
                count = 1
                if name in counts:
                    count = int(words[at])
                    counts[name].append(count)
                    at += 1
                if count < 0:
                    raise MeshError("unreadable", f"a list {name} has a negative length")
                if at + count > len(words):
                    raise MeshError("truncated", f"a row of {element.name} is too short")
                column.extend(map(float, words[at : at + count]))
                at += count
            if at < len(words):
                what = f"a row of {element.name} holds {len(words)} values of {at}"
                raise MeshError("unreadable", what)
    except (ValueError, IndexError) as error:
        if isinstance(error, MeshError):
            raise
        raise MeshError("unreadable", f"a row of {element.name}: {error}") from None
    columns: Columns = {name: np.array(column, np.float64) for name, column in values.items()}
    columns.update({f"{name}#": np.array(count, np.int64) for name, count in counts.items()})
    return columns, rest


def unroll_strips(strip: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Triangles (F,3) of triangle strips, one a row of `counts` corners or parted by -1.

    Every second triangle of a strip is turned.
    """
    cuts = np.union1d(np.cumsum(counts), np.flatnonzero(strip == -1))
    faces = [np.empty((0, 3), np.int64)]
    for part in np.split(strip, cuts):
        part = part[part != -1]
        trio = np.column_stack([part[:-2], part[1:-1], part[2:]])
        trio[1::2] = trio[1::2, ::-1]
        faces.append(trio)
    return np.concatenate(faces)


def write_ply(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    """Binary little-endian PLY: float32 positions, int32 indices."""
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        f"element vertex {len(vertices)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.empty(len(faces), np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    rows["count"], rows["corners"] = 3, faces
    return header.encode() + vertices.astype("<f4").tobytes() + rows.tobytes()
