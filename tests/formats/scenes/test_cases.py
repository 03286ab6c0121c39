"""Small files from public bug reports, of the scene formats, with the right value of each."""

from pathlib import Path

import numpy as np
import pytest
from scene_trees import Figures, figures

from preprocessing.mesh import load_mesh

CASES = Path(__file__).parent.parent.parent / "data" / "cases"


def read(name: str) -> Figures:
    mesh = load_mesh(CASES / name)
    return figures(mesh.vertices, mesh.faces)


@pytest.mark.parametrize(
    ("name", "faces", "axis", "low", "high", "volume"),
    [
        ("body_and_hat.fbx", 24, 1, -1, 2, 9),
        ("body_only.fbx", 12, 1, -1, 1, 8),
        ("both_static.fbx", 24, 1, -1, 2, 9),
        ("pivot_translation.fbx", 24, 0, -1, 5, 16),
        ("maya_cube_6100_binary.fbx", 12, 0, -0.5, 0.5, 1),
        ("maya_cube_6100_ascii.fbx", 12, 0, -0.5, 0.5, 1),
        ("mixed_tristrips.dae", 24, 0, -1, 5, 16),
        ("mixed_polygons.dae", 24, 0, -1, 5, 16),
        ("polygons.dae", 12, 0, -1, 1, 8),
        ("mixed_box.x3d", 24, 0, -1, 5, 16),
        ("degenerate.3mf", 12, 0, -1, 1, 8),
    ],
)
def test_the_right_value(name, faces, axis, low, high, volume) -> None:
    got = read(name)
    assert got.faces == faces
    assert np.isclose(got.low[axis], low)
    assert np.isclose(got.high[axis], high)
    assert np.isclose(got.volume, volume)


def test_a_scaled_part_of_a_collada_scene() -> None:
    got = read("part_scaled.dae")
    assert np.allclose(got.high - got.low, [7.121, 4.243, 2], atol=1e-3)
    assert np.isclose(got.volume, 24)
