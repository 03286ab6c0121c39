"""meshopt decompression against a plain encoder written from the specification."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from preprocessing.formats.meshopt import decode_view
from preprocessing.mesh import MeshError

TABLE = bytes(16)


def zigzag(value: int) -> int:
    return (value << 1) ^ (value >> 31)


def varint(value: int) -> bytes:
    out = b""
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def encode_group(values: list[int], mode: int) -> bytes:
    """Sixteen difference codes in one of the four ways."""
    if mode == 0:
        return b""
    if mode == 3:
        return bytes(values)
    bits = 2 * mode
    mask = (1 << bits) - 1
    packed = sum(min(v, mask) << (bits * (15 - i)) for i, v in enumerate(values))
    return packed.to_bytes(2 * bits, "big") + bytes(v for v in values if v >= mask)


def encode_vertices(rows: np.ndarray) -> bytes:
    """Rows uint8 (N,stride), each group in the shortest way that holds it."""
    count, stride = rows.shape
    block = min(8192 // stride & ~15, 256)
    base = np.zeros(stride, int) if count == 0 else rows[0].astype(int)
    out, before = b"\xa0", base.copy()
    for start in range(0, count, block):
        part = rows[start : start + block].astype(int)
        for column in range(stride):
            steps = np.diff(np.concatenate([before[column : column + 1], part[:, column]]))
            steps = (steps + 128) % 256 - 128
            codes = [zigzag(int(step)) & 255 for step in steps]
            codes += [0] * (-len(codes) % 16)
            groups = [codes[i : i + 16] for i in range(0, len(codes), 16)]
            modes = [
                0 if not any(group) else min((1, 2, 3), key=lambda m: len(encode_group(group, m)))
                for group in groups
            ]
            header = bytearray((len(groups) + 3) // 4)
            for index, mode in enumerate(modes):
                header[index // 4] |= mode << (index % 4 * 2)
            body = [encode_group(group, mode) for group, mode in zip(groups, modes, strict=True)]
            out += bytes(header) + b"".join(body)
        before = part[-1]
    return out + bytes(max(32 - stride, 0)) + base.astype(np.uint8).tobytes()


def encode_triangles(faces: np.ndarray) -> bytes:
    """Every corner as a difference to the one before: the longest way, valid for any faces."""
    codes, extra, last = b"", b"", 0
    for face in faces:
        codes += b"\xff"
        extra += b"\xff"
        for index in face:
            extra += varint(zigzag(int(index) - last))
            last = int(index)
    return b"\xe1" + codes + extra + TABLE


@given(
    rows=st.integers(0, 600).flatmap(
        lambda count: st.sampled_from([4, 8, 12, 64]).flatmap(
            lambda stride: hnp.arrays(np.uint8, (count, stride), elements=st.integers(0, 255))
        )
    ),
    spread=st.sampled_from([0, 1, 6, 255]),
)
def test_vertices_come_back(rows: np.ndarray, spread: int) -> None:
    rows = rows % (spread + 1) if spread < 255 else rows
    extension = {"mode": "ATTRIBUTES", "count": len(rows), "byteStride": rows.shape[1]}
    assert decode_view(encode_vertices(rows), extension) == rows.tobytes()


@given(
    hnp.arrays(np.int64, st.tuples(st.integers(0, 40), st.just(3)), elements=st.integers(0, 60000))
)
def test_triangles_and_sequences_come_back(faces: np.ndarray) -> None:
    extension = {"mode": "TRIANGLES", "count": faces.size, "byteStride": 2}
    assert decode_view(encode_triangles(faces), extension) == faces.astype("<u2").tobytes()
    steps = np.diff(faces.ravel(), prepend=0)
    data = b"\xd1" + b"".join(varint(zigzag(int(step)) << 1) for step in steps) + bytes(4)
    extension |= {"mode": "INDICES"}
    assert decode_view(data, extension) == faces.astype("<u2").tobytes()


def test_a_strip_of_new_vertices_by_hand() -> None:
    """0,1,2 starts afresh; each next triangle takes the newest edge and the next vertex."""
    data = b"\xe1" + b"\xf0\x00\x00" + TABLE
    out = decode_view(data, {"mode": "TRIANGLES", "count": 9, "byteStride": 2})
    assert np.frombuffer(out, "<u2").tolist() == [0, 1, 2, 0, 2, 3, 0, 3, 4]


def test_exponential_filter() -> None:
    packed = np.array([[3, -5, 0, 1 << 20]], np.int32) & 0xFFFFFF
    exponents = np.array([[2, -1, 0, -20]], np.int32) << 24
    rows = (packed | exponents).astype("<i4").view(np.uint8)
    extension = {"mode": "ATTRIBUTES", "count": 1, "byteStride": 16, "filter": "EXPONENTIAL"}
    out = np.frombuffer(decode_view(encode_vertices(rows), extension), "<f4")
    assert out.tolist() == [12.0, -2.5, 0.0, 1.0]


@pytest.mark.parametrize(
    ("data", "changes", "reason"),
    [
        (b"", {}, "unreadable"),
        (b"\xe0" + bytes(40), {}, "unreadable"),
        (b"\xa1" + bytes(40), {}, "compressed-unsupported"),
        (b"\xa0" + bytes(40), {"filter": "OCTAHEDRAL"}, "compressed-unsupported"),
        (b"\xa0" + bytes(40), {"mode": "OTHER"}, "compressed-unsupported"),
        (b"\xa0" + bytes(40), {"count": 10**12}, "truncated"),
        (b"\xa0" + bytes(40), {"count": -1}, "truncated"),
        (b"\xa0\xff" + bytes(40), {"count": 64}, "truncated"),
        (b"\xa0" + bytes(10), {}, "truncated"),
    ],
)
def test_what_cannot_be_unpacked_says_why(data, changes, reason) -> None:
    with pytest.raises(MeshError) as caught:
        decode_view(data, {"mode": "ATTRIBUTES", "count": 4, "byteStride": 4} | changes)
    assert caught.value.reason == reason


@given(st.binary(max_size=200), st.integers(0, 60), st.sampled_from(["TRIANGLES", "INDICES"]))
def test_random_bytes_are_decoded_or_refused(data: bytes, count: int, mode: str) -> None:
    first = {"TRIANGLES": b"\xe1", "INDICES": b"\xd1"}[mode]
    try:
        out = decode_view(first + data, {"mode": mode, "count": 3 * count, "byteStride": 4})
    except MeshError:
        return
    assert len(out) == 12 * count


def test_the_real_file_spans_what_it_declares(meshes_dir) -> None:
    """Position accessors carry their minimum and maximum: bytes in any wrong place would show."""
    from preprocessing.formats.gltf_data import GltfData

    data = (meshes_dir / "compressed" / "pirate_meshopt.glb").read_bytes()
    size = int.from_bytes(data[12:16], "little")
    document = GltfData(data[20 : 20 + size], data[28 + size :], meshes_dir)
    for mesh in document.json["meshes"]:
        for primitive in mesh["primitives"]:
            index = primitive["attributes"]["POSITION"]
            declared, values = document.item("accessors", index), document.accessor(index)
            assert values.min(axis=0).tolist() == declared["min"]
            assert values.max(axis=0).tolist() == declared["max"]
            corners = document.accessor(primitive["indices"])
            assert np.array_equal(np.unique(corners), np.arange(len(values)))
