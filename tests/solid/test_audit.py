"""The audit against dictionaries, on sound meshes and on every fault it must name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_offset import plain_topology

from preprocessing.mesh import Mesh
from preprocessing.shapes import box, sphere, torus
from preprocessing.solid.audit import offset_error, topology

TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])


def random_mesh(faces: np.ndarray) -> Mesh:
    count = int(faces.max()) + 1
    return Mesh(np.random.default_rng(0).random((count, 3)), faces)


@pytest.mark.parametrize(("shape", "euler"), [(box(), 2), (sphere(), 2), (torus(), 0)])
def test_sound_shapes(shape, euler: int) -> None:  # type: ignore[no-untyped-def]
    found = topology(shape.mesh)
    assert (found.watertight, found.edge_manifold, found.vertex_manifold) == (True,) * 3
    assert (found.components, found.euler) == (1, euler)
    assert found.volume > 0


def test_volume_is_signed_and_exact_far_from_the_origin() -> None:
    mesh = box((2.0, 1.0, 1.0)).mesh
    away = Mesh(mesh.vertices + 1e6, mesh.faces[:, ::-1])
    assert topology(mesh).volume == pytest.approx(2)
    assert topology(away).volume == pytest.approx(-2, rel=1e-9)


@pytest.mark.parametrize(
    ("faces", "expected"),
    [
        (TETRAHEDRON[:3], (False, True, False)),  # open
        (np.vstack([TETRAHEDRON[:3], [[0, 2, 3]]]), (False, False, False)),  # one face turned
        (np.vstack([TETRAHEDRON, TETRAHEDRON[:1]]), (False, False, False)),  # a face twice
        (np.vstack([TETRAHEDRON, [[0, 1, 4], [0, 4, 1]]]), (False, False, False)),  # a fin
    ],
)
def test_faults_have_names(faces: np.ndarray, expected: tuple[bool, bool, bool]) -> None:
    found = topology(random_mesh(faces))
    assert (found.watertight, found.edge_manifold, found.vertex_manifold) == expected


def test_two_solids_that_touch_in_a_vertex() -> None:
    other = np.where(TETRAHEDRON == 0, 0, TETRAHEDRON + 3)
    found = topology(random_mesh(np.vstack([TETRAHEDRON, other])))
    assert (found.watertight, found.edge_manifold, found.vertex_manifold) == (True, True, False)
    assert found.components == 1


def test_components_and_unused_vertices() -> None:
    vertices = np.random.default_rng(0).random((11, 3))
    found = topology(Mesh(vertices, np.vstack([TETRAHEDRON, TETRAHEDRON + 5])))
    assert (found.components, found.vertices, found.euler) == (2, 8, 4)


def test_no_faces() -> None:
    found = topology(Mesh(np.empty((0, 3)), np.empty((0, 3))))
    assert not found.watertight
    assert found.volume == 0


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(3, 7))
def test_random_faces_against_dictionaries(seed: int, count: int, vertices: int) -> None:
    generator = np.random.default_rng(seed)
    faces = np.array([generator.permutation(vertices)[:3] for _ in range(count)])
    if seed % 2:  # near a sound mesh, where faults are single
        faces = np.vstack([TETRAHEDRON, faces[: count % 3]])
    closed, manifold, fans = plain_topology(faces)
    found = topology(random_mesh(faces))
    assert found.watertight == closed
    assert found.edge_manifold == manifold
    if closed:
        assert found.vertex_manifold == fans
    edges = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    assert found.euler == len(np.unique(faces)) - len(edges) + len(faces)


def test_offset_error() -> None:
    assert offset_error(np.array([0.9, 1.1, 1.0]), 1.0) == pytest.approx((np.sqrt(0.02 / 3), 0.1))
