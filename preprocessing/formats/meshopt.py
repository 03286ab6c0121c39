"""EXT_meshopt_compression: the bytes of a compressed glTF buffer view."""

import numpy as np

from preprocessing.mesh_errors import MeshError

VERTICES, TRIANGLES, SEQUENCE = 0xA0, 0xE0, 0xD0
HEADERS = {"ATTRIBUTES": VERTICES, "TRIANGLES": TRIANGLES, "INDICES": SEQUENCE}


def decode_view(data: bytes, extension: dict) -> bytes:
    """The bytes that `data` stands for, as `extension` (the JSON object) describes them.

    Filters other than EXPONENTIAL serve normals and rotations, which no reader here asks for.
    Raises MeshError(unreadable, truncated, compressed-unsupported).
    """
    mode, count, stride = extension["mode"], extension["count"], extension["byteStride"]
    name = extension.get("filter", "NONE")
    if mode not in HEADERS or name not in ("NONE", "EXPONENTIAL"):
        raise MeshError("compressed-unsupported", f"meshopt mode {mode!r} with filter {name!r}")
    if not data or data[0] & 0xF0 != HEADERS[mode]:
        raise MeshError("unreadable", f"meshopt data of mode {mode} has a wrong first byte")
    version = data[0] & 15
    if version > (0 if mode == "ATTRIBUTES" else 1):
        raise MeshError("compressed-unsupported", f"meshopt {mode} version {version}")
    # A vertex byte takes at least 1/64 byte and an index 1/3: more is a lie, not to be allocated.
    room = 64 * len(data) if mode == "ATTRIBUTES" else 3 * len(data) * stride
    if count < 0 or not 1 <= stride <= 256 or count * stride > room + 256 * stride:
        raise MeshError("truncated", f"{count} rows of {stride} bytes in {len(data)} bytes")
    rows = np.frombuffer(data, np.uint8)[1:]
    if mode == "ATTRIBUTES":
        return decode_attributes(rows, count, stride, name)
    return decode_indices(rows, mode, version, count, stride)


def decode_attributes(data: np.ndarray, count: int, stride: int, name: str) -> bytes:
    """`count` rows of `stride` bytes, with the exponential filter undone."""
    from preprocessing.formats.meshopt_kernels import decode_vertices

    out = np.zeros((count, stride), np.uint8)
    if not decode_vertices(data, out, min(8192 // stride & ~15, 256)):
        raise MeshError("truncated", "meshopt vertex data ends too early")
    if name == "EXPONENTIAL":
        # 8 bits of exponent above a 24-bit mantissa, both signed.
        packed = out.view("<i4")
        mantissa = (packed << 8) >> 8
        return np.ldexp(mantissa.astype(np.float64), packed >> 24).astype("<f4").tobytes()
    return out.tobytes()


def decode_indices(data: np.ndarray, mode: str, version: int, count: int, stride: int) -> bytes:
    """`count` indices of `stride` (2 or 4) bytes."""
    from preprocessing.formats.meshopt_kernels import decode_sequence, decode_triangles

    if stride not in (2, 4):
        raise MeshError("unreadable", f"meshopt indices of {stride} bytes")
    out = np.zeros(count, np.int64)
    if mode == "TRIANGLES":
        whole = count % 3 == 0 and decode_triangles(data, version, out)
    else:
        whole = decode_sequence(data, out)
    if not whole:
        raise MeshError("truncated", "meshopt index data ends too early")
    if count and (out.min() < 0 or out.max() >= 1 << (8 * stride)):
        raise MeshError("index-out-of-range", "a meshopt index does not fit its type")
    return out.astype(f"<u{stride}").tobytes()
