"""Coarse-to-fine evaluation equals the dense grid with a fraction of the queries."""

import numpy as np
import pytest

from preprocessing.frame import HALF_WIDTH
from preprocessing.solid.bricks import BrickField, bricks_per_axis, grid_points, spacing
from preprocessing.solid.isosurface import extract_isosurface, open_neighbours
from vae.refine import FieldError, Level, corner_keys, read_field, upsampled


class Counted:
    """A field that counts the points it is asked and remembers whether any came twice."""

    def __init__(self, sdf, unit: float) -> None:
        self.sdf, self.unit, self.count = sdf, unit, 0

    def __call__(self, points: np.ndarray) -> np.ndarray:
        assert points.dtype == np.float32
        self.count += len(points)
        return np.clip(self.sdf(points) / self.unit, -1, 1)


def sphere(radius: float, center=(0.0, 0.0, 0.0)):
    return lambda p: radius - np.linalg.norm(p - np.asarray(center, np.float32), axis=1)


def plate(p: np.ndarray) -> np.ndarray:
    """0.016 thick: half of a coarse cell, between its corners."""
    gap = np.abs(p - np.array([0.3111, 0, 0], np.float32)) - np.array([0.008, 0.7, 0.7], np.float32)
    return -gap.max(axis=1)


def ring(p: np.ndarray) -> np.ndarray:
    return 0.03 - np.hypot(np.hypot(p[:, 0], p[:, 1]) - 0.7, p[:, 2] - 0.013)


def two(p: np.ndarray) -> np.ndarray:
    return np.maximum(sphere(0.3, (0.5, 0.5, 0))(p), sphere(0.2, (-0.5, 0.1, 0.3))(p))


def faint(p: np.ndarray) -> np.ndarray:
    """A hollow ball of much surface whose field rises a third as fast as distance, as one that was
    trained briefly does."""
    return np.minimum(sphere(0.9)(p), -sphere(0.6)(p)) / 3


def specks(p: np.ndarray) -> np.ndarray:
    """A ball that bends by a cell and more: its zero surface sheds specks beside it."""
    wave = np.sin(p * np.float32(90)).prod(axis=1)
    return sphere(0.7)(p) * np.float32(0.6) + np.float32(0.015) * wave


def dense(field, resolution: int) -> BrickField:
    axis = np.arange(-(-resolution // 8))
    bricks = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    points = grid_points(resolution, bricks).astype(np.float32)
    values = np.concatenate([field(part.reshape(-1, 3)) for part in points])
    return BrickField(resolution, bricks, values.reshape(-1, 9, 9, 9).astype(np.float32))


@pytest.mark.parametrize("sdf", [sphere(0.8), plate, ring, two, specks])
@pytest.mark.parametrize(("resolution", "unit"), [(128, 0.015), (100, 0.015), (96, 0.05)])
def test_equals_the_dense_grid(sdf, resolution: int, unit: float) -> None:
    field = Counted(sdf, unit)
    bricks, count = read_field(field, resolution, unit=unit)
    assert field.count == count
    read, full = extract_isosurface(bricks), extract_isosurface(dense(field, resolution))
    assert len(read.faces) == len(full.faces)

    def rows(a: np.ndarray) -> np.ndarray:
        return a[np.lexsort(a.T)]

    assert np.array_equal(rows(read.vertices), rows(full.vertices))


@pytest.mark.parametrize("unit", [0.015, 0.05])
@pytest.mark.parametrize(("resolution", "times"), [(256, 20), (512, 60)])
def test_asks_a_fraction(resolution: int, times: int, unit: float) -> None:
    _, count = read_field(Counted(two, unit), resolution, unit=unit)
    assert times * count < (resolution + 1) ** 3


def test_asks_a_fraction_where_much_surface_rises_slowly() -> None:
    bricks, count = read_field(Counted(faint, 0.05), 512, unit=0.05)
    assert 60 * count < 513**3
    radii = np.linalg.norm(extract_isosurface(bricks).vertices, axis=1)
    assert np.minimum(np.abs(radii - 0.9), np.abs(radii - 0.6)).max() < 1e-4


def test_reads_a_resolved_field_like_the_dense_grid() -> None:
    """At 128 from a truncation of ten cells the second differences tell what to ask."""
    field = Counted(lambda p: np.maximum(plate(p), ring(p)), 0.15)
    bricks, _ = read_field(field, 128, unit=0.15)
    read, full = extract_isosurface(bricks), extract_isosurface(dense(field, 128))
    assert np.array_equal(np.unique(read.vertices, axis=0), np.unique(full.vertices, axis=0))


def test_a_thin_plate_between_coarse_corners_is_found() -> None:
    bricks, _ = read_field(Counted(plate, 0.015), 256, unit=0.015)
    mesh = extract_isosurface(bricks)
    assert np.abs(mesh.vertices.max(axis=0) - [0.3191, 0.7, 0.7]).max() < spacing(256)


@pytest.mark.parametrize("resolution", [64, 128])
def test_the_border_is_outside(resolution: int) -> None:
    """A field that is inside everywhere reads as a closed box just within the grid."""
    bricks, _ = read_field(lambda p: np.ones(len(p), np.float32), resolution, unit=1.0)
    assert len(open_neighbours(bricks)) == 0
    mesh = extract_isosurface(bricks)
    assert np.abs(mesh.vertices).max() <= HALF_WIDTH + 1e-9
    assert np.abs(mesh.vertices).max() > HALF_WIDTH - spacing(resolution)


def test_nothing_inside_gives_no_bricks() -> None:
    bricks, _ = read_field(lambda p: -np.ones(len(p), np.float32), 128)
    assert len(bricks.bricks) == 0


def test_occupancy_needs_no_unit() -> None:
    bricks, _ = read_field(lambda p: 40 * sphere(0.7)(p), 128)
    radii = np.linalg.norm(extract_isosurface(bricks).vertices, axis=1)
    assert np.abs(radii - 0.7).max() < 1e-3


def test_a_grid_of_few_factors_of_two_has_no_bricks_beyond_its_border() -> None:
    bricks, _ = read_field(sphere(0.9), 100)
    assert bricks.bricks.max() < bricks_per_axis(100)
    radii = np.linalg.norm(extract_isosurface(bricks).vertices, axis=1)
    assert np.abs(radii - 0.9).max() < spacing(100) / 8


def test_not_a_number_is_refused() -> None:
    with pytest.raises(FieldError, match="NaN"):
        read_field(lambda p: np.full(len(p), np.nan), 64)


def test_upsampling_is_trilinear() -> None:
    i, j, k = np.meshgrid(*[np.arange(5.0)] * 3, indexing="ij")
    fine = upsampled((i + 10 * j + 100 * k + i * j * k)[None].astype(np.float32))[0]
    i, j, k = np.meshgrid(*[np.arange(9) / 2] * 3, indexing="ij")
    assert np.allclose(fine, i + 10 * j + 100 * k + i * j * k)


def test_shared_corners_have_one_key() -> None:
    bricks = np.array([[0, 0, 0], [1, 0, 0]])
    shape = (2, 9, 9, 9)
    level = Level(64, bricks, np.zeros(shape, np.float32), np.zeros(shape, bool))
    keys = corner_keys(level, np.ones(shape, bool)).reshape(shape)
    assert np.array_equal(keys[0, 8], keys[1, 0])
    assert len(np.unique(keys)) == 2 * 729 - 81
