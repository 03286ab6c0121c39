"""What encode and reconstruct make of a file: raw meshes become solids, solids and samples stay."""

import json
from pathlib import Path

import numpy as np
import pytest
from vae_samples import box_sample

from preprocessing.mesh import Mesh, save_mesh
from preprocessing.points.samples import write_sample
from preprocessing.shapes import box
from preprocessing.solid.audit import topology
from preprocessing.solid.watertight import make_watertight
from vae.inputs import PUBLISHED_EPS, is_offset_solid, model_eps, read_input

EPS = 2 / 64


@pytest.fixture(scope="module")
def sheet() -> Mesh:
    """Two triangles: open, so without an inside until it is made watertight."""
    corners = np.array([[0, 0, 0], [4, 0, 0], [4, 2, 0], [0, 2, 0]], float)
    return Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]))


def test_a_raw_mesh_becomes_the_solid_at_eps(sheet: Mesh, tmp_path: Path) -> None:
    save_mesh(sheet, tmp_path / "sheet.obj")
    given = read_input(tmp_path / "sheet.obj", EPS)
    assert isinstance(given.shape, Mesh)
    expected = make_watertight(sheet, eps=EPS)
    assert np.array_equal(given.shape.vertices, expected.mesh.vertices)
    assert (given.eps, given.transform) == (EPS, expected.transform)
    assert topology(given.shape).watertight


def test_raw_leaves_it_but_for_the_frame(sheet: Mesh, tmp_path: Path) -> None:
    save_mesh(sheet, tmp_path / "sheet.obj")
    given = read_input(tmp_path / "sheet.obj", EPS, raw=True)
    assert isinstance(given.shape, Mesh)
    assert given.eps is None
    assert len(given.shape.faces) == 2
    assert np.abs(given.shape.vertices).max() == 1


def test_a_watertight_output_is_not_made_watertight_again(sheet: Mesh, tmp_path: Path) -> None:
    solid = make_watertight(sheet, eps=EPS).mesh
    save_mesh(solid, tmp_path / "solid.ply")
    given = read_input(tmp_path / "solid.ply", 2 / 128)
    assert isinstance(given.shape, Mesh)
    assert given.eps is None
    assert len(given.shape.faces) == len(solid.faces)
    assert given.transform is not None
    assert given.transform.scale == 1


def test_what_counts_as_an_offset_solid() -> None:
    cube = box((2.0, 2.0, 2.0)).mesh  # spans [-1, 1]: a raw shape, though closed
    assert not is_offset_solid(cube)
    grown = Mesh(cube.vertices * (1 + EPS), cube.faces)
    assert is_offset_solid(grown)
    assert not is_offset_solid(Mesh(grown.vertices, grown.faces[:-1]))
    assert not is_offset_solid(Mesh(grown.vertices, grown.faces[:, ::-1]))


def test_a_sample_is_taken_as_it_is(tmp_path: Path) -> None:
    write_sample(box_sample("box", (0.9, 0.3, 0.5)), tmp_path / "box.safetensors")
    given = read_input(tmp_path / "box.safetensors", EPS)
    assert (given.transform, given.eps) == (None, None)


@pytest.mark.parametrize(
    ("config", "eps"),
    [
        ({"data": {"eps": 0.01}, "train": {"adam_eps": 1e-6}}, 0.01),
        ({"model": {"width": 8}, "data": {"eps": "2/512"}}, 2 / 512),
        ({"train": {"adam_eps": 1e-6}}, PUBLISHED_EPS),
        (None, PUBLISHED_EPS),
    ],
)
def test_the_eps_of_a_model(tmp_path: Path, config: dict | None, eps: float) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    assert model_eps(tmp_path) == eps
    assert model_eps(tmp_path / "model.safetensors") == eps


def test_the_eps_of_a_model_in_the_box_and_of_a_family(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"data": {"eps": ["2/100", "2/200"]}}))
    assert model_eps("dora-tiny") == 2 / 128
    assert model_eps(f"dora-1.1:{tmp_path / 'model.safetensors'}") == 2 / 100
    assert model_eps("triposg") == PUBLISHED_EPS
