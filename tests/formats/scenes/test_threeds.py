"""3DS: objects where the file stores them, refusals by name."""

import struct

import numpy as np
import pytest
from scene_trees import figures, prism

from preprocessing.formats.scenes.threeds import read_3ds
from preprocessing.mesh import MeshError

PART = prism([1.0] * 4, 1.0, (1.0, 1.0, 1.0))
FACES = [(p[0], p[i], p[i + 1], 7) for p in PART.polygons for i in (1, 2)]


def chunk(kind: int, *inner: bytes) -> bytes:
    body = b"".join(inner)
    return struct.pack("<HI", kind, 6 + len(body)) + body


def thing(name: bytes, shift: float) -> bytes:
    places = (PART.vertices + np.array([shift, 0, 0])).astype("<f4").tobytes()
    corners = np.array(FACES, "<u2").tobytes()
    smoothing = chunk(0x4150, bytes(48))
    return chunk(
        0x4000,
        name + b"\0",
        chunk(
            0x4100,
            chunk(0x4110, struct.pack("<H", 8), places),
            chunk(0x4120, struct.pack("<H", 12), corners, smoothing),
            chunk(0x4160, bytes(48)),
        ),
    )


def file(*objects: bytes, frames: bytes = b"") -> bytes:
    return chunk(0x4D4D, chunk(0x0002, b"\3\0\0\0"), chunk(0x3D3D, *objects), frames)


def refusal(data: bytes) -> MeshError:
    with pytest.raises(MeshError) as caught:
        read_3ds(data)
    return caught.value


def test_all_objects_come_where_they_stand() -> None:
    got = figures(*read_3ds(file(thing(b"A", 0), thing(b"B", 5))))
    assert got.faces == 24
    assert np.isclose(got.volume, 4)
    assert np.allclose([got.low[0], got.high[0]], [-1, 6])


def test_an_object_shown_twice_is_refused_by_name() -> None:
    node = chunk(0xB002, chunk(0xB010, b"A\0" + bytes(6)))
    once = file(thing(b"A", 0), frames=chunk(0xB000, node))
    assert len(read_3ds(once)[1]) == 12
    twice = refusal(file(thing(b"A", 0), frames=chunk(0xB000, node, node)))
    assert (twice.reason, "'A'" in twice.message) == ("unsupported-format", True)


def test_refusals() -> None:
    good = file(thing(b"A", 0))
    assert refusal(b"PK").reason == "unreadable"
    assert refusal(good[:-50]).reason == "truncated"
    assert refusal(file()).reason == "empty"
    assert refusal(good.replace(np.array(FACES[0], "<u2").tobytes(), b"\xff" * 8)).reason == (
        "index-out-of-range"
    )
    assert refusal(file(chunk(0x4000, b"A"))).reason == "unreadable"
