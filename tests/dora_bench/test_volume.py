"""Inside and outside, whichever way faces are wound."""

from pathlib import Path

import numpy as np
import pytest
from bench_results import quick_scores
from hypothesis import given
from hypothesis import strategies as st

from dora_bench.volume import inside, odd_edges, solid_of, weld
from preprocessing.distance.morton import morton_order
from preprocessing.mesh import Mesh, load_mesh
from preprocessing.shapes import box, sphere

DATA = Path(__file__).parent.parent / "data"
BALL = sphere(subdivisions=2).mesh


def joined(*meshes: Mesh) -> Mesh:
    """One mesh of several."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def scaled(mesh: Mesh, size: float, shift: float = 0.0, turned: bool = False) -> Mesh:
    return Mesh(mesh.vertices * size + [shift, 0, 0], mesh.faces[:, ::-1] if turned else mesh.faces)


def flipped(mesh: Mesh, share: float, seed: int) -> Mesh:
    """A share of the faces turned round."""
    which = np.random.default_rng(seed).random(len(mesh.faces)) < share
    return Mesh(mesh.vertices, np.where(which[:, None], mesh.faces[:, ::-1], mesh.faces))


def probes(seed: int = 0) -> np.ndarray:
    points = np.random.default_rng(seed).uniform(-1.2, 1.2, (4000, 3))
    return points[morton_order(points)]


def is_inside(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    solid = solid_of(mesh)
    assert solid is not None
    return inside(solid, points)


SHELL = joined(BALL, scaled(BALL, 0.5, turned=True))  # a ball with a cavity
TWO = joined(scaled(BALL, 0.6, -0.3), scaled(BALL, 0.6, 0.3))  # two that overlap


@given(st.sampled_from([BALL, SHELL, box().mesh]), st.floats(0, 1), st.integers(0, 2**32))
def test_no_set_of_turned_faces_changes_the_inside(mesh: Mesh, share: float, seed: int) -> None:
    points = probes(seed)
    assert (is_inside(flipped(mesh, share, seed), points) == is_inside(mesh, points)).all()


@given(st.floats(0, 0.15), st.integers(0, 2**32))
def test_overlapping_parts_stay_one_solid(share: float, seed: int) -> None:
    points = probes(seed)
    found = is_inside(flipped(TWO, share, seed), points)
    parts = [is_inside(scaled(BALL, 0.6, shift), points) for shift in (-0.3, 0.3)]
    assert (found == (parts[0] | parts[1])).all()


def test_a_cavity_is_outside() -> None:
    middle = np.zeros((1, 3))
    assert not is_inside(SHELL, middle).any()
    assert is_inside(joined(BALL, scaled(BALL, 0.5)), middle).all()  # wound as a solid within


def test_a_surface_stored_with_both_sides_is_one_surface() -> None:
    both = Mesh(BALL.vertices, np.concatenate([BALL.faces, BALL.faces[:, ::-1]]))
    assert (is_inside(both, probes()) == is_inside(BALL, probes())).all()


def test_a_wall_between_two_parts_does_not_open_them() -> None:
    cube = box().mesh
    right = scaled(cube, 1.0, float(np.ptp(cube.vertices[:, 0])))
    both = joined(cube, right)
    vertices, merged = np.unique(both.vertices.round(9), axis=0, return_inverse=True)
    mesh = Mesh(vertices, merged.reshape(-1)[both.faces])
    middles = np.array([cube.vertices.mean(axis=0), right.vertices.mean(axis=0)])
    assert is_inside(mesh, middles).all()


def test_one_turned_face_of_a_cube_costs_no_iou() -> None:
    cube, turned = load_mesh(DATA / "cube.ply"), load_mesh(DATA / "cube_oneflip.ply")
    for truth, prediction in ((cube, turned), (turned, cube), (turned, turned)):
        found = quick_scores(truth, prediction)
        assert (found["iou"], found["pred_watertight"], found["notes"]) == (1.0, True, "")


def test_no_inside_is_nan_and_explained_also_against_itself() -> None:
    opened = Mesh(BALL.vertices, BALL.faces[1:])
    for prediction in (opened, BALL, None):
        found = quick_scores(opened, prediction)
        assert np.isnan(found["iou"])
        assert "3 of its edges" in found["notes"]
    found = quick_scores(BALL, opened)
    assert found["iou"] == 0
    assert "the prediction has no inside" in found["notes"]


@pytest.mark.parametrize("noise", [0.0, 2.7e-16, 1e-8])
def test_a_soup_whose_corners_differ_in_the_last_bits_scores_as_the_mesh(noise: float) -> None:
    corners = BALL.triangles.reshape(-1, 3)
    corners = corners + noise * np.random.default_rng(0).standard_normal(corners.shape)
    soup = Mesh(corners, np.arange(len(corners)).reshape(-1, 3))
    assert odd_edges(weld(soup).faces) == 0
    found = quick_scores(soup, soup)
    assert (found["iou"], found["edge_f_0.005"]) == (1.0, 1.0)
    assert quick_scores(BALL, soup)["iou"] > 0.999
