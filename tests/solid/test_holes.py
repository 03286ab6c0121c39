"""Closing holes: what is filled, what is not, and that the rest of the surface stays exact."""

import numpy as np
import pytest

from dora_bench.mini_suite import packaged_meshes
from preprocessing import memory
from preprocessing.mesh import Mesh, MeshError, load_mesh
from preprocessing.shapes import cup, sphere
from preprocessing.solid.holes import hole_filling, smallest_tau
from preprocessing.solid.watertight import make_watertight

EPS = 2 / 64
BUNNY = "bunny10k_textured.obj"
BALL = 4 / 3 * np.pi * (1 + EPS) ** 3


def open_ball() -> Mesh:
    """A sphere without its cap: an opening of radius about 0.44, of a thin shell."""
    mesh = sphere(1.0, subdivisions=4).mesh
    return Mesh(mesh.vertices, mesh.faces[mesh.triangles.mean(axis=1)[:, 2] < 0.9])


def test_an_opening_narrower_than_two_tau_is_closed() -> None:
    thin = make_watertight(open_ball(), EPS)
    solid = make_watertight(open_ball(), EPS, close_holes=0.55)
    assert thin.audit["volume"] < 0.2 * BALL
    assert solid.audit["volume"] == pytest.approx(BALL, rel=0.05)
    assert solid.audit["euler"] == 2


def test_a_wider_opening_stays_open() -> None:
    thin = make_watertight(open_ball(), EPS)
    same = make_watertight(open_ball(), EPS, close_holes=0.25)
    assert same.mesh.vertices.tobytes() == thin.mesh.vertices.tobytes()


def test_the_wall_away_from_the_lid_is_the_exact_offset() -> None:
    solid = make_watertight(open_ball(), EPS, close_holes=0.55)
    assert solid.audit["offset_max"] < 1e-5  # what float32 leaves
    vertices = solid.transform.invert(solid.mesh.vertices)
    below = vertices[vertices[:, 2] < 0.5]
    radii = np.linalg.norm(below, axis=1)
    assert np.abs(radii - 1 - EPS).max() < 0.15 * EPS  # the ball has flat faces


def test_a_cup_wider_than_tau_is_left_alone() -> None:
    mesh = cup().mesh
    same = make_watertight(mesh, EPS, close_holes=0.1)
    assert same.audit["volume"] == make_watertight(mesh, EPS).audit["volume"]


def test_a_radius_within_the_shell_is_refused() -> None:
    with pytest.raises(ValueError, match="smallest"):
        make_watertight(open_ball(), EPS, close_holes=0.9 * smallest_tau(EPS))


def test_a_grid_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 100_000)
    with pytest.raises(MeshError, match=r"holes of radius 0\.55 would need .* larger radius"):
        hole_filling(open_ball(), 0.55, EPS)


def test_the_bunny_with_its_holes_becomes_solid() -> None:
    """The scan has two holes in its base: a thin shell, unless they are closed."""
    bunny = load_mesh(next(path for path in packaged_meshes() if path.name == BUNNY))
    thin = make_watertight(bunny, EPS)
    solid = make_watertight(bunny, EPS, close_holes=0.15)
    assert solid.audit["volume"] > 2 * thin.audit["volume"]
    assert solid.audit["offset_max"] < 1e-5  # what float32 leaves
    assert solid.audit["components"] == 1
