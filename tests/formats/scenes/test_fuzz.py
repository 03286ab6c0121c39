"""Broken files of the scene formats: each gives a mesh or a MeshError, soon."""

import contextlib
import resource
import signal
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from fbx_files import FbxScene, Model, Skin, binary_file, text_file
from mutations import mutations
from scene_files import dae, dae_geometry, write_3mf, write_dae, write_x3d
from scene_trees import Node, Tree, prism

from preprocessing.formats.readers import READERS
from preprocessing.mesh import MeshError, validate

CASES = Path(__file__).parent.parent.parent / "data" / "cases"
PART = prism([1.0, 0.4, 1.0, 0.5, 1.0], 1.5, (1.0, 1.0, 1.0))
TREE = Tree(
    [PART, prism([1.0] * 4, 1.0, (1.0, 1.0, 1.0))],
    [
        Node([("translate", (1.0, 2.0, 3.0)), ("scale", (1.0, -2.0, 1.0))], [0, 1]),
        Node([("rotate", (0.0, 1.0, 0.0, 30.0))], [1], [Node([], [0])]),
    ],
)
SOLIDS = (
    '<Switch whichChoice="0"><Shape><Cone/></Shape></Switch><Shape><Extrusion spine="0 0 0 0 1 0 1 '
    '2 0" scale="1 1 2 2 1 1" orientation="0 1 0 0.5"/></Shape><Shape><ElevationGrid '
    'xDimension="3" zDimension="2" height="0 1 0 0 1 0"/></Shape><Shape><IndexedTriangleStripSet '
    'index="0 1 2 3 -1"><Coordinate point="0 0 0, 1 0 0, 1 1 0, 0 1 0"/></IndexedTriangleStripSet>'
    "</Shape></Scene>"
)
MODEL = Model(
    {"Lcl Rotation": (10.0, 20.0, 30.0), "GeometricTranslation": (1.0, 0.0, 0.0)},
    0,
    Skin(np.array([np.eye(4)] * 2), np.tile([0.3, 0.7], (10, 1))),
    [Model({"RotationPivot": (1.0, 0.0, 0.0), "InheritType": (0.0,)}, 0)],
)
ROWS = FbxScene([PART], [MODEL], [Model({}), Model({"Lcl Translation": (0.0, 3.0, 0.0)})]).rows()
RING = np.array([[0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0]], float)
HOLED = dae(
    dae_geometry(
        "g",
        np.concatenate([RING, RING / 4 + np.array([1, 1, 0])]),
        '<polygons count="1"><input semantic="VERTEX" source="#g-v" offset="0"/><ph><p>0 1 2 3</p>'
        "<h>4 5 6 7</h></ph></polygons>",
    ),
    '<node id="n"><lookat>1 2 3 0 0 0 0 1 0</lookat><skew>20 1 0 0 0 1 0</skew>'
    '<instance_geometry url="#g"/></node><node><instance_node url="#n"/></node>',
)


def stored(archive: bytes) -> bytes:
    """A ZIP archive without packing: its text can be broken."""
    made = BytesIO()
    with zipfile.ZipFile(BytesIO(archive)) as old, zipfile.ZipFile(made, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    return made.getvalue()


def crafted_3ds() -> bytes:
    """A 3DS of one object, in its chunks."""

    def chunk(kind: int, body: bytes) -> bytes:
        return kind.to_bytes(2, "little") + (6 + len(body)).to_bytes(4, "little") + body

    places = (4).to_bytes(2, "little") + np.eye(4, 3).astype("<f4").tobytes()
    faces = (2).to_bytes(2, "little") + np.array([[0, 1, 2, 0], [0, 2, 3, 0]], "<u2").tobytes()
    mesh = chunk(0x4100, chunk(0x4110, places) + chunk(0x4120, faces))
    nodes = chunk(0xB000, chunk(0xB002, chunk(0xB010, b"A\0" + bytes(6))))
    return chunk(0x4D4D, chunk(0x3D3D, chunk(0x4000, b"A\0" + mesh)) + nodes)


SEEDS: dict[str, list[bytes]] = {
    ".fbx": [
        text_file(ROWS),
        binary_file(ROWS),
        binary_file(ROWS, 7500, deflate=False),
        (CASES / "maya_cube_6100_binary.fbx").read_bytes(),
        (CASES / "maya_cube_6100_ascii.fbx").read_bytes(),
    ],
    ".dae": [write_dae(TREE), HOLED, (CASES / "mixed_tristrips.dae").read_bytes()],
    ".x3d": [write_x3d(TREE), write_x3d(TREE).replace(b"</Scene>", SOLIDS.encode())],
    ".3mf": [write_3mf(TREE), stored(write_3mf(TREE))],
    ".3ds": [crafted_3ds()],
}


def assert_each_is_a_mesh_or_a_reason(suffix: str, count: int) -> None:
    """Read `count` broken files of a format; anything but a mesh or a MeshError escapes."""
    seeds = SEEDS[suffix]
    for k, seed in enumerate(seeds):
        for number, broken in enumerate(mutations(seed, count // len(seeds), f"{suffix}-{k}")):
            try:
                with no_hang():
                    validate(*READERS[suffix](broken, Path("x" + suffix)))
            except MeshError:
                pass
            except Exception as error:
                raise AssertionError(f"{suffix} seed {k} mutation {number}") from error


@contextlib.contextmanager
def no_hang() -> Iterator[None]:
    """Raise TimeoutError in what takes ten seconds of the processor: it would go on for ever."""

    def stop(*_: object) -> None:
        raise TimeoutError("ten seconds over a file of some kilobytes")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, 10)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("suffix", SEEDS)
def test_good_files_are_good(suffix: str) -> None:
    for seed in SEEDS[suffix]:
        assert len(validate(*READERS[suffix](seed, Path("x"))).mesh.faces)


@pytest.mark.parametrize("suffix", SEEDS)
def test_a_few_hundred_broken_files(suffix: str) -> None:
    assert_each_is_a_mesh_or_a_reason(suffix, 300)


def test_broken_models_inside_good_archives() -> None:
    """A changed byte of a ZIP archive seldom gets past its checksum: change what is packed."""
    name = "3D/3dmodel.model"
    with zipfile.ZipFile(BytesIO(write_3mf(TREE))) as archive:
        files = {info.filename: archive.read(info) for info in archive.infolist()}
    for broken in mutations(files[name], 300, "inner"):
        made = BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            for path, data in (files | {name: broken}).items():
                archive.writestr(path, data)
        try:
            validate(*READERS[".3mf"](made.getvalue(), Path("x.3mf")))
        except MeshError:
            continue


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SEEDS)
def test_ten_thousand_broken_files_in_little_memory(suffix: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, of earlier tests too
    assert_each_is_a_mesh_or_a_reason(suffix, 10_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss <= max(before, 2_000_000)
