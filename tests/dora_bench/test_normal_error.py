"""Sharp Normal Error: rays, creases, and what the error is on closed forms."""

import math

import numpy as np
import pytest

from dora_bench.normal_error import (
    HALF_WIDTH,
    SneSettings,
    canny,
    cast_normals,
    sharp_normal_error,
    truth_maps,
    view_directions,
)
from preprocessing.mesh import Mesh
from preprocessing.shapes import box, sphere

SMALL = SneSettings(views=6, resolution=128)


def step(degrees: float, size: int = 64) -> np.ndarray:
    """A normal map of two flat halves that meet at a crease of this angle, in a slanted line."""
    half = math.radians(degrees) / 2
    rows, columns = np.mgrid[:size, :size]
    side = np.where(columns + 0.3 * rows > 0.6 * size, 1.0, -1.0)
    return np.stack([side * np.sin(half), 0 * side, 0 * side + np.cos(half)], axis=-1)


def test_views_are_unit_and_spread() -> None:
    views = view_directions(22)
    np.testing.assert_allclose(np.linalg.norm(views, axis=1), 1)
    cosines = views @ views.T - 2 * np.eye(22)
    assert np.degrees(np.arccos(cosines.max(axis=1))).min() > 30
    assert np.linalg.norm(views.mean(axis=0)) < 0.05


def test_normals_face_the_camera_and_cover_the_disc() -> None:
    maps = cast_normals(sphere(0.9).mesh, SMALL)
    for view, direction in zip(maps, view_directions(SMALL.views), strict=True):
        hit = np.linalg.norm(view, axis=-1) > 0.5
        assert (view[hit] @ direction > 0).all()
        assert hit.mean() == pytest.approx(math.pi * 0.9**2 / (2 * HALF_WIDTH) ** 2, rel=0.02)


def test_winding_does_not_matter() -> None:
    mesh = box().mesh
    flipped = Mesh(mesh.vertices, mesh.faces[:, ::-1])
    np.testing.assert_array_equal(cast_normals(mesh, SMALL), cast_normals(flipped, SMALL))


@pytest.mark.parametrize(("degrees", "found"), [(20.0, False), (29.0, False), (36.0, True)])
def test_a_crease_is_found_from_the_angle_the_settings_name(degrees: float, found: bool) -> None:
    edge = canny(step(degrees), SneSettings(low=15, high=30))
    assert edge[8:-8].any() == found
    if found:
        assert (edge[8:-8].sum(axis=1) == 1).all()  # thin: one pixel a row


def test_the_error_of_a_known_map() -> None:
    """A face seen from one side against the same face tilted: 4 sin^2(a/2) / 12 where both hit."""
    mesh = box((1, 1, 1)).mesh
    truth = truth_maps(mesh, SMALL)
    assert truth.masks.any()
    assert sharp_normal_error(truth, mesh) == 0
    none = Mesh(mesh.vertices + 50.0, mesh.faces)  # out of every view: zero normals
    hit = np.linalg.norm(truth.maps, axis=-1) > 0.5
    assert sharp_normal_error(truth, none) == pytest.approx(hit[truth.masks].mean() / 12, rel=1e-6)


def test_rounding_edges_costs_more_than_moving_them_a_little() -> None:
    cube = box((1.4, 1.4, 1.4)).mesh
    truth = truth_maps(cube, SMALL)
    corner = np.abs(cube.vertices).max()
    shifted = Mesh(cube.vertices + np.array([0.001, 0.001, 0]), cube.faces)
    ball = sphere(corner * 1.1).mesh
    assert 0 < sharp_normal_error(truth, shifted) < sharp_normal_error(truth, ball) <= 1 / 3


def test_settings_are_recorded_under_their_version() -> None:
    assert SneSettings().record()["version"] == "sne-1"
    assert SMALL.record() == {
        "version": "sne-1-modified",
        "views": 6,
        "resolution": 128,
        "sigma": SMALL.sigma,
        "low": SMALL.low,
        "high": SMALL.high,
        "dilation": SMALL.dilation,
    }
