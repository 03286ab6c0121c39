"""Salient edges: closed forms, the plain definition, and what becomes of odd faces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.mesh import Mesh
from preprocessing.points.edges import level_of, salient_edges
from preprocessing.shapes import box, cylinder, random_rotation, sphere, torus, wedge


def rotation(seed: int) -> np.ndarray:
    return random_rotation(np.random.default_rng(seed))


def hinge(degrees: float) -> Mesh:
    """Two triangles that share the edge 0-1 and bend by `degrees` there."""
    turn = np.radians(degrees)
    vertices = [[0, 0, 0], [1, 0, 0], [0.4, 1, 0], [0.6, -np.cos(turn), np.sin(turn)]]
    return Mesh(np.array(vertices), np.array([[0, 1, 2], [1, 0, 3]]))


def plain_dihedrals(mesh: Mesh) -> dict[tuple[int, int], float]:
    """Edge -> angle between its faces, by loops, for clean manifold meshes."""
    corners = mesh.triangles
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    sides: dict[tuple[int, int], list[int]] = {}
    for f, face in enumerate(mesh.faces.tolist()):
        for k in range(3):
            a, b = face[k], face[(k + 1) % 3]
            sides.setdefault((min(a, b), max(a, b)), []).append(f)
    return {
        edge: np.degrees(np.arccos(np.clip(normals[f] @ normals[g], -1, 1)))
        for edge, (f, g) in sides.items()
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("angle", [1.0, 15.0, 30.0])
def test_clean_meshes_match_the_definition(seed, angle):
    noise = np.random.default_rng(seed)
    mesh = sphere(subdivisions=2, pose=rotation(seed)).mesh
    mesh = Mesh(mesh.vertices + noise.normal(scale=0.05, size=mesh.vertices.shape), mesh.faces)
    expected = {e: a for e, a in plain_dihedrals(mesh).items() if a > angle}
    found = salient_edges(mesh, angle)
    rows = [tuple(sorted(edge)) for edge in found.edges.tolist()]
    assert sorted(rows) == sorted(expected)
    np.testing.assert_allclose(found.angles, [expected[row] for row in rows], atol=1e-6)
    assert found.boundary_edges == found.nonmanifold_edges == 0


@pytest.mark.parametrize("pose", [np.eye(3), rotation(5)])
def test_a_box_has_its_twelve_edges(pose):
    found = salient_edges(box((2.0, 1.4, 1.0), pose=pose).mesh)
    np.testing.assert_allclose(found.angles, 90)
    assert found.total_length == pytest.approx(4 * (2.0 + 1.4 + 1.0))
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=1), 1)


@pytest.mark.parametrize("make", [sphere, torus])
def test_smooth_shapes_have_none(make):
    assert len(salient_edges(make(pose=rotation(7)).mesh)) == 0


@given(st.floats(0.1, 179.9), st.integers(0, 1000))
def test_the_angle_of_a_hinge_in_any_pose(degrees, seed):
    mesh = hinge(degrees)
    mesh = Mesh(mesh.vertices @ rotation(seed).T + 0.3, mesh.faces)
    found = salient_edges(mesh, 0.0)
    assert found.angles[0] == pytest.approx(degrees, abs=1e-6)
    assert found.edges.tolist() == [[0, 1]]
    assert found.lengths[0] == pytest.approx(1)
    assert len(salient_edges(mesh, degrees - 0.01)) == 1
    assert len(salient_edges(mesh, degrees + 0.01)) == 0
    assert found.boundary_edges == 4


def test_the_threshold_is_strict():
    mesh = Mesh(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]]), [[0, 1, 2], [1, 0, 3]])
    assert len(salient_edges(mesh, 90.0)) == 0
    assert len(salient_edges(mesh, 89.999)) == 1


def test_a_flipped_face_makes_no_edge():
    mesh = box().mesh
    flipped = mesh.faces.copy()
    flipped[3] = flipped[3, ::-1]
    found, whole = salient_edges(Mesh(mesh.vertices, flipped)), salient_edges(mesh)
    assert len(found) == len(whole) == 12
    np.testing.assert_allclose(found.angles, 90)


def test_edges_look_across_a_zero_area_face():
    """A hinge whose shared edge is split on one side: the sliver's short edges carry the angle."""
    mesh = hinge(70.0)
    vertices = np.vstack([mesh.vertices, [[0.3, 0, 0]]])
    faces = np.array([[0, 4, 2], [4, 1, 2], [0, 1, 4], [1, 0, 3]])
    found = salient_edges(Mesh(vertices, faces))
    assert sorted(sorted(e) for e in found.edges.tolist()) == [[0, 4], [1, 4]]
    np.testing.assert_allclose(found.angles, 70)
    assert found.total_length == pytest.approx(1)
    assert 2 not in found.faces  # the sliver is the side of no edge


def test_edges_look_across_two_zero_area_faces():
    mesh = hinge(70.0)
    vertices = np.vstack([mesh.vertices, [[0.3, 0, 0], [0.6, 0, 0]]])
    faces = np.array([[0, 4, 2], [4, 5, 2], [5, 1, 2], [4, 1, 5], [0, 1, 4], [1, 0, 3]])
    found = salient_edges(Mesh(vertices, faces))
    assert sorted(sorted(e) for e in found.edges.tolist()) == [[0, 4], [1, 5], [4, 5]]
    assert found.total_length == pytest.approx(1)


def test_a_small_cap_on_a_smooth_surface_is_folded_flat():
    """A vertex moved almost into an edge of a flat grid and lifted a little: no crease."""
    vertices = np.array(
        [[0, 0, 0], [1, 0, 0], [0.5, 0.02, 0.01], [0, 1, 0], [1, 1, 0], [0.5, -1, 0.0]]
    )
    faces = np.array([[0, 1, 2], [0, 2, 3], [2, 4, 3], [2, 1, 4], [1, 0, 5]])
    small = Mesh(
        np.vstack([vertices * 0.01, [[1, 0, 0], [2, 0, 0], [1, 1, 0]]]),
        np.vstack([faces, [[6, 7, 8]]]),
    )
    assert len(salient_edges(small)) == 0
    assert len(salient_edges(Mesh(vertices, faces))) > 0  # a large one is a real face


def test_a_face_that_names_a_vertex_twice_takes_no_part():
    mesh = hinge(70.0)
    found = salient_edges(Mesh(mesh.vertices, np.vstack([mesh.faces, [[0, 1, 1]]])))
    assert found.edges.tolist() == [[0, 1]]
    assert found.nonmanifold_edges == 0


def test_non_manifold_edges_are_counted_and_left_out():
    mesh = hinge(70.0)
    vertices = np.vstack([mesh.vertices, [[0.5, 0, 1]]])
    found = salient_edges(Mesh(vertices, np.vstack([mesh.faces, [[0, 1, 4]]])))
    assert (len(found), found.nonmanifold_edges, found.boundary_edges) == (0, 1, 6)


def test_zero_length_edges_are_left_out():
    mesh = box().mesh
    doubled = np.vstack([mesh.vertices, mesh.vertices[:1]])
    faces = np.vstack([mesh.faces, [[0, len(mesh.vertices), 1]]])
    found = salient_edges(Mesh(doubled, faces))
    assert (found.lengths > 0).all()


def test_a_fan_of_many_faces_is_matched():
    """A cone of 2,000 faces: one vertex with more half-edges than the small sort handles."""
    found = salient_edges(cylinder(segments=2000).mesh, 45.0)
    np.testing.assert_allclose(found.angles, 90, atol=1e-6)


def test_face_order_does_not_matter():
    mesh = wedge(40.0, pose=rotation(3)).mesh
    order = np.random.default_rng(0).permutation(len(mesh.faces))
    one, two = salient_edges(mesh), salient_edges(Mesh(mesh.vertices, mesh.faces[order]))
    assert {tuple(sorted(e)) for e in one.edges.tolist()} == {
        tuple(sorted(e)) for e in two.edges.tolist()
    }


def test_nothing_has_no_edges():
    found = salient_edges(Mesh(np.empty((0, 3)), np.empty((0, 3), int)))
    assert (len(found), found.total_length, found.segments.shape) == (0, 0.0, (0, 2, 3))


@pytest.mark.parametrize("angle", [-1.0, 180.0, np.nan])
def test_a_senseless_threshold_is_refused(angle):
    with pytest.raises(ValueError, match="angle"):
        salient_edges(box().mesh, angle)


@pytest.mark.parametrize(
    ("count", "level"),
    [(0, 0), (1, 1), (5000, 1), (5001, 2), (20000, 2), (20001, 3), (50000, 3), (50001, 4)],
)
def test_levels(count, level):
    assert level_of(count) == level


def test_the_other_published_level_limit():
    assert (level_of(15000), level_of(15000, "10000")) == (2, 3)
    with pytest.raises(ValueError, match="variant"):
        level_of(1, "30000")
