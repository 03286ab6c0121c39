"""The distance on brick corners against brute force, and which bricks a triangle reaches."""

import itertools

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_offset import plain_distance

from preprocessing import memory
from preprocessing.mesh import Mesh, MeshError
from preprocessing.shapes import box, sphere
from preprocessing.solid.bricks import brick_lookup, bricks_per_axis, grid_points, spacing
from preprocessing.solid.offset_field import offset_field, triangle_bricks

RESOLUTION = 40
EPS = 2 / RESOLUTION
MARGIN = EPS + spacing(RESOLUTION)


def random_triangles(seed: int, count: int) -> Mesh:
    """Large, small, needle-like and degenerate triangles inside the cube."""
    generator = np.random.default_rng(seed)
    size = 10.0 ** generator.uniform(-6, 0, (count, 1, 1))
    corners = generator.uniform(-1, 1, (count, 1, 3)) + size * generator.normal(size=(count, 3, 3))
    corners[::5, 2] = corners[::5, 1]
    corners[1::5, 2] = (corners[1::5, 0] + corners[1::5, 1]) / 2
    corners[2::5, 2] = corners[2::5, 1] + 1e-9
    corners = np.clip(corners, -1, 1)
    return Mesh(corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3))


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_corner_values_equal_brute_force_up_to_the_margin(seed: int, count: int) -> None:
    mesh = random_triangles(seed, count)
    field = offset_field(triangle_bricks(mesh, RESOLUTION, MARGIN), EPS)
    n = bricks_per_axis(RESOLUTION)
    everywhere = np.array(list(itertools.product(range(n), repeat=3)))
    points = grid_points(RESOLUTION, everywhere)
    distance = plain_distance(points.reshape(-1, 3), mesh.triangles).reshape(points.shape[:-1])
    expected = EPS - np.minimum(distance, MARGIN)
    # The grid's far border belongs to no brick. An eps below 0.05 keeps the surface from it: it
    # counts as beyond the margin.
    expected[(points > 1.05 - 1e-9).any(axis=-1)] = EPS - MARGIN
    row = brick_lookup(RESOLUTION, field.bricks)[tuple(everywhere.T)]
    present = row >= 0
    np.testing.assert_allclose(field.values[row[present]], expected[present], atol=1e-7)
    # Nothing that matters lies outside the bricks.
    assert (distance[~present] > MARGIN).all()


def test_shared_corners_hold_the_same_bits() -> None:
    field = offset_field(triangle_bricks(random_triangles(3, 40), RESOLUTION, MARGIN), EPS)
    seen: dict[tuple[int, ...], float] = {}
    for brick, values in zip(field.bricks, field.values, strict=True):
        for index in np.argwhere(np.isin(np.indices((9, 9, 9)), (0, 8)).any(axis=0)):
            corner = tuple(8 * brick + index)
            value = values[tuple(index)]
            assert seen.setdefault(corner, value) == value


def test_one_triangle_over_the_whole_grid_reaches_few_bricks() -> None:
    corners = np.array([[-1, -1, -1], [1, 1, -1], [1, -1, 1.0]])
    cover = triangle_bricks(Mesh(corners, [[0, 1, 2]]), 256, 2 / 256)
    assert len(cover.bricks) < 4 * 32**2
    assert (np.diff(cover.offsets) == 1).all()


def test_thread_count_changes_no_byte() -> None:
    mesh = random_triangles(5, 60)
    before = offset_field(triangle_bricks(mesh, RESOLUTION, MARGIN), EPS)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        after = offset_field(triangle_bricks(mesh, RESOLUTION, MARGIN), EPS)
    finally:
        numba.set_num_threads(threads)
    assert before.values.tobytes() == after.values.tobytes()
    assert before.bricks.tobytes() == after.bricks.tobytes()


def test_a_run_that_would_not_fit_is_refused_with_an_estimate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 100_000)
    with pytest.raises(MeshError, match=r"needs? about .* GB .* would fit") as caught:
        triangle_bricks(sphere(subdivisions=4).mesh, 128, 2 / 128)  # the lists
    assert caught.value.reason == "memory"
    monkeypatch.setattr(memory, "available_memory", lambda: 2_000_000)
    with pytest.raises(MeshError, match="resolution 440 would fit"):
        triangle_bricks(box().mesh, 512, 2 / 512)  # the tables of 64^3 bricks
