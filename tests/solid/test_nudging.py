"""Faces that only seem to meet are those of pymeshlab's filter; a step of the lattice ends it."""

import numpy as np

from benchmarks.solid.peer_crossings import selected
from preprocessing.mesh import Mesh
from preprocessing.solid.crossing_kernels import LATTICE
from preprocessing.solid.crossings import crossing_faces
from preprocessing.solid.remesh.nudging import nudge


def coplanar_pairs(count: int) -> Mesh:
    """Pairs of disjoint triangles in one oblique plane, each with corners on a coarse lattice."""
    random = np.random.default_rng(0)
    corners = []
    for _ in range(count):
        one, two = random.integers(-40000, 40000, (2, 3))
        share = random.integers(-2, 3, (6, 2))
        corners.append(random.integers(-7e6, 7e6, 3) + share[:, :1] * one + share[:, 1:] * two)
    pairs = np.arange(6 * count).reshape(count, 2, 3)
    mesh = Mesh(np.concatenate(corners) / LATTICE, pairs.reshape(-1, 3))
    apart = ~crossing_faces(mesh).reshape(-1, 2).any(axis=1)
    return Mesh(mesh.vertices, pairs[apart].reshape(-1, 3))


def test_what_seems_to_meet_is_what_the_filter_selects_and_is_nudged_apart() -> None:
    mesh = coplanar_pairs(4000)
    seeming = np.flatnonzero(crossing_faces(mesh, seeming=True))
    assert len(mesh.faces) > 1000
    assert seeming.tolist() == selected(mesh).tolist() != []

    moved = nudge(mesh)

    assert len(selected(moved)) == 0
    assert not crossing_faces(moved).any()
    assert not crossing_faces(moved, seeming=True).any()
    steps = np.abs(moved.vertices - mesh.vertices) * LATTICE
    assert steps.max() == 1
    assert 0 < (steps > 0).any(axis=1).sum() <= len(seeming)
    assert np.array_equal(moved.faces, mesh.faces)


def test_a_mesh_without_such_faces_comes_back_itself() -> None:
    mesh = coplanar_pairs(4000)
    kept = Mesh(mesh.vertices, mesh.faces[~crossing_faces(mesh, seeming=True)])
    assert nudge(kept) is kept
