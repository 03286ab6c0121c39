"""The same scenes read by us and by another library: pycollada, ufbx, MeshLab.

pycollada and ufbx are no dependencies: `pip install dora-bench[crosscheck]`, or these are skipped.
Where the other library is known to be wrong (mirrored nodes, concave polygons), scenes are plain.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from fbx_files import fbx_scenes, text_file
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from scene_files import write_3mf, write_dae, write_x3d
from scene_trees import Figures, Tree, figures, trees

from preprocessing.formats.meshlab import stdout_to_stderr
from preprocessing.formats.readers import READERS

COUNTS = [20, pytest.param(2_000, marks=pytest.mark.slow)]
T = TypeVar("T")


def drawn(strategy: SearchStrategy[T], count: int) -> list[T]:
    """`count` examples of a strategy, the same every time."""
    found: list[T] = []

    @settings(
        max_examples=count,
        phases=[Phase.generate],
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(example: T) -> None:
        found.append(example)

    collect()
    return found[:count]


def ours(suffix: str, data: bytes) -> Figures:
    return figures(*READERS[suffix](data, Path("x" + suffix)))


def meshlab_figures(path: Path) -> Figures:
    """All layers of a file as MeshLab places them."""
    import pymeshlab

    layers = pymeshlab.MeshSet(verbose=False)
    with stdout_to_stderr():
        layers.load_new_mesh(str(path))
    vertices, faces, start = [], [], 0
    for layer in layers:
        matrix = layer.transform_matrix()
        vertices.append(layer.vertex_matrix() @ matrix[:3, :3].T + matrix[:3, 3])
        faces.append(layer.face_matrix().astype(np.int64) + start)
        start += len(vertices[-1])
    return figures(np.concatenate(vertices), np.concatenate(faces))


def pycollada_figures(path: Path) -> Figures:
    """All triangles of a COLLADA scene as pycollada binds them."""
    import collada

    vertices, faces, start = [], [], 0
    with open(path, "rb") as handle:
        scene = collada.Collada(handle).scene
    for shown in scene.objects("geometry"):
        for primitive in shown.primitives():
            triangles = primitive.triangleset() if hasattr(primitive, "triangleset") else primitive
            vertices.append(np.asarray(triangles.vertex, float))
            faces.append(np.asarray(triangles.vertex_index, np.int64) + start)
            start += len(vertices[-1])
    return figures(np.concatenate(vertices), np.concatenate(faces))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    ("suffix", "write", "kinds"),
    [
        (".x3d", write_x3d, ("translate", "rotate", "scale")),
        (".3mf", write_3mf, ("translate", "rotate", "scale")),
    ],
)
def test_meshlab_agrees(
    suffix: str, write: Callable[[Tree], bytes], kinds: tuple[str, ...], count: int, tmp_path: Path
) -> None:
    path = tmp_path / f"scene{suffix}"
    for tree in drawn(trees(kinds, plain=True), count):
        path.write_bytes(write(tree))
        close(ours(suffix, path.read_bytes()), meshlab_figures(path))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_pycollada_agrees(count: int, tmp_path: Path) -> None:
    pytest.importorskip("collada")
    path = tmp_path / "scene.dae"
    for tree in drawn(trees(("translate", "rotate", "scale"), plain=True), count):
        path.write_bytes(write_dae(tree))
        close(ours(".dae", path.read_bytes()), pycollada_figures(path))


@pytest.mark.parametrize("count", COUNTS)
def test_ufbx_agrees(count: int, tmp_path: Path) -> None:
    pytest.importorskip("ufbx")
    paths = [tmp_path / f"{k}.fbx" for k in range(count)]
    for path, scene in zip(paths, drawn(fbx_scenes(mirrors=False), count), strict=True):
        path.write_bytes(text_file(scene.rows()))
    helper = Path(__file__).parent.parent.parent / "helpers" / "ufbx_figures.py"
    command = [sys.executable, str(helper), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for path, line in zip(paths, lines, strict=True):
        assert line is not None, f"ufbx's binding ended the process over {path.name}"
        theirs = {key: np.array(line[key]) for key in ("low", "high")}
        close(ours(".fbx", path.read_bytes()), Figures(**(line | theirs)))


def close(one: Figures, two: Figures) -> None:
    """Equal to what float32 leaves, seen from the size of the scene: the others work in it."""
    size = float(np.abs([one.low, one.high]).max())
    assert two.faces == one.faces
    assert np.isclose(two.area, one.area, rtol=1e-4, atol=1e-5 * size**2)
    assert np.isclose(two.volume, one.volume, rtol=1e-3, atol=1e-5 * size**3)
    assert np.allclose([two.low, two.high], [one.low, one.high], rtol=0, atol=1e-5 * size)
