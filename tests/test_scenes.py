"""Generated scenes: a function of (seed, index), in the frame, of every kind, usable as input."""

from pathlib import Path

import numpy as np
import pytest

from preprocessing import seeds
from preprocessing.console import UsageError
from preprocessing.mesh import load_mesh
from preprocessing.scene_parts import MAKERS, smooth_curve, tube
from preprocessing.scenes import generate_scenes, scene, write_scenes
from preprocessing.solid.watertight import make_watertight


def test_a_scene_depends_on_seed_and_index_alone() -> None:
    few, more = dict(generate_scenes(2, seed=3)), dict(generate_scenes(4, seed=3))
    for item_id, mesh in few.items():
        assert np.array_equal(mesh.vertices, more[item_id].vertices)
        assert np.array_equal(mesh.faces, more[item_id].faces)
    assert not np.array_equal(scene(3, 0).vertices, scene(4, 0).vertices)


def test_scenes_fill_the_frame_and_can_be_made_solid() -> None:
    for index in range(6):
        mesh = scene(0, index)
        assert np.abs(mesh.vertices).max() == pytest.approx(1)
        assert mesh.faces.min() >= 0
        assert mesh.faces.max() < len(mesh.vertices)
        assert make_watertight(mesh, eps=2 / 48, resolution=48).audit["watertight"]


@pytest.mark.parametrize("maker", [m for m, _ in MAKERS], ids=lambda m: m.__name__)
def test_every_part_has_area_and_finite_corners(maker: object) -> None:
    for number in range(5):
        mesh = maker(seeds.generator(number, "part", "test"))  # type: ignore[operator]
        assert np.isfinite(mesh.vertices).all()
        sides = mesh.triangles[:, 1:] - mesh.triangles[:, :1]
        assert np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1).sum() > 0.05


def test_a_straight_tube_is_a_prism() -> None:
    path = smooth_curve(np.array([[0.0, 0, -1], [0, 0, 1]]), 9)
    assert np.allclose(path[:, :2], 0)
    mesh = tube(path, np.full(9, 0.5), sides=64)
    a, b, c = mesh.triangles.transpose(1, 0, 2)
    volume = abs(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
    assert volume == pytest.approx(32 * np.sin(2 * np.pi / 64) * 0.25 * 2, rel=1e-9)


def test_written_scenes_read_back_and_a_folder_keeps_one_seed(tmp_path: Path) -> None:
    write_scenes(2, 5, tmp_path, workers=1, quiet=True)
    before = {p.name: p.read_bytes() for p in tmp_path.glob("*.ply")}
    write_scenes(3, 5, tmp_path, workers=1, quiet=True)
    assert sorted(p.name for p in tmp_path.glob("*.ply")) == [f"{i:06d}.ply" for i in range(3)]
    assert all((tmp_path / name).read_bytes() == data for name, data in before.items())
    assert len(load_mesh(tmp_path / "000002.ply").faces) == len(scene(5, 2).faces)
    with pytest.raises(UsageError, match="seed 5"):
        write_scenes(1, 6, tmp_path, workers=1, quiet=True)
