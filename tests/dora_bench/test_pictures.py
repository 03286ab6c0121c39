"""Light copies: near the mesh, with its edges, in time and memory that grow with the faces."""

import numpy as np
import pytest

from dora_bench.rows.pictures import FACES, clustered, light_copy
from preprocessing.distance.queries import unsigned_distance
from preprocessing.mesh import Mesh, normalise
from preprocessing.points.edges import salient_edges
from preprocessing.shapes import box, gear, sphere
from preprocessing.solid.remesh.simplify import probe_points


def split(mesh: Mesh, times: int) -> Mesh:
    """Every face cut into four, `times` over."""
    for _ in range(times):
        a, b, c = (mesh.faces[:, k] for k in range(3))
        ends = np.sort(np.concatenate([[a, b], [b, c], [c, a]], axis=1).T, axis=1)
        edges, row = np.unique(ends, axis=0, return_inverse=True)
        ab, bc, ca = len(mesh.vertices) + row.reshape(3, -1)
        vertices = np.concatenate([mesh.vertices, mesh.vertices[edges].mean(axis=1)])
        parts = ([a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca])
        mesh = Mesh(vertices, np.concatenate([np.stack(part, axis=1) for part in parts]))
    return mesh


@pytest.mark.parametrize(("shape", "times"), [(box(), 7), (gear(), 4), (sphere(), 3)])
def test_a_light_copy_is_near_both_ways_and_keeps_edges(shape, times: int) -> None:
    mesh = split(normalise(shape.mesh)[0], times)
    small = light_copy(mesh)
    assert len(mesh.faces) > 2 * FACES
    assert len(small.faces) <= FACES
    assert unsigned_distance(mesh, probe_points(small)).max() < 0.03
    assert unsigned_distance(small, mesh.vertices[::17]).max() < 0.03
    if shape.id == "box":
        ends = salient_edges(small, 15).segments.reshape(-1, 3)
        sides = np.abs(np.abs(ends) - mesh.vertices.max(axis=0)) < 0.01
        assert (sides.sum(axis=1) >= 2).all()  # every edge that is left is one of the box


def test_a_mesh_that_is_light_comes_back_as_it_is() -> None:
    mesh = sphere(subdivisions=2).mesh
    assert light_copy(mesh) is mesh


def test_a_cloud_of_separate_faces_survives() -> None:
    corners = np.random.default_rng(0).uniform(-1, 1, (60_000, 3))
    soup = Mesh(corners, np.arange(60_000).reshape(-1, 3))
    small = light_copy(soup)
    assert 0 < len(small.faces) <= 60_000
    assert np.isfinite(small.vertices).all()


def test_faces_within_one_cell_leave_nothing_and_then_the_mesh_stays() -> None:
    mesh = sphere(subdivisions=2).mesh
    assert len(clustered(mesh, 1).faces) == 0 or np.isfinite(clustered(mesh, 1).vertices).all()
