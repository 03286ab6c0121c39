"""Damaged files by the thousand, each read in this process under limits of time and memory.

    python tests/helpers/fuzzing.py .obj 300 0        prints one JSON object

Its own process, because a reader may end it: the caller then knows the format at least.
"""

import base64
import json
import re
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import DracoPy
import numpy as np
from gltf_files import GltfFile

from preprocessing.formats.gltf import write_glb
from preprocessing.formats.obj import write_obj
from preprocessing.formats.ply import write_ply
from preprocessing.formats.stl import write_stl
from preprocessing.mesh import MeshError, load_mesh
from preprocessing.mesh_errors import REASONS
from preprocessing.shapes import box

CASES = Path(__file__).parent.parent / "data" / "cases"
SECONDS, MEGABYTES = 10, 2048
NUMBER = re.compile(rb"-?\d+")
ODD = [0, 1, -1, 2, 3, 7, 255, 65535, 1 << 31, -(1 << 31), (1 << 32) - 1, 10**15]
WRITERS = {".obj": write_obj, ".ply": write_ply, ".stl": write_stl, ".glb": write_glb}
CUBE = box((2.0, 2.0, 2.0)).mesh


class TooLongError(BaseException):
    """Raised by the alarm; not an Exception, so that no reader takes it for one of its own."""


def seeds_of(suffix: str) -> list[bytes]:
    """Whole files of a format to damage."""
    paths = sorted(CASES.rglob(f"*{'.glb' if suffix == '.gltf' else suffix}"))
    found = [data for path in paths if len(data := path.read_bytes()) < 30_000]
    if suffix in WRITERS:
        found.append(WRITERS[suffix](CUBE.vertices, CUBE.faces))
    if suffix == ".drc":
        found.append(packed_cube())
    if suffix in (".glb", ".gltf"):
        found += [everything(draco=False), everything(draco=True)]
    return [as_gltf(data) for data in found] if suffix == ".gltf" else found


def packed_cube() -> bytes:
    """A cube in Draco, with joints and weights."""
    return DracoPy.encode(
        CUBE.vertices.astype(np.float32),
        CUBE.faces.astype(np.uint32),
        preserve_order=True,
        generic_attributes={5: np.zeros((8, 4), np.uint8), 6: np.ones((8, 4), np.float32)},
    )


def everything(draco: bool) -> bytes:
    """A GLB with a skin, morph targets, sparse and instanced parts; its mesh in Draco or not."""
    file = GltfFile()
    joints, weights = file.accessor(np.zeros((8, 4)), "u1"), file.accessor(np.ones((8, 4)))
    mesh = file.mesh(CUBE.vertices, CUBE.faces, JOINTS_0=joints, WEIGHTS_0=weights)
    primitive = file.json["meshes"][mesh]["primitives"][0]
    primitive["targets"] = [{"POSITION": file.sparse(CUBE.vertices, np.arange(4))}]
    file.json["meshes"][mesh]["weights"] = [0.5]
    if draco:
        attributes = {"POSITION": 7, "JOINTS_0": 5, "WEIGHTS_0": 6}
        packed = {"bufferView": file.view(packed_cube()), "attributes": attributes}
        primitive["extensions"] = {"KHR_draco_mesh_compression": packed}
    file.node(mesh=mesh, skin=file.skin([1], np.eye(4)[None]), children=[1])
    instances = {"TRANSLATION": file.accessor(np.eye(3)), "SCALE": file.accessor(np.ones((3, 3)))}
    file.node(
        mesh=mesh,
        translation=[1, 2, 3],
        rotation=[0, 0, 0.6, 0.8],
        extensions={"EXT_mesh_gpu_instancing": {"attributes": instances}},
    )
    return file.bytes()


def chunks_of(glb: bytes) -> tuple[bytes, bytes]:
    """The JSON and the binary chunk of a whole GLB."""
    size = int.from_bytes(glb[12:16], "little")
    return glb[20 : 20 + size], glb[28 + size :]


def as_gltf(glb: bytes) -> bytes:
    """A GLB as one text file, its buffer inside."""
    text, binary = chunks_of(glb)
    document = json.loads(text)
    uri = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
    document["buffers"][0]["uri"] = uri
    return json.dumps(document).encode()


def damaged_glb(glb: bytes, rng: np.random.Generator) -> bytes:
    """A GLB with damage in its JSON or its binary data, whose lengths still fit."""
    text, binary = chunks_of(glb)
    if rng.random() < 0.7:
        text = damaged(text, rng)
    else:
        binary = damaged(binary, rng)
    body = len(text).to_bytes(4, "little") + b"JSON" + text
    body += len(binary).to_bytes(4, "little") + b"BIN\0" + binary
    return b"glTF" + (2).to_bytes(4, "little") + (12 + len(body)).to_bytes(4, "little") + body


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """A wound or a few: bits, cuts, doubled and odd pieces, numbers changed and swapped."""
    piece = bytearray(data)
    for _ in range(int(rng.geometric(0.6))):
        if not piece:
            break
        at, kind = int(rng.integers(len(piece))), int(rng.integers(9))
        length = int(rng.integers(1, 1 + min(64, len(piece))))
        if kind == 0:
            piece[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del piece[at:]
        elif kind == 2:
            del piece[at : at + length]
        elif kind == 3:
            piece[at:at] = piece[at : at + length] * int(rng.integers(1, 9))
        elif kind == 4:
            piece[at : at + length] = rng.bytes(length)
        elif kind == 5:
            odd = int(rng.choice(ODD)) & 0xFFFFFFFF
            piece[at - at % 4 : at - at % 4 + 4] = odd.to_bytes(4, "little")
        else:
            piece = bytearray(other_number(bytes(piece), rng, swap=kind >= 7))
    return bytes(piece)


def other_number(data: bytes, rng: np.random.Generator, swap: bool) -> bytes:
    """A number of the text, or a word of four bytes, in place of another; or an odd one."""
    found = list(NUMBER.finditer(data))
    if len(found) < 2 or rng.random() < 0.3:
        words = len(data) // 4
        if words < 2:
            return data
        one, two = sorted(int(i) * 4 for i in rng.integers(words, size=2))
        first, second = data[one : one + 4], data[two : two + 4]
        return data[:one] + second + data[one + 4 : two] + first + data[two + 4 :]
    one, two = (found[int(i)] for i in rng.integers(len(found), size=2))
    new = two[0] if swap else str(rng.choice(ODD)).encode()
    return data[: one.start()] + new + data[one.end() :]


def files(suffix: str, count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged files of a format, the same for the same seed."""
    whole = seeds_of(suffix)
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        data = whole[index % len(whole)]
        inside = data[:4] == b"glTF" and rng.random() < 0.7
        yield (damaged_glb if inside else damaged)(data, rng)


def outcome(path: Path) -> str:
    """`ok` or the reason of the MeshError; whatever else happens is raised."""
    try:
        mesh = load_mesh(path)
    except MeshError as error:
        assert error.reason in REASONS, error.reason  # noqa: PT017 - both outcomes are right here
        return error.reason
    assert len(mesh.faces) > 0
    assert np.isfinite(mesh.vertices).all()
    assert mesh.faces.min() == 0
    assert mesh.faces.max() == len(mesh.vertices) - 1
    return "ok"


def limit_memory() -> None:
    """From here on, no more than MEGABYTES over what the process holds already."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def run(suffix: str, count: int, seed: int, folder: Path) -> dict:
    """Outcomes by name, and what must not be: (file's number, what happened)."""
    outcomes: Counter[str] = Counter()
    wrong: list[tuple[int, str]] = []
    path, slowest = folder / f"file{suffix}", 0.0
    for index, data in enumerate(files(suffix, count, seed)):
        path.write_bytes(data)
        started = time.perf_counter()
        signal.alarm(SECONDS)
        try:
            outcomes[outcome(path)] += 1
        except (Exception, TooLongError) as error:  # noqa: BLE001 - each is a finding to tell
            wrong.append((index, f"{type(error).__name__}: {error}"))
        signal.alarm(0)
        slowest = max(slowest, time.perf_counter() - started)
    return {"outcomes": dict(outcomes), "wrong": wrong, "slowest": slowest}


def ring(*_: object) -> None:
    raise TooLongError


def main(suffixes: list[str], count: int, seed: int) -> None:
    """Damage and read `count` files of each format; print what became of them."""
    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, ring)
    with tempfile.TemporaryDirectory() as folder:
        outcome(CASES / "letter_E.obj")  # kernels are compiled before the clock runs
        outcome(CASES / "vertex_name.stl")
        for suffix in suffixes:  # what is loaded on first use, before the limit is set
            for whole in seeds_of(suffix):
                path = Path(folder) / f"whole{suffix}"
                path.write_bytes(whole)
                outcome(path)
        limit_memory()
        told = {}
        for suffix in suffixes:
            print(suffix, file=sys.stderr, flush=True)  # the last one is to blame for a crash
            told[suffix] = run(suffix, count, seed, Path(folder))
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1].split(","), int(sys.argv[2]), int(sys.argv[3]))
