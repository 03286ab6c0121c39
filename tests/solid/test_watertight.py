"""The engine whole: closed forms, any input, no sliver that lies, options, refusals."""

import itertools
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_offset import plain_distance

from preprocessing.distance.queries import unsigned_distance
from preprocessing.mesh import Mesh, MeshError, load_mesh, normalise, save_mesh
from preprocessing.points.edges import salient_edges
from preprocessing.settings import (
    WatertightSettings,
    default_resolution,
    parse_eps,
    smallest_resolution,
)
from preprocessing.shapes import box, cup, cylinder, random_rotation, sheet, sphere, torus
from preprocessing.solid.audit import topology
from preprocessing.solid.bricks import spacing
from preprocessing.solid.offset_surface import CLEARANCE, REACH, marching_surface
from preprocessing.solid.projection_kernels import folded_faces
from preprocessing.solid.watertight import (
    WatertightError,
    _check,
    make_watertight,
)

EPS = 2 / 64


def assert_sound(audit: dict[str, float | int | bool]) -> None:
    assert audit["watertight"]
    assert audit["edge_manifold"]
    assert audit["vertex_manifold"]
    assert audit["volume"] > 0


def pose(seed: int) -> np.ndarray:
    return random_rotation(np.random.default_rng(seed))


def test_eps_is_a_fraction_or_a_decimal() -> None:
    assert parse_eps("2/512") == 2 / 512
    assert parse_eps(" 0.004 ") == 0.004
    for text in ("", "a", "1/0", "-2/512", "0", "2/16", "2/40", "nan"):
        with pytest.raises(ValueError, match="eps"):
            parse_eps(text)


def test_resolutions() -> None:
    assert default_resolution(2 / 512) == 512
    for eps in (2 / 64, 2 / 256, 0.0123):
        assert eps >= np.sqrt(3) / 2 * spacing(smallest_resolution(eps))
        assert eps < np.sqrt(3) / 2 * spacing(smallest_resolution(eps) - 1)
        assert smallest_resolution(eps) <= default_resolution(eps)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"eps": 2 / 256, "resolution": 128}, "smallest that can is 233"),
        ({"eps": 0.06}, "0.05"),
        ({"eps": float("nan")}, "eps"),
        ({"eps": EPS, "method": "magic"}, "offset, alpha-wrap, manifold"),
        ({"eps": EPS, "method": "manifold", "keep_cavities": True}, "method offset alone"),
    ],
)
def test_settings_that_cannot_work_are_refused(keywords: dict, message: str) -> None:  # type: ignore[type-arg]
    if np.isnan(keywords["eps"]):
        keywords["resolution"] = 64
    with pytest.raises(ValueError, match=message):
        make_watertight(box().mesh, **keywords)


def test_unusable_meshes_have_a_reason() -> None:
    with pytest.raises(MeshError, match="no faces"):
        make_watertight(Mesh(np.zeros((3, 3)), np.empty((0, 3))), EPS)
    with pytest.raises(MeshError, match="coincide"):
        make_watertight(Mesh(np.ones((3, 3)), [[0, 1, 2]]), EPS)


def test_a_failed_audit_is_an_error() -> None:
    sound = make_watertight(box().mesh, EPS).audit
    for fault in ({"watertight": False}, {"vertex_manifold": False}, {"volume": -1.0}):
        with pytest.raises(WatertightError, match=next(iter(fault))):
            _check(sound | fault)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("make", [box, cylinder, cup])
def test_distance_to_the_input_is_eps_by_brute_force(make, seed: int) -> None:  # type: ignore[no-untyped-def]
    mesh, _ = normalise(make(pose=pose(seed)).mesh)
    solid = make_watertight(mesh, EPS)
    assert_sound(solid.audit)
    some = solid.mesh.vertices[:: max(1, len(solid.mesh.vertices) // 2000)]
    distance = plain_distance(some, mesh.triangles)
    assert np.sqrt(np.mean((distance / EPS - 1) ** 2)) < 1e-3
    assert np.abs(distance / EPS - 1).max() < 0.1
    assert solid.audit["offset_rms"] < 1e-3


@pytest.mark.parametrize("seed", [0, 3])
def test_box_in_any_pose_has_the_volume_of_its_offset(seed: int) -> None:
    """Steiner: V + A eps + (half the sum of edges times exterior angle) eps^2 + 4/3 pi eps^3."""
    sides = np.array([2.0, 1.4, 1.0])
    _, transform = normalise(box(tuple(sides), pose=pose(seed)).mesh)
    a, b, c = sides * transform.scale
    eps = 2 / 128
    exact = a * b * c + 2 * (a * b + b * c + c * a) * eps
    exact += np.pi * eps**2 * (a + b + c) + 4 / 3 * np.pi * eps**3
    solid = make_watertight(box(tuple(sides), pose=pose(seed)).mesh, eps)
    # Chords over the rounded edges, one cell long, cut a little off.
    assert solid.audit["volume"] == pytest.approx(exact, rel=2e-3)
    local = np.abs(solid.transform.invert(solid.mesh.vertices) @ pose(seed)) - sides / 2
    outside = np.linalg.norm(np.maximum(local * transform.scale, 0), axis=1)
    assert np.abs(outside - eps).max() < 0.01 * eps


def test_sphere_lies_within_a_hundredth_of_eps_of_the_closed_form() -> None:
    eps = 2 / 64
    solid = make_watertight(sphere(subdivisions=6).mesh, eps)
    radii = np.linalg.norm(solid.mesh.vertices, axis=1)
    assert np.abs(radii - 1 - eps).max() < 0.01 * eps


@pytest.mark.parametrize("seed", [0, 5])
def test_torus_in_any_pose_lies_within_a_hundredth_of_eps_of_the_closed_form(seed: int) -> None:
    eps = 2 / 64
    solid = make_watertight(torus(0.7, 0.3, 512, 256, pose=pose(seed)).mesh, eps)
    x, y, z = (solid.transform.invert(solid.mesh.vertices) @ pose(seed)).T
    tube = np.hypot(np.hypot(x, y) - 0.7, z) * solid.transform.scale
    assert np.abs(tube - 0.3 * solid.transform.scale - eps).max() < 0.01 * eps


@pytest.mark.parametrize("seed", [0, 5])
def test_cylinder_in_any_pose_lies_within_a_hundredth_of_eps_of_the_closed_form(seed: int) -> None:
    """Distance to a solid cylinder: over the side, over the lids, round the rims."""
    eps, radius, height = 2 / 64, 0.6, 1.2
    solid = make_watertight(cylinder(radius, height, 1024, pose=pose(seed)).mesh, eps)
    x, y, z = (solid.transform.invert(solid.mesh.vertices) @ pose(seed)).T
    beyond = np.stack([np.hypot(x, y) - radius, np.abs(z) - height / 2])
    distance = np.linalg.norm(np.maximum(beyond, 0), axis=0) * solid.transform.scale
    assert np.abs(distance - eps).max() < 0.01 * eps


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".stl", ".glb"])
@pytest.mark.parametrize(
    "shape", [sphere(subdivisions=4), torus(0.7, 0.3, 128, 64), sphere(subdivisions=5)]
)
def test_smooth_shapes_have_no_salient_edge_read_back(shape, suffix: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rotated = Mesh(shape.mesh.vertices @ pose(7).T, shape.mesh.faces)
    solid = make_watertight(rotated, 2 / 128)
    save_mesh(solid.mesh, tmp_path / f"a{suffix}")
    back = load_mesh(tmp_path / f"a{suffix}")
    assert len(back.faces) == len(solid.mesh.faces)
    assert topology(back).watertight
    assert len(salient_edges(back, 15.0).edges) == 0


def test_no_bias() -> None:
    mesh, _ = normalise(cup(pose=pose(2)).mesh)
    solid = make_watertight(mesh, EPS)
    from preprocessing.distance.queries import closest_points

    closest, distance, _, _ = closest_points(mesh, solid.mesh.vertices)
    offset = solid.mesh.vertices - closest
    mean = (offset - EPS * offset / distance[:, None]).mean(axis=0)
    assert np.abs(mean).max() < 0.01 * spacing(64)


def test_faces_that_cross_after_remeshing_are_no_solid(monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit asks the mesh that is handed out, not how it was made."""
    from preprocessing.solid import offset_surface

    def spoilt(*given: object) -> tuple[Mesh, np.ndarray]:
        solid, origin = remeshed(*given)  # type: ignore[arg-type]
        solid.vertices[0] = -solid.vertices[0]
        return solid, origin

    remeshed = offset_surface.remesh
    monkeypatch.setattr(offset_surface, "remesh", spoilt)
    with pytest.raises(WatertightError, match="self_intersections"):
        make_watertight(cup().mesh, EPS)


def test_nothing_is_folded() -> None:
    """Against the same surface before projection, no face turns over."""
    from preprocessing.solid.isosurface import extract_surface
    from preprocessing.solid.offset_field import offset_field, triangle_bricks
    from preprocessing.solid.shells import outer_shells

    mesh, _ = normalise(cup(pose=pose(5)).mesh)
    cover = triangle_bricks(mesh, 64, REACH * (EPS + spacing(64)))
    field = offset_field(cover, EPS)
    before = outer_shells(extract_surface(field, clearance=CLEARANCE, join="outside"), field)
    after = marching_surface(mesh, WatertightSettings(eps=EPS)).surface
    np.testing.assert_array_equal(before.faces, after.faces)
    assert not folded_faces(before.vertices, after.vertices, after.faces, 0.0).any()


def soup(seed: int) -> Mesh:
    """Random triangles of random size, some doubled, turned or degenerate."""
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 30))
    size = generator.uniform(0.01, 1.0, (count, 1, 1))
    corners = generator.uniform(-1, 1, (count, 1, 3)) + size * generator.normal(size=(count, 3, 3))
    corners[::7, 2] = corners[::7, 1]
    faces = np.arange(3 * count).reshape(-1, 3)
    return Mesh(corners.reshape(-1, 3), np.vstack([faces, faces[::4, ::-1], faces[::5]]))


def check_soup(seed: int) -> None:
    audit = make_watertight(soup(seed), EPS).audit
    assert_sound(audit)
    assert audit["offset_rms"] < 1e-3
    assert audit["offset_max"] < 0.25


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_random_soups(seed: int) -> None:
    check_soup(seed)


@pytest.mark.slow
def test_500_random_soups() -> None:
    for seed in range(500):
        check_soup(seed)


@pytest.mark.slow
def test_two_million_triangles() -> None:
    shape = torus(0.7, 0.3, 1000, 1000, pose=pose(1))
    assert len(shape.mesh.faces) == 2_000_000
    solid = make_watertight(shape.mesh, 2 / 512)
    assert_sound(solid.audit)
    assert (solid.audit["components"], solid.audit["euler"]) == (1, 0)
    assert solid.audit["offset_rms"] < 1e-3


def test_one_triangle_becomes_a_thin_solid() -> None:
    solid = make_watertight(Mesh(np.eye(3), [[0, 1, 2]]), EPS)
    assert_sound(solid.audit)
    assert (solid.audit["components"], solid.audit["euler"]) == (1, 2)


def test_an_open_sheet_becomes_a_thin_solid() -> None:
    solid = make_watertight(sheet().mesh, EPS)
    assert_sound(solid.audit)
    assert solid.audit["euler"] == 2


def test_a_line_of_zero_area_still_has_an_offset() -> None:
    solid = make_watertight(Mesh(np.array([[0, 0, 0], [1, 0, 0], [2.0, 0, 0]]), [[0, 1, 2]]), EPS)
    assert_sound(solid.audit)
    assert solid.audit["euler"] == 2
    beside = np.linalg.norm(np.abs(solid.mesh.vertices) - [1, 0, 0], axis=1)
    along = np.linalg.norm(solid.mesh.vertices[:, 1:], axis=1)
    middle = np.abs(solid.mesh.vertices[:, 0]) < 1
    assert np.abs(np.where(middle, along, beside) - EPS).max() < 1e-5 * EPS


@pytest.mark.parametrize(("scale", "shift"), [(1e-6, 0.0), (1e6, -3e6), (2.0**-10, 0.0), (1, 1e4)])
def test_units_and_place_do_not_matter(scale: float, shift: float) -> None:
    mesh = cup().mesh
    solid = make_watertight(Mesh(mesh.vertices * scale + shift, mesh.faces), EPS)
    plain = make_watertight(mesh, EPS)
    assert_sound(solid.audit)
    assert solid.audit["volume"] == pytest.approx(plain.audit["volume"], rel=1e-4)
    back = solid.transform.invert(solid.mesh.vertices)
    assert unsigned_distance(mesh, (back - shift) / scale).max() == pytest.approx(
        EPS / plain.transform.scale, rel=1e-3
    )


def test_order_and_orientation_of_the_faces_do_not_matter() -> None:
    mesh, _ = normalise(cup().mesh)
    order = np.random.default_rng(0).permutation(len(mesh.faces))
    settings = WatertightSettings(eps=EPS)
    plain, audit = marching_surface(mesh, settings).surface, make_watertight(mesh, EPS).audit
    for faces in (mesh.faces[order], mesh.faces[:, ::-1], np.tile(mesh.faces, (3, 1))):
        variant = Mesh(mesh.vertices, faces)
        surface = marching_surface(variant, settings).surface
        np.testing.assert_array_equal(surface.faces, plain.faces)
        # Where two triangles are equally near, either may guide a vertex.
        moved = np.abs(surface.vertices - plain.vertices).max(axis=1)
        assert (moved > 1e-6).mean() < 1e-3
        assert moved.max() < 0.01 * EPS
        found = make_watertight(variant, EPS).audit
        assert found["volume"] == pytest.approx(audit["volume"], rel=1e-5)
        assert found["faces"] == pytest.approx(audit["faces"], rel=1e-3)


def test_thread_count_changes_no_byte() -> None:
    before = make_watertight(cup().mesh, EPS)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        after = make_watertight(cup().mesh, EPS)
    finally:
        numba.set_num_threads(threads)
    assert before.mesh.vertices.tobytes() == after.mesh.vertices.tobytes()
    assert before.mesh.faces.tobytes() == after.mesh.faces.tobytes()
    assert before.audit == after.audit


@pytest.mark.parametrize("resolution", [61, 64, 100])
def test_any_resolution_that_resolves_eps(resolution: int) -> None:
    solid = make_watertight(cup().mesh, EPS, resolution)
    assert_sound(solid.audit)
    assert solid.audit["offset_rms"] < 1e-3


def test_simplify_bounds_the_deviation() -> None:
    full = make_watertight(cylinder().mesh, EPS)
    thin = make_watertight(cylinder().mesh, EPS, simplify=0.2)
    assert_sound(thin.audit)
    assert thin.audit["faces"] < 0.4 * full.audit["faces"]
    assert thin.audit["euler"] == full.audit["euler"]
    assert unsigned_distance(thin.mesh, full.mesh.vertices).max() <= 0.2 * EPS
    assert unsigned_distance(full.mesh, thin.mesh.vertices).max() <= 0.2 * EPS


@pytest.mark.parametrize("method", ["alpha-wrap", "manifold"])
def test_the_peers_keep_the_contract(method: str) -> None:
    solid = make_watertight(sphere(subdivisions=3).mesh, EPS, method=method)
    plain = make_watertight(sphere(subdivisions=3).mesh, EPS)
    assert_sound(solid.audit)
    assert solid.audit.keys() == plain.audit.keys()
    assert solid.audit["offset_rms"] > plain.audit["offset_rms"]
    assert solid.audit["volume"] == pytest.approx(plain.audit["volume"], rel=0.1)


@pytest.mark.parametrize(
    "name",
    [
        "cad/screw.obj",
        pytest.param("messy/soup.stl", marks=pytest.mark.slow),
        "messy/truck_wheels.glb",
        "organic/koala.obj",
    ],
)
def test_real_meshes(meshes_dir: Path, name: str) -> None:
    solid = make_watertight(load_mesh(meshes_dir / name), 2 / 64)
    assert_sound(solid.audit)
    assert solid.audit["offset_rms"] < 1e-3
    assert solid.audit["offset_max"] < 0.1


def test_the_whole_cube_is_reached() -> None:
    """Parts in all eight corners of the frame, each its own component."""
    mesh = box((0.2, 0.2, 0.2)).mesh
    places = np.array(list(itertools.product((-1, 1), repeat=3)))
    parts = Mesh(
        np.concatenate([mesh.vertices + place for place in places]),
        np.concatenate([mesh.faces + i * len(mesh.vertices) for i in range(8)]),
    )
    assert make_watertight(parts, EPS).audit["components"] == 8


def plates(gap: float) -> Mesh:
    """Two sheets across the axes whose offsets leave `gap`, in cells, between them."""
    turn = pose(4)
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0.0]])
    height = EPS + gap * spacing(64) / 2
    vertices = np.vstack([corners - [0, 0, height], corners + np.array([0, 0, height])])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return Mesh(vertices @ turn.T, np.vstack([faces, faces + 4]))


@pytest.mark.parametrize("suffix", [".ply", ".stl"])
@pytest.mark.parametrize("gap", [-0.2, 1e-6, 0.01, 0.1, 0.4])
def test_close_sheets_neither_touch_nor_cross_in_any_file(
    gap: float, suffix: str, tmp_path: Path
) -> None:
    solid = make_watertight(plates(gap), EPS)
    assert solid.audit["coincident"] == solid.audit["self_intersections"] == 0
    save_mesh(solid.mesh, tmp_path / f"a{suffix}")
    import trimesh

    back = trimesh.load(tmp_path / f"a{suffix}")
    assert back.is_watertight
    assert len(back.vertices) == len(solid.mesh.vertices)
    np.testing.assert_array_equal(solid.mesh.vertices, solid.mesh.vertices.astype(np.float32))
