"""Mesh files: what is written comes back, every format reads alike, every loaded mesh is valid."""

import csv
import pickle
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from preprocessing.half_edges import edge_faults
from preprocessing.mesh import (
    SUFFIXES,
    WRITERS,
    Mesh,
    MeshError,
    Transform,
    frame_of_output,
    load_mesh,
    load_mesh_report,
    normalise,
    save_mesh,
    validate,
)
from preprocessing.shapes import box, generate_shapes, sphere

CUBE = box((2.0, 2.0, 2.0)).mesh


def volume(mesh: Mesh) -> float:
    a, b, c = mesh.triangles.transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def assert_valid(mesh: Mesh) -> None:
    """What load_mesh promises."""
    assert mesh.vertices.dtype == np.float64
    assert mesh.faces.dtype == np.int64
    assert np.isfinite(mesh.vertices).all()
    assert np.array_equal(np.unique(mesh.faces), np.arange(len(mesh.vertices)))
    a, b, c = mesh.faces.T
    assert ((a != b) & (b != c) & (c != a)).all()
    corners = mesh.triangles
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    assert area.max() > 0


def same_float32(one: np.ndarray, two: np.ndarray) -> bool:
    """Equal as float32, the precision of the files (OBJ's decimals fall between them)."""
    return np.array_equal(one.astype(np.float32), two.astype(np.float32))


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("shape", generate_shapes(21, seed=3), ids=lambda shape: shape.id)
def test_round_trip_keeps_every_triangle(shape, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"mesh{suffix}"
    save_mesh(shape.mesh, path)
    back = load_mesh(path)
    assert_valid(back)
    assert same_float32(back.triangles, shape.mesh.triangles)
    if suffix != ".stl" and edge_faults(shape.mesh.faces).open_edges == 0:
        assert np.array_equal(back.faces, shape.mesh.faces)


@pytest.mark.parametrize("suffix", WRITERS)
def test_writing_twice_gives_the_same_bytes_and_again_after_reading(suffix, tmp_path) -> None:
    first, second, third = (tmp_path / f"{name}{suffix}" for name in "abc")
    mesh = sphere(subdivisions=3).mesh
    save_mesh(mesh, first)
    save_mesh(mesh, second)
    save_mesh(load_mesh(first), third)
    assert first.read_bytes() == second.read_bytes() == third.read_bytes()
    assert sorted(tmp_path.iterdir()) == [first, second, third]


def has_area(corners: np.ndarray) -> bool:
    """Whether any triangle (N,3,3) is more than a line, seen from the size of the whole."""
    low = corners.reshape(-1, 3).min(axis=0)
    longest = (corners.reshape(-1, 3).max(axis=0) - low).max()
    if longest == 0:
        return False
    a, b, c = ((corners - low) / longest).transpose(1, 0, 2)
    grain = np.finfo(float).eps * max(2.0, 2 * np.abs(corners).max() / longest)
    return bool(np.abs(np.cross(b - a, c - a)).max() > 16 * grain)


@pytest.mark.parametrize("suffix", WRITERS)
@settings(max_examples=40)
@given(data=st.data())
def test_round_trip_of_random_triangles(suffix: str, data, tmp_path_factory) -> None:
    """Any soup of float32 coordinates: the same triangles come back, or the reason is named."""
    count = data.draw(st.integers(1, 12))
    coordinate = st.floats(-1e6, 1e6, width=32)
    corners = data.draw(hnp.arrays(np.float64, (count, 3, 3), elements=coordinate))
    mesh = Mesh(corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3))
    path = tmp_path_factory.mktemp("soup") / f"soup{suffix}"
    save_mesh(mesh, path)
    repeated = (corners == corners[:, [1, 2, 0]]).all(axis=2).any(axis=1)
    if not has_area(corners):
        with pytest.raises(MeshError, match=r"area|coincide|place twice"):
            load_mesh(path)
        return
    back = load_mesh_report(path)
    assert_valid(back.mesh)
    if back.welded_vertices or back.outlying_faces:  # has tests of its own
        return
    assert same_float32(back.mesh.triangles, corners[~repeated])
    assert back.degenerate_faces == repeated.sum()


@given(
    scale=st.floats(1e-6, 1e6),
    shift=hnp.arrays(np.float64, 3, elements=st.floats(-1e6, 1e6)),
)
def test_normalise_spans_minus_one_to_one_in_any_units(scale, shift) -> None:
    vertices = sphere(subdivisions=2).mesh.vertices * [1.0, 0.5, 0.2] * scale + shift
    mesh, transform = normalise(Mesh(vertices, sphere(subdivisions=2).mesh.faces))
    # What float64 leaves of a small object far away, seen in units of its size.
    grain = np.finfo(float).eps * (np.abs(vertices).max() / scale + 1) * 4
    assert np.abs(mesh.vertices.max(axis=0)[0] - 1) <= grain
    assert np.abs(mesh.vertices.min(axis=0)[0] + 1) <= grain
    assert np.abs(mesh.vertices.max(axis=0) + mesh.vertices.min(axis=0)).max() <= grain
    back = transform.invert(mesh.vertices)
    assert np.abs(back - vertices).max() <= grain * scale


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_units_and_position_stay_exact(scale: float, tmp_path: Path) -> None:
    vertices = CUBE.vertices * scale + 1e3 * scale
    rows = "\n".join(" ".join(repr(float(x)) for x in row) for row in vertices)
    faces = "\n".join("3 " + " ".join(map(str, face)) for face in CUBE.faces)
    (tmp_path / "cube.off").write_text(f"OFF\n8 12 0\n{rows}\n{faces}\n")
    mesh = load_mesh(tmp_path / "cube.off")
    assert np.array_equal(mesh.vertices, vertices)


@pytest.mark.parametrize("half", [0.95, 0.97, 1.0, 1 + 2 / 128, 1.05])
def test_a_mesh_in_the_frame_stays_where_it_is(half: float) -> None:
    cube = Mesh(CUBE.vertices * half + 0.009, CUBE.faces)
    frame = frame_of_output(cube)
    assert (frame.scale, frame.center) == (1.0, (0.0, 0.0, 0.0))
    assert frame.place(cube).vertices.tobytes() == cube.vertices.tobytes()


@pytest.mark.parametrize(("half", "shift"), [(0.94, 0.0), (1.06, 0.0), (1.0, 0.02), (40.0, 3.0)])
def test_a_mesh_elsewhere_is_brought_into_the_frame(half: float, shift: float) -> None:
    cube = Mesh(CUBE.vertices * half + [0.0, shift, 0.0], CUBE.faces)
    assert frame_of_output(cube) == normalise(cube)[1]
    np.testing.assert_allclose(np.abs(frame_of_output(cube).place(cube).vertices), 1)


def test_normalise_ignores_vertices_that_no_face_uses() -> None:
    vertices = np.concatenate([CUBE.vertices, [[1e9, 0, 0]]])
    mesh, transform = normalise(Mesh(vertices, CUBE.faces))
    assert transform == Transform(1.0, (0.0, 0.0, 0.0))
    assert np.array_equal(mesh.vertices, vertices)


def test_seams_are_closed_by_position_and_only_then() -> None:
    seams = Mesh(CUBE.triangles.reshape(-1, 3), np.arange(36).reshape(-1, 3))
    loaded = validate(seams.vertices, seams.faces)
    assert len(loaded.mesh.vertices) == 8
    assert loaded.merged_vertices == 28
    assert edge_faults(loaded.mesh.faces).open_edges == 0
    # Two closed cubes that share a corner's place stay two, each with its own eight vertices.
    pair = np.concatenate([CUBE.vertices, CUBE.vertices + 2.0])
    touching = validate(pair, np.concatenate([CUBE.faces, CUBE.faces + 8]))
    assert touching.merged_vertices == 0
    assert np.array_equal(touching.mesh.vertices, pair)


def test_negative_zero_is_the_same_place() -> None:
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [-0.0, 0, 0], [0, 1, 0], [-1, 0, 0]])
    assert len(validate(corners, np.array([[0, 1, 2], [3, 4, 5]])).mesh.vertices) == 4


def test_what_is_dropped_is_counted() -> None:
    vertices = np.concatenate([CUBE.vertices, [[5, 5, 5], [np.nan, 0, 0]]])
    faces = np.concatenate([CUBE.faces[:-1], [[0, 0, 1], [2, 3, 2]]])
    loaded = validate(vertices, faces)
    assert_valid(loaded.mesh)
    assert loaded.degenerate_faces == 2
    assert loaded.unused_vertices == 2
    assert len(loaded.mesh.faces) == 11


@pytest.mark.parametrize("suffix", [".ply", ".stl", ".obj", ".glb", ".off"])
def test_trimesh_reads_what_we_write_and_we_what_it_writes(suffix: str, tmp_path: Path) -> None:
    mesh = sphere(subdivisions=2).mesh
    theirs, ours = tmp_path / f"theirs{suffix}", tmp_path / f"ours{suffix}"
    trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(theirs)
    assert np.allclose(load_mesh(theirs).triangles, mesh.triangles, atol=1e-6)
    if suffix in WRITERS:
        save_mesh(mesh, ours)
        read = trimesh.load_mesh(ours, process=False)
        assert np.allclose(read.triangles, mesh.triangles, atol=1e-6)


def test_save_refuses_what_no_file_can_hold(tmp_path: Path) -> None:
    for mesh, name, reason in [
        (CUBE, "cube.fbx", "unsupported-format"),
        (Mesh(CUBE.vertices, np.empty((0, 3))), "cube.ply", "empty"),
        (Mesh(CUBE.vertices * np.nan, CUBE.faces), "cube.ply", "non-finite"),
        (Mesh(CUBE.vertices * 1e39, CUBE.faces), "cube.ply", "non-finite"),
    ]:
        with pytest.raises(MeshError) as caught:
            save_mesh(mesh, tmp_path / name)
        assert caught.value.reason == reason
    assert list(tmp_path.iterdir()) == []


def test_a_mesh_error_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(MeshError("zero-area", "flat")))
    assert (error.reason, error.message, str(error)) == ("zero-area", "flat", "flat")


def test_suffixes_are_lower_case_and_include_what_is_written() -> None:
    assert set(WRITERS) < set(SUFFIXES)
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in SUFFIXES)


def test_every_real_mesh_has_the_faces_it_is_listed_with(meshes_dir: Path) -> None:
    with open(meshes_dir / "MESHES.csv") as table:
        rows = list(csv.DictReader(table))
    unsupported = {}
    for row in rows:
        try:
            loaded = load_mesh_report(meshes_dir / row["file"])
        except MeshError as error:
            unsupported[row["file"]] = error.reason
            continue
        assert_valid(loaded.mesh)
        if row["n_faces"]:
            faces = len(loaded.mesh.faces) + loaded.degenerate_faces
            assert faces == int(float(row["n_faces"])), row["file"]
        # The table's reader knows no skins: this one lies on its back there.
        if row["bbox_extents"] and row["file"] != "objaverse/dora_objaverse_288ead.glb":
            extents = [float(side) for side in row["bbox_extents"].split()]
            assert np.allclose(np.ptp(loaded.mesh.vertices, axis=0), extents, rtol=1e-3)
        if row["closed_after_position_merge"] == "True" and row["file"].startswith("cad/"):
            assert volume(loaded.mesh) > 0, row["file"]
    assert unsupported == {
        "formats/amsterdam.usdz": "unsupported-format",
        "formats/sedanGeo.usda": "unsupported-format",
    }
