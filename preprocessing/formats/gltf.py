"""glTF 2.0 and GLB: every triangle of the scene with its node transforms baked in.

Read are positions and indices only; textures, skins, morph targets and animations are passed over
(a skinned or morphed mesh comes in its rest pose). Notable: Draco and meshopt compression,
quantised and sparse accessors, GPU instancing, triangle strips and fans, mirrored nodes.
"""

import base64
import binascii
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from preprocessing.formats.meshopt import decode_view
from preprocessing.formats.polygons import check_indices
from preprocessing.mesh_errors import MeshError

COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
POINTS_AND_LINES, TRIANGLES, STRIP, FAN = (0, 1, 2, 3), 4, 5, 6
MOST_CORNERS = 1 << 29
"""A scene that would bake into more face corners than this is refused: instances are cheap to
write down, and what they ask for need not fit into memory."""

Triangles = tuple[np.ndarray, np.ndarray]


def read_glb(data: bytes, folder: Path) -> Triangles:
    """Vertices (V,3) float64 and faces (F,3) int64 of a GLB; `folder` holds external buffers."""
    if data[:1] == b"{":
        return read_gltf(data, folder)
    if data[:4] != b"glTF"[: len(data)]:
        raise MeshError("unreadable", f"a GLB starts with glTF, not {data[:4]!r}")
    if len(data) < 12:
        raise MeshError("truncated", f"{len(data)} bytes; a GLB header has 12")
    version, length = (int.from_bytes(data[at : at + 4], "little") for at in (4, 8))
    if version != 2:
        raise MeshError("unsupported-format", f"glTF version {version}; only 2 is read")
    if length > len(data):
        raise MeshError("truncated", f"the header announces {length} bytes of {len(data)}")
    chunks, at = [], 12
    while at + 8 <= length:
        size, kind = int.from_bytes(data[at : at + 4], "little"), data[at + 4 : at + 8]
        if at + 8 + size > length:
            raise MeshError("truncated", f"a chunk of {size} bytes ends after the file")
        chunks.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size
    if at < length:
        raise MeshError("truncated", "the file ends inside a chunk header")
    if not chunks or chunks[0][0] != b"JSON":
        raise MeshError("unreadable", "the first chunk is not JSON")
    binary = chunks[1][1] if len(chunks) > 1 and chunks[1][0] == b"BIN\0" else None
    return Document(chunks[0][1], binary, folder).triangles()


def read_gltf(data: bytes, folder: Path) -> Triangles:
    """Vertices (V,3) float64 and faces (F,3) int64 of a .gltf; `folder` holds its buffers."""
    if data[:4] == b"glTF":
        return read_glb(data, folder)
    return Document(data, None, folder).triangles()


class Document:
    """One glTF file: its JSON, and its buffers as they are asked for."""

    def __init__(self, text: bytes, binary: bytes | None, folder: Path) -> None:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MeshError("unreadable", f"the glTF's JSON: {error}") from None
        if not isinstance(document, dict) or not isinstance(document.get("asset"), dict):
            raise MeshError("unreadable", "the JSON is not a glTF object with an asset")
        if not str(document["asset"].get("version", "")).startswith("2"):
            raise MeshError("unsupported-format", "only glTF version 2 is read")
        self.json, self.binary, self.folder = document, binary, folder
        self.buffers: dict[int, bytes] = {}
        self.views: dict[int, bytes] = {}

    def triangles(self) -> Triangles:
        """All triangles of the scene."""
        try:
            return self.bake()
        except (
            KeyError,
            IndexError,
            TypeError,
            AttributeError,
            OverflowError,
            ValueError,
        ) as error:
            # The JSON may be anything at any depth; whatever does not fit the schema ends here.
            if isinstance(error, MeshError):
                raise
            what = f"{type(error).__name__}: {error}"
            raise MeshError("unreadable", f"not what glTF's schema says ({what})") from None

    def bake(self) -> Triangles:
        """Place each mesh wherever the scene shows it."""
        parts: dict[int, list[Triangles]] = {}
        places: list[np.ndarray] = []
        faces: list[np.ndarray] = []
        start = corners = points = 0
        for index, transform in self.placed_meshes():
            if index not in parts:
                mesh = self.item("meshes", index)
                found = [self.primitive(primitive) for primitive in mesh["primitives"]]
                parts[index] = [part for part in found if part is not None]
                points += len(found) - len(parts[index])
            for vertices, triangles in parts[index]:
                corners += 3 * len(triangles)
                if corners > MOST_CORNERS:
                    raise MeshError(
                        "too-large", f"the scene has over {MOST_CORNERS // 3} triangles"
                    )
                if np.linalg.det(transform[:3, :3]) < 0:
                    triangles = triangles[:, ::-1]  # a mirror turns the surface inside out
                with np.errstate(all="ignore"):  # the caller names what is not finite
                    places.append(vertices @ transform[:3, :3].T + transform[:3, 3])
                faces.append(triangles + start)
                start += len(vertices)
        if not faces:
            if points:
                raise MeshError("no-faces", f"{points} sets of points or lines, no triangle")
            raise MeshError("empty", "the scene shows no geometry")
        return np.concatenate(places), np.concatenate(faces)

    def placed_meshes(self) -> list[tuple[int, np.ndarray]]:
        """(mesh index, world transform (4,4)) of each mesh in the scene, instances one by one."""
        nodes = self.json.get("nodes", [])
        scenes = self.json.get("scenes", [])
        if scenes:
            roots = self.item("scenes", self.json.get("scene", 0)).get("nodes", [])
        else:
            children = {child for node in nodes for child in node.get("children", [])}
            roots = [index for index in range(len(nodes)) if index not in children]
            if nodes and not roots:
                raise MeshError("unreadable", "the nodes form a cycle")
        if not nodes and self.json.get("meshes"):
            return [(index, np.eye(4)) for index in range(len(self.json["meshes"]))]
        placed, seen = [], set()
        stack = [(index, np.eye(4)) for index in reversed(roots)]
        while stack:
            index, above = stack.pop()
            if index in seen:
                raise MeshError("unreadable", f"node {index} has two parents or is its own")
            seen.add(index)
            node = self.item("nodes", index)
            with np.errstate(all="ignore"):  # what is not finite is named, not warned about
                transform = above @ local_transform(node)
            if not np.isfinite(transform).all():
                raise MeshError("non-finite", f"the transform of node {index} is not finite")
            if "mesh" in node:
                placed += [(node["mesh"], transform @ one) for one in self.instances(node)]
            stack += [(child, transform) for child in reversed(node.get("children", []))]
        return placed

    def instances(self, node: dict) -> list[np.ndarray]:
        """Transforms (4,4) within a node: one identity, or those of EXT_mesh_gpu_instancing."""
        extension = node.get("extensions", {}).get("EXT_mesh_gpu_instancing")
        if extension is None:
            return [np.eye(4)]
        columns = {
            name.lower(): self.accessor(index)
            for name, index in extension["attributes"].items()
            if name in ("TRANSLATION", "ROTATION", "SCALE")
        }
        count = max(len(column) for column in columns.values())
        return [
            local_transform({name: column[row] for name, column in columns.items()})
            for row in range(count)
        ]

    def primitive(self, primitive: dict) -> Triangles | None:
        """Vertices and faces of one primitive; None for points, lines and no positions."""
        mode = primitive.get("mode", TRIANGLES)
        if mode in POINTS_AND_LINES or "POSITION" not in primitive["attributes"]:
            return None
        draco = primitive.get("extensions", {}).get("KHR_draco_mesh_compression")
        if draco is not None:
            vertices, corners = decode_draco(self.view(draco["bufferView"]))
        else:
            vertices = self.accessor(primitive["attributes"]["POSITION"])
            corners = np.arange(len(vertices))
            if "indices" in primitive:
                corners = self.accessor(primitive["indices"]).astype(np.int64).ravel()
        if vertices.shape[1] != 3:
            raise MeshError("unreadable", f"positions have {vertices.shape[1]} numbers, not 3")
        check_indices(corners, len(vertices))
        return vertices, faces_of_mode(corners, mode)

    def accessor(self, index: int) -> np.ndarray:
        """The values (count, width) of an accessor: float64, normalised integers mapped to it."""
        accessor = self.item("accessors", index)
        count, width = accessor["count"], WIDTHS[accessor["type"]]
        if not isinstance(count, int) or not 0 <= count <= MOST_CORNERS:
            raise MeshError("unreadable", f"accessor {index} has the count {count!r}")
        kind = np.dtype(COMPONENTS[accessor["componentType"]])
        if "bufferView" in accessor:
            view, offset = accessor["bufferView"], accessor.get("byteOffset", 0)
            values = self.strided(view, offset, kind, count, width)
        elif "sparse" in accessor:
            values = np.zeros((count, width), kind)
        else:
            raise MeshError("unreadable", f"accessor {index} has no data")
        if "sparse" in accessor:
            values = self.with_sparse(values, accessor["sparse"])
        if accessor.get("normalized") and kind.kind in "iu":
            return np.maximum(values / float(np.iinfo(kind).max), -1.0)
        return values.astype(np.float64)

    def with_sparse(self, values: np.ndarray, sparse: dict) -> np.ndarray:
        """`values` with the rows that a sparse accessor replaces."""
        rows, new = sparse["indices"], sparse["values"]
        kind = np.dtype(COMPONENTS[rows["componentType"]])
        count, width = sparse["count"], values.shape[1]
        which = self.strided(rows["bufferView"], rows.get("byteOffset", 0), kind, count, 1).ravel()
        check_indices(which.astype(np.int64), len(values))
        values = values.copy()
        values[which] = self.strided(
            new["bufferView"], new.get("byteOffset", 0), values.dtype, count, width
        )
        return values

    def strided(self, view: int, offset: int, kind: np.dtype, count: int, width: int) -> np.ndarray:
        """Rows (count, width) of a buffer view, honouring its stride."""
        data, row = self.view(view), kind.itemsize * width
        stride = self.item("bufferViews", view).get("byteStride", row)
        end = offset + (count - 1) * stride + row if count else offset
        if offset < 0 or stride < row or end > len(data):
            raise MeshError("truncated", f"an accessor ends at byte {end} of a view of {len(data)}")
        return np.ndarray((count, width), kind, data, offset, (stride, kind.itemsize))

    def view(self, index: int) -> bytes:
        """The bytes of a buffer view, decompressed."""
        if index not in self.views:
            view = self.item("bufferViews", index)
            packed = view.get("extensions", {}).get("EXT_meshopt_compression")
            if "KHR_meshopt_compression" in view.get("extensions", {}):
                raise MeshError(
                    "compressed-unsupported", "KHR_meshopt_compression; unpack it with gltfpack"
                )
            source = view if packed is None else packed
            start, size = source.get("byteOffset", 0), source["byteLength"]
            data = self.cut(source["buffer"], start, size)
            self.views[index] = data if packed is None else decode_view(data, packed)
        return self.views[index]

    def cut(self, buffer: int, start: int, size: int) -> bytes:
        """`size` bytes of a buffer from `start`."""
        data = self.buffer(buffer)
        if start < 0 or size < 0 or start + size > len(data):
            raise MeshError("truncated", f"a view ends at byte {start + size} of {len(data)}")
        return data[start : start + size]

    def buffer(self, index: int) -> bytes:
        """The bytes of a buffer: the GLB's own chunk, a data URI or a file beside the glTF."""
        if index not in self.buffers:
            buffer = self.item("buffers", index)
            uri = buffer.get("uri")
            if uri is None:
                if self.binary is None:
                    raise MeshError("truncated", f"buffer {index} has no data in this file")
                data = self.binary
            elif uri.startswith("data:"):
                try:
                    data = base64.b64decode(uri.partition(",")[2])
                except binascii.Error as error:
                    raise MeshError("unreadable", f"buffer {index}: {error}") from None
            else:
                data = self.file(uri)
            if buffer["byteLength"] > len(data):
                raise MeshError(
                    "truncated", f"buffer {index} has {len(data)} of {buffer['byteLength']} bytes"
                )
            self.buffers[index] = data
        return self.buffers[index]

    def file(self, uri: str) -> bytes:
        """The bytes of a file beside the glTF. Addresses and absolute paths are not followed."""
        path = self.folder / unquote(uri)
        if "://" in uri or Path(unquote(uri)).is_absolute() or not path.is_file():
            raise MeshError("missing", f"the buffer file {uri} is not beside the glTF")
        return path.read_bytes()

    def item(self, kind: str, index: Any) -> dict:
        """Element `index` of a top-level list; MeshError(unreadable) unless it is an object."""
        items = self.json.get(kind, [])
        if not isinstance(items, list) or not isinstance(index, int):
            raise MeshError("unreadable", f"{kind}[{index!r}] is not what glTF's schema says")
        if not 0 <= index < len(items) or not isinstance(items[index], dict):
            raise MeshError("unreadable", f"{kind}[{index}] is not there")
        return items[index]


def local_transform(node: dict) -> np.ndarray:
    """The (4,4) matrix of a node: `matrix`, or scale, then rotation (x,y,z,w), then translation."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = np.array(node.get("rotation", (0, 0, 0, 1)), np.float64)
    length = np.sqrt(x * x + y * y + z * z + w * w)
    if length > 0:
        x, y, z, w = x / length, y / length, z / length, w / length
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= np.array(node.get("scale", (1, 1, 1)), np.float64)
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def faces_of_mode(corners: np.ndarray, mode: int) -> np.ndarray:
    """Triangles (F,3) from indices listed as triangles, a strip or a fan."""
    if mode == TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if mode == STRIP:
        faces = np.column_stack([corners[:-2], corners[1:-1], corners[2:]])
        faces[1::2] = faces[1::2, ::-1]
        return faces
    if mode == FAN:
        first = np.repeat(corners[:1], max(len(corners) - 2, 0))
        return np.column_stack([first, corners[1:-1], corners[2:]])
    raise MeshError("unreadable", f"primitive mode {mode!r} does not exist")


def decode_draco(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Positions (V,3) and flat indices of Draco-compressed geometry."""
    import DracoPy

    try:
        mesh = DracoPy.decode(data)
    except (DracoPy.FileTypeException, ValueError) as error:
        raise MeshError("unreadable", f"Draco: {error}") from None
    return mesh.points.astype(np.float64), mesh.faces.astype(np.int64).ravel()


def write_glb(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    """A GLB with one mesh: float32 positions, uint32 indices."""
    points, corners = vertices.astype("<f4"), faces.astype("<u4")
    binary = points.tobytes() + corners.tobytes()
    document = {
        "asset": {"version": "2.0", "generator": "dora-bench"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": len(points),
                "type": "VEC3",
                "min": points.min(axis=0).tolist(),
                "max": points.max(axis=0).tolist(),
            },
            {"bufferView": 1, "componentType": 5125, "count": corners.size, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": points.nbytes, "target": 34962},
            {
                "buffer": 0,
                "byteOffset": points.nbytes,
                "byteLength": corners.nbytes,
                "target": 34963,
            },
        ],
        "buffers": [{"byteLength": len(binary)}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = len(text).to_bytes(4, "little") + b"JSON" + text
    chunks += len(binary).to_bytes(4, "little") + b"BIN\0" + binary
    return b"glTF" + (2).to_bytes(4, "little") + (12 + len(chunks)).to_bytes(4, "little") + chunks
