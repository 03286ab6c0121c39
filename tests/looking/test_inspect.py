"""Reports of shapes whose counts are known, and the files that inspect writes."""

import io
import json
import re
from base64 import b64decode
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preprocessing import shapes
from preprocessing.half_edges import count_components, duplicate_faces, edge_faults
from preprocessing.looking.inspect import (
    MeshReport,
    SampleReport,
    format_report,
    inspect_file,
    inspect_mesh,
)
from preprocessing.mesh import Mesh, MeshError, normalise, save_mesh
from preprocessing.points.layouts import write_npz
from preprocessing.points.samples import read_sample, write_sample
from preprocessing.points.sampling import sample_shape


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A mesh, its stand-in for a watertight result, and a sample."""
    path = tmp_path_factory.mktemp("inspect")
    gear = normalise(shapes.gear().mesh)[0]
    save_mesh(shapes.gear().mesh, path / "gear.ply")
    save_mesh(Mesh(gear.vertices * 1.01, gear.faces), path / "solid.ply")
    write_sample(sample_shape(gear, points=2048, seed=1), path / "gear.safetensors")
    return path


def test_the_report_of_a_box_is_exact(tmp_path: Path) -> None:
    mesh = shapes.box((4.0, 2.0, 1.0)).mesh
    save_mesh(Mesh(mesh.vertices + np.array([10, 0, 0]), mesh.faces), tmp_path / "box.ply")
    report = inspect_mesh(tmp_path / "box.ply")
    assert (report.vertices, report.faces, report.components, report.euler) == (8, 12, 1, 2)
    assert (report.low, report.high) == ((8.0, -1.0, -0.5), (12.0, 1.0, 0.5))
    assert report.area == pytest.approx(2 * (8 + 4 + 2))
    assert report.volume == pytest.approx(8.0)
    assert report.closed
    assert (report.salient_edges, report.level) == (12, 1)
    assert report.salient_length == pytest.approx(4 * (4 + 2 + 1) / 2)
    assert report.bytes == (tmp_path / "box.ply").stat().st_size


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (shapes.sphere(subdivisions=3), {"salient_edges": 0, "level": 0, "closed": True}),
        (shapes.seam(), {"merged_vertices": 28, "closed": True}),
        (shapes.sheet(cells=8), {"open_edges": 32, "closed": False, "volume": None}),
        (shapes.wheel_on_axle(), {"components": 3}),
        (shapes.plate_with_holes(3, 2), {"euler": 2 - 2 * 6}),
    ],
    ids=["sphere", "seam", "sheet", "wheels", "plate"],
)
def test_faults_and_topology_are_counted(shape, expected, tmp_path: Path) -> None:
    corners = shape.mesh.triangles.reshape(-1, 3)
    soup = Mesh(corners, np.arange(len(corners)).reshape(-1, 3))
    save_mesh(soup if shape.kind == "seam" else shape.mesh, tmp_path / "mesh.ply")
    report = asdict(inspect_mesh(tmp_path / "mesh.ply"))
    assert {name: report[name] for name in expected} == expected


def test_flipped_and_duplicated_faces_are_counted() -> None:
    mesh = shapes.box().mesh
    flipped = mesh.faces.copy()
    flipped[0] = flipped[0, ::-1]
    assert edge_faults(flipped).flipped_edges == 3
    twice = np.concatenate([mesh.faces, mesh.faces[:2, [1, 2, 0]], mesh.faces[:1, ::-1]])
    assert duplicate_faces(twice) == 3
    assert edge_faults(twice).nonmanifold_edges == 6
    assert count_components(mesh.faces, 8) == 1


def test_a_sample_report_tells_rows_and_distances(folder: Path) -> None:
    report = inspect_file(folder / "gear.safetensors")
    assert isinstance(report, SampleReport)
    assert report.rows["coarse_surface"] == 1024
    assert report.salient_points == report.rows["sharp_surface"] > 0
    low, high = report.sdf_range["space"]
    assert low < 0 < high
    assert 0 < report.inside["space"] < 0.5
    assert report.metadata["seed"] == "1"
    assert "coarse_surface" in format_report(report)
    json.dumps(asdict(report))
    write_npz(read_sample(folder / "gear.safetensors"), folder / "gear.npz")
    published = inspect_file(folder / "gear.npz")
    assert isinstance(published, SampleReport)
    assert published.rows == report.rows


@pytest.mark.parametrize(
    ("name", "beside", "pictures"),
    [
        ("gear.ply", None, 3),
        ("gear.ply", "solid.ply", 6),
        ("gear.safetensors", None, 3),
        ("gear.safetensors", "solid.ply", 4),
    ],
)
def test_pictures_and_page(name, beside, pictures, folder: Path, tmp_path: Path) -> None:
    other = None if beside is None else folder / beside
    report = inspect_file(folder / name, tmp_path / "p.png", tmp_path / "p.html", beside=other)
    assert format_report(report)
    sheet = np.asarray(Image.open(tmp_path / "p.png"))
    assert sheet.shape[2] == 3
    assert sheet.std() > 5
    page = (tmp_path / "p.html").read_text()
    found = re.findall(r'src="([^"]*)"', page)
    assert len(found) == pictures
    assert all(source.startswith("data:image/png;base64,") for source in found)
    for source in found:
        picture = np.asarray(Image.open(io.BytesIO(b64decode(source.partition(",")[2]))))
        assert picture.std() > 3
    assert "http" not in page  # nothing is fetched
    assert "prefers-color-scheme: dark" in page


def test_the_page_escapes_names(tmp_path: Path) -> None:
    path = tmp_path / "<b>&box.ply"
    save_mesh(shapes.box().mesh, path)
    inspect_file(path, html=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;box.ply" in page


def test_an_unusable_file_is_a_mesh_error(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    (tmp_path / "a.ply").write_bytes(b"nothing")
    for name in ("a.safetensors", "a.ply", "none.glb"):
        with pytest.raises(MeshError):
            inspect_file(tmp_path / name)


def test_a_mesh_report_is_json(folder: Path) -> None:
    report = inspect_file(folder / "gear.ply")
    assert isinstance(report, MeshReport)
    assert json.loads(json.dumps(asdict(report)))["faces"] == report.faces
    assert "salient edges" in format_report(report)
