"""Seams of formats without indices: closed where they are open by rounding, else left alone."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.formats.stl import write_stl
from preprocessing.half_edges import edge_faults
from preprocessing.mesh import Mesh, load_mesh_report, validate
from preprocessing.mesh_joining import SEAM, without_indices
from preprocessing.shapes import box, sphere

BALL = sphere(subdivisions=2).mesh


def soup(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3)


@given(
    seed=st.integers(0, 2**32 - 1),
    noise=st.sampled_from([0.0, 1e-16, 1e-8, 3e-7]),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_noise_in_the_last_digits_leaves_no_seam(seed: int, noise: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    corners = (BALL.triangles + rng.uniform(-noise, noise, BALL.triangles.shape)) * scale
    loaded = validate(*soup(corners))
    assert edge_faults(loaded.mesh.faces).two_faces_each
    assert (len(loaded.mesh.vertices), len(loaded.mesh.faces)) == (len(BALL.vertices), 320)
    most = 2 * np.sqrt(3) * (noise + 1e-15) * scale
    assert loaded.weld_gap <= most
    assert loaded.merged_vertices + loaded.welded_vertices == 960 - len(BALL.vertices)
    assert np.abs(loaded.mesh.triangles - corners).max() <= most


def test_an_stl_in_float32_far_from_the_origin_is_closed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    corners = (BALL.triangles + 300).astype(np.float32)
    ulp = np.spacing(np.float32(300))
    corners += rng.integers(-1, 2, corners.shape).astype(np.float32) * ulp
    path = tmp_path / "ball.stl"
    path.write_bytes(write_stl(*soup(corners)))
    loaded = load_mesh_report(path)
    assert edge_faults(loaded.mesh.faces).two_faces_each
    assert 0 < loaded.weld_gap < 2e-4


def test_a_gap_that_is_meant_stays() -> None:
    one = box((1.0, 1.0, 1.0)).mesh.triangles[:-1]
    corners = np.concatenate([one, one + np.array([1.0001, 0, 0])])
    loaded = validate(*soup(corners))
    assert loaded.welded_vertices == 0
    assert edge_faults(loaded.mesh.faces).open_edges == 6


def test_a_rim_finer_than_the_tolerance_is_not_drawn_together() -> None:
    """A fan of 400 needles whose outer ends lie half a tolerance apart."""
    across = np.linspace(0, 200 * SEAM, 401)
    ends = np.column_stack([across, np.ones(401), np.zeros(401)])
    corners = np.stack([np.zeros((400, 3)), ends[:-1], ends[1:]], axis=1)
    loaded = validate(*soup(corners))
    assert loaded.welded_vertices == 0
    assert len(loaded.mesh.faces) == 400


def test_where_there_are_indices_nothing_is_welded() -> None:
    vertices = np.concatenate([BALL.vertices, BALL.vertices[:1] + 1e-9])
    faces = BALL.faces.copy()
    faces[0][faces[0] == faces[0, 0]] = len(vertices) - 1
    loaded = validate(vertices, faces)
    assert loaded.welded_vertices == 0
    assert not without_indices(vertices, faces)
    assert without_indices(*soup(BALL.triangles))
    assert not without_indices(*soup(BALL.triangles)[:1], np.zeros((320, 3), int))


@pytest.mark.parametrize(
    ("name", "vertices"), [("featuretype.stl", 1722), ("../train/trimesh_angle_block.STL", 352)]
)
def test_real_files_with_a_seam_of_1e_16(name: str, vertices: int, meshes_dir: Path) -> None:
    """z = -2.7e-16 beside 0: 576 open edges without welding."""
    loaded = load_mesh_report(meshes_dir / "cad" / name)
    assert edge_faults(loaded.mesh.faces).two_faces_each
    assert len(loaded.mesh.vertices) == vertices
    assert 0 < loaded.weld_gap < 1e-15
    assert isinstance(loaded.mesh, Mesh)
