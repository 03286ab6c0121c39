"""Raw Draco files: what DracoPy wrote comes back, and what is no mesh has a reason."""

from pathlib import Path

import DracoPy
import numpy as np
import pytest

from preprocessing.mesh import load_mesh
from preprocessing.mesh_errors import MeshError
from preprocessing.shapes import gear


def test_a_drc_file_is_read(tmp_path: Path) -> None:
    mesh = gear().mesh
    data = DracoPy.encode(
        mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32), quantization_bits=16
    )
    (tmp_path / "gear.drc").write_bytes(data)
    (tmp_path / "LOUD.DRC").write_bytes(data)
    for name in ("gear.drc", "LOUD.DRC"):
        read = load_mesh(tmp_path / name)
        assert len(read.faces) == len(mesh.faces)
        size = np.ptp(mesh.vertices, axis=0).max()
        # Draco orders vertices anew; each has its twin within the grain of 16 bits.
        apart = np.linalg.norm(read.vertices[:, None] - mesh.vertices[None], axis=2).min(axis=1)
        assert apart.max() < 2 * size / 2**16


def test_points_alone_are_no_mesh(tmp_path: Path) -> None:
    cloud = DracoPy.encode(gear().mesh.vertices.astype(np.float32))
    (tmp_path / "points.drc").write_bytes(cloud)
    with pytest.raises(MeshError) as error:
        load_mesh(tmp_path / "points.drc")
    assert error.value.reason == "no-faces"


@pytest.mark.parametrize(("keep", "reason"), [(0, "empty"), (5, "unreadable"), (200, "unreadable")])
def test_a_file_cut_short_has_a_reason(tmp_path: Path, keep: int, reason: str) -> None:
    mesh = gear().mesh
    data = DracoPy.encode(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))
    (tmp_path / "cut.drc").write_bytes(data[:keep])
    with pytest.raises(MeshError) as error:
        load_mesh(tmp_path / "cut.drc")
    assert error.value.reason == reason
