"""The data of one glTF file: its JSON, and buffers, views and accessors as they are asked for.

Notable: sparse and quantised accessors, meshopt-compressed views, buffers in files beside it.
"""

import base64
import binascii
import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import numpy as np

from preprocessing.formats.meshopt import decode_view
from preprocessing.formats.polygons import check_indices
from preprocessing.mesh_errors import MeshError

COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
EXTENSIONS = (
    "EXT_mesh_gpu_instancing",
    "EXT_meshopt_compression",
    "KHR_draco_mesh_compression",
    "KHR_mesh_quantization",
    "KHR_meshopt_compression",  # refused with its way out, where a view is so packed
    "KHR_node_visibility",
)
HARMLESS = re.compile(
    "material|texture|image|light|shad|techniques|animation|articulation|audio|camera|xmp|meta|"
    "feature|outline|physics|interactiv|variant|VRM|MOZ_|OMI_|RTC",
    re.IGNORECASE,
)
"""Words in the names of extensions that leave a mesh its triangles."""
MOST_ZEROS = 1 << 24
"""Rows of an accessor that no bytes stand behind: it is cheap to ask for many."""


@contextlib.contextmanager
def within(where: str) -> Iterator[None]:
    """Say `where` in front of every MeshError, and turn what the schema forbids into one."""
    try:
        yield
    except MeshError as error:
        raise MeshError(error.reason, f"{where}: {error.message}") from None
    except (TypeError, AttributeError, OverflowError, IndexError, KeyError, ValueError) as error:
        # The JSON may be anything at any depth; whatever does not fit the schema ends here.
        what = (
            "a member is missing" if isinstance(error, KeyError) else "a value is of a wrong kind"
        )
        raise MeshError("unreadable", f"{where}: {what} ({error})") from None


def member(holder: dict, name: str) -> Any:
    """A member that the schema demands. Raises MeshError(unreadable) where it is not there."""
    if not isinstance(holder, dict) or name not in holder:
        raise MeshError("unreadable", f"there is no {name!r}")
    return holder[name]


def check_is_read(document: dict) -> None:
    """Raise MeshError(unsupported-format) for other versions, and for extensions that a file needs
    and nobody here knows: they may hold or move geometry."""
    asset = document["asset"]
    if not str(asset.get("version")).startswith("2") or asset.get("minVersion", "2.0") != "2.0":
        raise MeshError("unsupported-format", "only glTF version 2 is read")
    for name in document.get("extensionsRequired", []):
        if name not in EXTENSIONS and HARMLESS.search(name) is None:
            raise MeshError("unsupported-format", f"the glTF needs {name}; export it without")


class GltfData:
    """One glTF file: `json`, and typed access to what it refers to."""

    def __init__(self, text: bytes, binary: bytes | None, folder: Path) -> None:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MeshError("unreadable", f"the glTF's JSON: {error}") from None
        if not isinstance(document, dict) or not isinstance(document.get("asset"), dict):
            raise MeshError("unreadable", "the JSON is not a glTF object with an asset")
        with within("glTF"):
            check_is_read(document)
        self.json, self.binary, self.folder = document, binary, folder
        self.buffers: dict[int, bytes] = {}
        self.views: dict[int, bytes] = {}

    @property
    def bytes_read(self) -> int:
        """How many bytes of buffers have been read so far."""
        return sum(map(len, self.buffers.values()))

    def accessor(self, index: int, raw: bool = False) -> np.ndarray:
        """The values (count, width) of an accessor in float64.

        Normalised integers are mapped to [-1, 1], unless `raw`.
        """
        with within(f"accessor {index}"):
            accessor = self.item("accessors", index)
            width = WIDTHS.get(member(accessor, "type"))
            code = COMPONENTS.get(member(accessor, "componentType"))
            count = member(accessor, "count")
            if width is None or code is None:
                raise MeshError(
                    "unreadable", f"no type {accessor['type']!r} of {accessor['componentType']!r}"
                )
            if not isinstance(count, int) or count < 0:
                raise MeshError("unreadable", f"the count is {count!r}")
            kind = np.dtype(code)
            if "bufferView" in accessor:
                view, offset = accessor["bufferView"], accessor.get("byteOffset", 0)
                values = self.strided(view, offset, kind, count, width)
            elif "sparse" in accessor:
                if count > MOST_ZEROS:
                    raise MeshError("too-large", f"{count} rows without data")
                values = np.zeros((count, width), kind)
            else:
                raise MeshError("unreadable", "it has no data")
            if "sparse" in accessor:
                values = self.with_sparse(values, accessor["sparse"])
            if accessor.get("normalized") and kind.kind in "iu" and not raw:
                return np.maximum(values / float(np.iinfo(kind).max), -1.0)
            return values.astype(np.float64)

    def with_sparse(self, values: np.ndarray, sparse: dict) -> np.ndarray:
        """`values` with the rows that a sparse accessor replaces."""
        rows, new = member(sparse, "indices"), member(sparse, "values")
        kind = np.dtype(COMPONENTS[member(rows, "componentType")])
        count, width = member(sparse, "count"), values.shape[1]
        view = member(rows, "bufferView")
        which = self.strided(view, rows.get("byteOffset", 0), kind, count, 1).ravel()
        check_indices(which.astype(np.int64), len(values))
        values = values.copy()
        values[which] = self.strided(
            member(new, "bufferView"), new.get("byteOffset", 0), values.dtype, count, width
        )
        return values

    def strided(self, view: int, offset: int, kind: np.dtype, count: int, width: int) -> np.ndarray:
        """Rows (count, width) of a buffer view, honouring its stride."""
        data, row = self.view(view), kind.itemsize * width
        stride = self.item("bufferViews", view).get("byteStride", row)
        end = offset + (count - 1) * stride + row if count else offset
        if offset < 0 or count < 0 or stride < row or end > len(data):
            raise MeshError("truncated", f"it ends at byte {end} of a view of {len(data)}")
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
            start, size = source.get("byteOffset", 0), member(source, "byteLength")
            data = self.cut(member(source, "buffer"), start, size)
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
                data = data_uri(uri, index)
            else:
                data = self.file(uri)
            if member(buffer, "byteLength") > len(data):
                raise MeshError(
                    "truncated", f"buffer {index} has {len(data)} of {buffer['byteLength']} bytes"
                )
            self.buffers[index] = data
        return self.buffers[index]

    def file(self, uri: str) -> bytes:
        """The bytes of a file beside the glTF. Addresses and absolute paths are not followed."""
        name = unquote(uri)
        path = self.folder / name
        if "://" in uri or "\0" in name or Path(name).is_absolute() or not path.is_file():
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


def data_uri(uri: str, index: int) -> bytes:
    """The bytes that a `data:` URI holds. Raises MeshError(unreadable)."""
    head, _, body = uri.partition(",")
    if not head.endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        return base64.b64decode("".join(unquote(body).split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MeshError("unreadable", f"buffer {index}: {error}") from None
