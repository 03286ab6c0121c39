"""Pictures: what a camera sees agrees with geometry, to the pixel and to the bit."""

import numpy as np
import pytest

from preprocessing.looking.render import (
    BACKGROUND,
    Caster,
    Cloud,
    camera_around,
    caption_font,
    png_bytes,
    render_mesh,
    render_points,
    side_by_side,
)
from preprocessing.shapes import box, sheet, sphere

GROUND = np.round(255 * np.asarray(BACKGROUND)).astype(int)
CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)


@pytest.mark.parametrize("up", ["y", "z"])
@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (35, 20), (200, -40), (90, 80)])
def test_project_is_the_inverse_of_the_rays(azimuth, elevation, up) -> None:
    camera = camera_around(azimuth, elevation, 40, 30, CORNERS, up=up)
    rays = camera.rays().astype(np.float64)
    x, y, depth = camera.project(rays[..., :3].reshape(-1, 3) + 2.5 * rays[..., 3:].reshape(-1, 3))
    row, column = np.divmod(np.arange(40 * 30), 40)
    assert np.abs(x - column - 0.5).max() < 1e-3
    assert np.abs(y - row - 0.5).max() < 1e-3
    assert np.allclose(depth, 2.5, atol=1e-6)


@pytest.mark.parametrize("size", [(60, 60), (90, 40), (40, 90)])
@pytest.mark.parametrize("azimuth", [0, 30, 135])
def test_everything_is_in_view_and_nearly_fills_it(azimuth, size) -> None:
    camera = camera_around(azimuth, 25, *size, CORNERS)
    x, y, _ = camera.project(CORNERS)
    across, down = np.abs(x / size[0] * 2 - 1).max(), np.abs(y / size[1] * 2 - 1).max()
    assert max(across, down) < 1
    assert max(across, down) > 0.9


def test_normals_of_a_sphere_are_its_positions() -> None:
    mesh = sphere(1.0, 5).mesh
    camera = camera_around(20, 30, 80, 80, mesh.vertices)
    seen = Caster(mesh).cast(camera.rays())
    rays = camera.rays()
    places = rays[..., :3] + np.where(seen.hit, seen.distance, 0)[..., None] * rays[..., 3:]
    assert np.abs(np.linalg.norm(places[seen.hit], axis=1) - 1).max() < 1e-3
    assert (seen.normals[seen.hit] * places[seen.hit]).sum(axis=1).min() > 0.999
    # The disc that a unit sphere shows, from the angle under which it is seen.
    distance = np.linalg.norm(camera.eye)
    radius = camera.pixels_per_slope * np.tan(np.arcsin(1 / distance))
    assert np.isclose(seen.hit.sum(), np.pi * radius**2, rtol=0.01)
    assert (seen.normals[~seen.hit] == 0).all()


def test_the_same_picture_is_the_same_bytes_and_shows_the_mesh() -> None:
    mesh = box().mesh
    one, two = (render_mesh(mesh, 64, 48) for _ in range(2))
    assert one.shape == (48, 64, 3)
    assert one.dtype == np.uint8
    assert png_bytes(one) == png_bytes(two)
    assert (one[0, 0] == GROUND).all()
    shown = (np.abs(one.astype(int) - GROUND) > 8).any(axis=2)
    assert 0.15 < shown.mean() < 0.75
    # Three faces, three lights: three clearly different greys.
    greys = np.bincount(one[shown].mean(axis=1).astype(int) // 6)
    assert (greys > 0.05 * shown.sum()).sum() >= 3


def test_winding_units_and_place_do_not_change_the_picture() -> None:
    mesh = sheet().mesh
    plain = render_mesh(mesh, 48, 48, occlusion=0)
    flipped = type(mesh)(mesh.vertices, mesh.faces[:, ::-1])
    moved = type(mesh)(mesh.vertices * 1e5 + 1e6, mesh.faces)
    assert np.array_equal(render_mesh(flipped, 48, 48, occlusion=0), plain)
    far = render_mesh(moved, 48, 48, occlusion=0).astype(int)
    assert np.abs(far - plain).mean() < 0.5


def test_lines_are_drawn_in_front_and_hidden_behind() -> None:
    mesh = box((2.0, 2.0, 2.0)).mesh
    front = np.array([[[-1.0, 0, 1.0], [1.0, 0, 1.0]]])
    back = front * [1, 1, -1]
    red = (0.9, 0.1, 0.1)
    bare = render_mesh(mesh, 64, 64, 0, 0, occlusion=0)
    assert np.array_equal(render_mesh(mesh, 64, 64, 0, 0, lines=[(back, red)], occlusion=0), bare)
    drawn = render_mesh(mesh, 64, 64, 0, 0, lines=[(front, red)], occlusion=0)
    changed = (drawn != bare).any(axis=2)
    rows = np.flatnonzero(changed.any(axis=1))
    assert set(rows) <= {31, 32}
    assert changed.any(axis=0).sum() > 40


def test_near_dots_hide_far_ones_and_empty_clouds_are_no_trouble() -> None:
    facing = [0.0, 0, 1]
    red, blue = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
    frame = Cloud(np.array([[-1.0, -1, 0, *facing], [1.0, 1, 0, *facing]]), blue, 1.0)
    near = Cloud(np.array([[0, 0, 0.5, *facing]]), red, 9.0)
    far = Cloud(np.array([[0, 0, -0.5, *facing]]), blue, 9.0)
    away = Cloud(np.array([[0, 0, 0.9, 0, 0, -1.0]]), blue, 9.0)
    none = Cloud(np.empty((0, 6)), blue, 9.0)
    picture = render_points([frame, near, far, away, none], 41, 41, 0, 0)
    middle = picture[20, 20].astype(int)
    assert middle[0] > middle[2] + 100


def test_captions_have_more_than_ascii() -> None:
    """A letter that the font lacks is a box, like any other that it lacks."""
    font = caption_font(20)
    drawn = {bytes(font.getmask(letter)) for letter in "üößéñЖλ…"}
    assert len(drawn) == 8


def test_side_by_side_keeps_every_picture_whole() -> None:
    pictures = [(f"picture {i}", np.full((30, 50, 3), 40 * i, np.uint8)) for i in range(5)]
    sheet_of_all = side_by_side(pictures, columns=3)
    for index in range(5):
        assert (sheet_of_all == 40 * index).all(axis=2).sum() >= 30 * 50
    assert sheet_of_all.shape[1] >= 150
