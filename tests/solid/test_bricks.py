"""Bricks: where corners lie, and what a field may not be."""

import numpy as np
import pytest

from preprocessing.solid.bricks import (
    BrickField,
    brick_lookup,
    bricks_per_axis,
    grid_points,
    spacing,
)


@pytest.mark.parametrize("resolution", [8, 20, 256])
def test_corner_i_lies_at_minus_1_05_plus_i_h(resolution: int) -> None:
    brick = np.array([[0, 1, bricks_per_axis(resolution) - 1]])
    points = grid_points(resolution, brick)
    assert points.shape == (1, 9, 9, 9, 3)
    i, j, k = 3, 5, 8
    corner = 8 * brick[0] + [i, j, k]
    np.testing.assert_array_equal(points[0, i, j, k], -1.05 + corner * (2.1 / resolution))
    assert spacing(resolution) == 2.1 / resolution


def test_the_bricks_cover_the_cube_when_8_does_not_divide_the_resolution() -> None:
    last = bricks_per_axis(20) - 1
    assert grid_points(20, np.array([[last] * 3])).max() >= 1.05


def test_shared_corners_have_the_same_position() -> None:
    points = grid_points(24, np.array([[0, 0, 0], [1, 0, 0]]))
    np.testing.assert_array_equal(points[0, 8], points[1, 0])


def test_lookup_names_rows() -> None:
    bricks = np.array([[2, 0, 1], [0, 0, 0]])
    lookup = brick_lookup(24, bricks)
    assert lookup.shape == (3, 3, 3)
    assert lookup[2, 0, 1] == 0
    assert lookup[0, 0, 0] == 1
    assert (lookup == -1).sum() == 25


@pytest.mark.parametrize(
    ("bricks", "shape", "kind", "message"),
    [
        ([[0, 0, 0]], (1, 8, 8, 8), np.float32, "expected"),
        ([[0, 0, 0]], (2, 9, 9, 9), np.float32, "expected"),
        ([[0, 0, 3]], (1, 9, 9, 9), np.float32, "outside the grid"),
        ([[0, -1, 0]], (1, 9, 9, 9), np.float64, "outside the grid"),
        ([[0, 0, 0]], (1, 9, 9, 9), np.int32, "float32 or float64"),
    ],
)
def test_a_malformed_field_is_refused(
    bricks: list[list[int]], shape: tuple[int, ...], kind: type, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        BrickField(24, np.array(bricks), np.zeros(shape, kind))
