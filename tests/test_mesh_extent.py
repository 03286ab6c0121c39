"""What decides the frame: faces with an area, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.mesh import Mesh, Transform, load_mesh_report, normalise, save_mesh, validate
from preprocessing.mesh_extent import flat_faces, frame_ratio, solid_bounds
from preprocessing.running.ledger_columns import WATERTIGHT
from preprocessing.shapes import box

CUBE = box((2.0, 2.0, 2.0)).mesh
AS_IT_IS = Transform(1.0, (0.0, 0.0, 0.0))


def with_face(*corners: list[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([CUBE.vertices, corners]), np.concatenate([CUBE.faces, [[8, 9, 10]]])


FAR = [
    ([0, 0, 0], [1000, 0, 0], [2000, 0, 0]),
    ([0, 0, 0], [333.3, 333.3, 0.1], [999.9, 999.9, 0.3]),
    ([0, 0, 0], [0, 0, 0], [5e6, 1, 2]),
    ([900, 0, 0], [1000, 1e-5, 0], [1100, 0, 0]),
]


@pytest.mark.parametrize("corners", FAR)
@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb", ".stl"])
def test_a_face_without_area_far_out_does_not_decide_the_frame(corners, suffix, tmp_path) -> None:
    mesh = Mesh(*with_face(*corners))
    placed, frame = normalise(mesh)
    assert frame == AS_IT_IS
    assert np.array_equal(placed.faces, CUBE.faces)
    save_mesh(mesh, tmp_path / f"cube{suffix}")
    loaded = load_mesh_report(tmp_path / f"cube{suffix}")
    assert normalise(loaded.mesh)[1] == AS_IT_IS
    assert (len(loaded.mesh.vertices), len(loaded.mesh.faces)) == (8, 12)
    assert loaded.outlying_faces + loaded.degenerate_faces == 1
    assert loaded.columns["dropped_faces"] == 1


def test_a_face_without_area_within_the_box_stays() -> None:
    """It may be what keeps neighbours joined."""
    loaded = validate(*with_face([-1, 0, 0], [0, 0, 0], [1, 0, 0]))
    assert (len(loaded.mesh.faces), loaded.outlying_faces) == (13, 0)


def test_a_real_face_far_out_does_decide_it() -> None:
    mesh = Mesh(*with_face([900, 0, 0], [1000, 0.1, 0], [1100, 0, 0]))
    assert validate(mesh.vertices, mesh.faces).outlying_faces == 0
    assert normalise(mesh)[1].scale < 1 / 500


@given(st.floats(1e-12, 1e12), st.floats(-1e3, 1e3))
def test_flat_is_flat_in_any_unit(scale: float, shift: float) -> None:
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [3, 0, 0], [0, 1e-3, 0]]) * scale + shift * scale
    assert flat_faces(corners, np.array([[0, 1, 2], [0, 1, 3], [0, 0, 3]])).tolist() == [
        True, False, True,
    ]  # fmt: skip


def test_bounds_of_a_mesh_that_is_all_flat_are_its_own() -> None:
    line = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    assert [side.tolist() for side in solid_bounds(line, np.array([[0, 1, 2]]))] == [
        [0, 0, 0], [2, 0, 0],
    ]  # fmt: skip


@pytest.mark.parametrize(("size", "away", "ratio"), [
    (1.0, 0.0, 1.0), (0.005, 0.0, 200.0), (1.0, 999.0, 500.5), (300.0, 0.0, 300.0),
])  # fmt: skip
def test_frame_ratio_tells_of_specks_and_of_far_parts(size, away, ratio) -> None:
    both = np.concatenate([CUBE.vertices, CUBE.vertices * size + [away, 0, 0]])
    faces = np.concatenate([CUBE.faces, CUBE.faces + 8])
    assert np.isclose(frame_ratio(both, faces), ratio)
    assert frame_ratio(CUBE.vertices, CUBE.faces) == 1
    assert validate(both, faces).columns.keys() <= set(WATERTIGHT.names)
