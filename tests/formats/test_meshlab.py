"""CTM through MeshLab in a process of its own: whole or refused, never an end of ours."""

from pathlib import Path

import numpy as np
import pymeshlab
import pytest

from preprocessing.formats.meshlab import stdout_to_stderr
from preprocessing.mesh import MeshError, load_mesh
from preprocessing.shapes import box

CUBE = box((2.0, 2.0, 2.0)).mesh


@pytest.fixture
def ctm(tmp_path: Path) -> Path:
    """A cube as MeshLab writes it."""
    layers = pymeshlab.MeshSet(verbose=False)
    layers.add_mesh(pymeshlab.Mesh(CUBE.vertices, CUBE.faces))
    with stdout_to_stderr():
        layers.save_current_mesh(str(tmp_path / "cube.ctm"))
    return tmp_path / "cube.ctm"


def test_a_cube_comes_whole(ctm: Path) -> None:
    mesh = load_mesh(ctm)
    assert len(mesh.faces) == 12
    assert np.allclose([mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)], [[-1] * 3, [1] * 3])


def test_what_is_broken_is_refused_with_the_way_out(ctm: Path, tmp_path: Path) -> None:
    data = ctm.read_bytes()
    more = data[:16] + (99).to_bytes(4, "little") + data[20:]
    for name, content in {"cut": data[: len(data) // 2], "more": more, "head": data[:9]}.items():
        path = tmp_path / f"{name}.ctm"
        path.write_bytes(content)
        with pytest.raises(MeshError, match="CTM") as caught:
            load_mesh(path)
        assert caught.value.reason in ("truncated", "unreadable", "index-out-of-range")
