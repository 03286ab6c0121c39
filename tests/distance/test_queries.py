"""Exact distance and its sign, against brute force over all triangles and the winding number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.distance.queries import closest_points, signed_distance, unsigned_distance
from preprocessing.distance.split_kernels import split_order
from preprocessing.mesh import Mesh, MeshError, load_mesh
from preprocessing.shapes import box, box_in_box, generate_shapes, random_rotation, sphere, torus


def winding_number(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """Generalised winding number by solid angles of all triangles (Van Oosterom 1983), (Q,)."""
    result = np.empty(len(points))
    for i, point in enumerate(points):
        a, b, c = np.moveaxis(mesh.triangles - point, 1, 0)
        la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
        up = np.einsum("ij,ij->i", a, np.cross(b, c))
        down = la * lb * lc
        down += np.einsum("ij,ij->i", a, b) * lc + np.einsum("ij,ij->i", b, c) * la
        down += np.einsum("ij,ij->i", c, a) * lb
        result[i] = np.arctan2(up, down).sum() / (2 * np.pi)
    return result


def segment_distance(points: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance of points (Q,1,3) to segments (F,3), (Q,F)."""
    along = b - a
    size = np.maximum((along * along).sum(-1), 1e-300)
    share = np.clip(((points - a) * along).sum(-1) / size, 0, 1)[..., None]
    return np.linalg.norm(points - a - share * along, axis=-1)


def plain_distance(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """Distance by brute force: the plane where the foot falls inside, else the three edges."""
    a, b, c = np.moveaxis(mesh.triangles, 1, 0)
    normal = np.cross(b - a, c - a)
    size = np.linalg.norm(normal, axis=1)
    unit = normal / np.maximum(size, 1e-300)[:, None]
    points = points[:, None]
    height = ((points - a) * unit).sum(-1)
    foot = points - height[..., None] * unit
    inside = np.ones(height.shape, bool)
    for start, stop in ((a, b), (b, c), (c, a)):
        inside &= (np.cross(stop - start, foot - start) * unit).sum(-1) >= 0
    edges = np.minimum.reduce(
        [segment_distance(points, *pair) for pair in ((a, b), (b, c), (c, a))]
    )
    return np.where(inside & (size > 0), np.minimum(np.abs(height), edges), edges).min(axis=1)


def soup(count: int, seed: int) -> Mesh:
    draw = np.random.default_rng(seed)
    centres = draw.uniform(-0.8, 0.8, (count, 1, 3))
    corners = centres + draw.normal(scale=0.2, size=(count, 3, 3))
    return Mesh(corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3))


def near_and_far(mesh: Mesh, count: int, seed: int) -> np.ndarray:
    """Points in the cube, beside the surface, on vertices' axes, and far away, (4 count,3)."""
    draw = np.random.default_rng(seed)
    corners = mesh.triangles[draw.integers(len(mesh.faces), size=count)]
    weights = draw.dirichlet([1, 1, 1], count)[..., None]
    surface = (corners * weights).sum(axis=1)
    return np.concatenate(
        [
            draw.uniform(-1.05, 1.05, (count, 3)),
            surface + draw.normal(scale=1e-3, size=surface.shape),
            corners[:, 0] + np.eye(3)[draw.integers(3, size=count)] * draw.normal(size=(count, 1)),
            draw.normal(scale=20.0, size=(count, 3)),
        ]
    )


@pytest.mark.parametrize("shape", range(10))
def test_signed_distance_of_generated_shapes(shape):
    found = [s for s in generate_shapes(20, seed=3) if is_closed(s.mesh)][shape]
    points = near_and_far(found.mesh, 25, shape)
    sdf = signed_distance(found.mesh, points)
    np.testing.assert_allclose(np.abs(sdf), plain_distance(found.mesh, points), atol=1e-12)
    assert np.array_equal(sdf > 0, winding_number(found.mesh, points) > 0.5)


def is_closed(mesh: Mesh) -> bool:
    try:
        signed_distance(mesh, np.zeros((1, 3)))
    except MeshError:
        return False
    return True


@given(st.integers(0, 10_000), st.integers(1, 60))
def test_unsigned_distance_of_a_soup(seed, count):
    mesh = soup(count, seed)
    points = near_and_far(mesh, 10, seed)
    np.testing.assert_allclose(
        unsigned_distance(mesh, points), plain_distance(mesh, points), atol=1e-12
    )


@pytest.mark.parametrize("scale", [1e-30, 1e-4, 1.0, 1e4, 1e30])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_many_triangles_of_all_sizes_anywhere(scale, offset):
    """Three levels of the tree, sides of 1e-6 to 1: what float32 leaves out is farther."""
    draw = np.random.default_rng(5)
    sizes = 10.0 ** draw.uniform(-6, 0, (5000, 1, 1))
    corners = draw.uniform(-1, 1, (5000, 1, 3)) + sizes * draw.normal(size=(5000, 3, 3))
    corners[:, :, 2] *= 0.1
    mesh = Mesh((offset + corners).reshape(-1, 3) * scale, np.arange(15_000).reshape(-1, 3))
    points = (offset + near_and_far(Mesh(corners.reshape(-1, 3), mesh.faces), 40, 2)) * scale
    np.testing.assert_allclose(
        unsigned_distance(mesh, points) / scale,
        plain_distance(Mesh(mesh.vertices / scale, mesh.faces), points / scale),
        atol=1e-11 * (1 + offset),
    )


def test_slivers_and_points_as_faces():
    draw = np.random.default_rng(0)
    a, b = draw.uniform(-1, 1, (2, 40, 3))
    thin = a + draw.uniform(size=(40, 1)) * (b - a)
    thin[::2] += 1e-9 * draw.normal(size=(20, 3))
    thin[::5] = a[::5]
    mesh = Mesh(np.stack([a, b, thin], axis=1).reshape(-1, 3), np.arange(120).reshape(-1, 3))
    points = near_and_far(mesh, 50, 1)
    np.testing.assert_allclose(
        unsigned_distance(mesh, points), plain_distance(mesh, points), atol=1e-9
    )


def test_closed_forms():
    points = np.random.default_rng(0).uniform(-1.05, 1.05, (5000, 3))
    half = np.array([1.0, 0.7, 0.5])
    beyond = np.abs(points) - half
    expected = -np.linalg.norm(np.maximum(beyond, 0), axis=1) - np.minimum(beyond.max(axis=1), 0)
    np.testing.assert_allclose(signed_distance(box(tuple(2 * half)).mesh, points), expected)
    ball = signed_distance(sphere(0.8, subdivisions=5).mesh, points)
    np.testing.assert_allclose(ball, 0.8 - np.linalg.norm(points, axis=1), atol=1.5e-3)


def test_points_on_the_surface_are_at_zero():
    mesh = torus().mesh
    assert np.abs(signed_distance(mesh, mesh.vertices)).max() < 1e-15


def test_rays_through_vertices_and_edges_count_once():
    """Points straight above, below and beside the vertices of a grid-aligned box."""
    mesh = box((2.0, 2.0, 2.0)).mesh
    axis = np.linspace(-2, 2, 9)
    points = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    inside = (np.abs(points) < 1).all(axis=1)
    surface = ~inside & (np.abs(points) <= 1).all(axis=1)
    sdf = signed_distance(mesh, points)
    assert (sdf[inside] > 0).all()
    assert (sdf[~inside & ~surface] < 0).all()
    assert (sdf[surface] == 0).all()


def test_overlapping_parts_are_one_solid():
    one = box((1.0, 1.0, 1.0)).mesh
    both = Mesh(
        np.vstack([one.vertices, one.vertices + np.array([0.5, 0, 0])]),
        np.vstack([one.faces, one.faces + len(one.vertices)]),
    )
    assert (signed_distance(both, np.array([[-0.25, 0, 0], [0.25, 0, 0], [0.75, 0, 0]])) > 0).all()
    assert signed_distance(both, np.array([[1.1, 0, 0]])) < 0


def test_the_answer_does_not_depend_on_the_other_points():
    mesh = torus(pose=random_rotation(np.random.default_rng(0))).mesh
    points = near_and_far(mesh, 300, 0)
    together = signed_distance(mesh, points)
    order = np.random.default_rng(1).permutation(len(points))
    np.testing.assert_allclose(signed_distance(mesh, points[order]), together[order], atol=1e-15)
    assert np.array_equal(signed_distance(mesh, points), together)


def test_closest_points_lie_on_the_named_face():
    mesh = box_in_box().mesh
    points = near_and_far(mesh, 100, 2)
    closest, distance, face, normal = closest_points(mesh, points)
    np.testing.assert_allclose(np.linalg.norm(points - closest, axis=1), distance, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1)
    for i in range(len(points)):
        one = Mesh(mesh.vertices, mesh.faces[face[i], None])
        assert plain_distance(one, closest[i, None])[0] < 1e-12


@pytest.mark.slow
def test_real_watertight_meshes_agree_with_the_winding_number(meshes_dir):
    from preprocessing.solid.watertight import make_watertight

    paths = sorted((meshes_dir / "objaverse").glob("*.glb"))
    for path in paths:
        mesh = make_watertight(load_mesh(path), eps=2 / 64).mesh
        points = near_and_far(mesh, 150, 0)
        sdf = signed_distance(mesh, points)
        off = np.abs(sdf) > 1e-12
        assert np.array_equal(sdf[off] > 0, winding_number(mesh, points[off]) > 0.5)
        np.testing.assert_allclose(np.abs(sdf[:40]), plain_distance(mesh, points[:40]), atol=1e-10)


def test_an_open_or_flipped_mesh_has_no_inside():
    whole = box().mesh
    turned = whole.faces.copy()
    turned[0] = turned[0, ::-1]
    for faces in (whole.faces[1:], turned):
        with pytest.raises(MeshError, match="make it watertight") as caught:
            signed_distance(Mesh(whole.vertices, faces), np.zeros((1, 3)))
        assert caught.value.reason == "not-closed"


def test_wrong_input_is_refused():
    with pytest.raises(MeshError) as caught:
        unsigned_distance(Mesh(np.zeros((3, 3)), np.empty((0, 3))), np.zeros((1, 3)))
    assert caught.value.reason == "empty"
    with pytest.raises(MeshError) as caught:
        unsigned_distance(Mesh(np.full((3, 3), np.nan), [[0, 1, 2]]), np.zeros((1, 3)))
    assert caught.value.reason == "not-finite"
    for points in (np.zeros(3), np.zeros((2, 2)), np.full((1, 3), np.inf)):
        with pytest.raises(ValueError, match="points must"):
            unsigned_distance(box().mesh, points)


@given(st.integers(1, 400), st.integers(1, 5), st.integers(0, 99))
def test_every_split_separates_at_a_median(count, leaf, seed):
    """Each node's left half lies at or below its right half along the longest side of both."""
    draw = np.random.default_rng(seed)
    points = draw.integers(0, 12, (count, 3)).astype(float)
    order = split_order(*np.ascontiguousarray(points.T), leaf)
    assert np.array_equal(np.sort(order), np.arange(count))
    runs = [points[order]]
    while runs:
        run = runs.pop()
        if len(run) > leaf:
            left = leaf
            while 2 * left < len(run):
                left *= 2
            axis = np.ptp(run, axis=0).argmax()
            assert run[:left, axis].max() <= run[left:, axis].min()
            runs += [run[:left], run[left:]]


def test_no_points_no_distances():
    assert signed_distance(box().mesh, np.empty((0, 3))).shape == (0,)
