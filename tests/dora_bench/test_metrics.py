"""Metrics against brute force and closed forms, and the properties a score must have."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from dora_bench import score_meshes
from dora_bench.metrics import (
    FARTHEST,
    FLOORS,
    METRICS,
    chamfer_l1,
    chamfer_l2,
    f_score,
    nearest_distances,
    normal_consistency,
    volume_iou,
)
from dora_bench.normal_error import SneSettings
from dora_bench.score import ScoreSettings, prepare_truth, score
from preprocessing.mesh import Mesh
from preprocessing.shapes import box, l_bracket, sphere

QUICK = ScoreSettings(
    points=20_000, edge_points=5_000, volume_cells=40, sne=SneSettings(resolution=96)
)
ERRORS = [name for name in METRICS if METRICS[name].direction == "lower"]
# IoU samples points in an axis-aligned box and SNE looks along fixed directions: under a rotation
# of both meshes they agree to sampling error and not to rounding.
TIED_TO_AXES = ("iou", "sne")


def scores(truth: Mesh, prediction: Mesh | None, settings: ScoreSettings = QUICK) -> dict:
    return score(prepare_truth(truth, settings, "item"), prediction)


def moved(mesh: Mesh, rotation: Rotation | None = None, shift: tuple = (0, 0, 0)) -> Mesh:
    turned = mesh.vertices if rotation is None else rotation.apply(mesh.vertices)
    return Mesh(turned + np.array(shift), mesh.faces)


def square(z: float) -> Mesh:
    corners = np.array([[-1, -1, z], [1, -1, z], [1, 1, z], [-1, 1, z]], float)
    return Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 10**6))
def test_point_metrics_against_brute_force(n: int, m: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    one, other = random.random((n, 3)), random.random((m, 3))
    table = cdist(one, other)
    forward = nearest_distances(one, cKDTree(other))
    backward = nearest_distances(other, cKDTree(one))
    np.testing.assert_allclose(forward, table.min(axis=1), atol=1e-12)
    np.testing.assert_allclose(backward, table.min(axis=0), atol=1e-12)
    assert chamfer_l1(forward, backward) == pytest.approx(
        (sum(forward) / n + sum(backward) / m) / 2, rel=1e-12
    )
    assert chamfer_l2(forward, backward) == pytest.approx(
        (sum(forward**2) / n + sum(backward**2) / m) / 2, rel=1e-12
    )
    recall, precision = sum(forward <= 0.2) / n, sum(backward <= 0.2) / m
    expected = 2 * recall * precision / (recall + precision) if recall + precision else 0.0
    assert f_score(forward, backward, 0.2) == pytest.approx(expected, rel=1e-12)
    assert f_score(forward, backward, 0.2) == f_score(backward, forward, 0.2)


def test_normal_consistency_is_the_mean_absolute_cosine() -> None:
    x, y = np.array([[1.0, 0, 0]]), np.array([[0, 1.0, 0]])
    tilted = np.array([[math.cos(0.3), math.sin(0.3), 0]])
    assert normal_consistency(x, -x, x, x) == 1
    assert normal_consistency(x, y, y, x) == 0
    assert normal_consistency(x, tilted, y, y) == pytest.approx((math.cos(0.3) + 1) / 2)


def test_volume_iou_of_masks() -> None:
    one, other = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    assert volume_iou(one, other) == pytest.approx(1 / 3)
    assert volume_iou(one & ~one, other & ~other) == 0


def test_concentric_spheres() -> None:
    found = scores(sphere(1.0).mesh, sphere(0.99).mesh)
    # Flat faces lie inside their sphere, by up to 5e-4 of the radius at this subdivision.
    assert found["surface_cd_l1"] == pytest.approx(0.01, abs=5e-4)
    assert found["surface_f_0.005"] == 0
    # A point's partner 0.01 above lies within 0.02 when it is in a disc of radius^2 = 3e-4.
    expected = 1 - math.exp(-3e-4 * QUICK.points / 4)
    assert found["f_0.02"] == pytest.approx(expected, abs=0.02)
    assert found["normal_consistency"] > 0.999
    assert found["iou"] == pytest.approx(0.99**3, abs=2e-3)
    assert found["sne"] < 0.02
    neither_has_edges = [found["edge_cd_l1"], found["edge_f_0.005"], found["edge_f_0.01"]]
    assert neither_has_edges == [0, 1, 1]


@pytest.mark.parametrize("gap", [0.0005, 0.004, 0.02])
def test_shifted_planes(gap: float) -> None:
    found = scores(square(0.0), square(gap))
    assert found["surface_cd_l1"] == pytest.approx(gap, abs=1e-12)
    for threshold in (0.001, 0.005, 0.01):
        assert found[f"surface_f_{threshold}"] == float(gap <= threshold)
    assert found["normal_consistency"] == pytest.approx(1, abs=1e-12)
    assert math.isnan(found["iou"])  # an open truth has no volume
    assert not found["pred_watertight"]


def test_shifted_cubes() -> None:
    cube = box((2, 2, 2)).mesh
    found = scores(cube, moved(cube, shift=(0.1, 0, 0)))
    assert found["iou"] == pytest.approx(1.9 / 2.1, abs=2e-3)
    # The face outside the other cube is 0.1 off; the one inside min(0.1, way to its border); the
    # four side faces leave a strip 0.1 wide.
    inside = (1 - 0.9**3) / 3
    expected = 1 / 6 * 0.1 + 1 / 6 * inside + 4 / 6 * 0.05 * 0.05
    assert found["surface_cd_l1"] == pytest.approx(expected, abs=4e-4)
    # Of 12 edges the 4 along the shift leave 0.1 over. The 4 behind are 0.1 off; the 4 ahead too,
    # except within 0.1 of the corners, where an edge along the shift is nearer.
    expected = (4 * 0.05 * 0.05 + 4 * 0.1 + 4 * 0.095) / 12
    assert found["edge_cd_l1"] == pytest.approx(expected, abs=3e-4)


def test_rotated_cubes() -> None:
    cube = box((1.2, 1.2, 1.2)).mesh
    turned = moved(cube, Rotation.from_euler("z", 45, degrees=True))
    found = scores(cube, turned)
    octagon = 2 * (math.sqrt(2) - 1)  # its area over the square's
    assert found["iou"] == pytest.approx(octagon / 2 / (1 - octagon / 2), abs=3e-3)
    # Top and bottom (a third of the area) stay parallel; sides meet sides at 45 degrees, or, in a
    # triangle near top and bottom that pokes in, the horizontal faces at 90.
    half, slope = 0.6, math.sqrt(0.5)
    poke = half * (math.sqrt(2) - 1)
    assert found["normal_consistency"] <= 1 / 3 + 2 / 3 * slope + 1e-9
    assert found["normal_consistency"] >= 1 / 3 + 2 / 3 * slope * (1 - 2 * poke / (2 * half)) - 1e-2


def test_a_mesh_against_itself_is_perfect_and_scores_the_floor() -> None:
    mesh = l_bracket().mesh
    found = scores(mesh, mesh)
    for name in ("surface_cd_l1", "edge_cd_l1", "true_edge_distance"):
        assert found[name] == pytest.approx(0, abs=1e-12)
    assert found["true_edge_angle"] == pytest.approx(0, abs=1e-6)
    assert found["sne"] == 0
    for name in ("iou", "normal_consistency", "surface_f_0.001", "edge_f_0.005", "edge_f_0.01"):
        assert found[name] == pytest.approx(1, abs=1e-12)
    for name, floor in FLOORS.items():
        assert found[name] == found[floor]
    assert found["pred_watertight"] is True
    assert found["pred_components"] == 1


def test_the_floor_is_the_one_the_geometry_gives() -> None:
    """F of two samplings of one surface is 1 - exp(-pi tau^2 N / area)."""
    found = scores(sphere(1.0).mesh, sphere(1.0).mesh)
    for tau in (0.005, 0.01, 0.02):
        expected = 1 - math.exp(-math.pi * tau**2 * QUICK.points / (4 * math.pi))
        assert found[f"floor_f_{tau}"] == pytest.approx(expected, abs=0.02)


def test_swapping_the_meshes_changes_nothing_but_the_draw() -> None:
    one = l_bracket().mesh
    other = moved(one, Rotation.from_euler("y", 2, degrees=True), (0.01, 0, 0.005))
    forward, backward = scores(one, other), scores(other, one)
    for name in METRICS:
        if name.startswith("true_edge") or name == "sne":
            continue  # taken at the truth's edges: not symmetric, and not claimed to be
        assert forward[name] == pytest.approx(backward[name], rel=0.05, abs=0.01), name


def test_rigid_motion_of_both_changes_nothing() -> None:
    truth = l_bracket().mesh
    prediction = Mesh(truth.vertices * [1, 1, 0.98] + [0.004, 0, 0], truth.faces)
    motion = (Rotation.from_euler("xyz", [20, 50, 70], degrees=True), (0.1, -0.05, 0.02))
    before = scores(truth, prediction)
    after = scores(moved(truth, *motion), moved(prediction, *motion))
    for name in {*METRICS, *FLOORS.values()} - set(TIED_TO_AXES):
        assert after[name] == pytest.approx(before[name], abs=1e-6), name
    assert after["iou"] == pytest.approx(before["iou"], abs=0.01)
    assert after["sne"] == pytest.approx(before["sne"], rel=0.5, abs=0.005)


def test_an_inside_out_prediction_scores_like_its_twin() -> None:
    mesh = box().mesh
    flipped = Mesh(mesh.vertices, mesh.faces[:, ::-1])
    found = scores(mesh, flipped)
    assert (found["iou"], found["normal_consistency"], found["sne"]) == (1, 1, 0)


@pytest.mark.parametrize(
    "broken",
    [
        None,
        Mesh(np.empty((0, 3)), np.empty((0, 3), int)),
        Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])),
        Mesh(np.full((3, 3), np.nan), np.array([[0, 1, 2]])),
        Mesh(np.zeros((3, 3)), np.array([[0, 1, 7]])),
    ],
    ids=["none", "no faces", "no area", "NaN", "bad index"],
)
def test_a_broken_prediction_scores_the_worst_of_everything(broken: Mesh | None) -> None:
    found = scores(box().mesh, broken)
    for name, metric in METRICS.items():
        assert found[name] == metric.worst, name
    assert (found["pred_watertight"], found["pred_components"]) == (False, 0)
    assert found["floor_cd_l1"] > 0


def test_an_open_prediction_has_no_volume() -> None:
    mesh = box().mesh
    found = scores(mesh, Mesh(mesh.vertices, mesh.faces[1:]))
    assert (found["iou"], found["pred_watertight"]) == (0.0, False)
    assert found["surface_f_0.001"] > 0.9


def test_a_prediction_with_split_seams_is_still_closed() -> None:
    mesh = box().mesh
    soup = Mesh(mesh.triangles.reshape(-1, 3), np.arange(3 * len(mesh.faces)).reshape(-1, 3))
    found = scores(mesh, soup)
    assert (found["iou"], found["pred_watertight"], found["pred_components"]) == (1, True, 1)


def test_edges_on_one_mesh_only_are_the_worst() -> None:
    found = scores(sphere(0.9).mesh, box().mesh)
    assert (found["edge_cd_l1"], found["edge_f_0.01"]) == (FARTHEST, 0)
    assert (found["true_edge_distance"], found["true_edge_angle"]) == (0, 0)


def test_score_meshes_takes_meshes_as_they_lie_and_repeats_itself() -> None:
    mesh = box().mesh
    big = Mesh(mesh.vertices * 1.1, mesh.faces)
    found = score_meshes(mesh, big, seed=3, points=5_000)
    assert found["surface_cd_l1"] > 0.02
    settings = ScoreSettings(seed=3, points=5_000)
    assert {**found, "notes": ""} == score(prepare_truth(mesh, settings), big)
    assert set(found) == {*METRICS, *FLOORS.values(), "pred_watertight", "pred_components"}


@pytest.mark.parametrize("name", ERRORS)
def test_nothing_scores_worse_than_nothing(name: str) -> None:
    """A wild prediction inside the frame does not exceed the worst value."""
    random = np.random.default_rng(0)
    wild = Mesh(random.uniform(-1, 1, (300, 3)), np.arange(300).reshape(100, 3))
    assert scores(box().mesh, wild)[name] <= METRICS[name].worst
