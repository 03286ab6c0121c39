"""glTF 2.0 and GLB: every triangle of the scene with its node transforms baked in.

Read are positions and indices, and what moves them at rest: skins, and morph targets by their
default weights. Textures and animations are passed over. Notable: Draco and meshopt compression,
quantised and sparse accessors, GPU instancing, triangle strips and fans, mirrored nodes.
"""

import json
from pathlib import Path

import numpy as np

from preprocessing.formats.gltf_data import GltfData, member, within
from preprocessing.formats.gltf_nodes import Nodes, Placed
from preprocessing.formats.gltf_primitives import Primitive, is_surface
from preprocessing.formats.gltf_skins import blend, skin_matrices
from preprocessing.mesh_errors import MeshError

MOST_ROWS = 1 << 26
"""A scene that would bake into more vertices and triangles than this, and more than its bytes, is
refused: instances are cheap to write down, and what they ask for need not fit into memory."""

Triangles = tuple[np.ndarray, np.ndarray]


def read_glb(data: bytes, folder: Path) -> Triangles:
    """Vertices (V,3) float64 and faces (F,3) int64 of a GLB; `folder` holds external buffers."""
    if data[:1] in (b"{", b"\xef"):
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
    return scene_triangles(GltfData(chunks[0][1].rstrip(b"\0"), binary, folder))


def read_gltf(data: bytes, folder: Path) -> Triangles:
    """Vertices (V,3) float64 and faces (F,3) int64 of a .gltf; `folder` holds its buffers."""
    if data[:4] == b"glTF":
        return read_glb(data, folder)
    return scene_triangles(GltfData(data, None, folder))


def scene_triangles(data: GltfData) -> Triangles:
    """All triangles of the scene: vertices (V,3) float64, faces (F,3) int64."""
    with within("glTF"):
        return Scene(data).triangles()


class Scene:
    """What the scene shows; meshes and skins are read once, however often they are shown."""

    def __init__(self, data: GltfData) -> None:
        self.data, self.nodes = data, Nodes(data)
        self.meshes: dict[int, list[Primitive]] = {}
        self.skins: dict[int, np.ndarray] = {}
        self.passed_over = 0

    def triangles(self) -> Triangles:
        """Place each mesh wherever the scene shows it."""
        places: list[np.ndarray] = []
        faces: list[np.ndarray] = []
        start = rows = 0
        for vertices, triangles in self.parts():
            rows += len(vertices) + len(triangles)
            if rows > max(MOST_ROWS, 4 * self.data.bytes_read):
                raise MeshError("too-large", f"the scene has over {MOST_ROWS} triangles")
            places.append(vertices)
            faces.append(triangles + start)
            start += len(vertices)
        if not faces:
            if self.passed_over:
                what = "are points or lines, or have no positions"
                raise MeshError("no-faces", f"all {self.passed_over} primitives {what}")
            raise MeshError("empty", "the scene shows no geometry")
        return np.concatenate(places), np.concatenate(faces)

    def parts(self):  # type: ignore[no-untyped-def]
        """Vertices and faces in the world of each primitive shown."""
        if not self.data.json.get("nodes"):  # a library of meshes: each once, as it is
            for index in range(len(self.data.json.get("meshes", []))):
                for number, primitive in enumerate(self.primitives(index)):
                    with within(self.name(index, number)):
                        yield self.morphed(index, {}, primitive), primitive.faces
            return
        for placed in self.nodes.placed_meshes():
            index = self.data.item("nodes", placed.node)["mesh"]
            for number, primitive in enumerate(self.primitives(index)):
                with within(self.name(index, number)):
                    yield self.in_world(placed, index, primitive)

    def in_world(self, placed: Placed, index: int, primitive: Primitive) -> Triangles:
        """Vertices and faces of a primitive of mesh `index`, moved to where a node shows it."""
        node = self.data.item("nodes", placed.node)
        vertices, faces = self.morphed(index, node, primitive), primitive.faces
        if "skin" in node:
            if node["skin"] not in self.skins:
                self.skins[node["skin"]] = skin_matrices(self.data, self.nodes, node["skin"])
            return blend(vertices, faces, primitive.influences(), self.skins[node["skin"]])
        if np.linalg.det(placed.transform[:3, :3]) < 0:
            faces = faces[:, ::-1]  # a mirror turns the surface inside out
        with np.errstate(all="ignore"):  # the caller names what is not finite
            return vertices @ placed.transform[:3, :3].T + placed.transform[:3, 3], faces

    def morphed(self, index: int, node: dict, primitive: Primitive) -> np.ndarray:
        """Positions under the default weights: the node's, else the mesh's, else none."""
        weights = node.get("weights", self.data.item("meshes", index).get("weights"))
        return primitive.vertices if weights is None else primitive.morphed(weights)

    def primitives(self, index: int) -> list[Primitive]:
        """The primitives of a mesh that have triangles; those without positions are passed over,
        as glTF 2.0 (3.7.2.1) says."""
        if index not in self.meshes:
            mesh = self.data.item("meshes", index)
            with within(f"mesh {index}"):
                listed = member(mesh, "primitives")
            found = []
            for number, primitive in enumerate(listed):
                with within(self.name(index, number)):
                    if is_surface(primitive):
                        found.append(Primitive(self.data, primitive))
            self.passed_over += len(listed) - len(found)
            self.meshes[index] = found
        return self.meshes[index]

    def name(self, index: int, number: int) -> str:
        """What to call a primitive in an error."""
        called = self.data.item("meshes", index).get("name")
        return f"mesh {index}{f' {called!r}' if called else ''}, primitive {number}"


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
