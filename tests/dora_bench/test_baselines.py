"""Baselines: what each keeps, what it costs, and that more bytes give a better shape."""

import numpy as np
import pytest

from dora_bench.baselines import truncated_grid
from dora_bench.models import resolve_model
from dora_bench.protocol import ShapeInput
from preprocessing.distance.queries import require_closed, signed_distance, unsigned_distance
from preprocessing.frame import HALF_WIDTH
from preprocessing.mesh import MeshError
from preprocessing.points.sampling import sample_surface
from preprocessing.shapes import box, torus

SHAPE = ShapeInput("torus", torus().mesh)


def error(name: str) -> tuple[float, int]:
    """Mean distance of the reconstruction's surface to the truth, and its bytes."""
    model = resolve_model(name)
    latent = model.encode(SHAPE, 0, 0)
    mesh = model.decode(latent, 64)
    points = sample_surface(mesh, 5000, np.random.default_rng(0))[0]
    return float(unsigned_distance(SHAPE.mesh, points).mean()), latent.bytes


def test_identity_is_exact() -> None:
    assert error("identity")[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("low", "high", "limit"),
    [
        ("voxel-20", "voxel-50", 2e-3),
        ("decimate-100", "decimate-2000", 5e-3),
        ("draco-6", "draco-12", 1e-3),
        ("poisson-300", "poisson-5000", 4e-3),
    ],
)
def test_more_bytes_give_a_better_shape(low: str, high: str, limit: float) -> None:
    coarse, fine = error(low), error(high)
    assert fine[1] > coarse[1]
    assert fine[0] < coarse[0]
    assert fine[0] < limit


def test_the_grid_is_the_clipped_distance_everywhere() -> None:
    size = 21
    grid = truncated_grid(SHAPE.mesh, size)
    axis = np.linspace(-HALF_WIDTH, HALF_WIDTH, size)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    limit = 2 * 2 * HALF_WIDTH / (size - 1)
    plain = np.clip(signed_distance(SHAPE.mesh, points), -limit, limit)
    np.testing.assert_allclose(grid.ravel(), plain, atol=1e-6)


@pytest.mark.parametrize("size", [8, 9, 16, 17, 33])
def test_any_grid_gives_a_closed_mesh_of_n_cubed_floats(size: int) -> None:
    model = resolve_model(f"voxel-{size}")
    latent = model.encode(ShapeInput("box", box().mesh), 0, 0)
    assert (latent.floats, latent.bytes) == (size**3, 4 * size**3)
    require_closed(model.decode(latent, 64))


def test_a_grid_that_misses_the_shape_says_so() -> None:
    model = resolve_model("voxel-8")
    thin = box((2.0, 2.0, 0.001)).mesh
    with pytest.raises(MeshError, match="does not see"):
        model.decode(model.encode(ShapeInput("thin", thin), 0, 0), 64)


def test_poisson_repeats_itself() -> None:
    model = resolve_model("poisson-500")
    meshes = [model.decode(model.encode(SHAPE, 0, 7), 32) for _ in range(2)]
    np.testing.assert_array_equal(meshes[0].vertices, meshes[1].vertices)
