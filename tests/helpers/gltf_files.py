"""A tiny glTF writer for tests: whatever a scene needs, in one .glb."""

import json
from typing import Any

import numpy as np

CODES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


class GltfFile:
    """Grows by `accessor`, `mesh` and `node`; `bytes()` is the file. `json` may be edited."""

    def __init__(self) -> None:
        self.binary = bytearray()
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0"},
            "accessors": [],
            "bufferViews": [],
            "meshes": [],
            "nodes": [],
        }

    def add(self, kind: str, item: dict) -> int:
        """The index of a new item of a top-level list."""
        self.json.setdefault(kind, []).append(item)
        return len(self.json[kind]) - 1

    def view(self, data: bytes) -> int:
        """A buffer view with these bytes, aligned to four."""
        self.binary += bytes(-len(self.binary) % 4)
        start = len(self.binary)
        self.binary += data
        return self.add("bufferViews", {"buffer": 0, "byteOffset": start, "byteLength": len(data)})

    def accessor(self, values: np.ndarray, kind: str = "f4", **members: Any) -> int:
        """An accessor of `values` (N,) or (N,width), stored as numpy type `kind`."""
        values = np.ascontiguousarray(values, "<" + kind)
        width = 1 if values.ndim == 1 else values.shape[1]
        item = {
            "bufferView": self.view(values.tobytes()),
            "componentType": CODES[kind],
            "count": len(values),
            "type": TYPES[width],
        }
        if kind == "f4" and width == 3:
            low, high = values.min(axis=0).tolist(), values.max(axis=0).tolist()
            item |= {"min": low, "max": high}
        return self.add("accessors", item | members)

    def sparse(self, values: np.ndarray, rows: np.ndarray, kind: str = "f4") -> int:
        """An accessor of zeros whose `rows` are `values`[rows]."""
        item = {
            "componentType": CODES[kind],
            "count": len(values),
            "type": TYPES[values.shape[1]],
            "sparse": {
                "count": len(rows),
                "indices": {"bufferView": self.view(rows.astype("<u2").tobytes()),
                            "componentType": 5123},
                "values": {"bufferView": self.view(values[rows].astype("<" + kind).tobytes())},
            },
        }  # fmt: skip
        return self.add("accessors", item)

    def mesh(self, vertices: np.ndarray, faces: np.ndarray, **attributes: int) -> int:
        """A mesh of one primitive; `attributes` name further accessors."""
        members = {"POSITION": self.accessor(vertices), **attributes}
        primitive = {"attributes": members, "indices": self.accessor(faces.ravel(), "u4")}
        return self.add("meshes", {"primitives": [primitive]})

    def node(self, **members: Any) -> int:
        """A node."""
        return self.add("nodes", members)

    def skin(self, joints: list[int], inverse: np.ndarray | None = None) -> int:
        """A skin; `inverse` (J,4,4) maps world to joint at binding, identity where it is None."""
        if inverse is None:
            return self.add("skins", {"joints": joints})
        columns = np.asarray(inverse).transpose(0, 2, 1).reshape(-1, 16)
        return self.add("skins", {"joints": joints, "inverseBindMatrices": self.accessor(columns)})

    def bytes(self) -> bytes:
        """The .glb."""
        children = {c for node in self.json["nodes"] for c in node.get("children", [])}
        roots = [i for i in range(len(self.json["nodes"])) if i not in children]
        document = {
            "scene": 0,
            "scenes": [{"nodes": roots}],
            "buffers": [{"byteLength": len(self.binary)}],
        } | self.json
        text = json.dumps(document).encode()
        text += b" " * (-len(text) % 4)
        binary = bytes(self.binary) + bytes(-len(self.binary) % 4)
        body = len(text).to_bytes(4, "little") + b"JSON" + text
        body += len(binary).to_bytes(4, "little") + b"BIN\0" + binary
        return b"glTF" + (2).to_bytes(4, "little") + (12 + len(body)).to_bytes(4, "little") + body
