"""Farthest point sampling equals a plain loop, index for index."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from preprocessing.distance.morton import morton_order
from preprocessing.points.fps import farthest_points


def plain_loop(points: np.ndarray, count: int, start: int = 0) -> np.ndarray:
    """The definition: float32 squared distances, argmax, ties to the lowest index."""
    points = points.astype(np.float32)
    distance = np.full(len(points), np.inf, np.float32)
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(start)
        distance = np.minimum(distance, ((points - points[start]) ** 2).sum(axis=1))
        distance[chosen] = -1
        start = int(distance.argmax())
    return np.array(chosen, np.int64)


@pytest.mark.parametrize("count", [1, 2, 127, 3000])
def test_random_points_match_the_plain_loop(count):
    points = np.random.default_rng(0).normal(size=(3000, 3))
    assert np.array_equal(farthest_points(points, count, 17), plain_loop(points, count, 17))


def test_surface_points_match_the_plain_loop():
    points = np.random.default_rng(1).normal(size=(20_000, 3))
    points /= np.abs(points).max(axis=1, keepdims=True)  # on a cube: many equal distances
    assert np.array_equal(farthest_points(points, 1500), plain_loop(points, 1500))


@settings(max_examples=150)
@given(
    st.integers(1, 300).flatmap(lambda n: arrays(np.int8, (n, 3), elements=st.integers(-3, 3))),
    st.integers(0, 10_000),
)
def test_ties_and_duplicates_match_the_plain_loop(grid, start):
    points, start = grid / np.float32(3), start % len(grid)
    order = farthest_points(points, len(points), start)
    assert np.array_equal(order, plain_loop(points, len(points), start))
    assert np.array_equal(np.sort(order), np.arange(len(points)))


def test_each_prefix_is_the_sample_of_that_size():
    points = np.random.default_rng(2).uniform(size=(5000, 3))
    order = farthest_points(points, 2000)
    for count in (1, 10, 500):
        assert np.array_equal(farthest_points(points, count), order[:count])


def test_the_published_models_queries(reference_dir):
    reference = np.load(reference_dir / "dora_small.npz")
    for cloud in ("coarse", "sharp"):
        points, expected = reference[f"{cloud}_surface"], reference[f"{cloud}_query_index"]
        for item in range(len(points)):
            found = farthest_points(points[item, :, :3], expected.shape[1])
            assert np.array_equal(found, expected[item])


@pytest.mark.parametrize(
    ("points", "count", "start", "message"),
    [
        (np.zeros((3, 2)), 1, 0, "shape"),
        (np.zeros((3, 3)), 4, 0, "cannot choose 4 of 3"),
        (np.zeros((3, 3)), -1, 0, "cannot choose"),
        (np.zeros((3, 3)), 1, 3, "start"),
        (np.full((3, 3), np.nan), 1, 0, "finite"),
    ],
)
def test_wrong_arguments_are_refused(points, count, start, message):
    with pytest.raises(ValueError, match=message):
        farthest_points(points, count, start)


def test_nothing_of_nothing():
    assert farthest_points(np.empty((0, 3)), 0).shape == (0,)


def test_morton_order_keeps_neighbours_together():
    points = np.random.default_rng(3).uniform(size=(20_000, 3))
    order = morton_order(points)
    assert np.array_equal(np.sort(order), np.arange(len(points)))

    def step(p):
        return np.linalg.norm(np.diff(p, axis=0), axis=1).mean()

    assert step(points[order]) < 0.1 * step(points)


def test_morton_order_of_one_place_is_the_order_given():
    assert np.array_equal(morton_order(np.ones((50, 3))), np.arange(50))
    assert morton_order(np.empty((0, 3))).shape == (0,)
