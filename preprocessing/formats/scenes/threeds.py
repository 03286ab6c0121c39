"""3DS: the triangles of every object, which the file stores where they stand.

The key frames' pivots and positions repeat that place for animation, and are not applied: MeshLab
gives the same on the fifteen public files compared. An object that they show twice is refused.
"""

import struct
from collections import Counter
from collections.abc import Iterator

import numpy as np

from preprocessing.formats.polygons import check_indices
from preprocessing.formats.scenes.placing import Scene, Triangles
from preprocessing.mesh_errors import MeshError

MAIN, EDITOR, OBJECT, MESH = 0x4D4D, 0x3D3D, 0x4000, 0x4100
VERTICES, FACES = 0x4110, 0x4120
KEYFRAMES, NODE, NODE_NAME = 0xB000, 0xB002, 0xB010
HEAD = struct.Struct("<HI")


def read_3ds(data: bytes) -> Triangles:
    """Vertices (V,3) float64 and faces (F,3) int64 of all objects.

    Raises MeshError(unreadable, truncated, unsupported-format, index-out-of-range, empty).
    """
    if data[:2] != b"MM"[: len(data)]:
        raise MeshError("unreadable", f"a 3DS file starts with MM, not {data[:4]!r}")
    scene, shown = Scene(), Counter[bytes]()
    for main, start, end in chunks(data, 0, len(data)):
        for kind, a, b in chunks(data, start, end) if main == MAIN else ():
            if kind == EDITOR:
                add_objects(scene, data, a, b)
            elif kind == KEYFRAMES:
                shown.update(node_names(data, a, b))
    twice = [name for name, count in shown.items() if count > 1 and name != b"$$$DUMMY"]
    if twice:
        what = f"the 3DS shows its object {twice[0].decode('latin-1')!r} twice; export it as GLB"
        raise MeshError("unsupported-format", what)
    if not scene.vertices:
        raise MeshError("empty", "the 3DS holds no mesh")
    return scene.triangles()


def chunks(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(kind, start, end) of the chunks between two bytes. Raises MeshError(truncated)."""
    while at < end:
        if end - at < HEAD.size:
            raise MeshError("truncated", "the 3DS ends inside the head of a chunk")
        kind, size = HEAD.unpack_from(data, at)
        if not HEAD.size <= size <= end - at:
            reason = "truncated" if at + size > len(data) else "unreadable"
            what = f"a chunk of {size} bytes at byte {at} of the 3DS ends after byte {end}"
            raise MeshError(reason, what)
        yield kind, at + HEAD.size, at + size
        at += size


def add_objects(scene: Scene, data: bytes, start: int, end: int) -> None:
    """Add the meshes of the objects in the editor's chunk."""
    for kind, a, b in chunks(data, start, end):
        if kind != OBJECT:
            continue
        after_name = data.find(b"\0", a, b) + 1
        if after_name == 0:
            raise MeshError("unreadable", "the name of an object of the 3DS does not end")
        for inner, c, d in chunks(data, after_name, b):
            if inner == MESH:
                scene.add(*mesh(data, c, d), None)


def node_names(data: bytes, start: int, end: int) -> list[bytes]:
    """The objects that the key frames show, one for each time."""
    names = []
    for kind, a, b in chunks(data, start, end):
        for inner, c, d in chunks(data, a, b) if kind == NODE else ():
            if inner == NODE_NAME:
                names.append(data[c:d].partition(b"\0")[0])
    return names


def mesh(data: bytes, start: int, end: int) -> Triangles:
    """Vertices (V,3) and faces (F,3) of a mesh chunk."""
    vertices, faces = np.empty((0, 3)), np.empty((0, 3), np.int64)
    for kind, a, b in chunks(data, start, end):
        if kind == VERTICES:
            with np.errstate(invalid="ignore"):  # load_mesh names what is not a number
                vertices = rows(data, a, b, "<f4", 3).astype(np.float64)
        elif kind == FACES:
            faces = rows(data, a, b, "<u2", 4)[:, :3].astype(np.int64)
    check_indices(faces.ravel(), len(vertices))
    return vertices, faces


def rows(data: bytes, start: int, end: int, kind: str, width: int) -> np.ndarray:
    """A table of numbers behind its two bytes of count. Raises MeshError(truncated)."""
    count = int.from_bytes(data[start : start + 2], "little")
    size = count * width * np.dtype(kind).itemsize
    if start + 2 + size > end:
        raise MeshError("truncated", f"a table of {count} rows of the 3DS is not whole")
    return np.frombuffer(data, kind, count * width, start + 2).reshape(count, width)
