"""The mitred distance against closed forms, a brute-force twin, and its own continuity."""

from itertools import product

import numpy as np
import pytest
from plain_mitre import plain_mitred
from scipy.spatial import ConvexHull

from preprocessing.distance.mitre import mitre_features
from preprocessing.mesh import Mesh, normalise
from preprocessing.shapes import box, gear, prism, random_rotation, sheet, wedge
from preprocessing.solid.bricks import spacing
from preprocessing.solid.offset_field import triangle_bricks
from preprocessing.solid.offset_surface import REACH
from preprocessing.solid.remesh.near_kernels import gradients

RESOLUTION = 96
EPS = 2 / RESOLUTION
CUT = EPS + spacing(RESOLUTION)


def beyond(mitre: float) -> float:
    """As of a grid that no corner leaves."""
    return (np.hypot(mitre, 1) - 1) * EPS


def mitred(mesh: Mesh, points: np.ndarray, mitre: float) -> np.ndarray:
    """Distance (P,) as the watertight engine measures it, cut at eps and one cell."""
    cover = triangle_bricks(
        mesh, RESOLUTION, REACH * CUT, mitre_features(mesh, mitre, beyond(mitre))
    )
    return np.minimum(gradients(cover.near(EPS), points)[0], CUT)


def posed(mesh: Mesh, seed: int = 0) -> Mesh:
    turn = random_rotation(np.random.default_rng(seed))
    return normalise(Mesh(mesh.vertices @ turn.T, mesh.faces))[0]


def near_edges(mesh: Mesh, count: int, seed: int = 0) -> np.ndarray:
    """Points (count,3) round the faces, many of them round edges and corners."""
    draw = np.random.default_rng(seed)
    weight = draw.dirichlet((0.2, 0.2, 0.2), count)
    faces = mesh.faces[draw.integers(0, len(mesh.faces), count)]
    points = np.einsum("pc,pcx->px", weight, mesh.vertices[faces])
    return np.clip(points + draw.normal(0, EPS, points.shape), -1.049, 1.049)


def hull(points: np.ndarray) -> Mesh:
    """The convex hull of points, its faces outward."""
    found = ConvexHull(points)
    corners = points[found.simplices]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inward = np.einsum("fx,fx->f", normals, found.equations[:, :3]) < 0
    return Mesh(points, np.where(inward[:, None], found.simplices[:, ::-1], found.simplices))


def chamfered_box() -> Mesh:
    """A cube whose corners are cut off: the cutting planes lean over the ends of its edges."""
    signs = np.array(list(product((-1.0, 1.0), repeat=3)))
    return hull(np.concatenate([signs * np.where(np.arange(3) == k, 0.6, 1) for k in range(3)]))


def soup(seed: int, count: int = 30) -> Mesh:
    draw = np.random.default_rng(seed)
    corners = draw.uniform(-0.9, 0.9, (count, 1, 3)) + draw.normal(0, 0.15, (count, 3, 3))
    return Mesh(corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3))


def terrain(seed: int, side: int = 5) -> Mesh:
    """An open rough sheet: ridges, valleys, saddles, and an edge of three faces under a fin."""
    draw = np.random.default_rng(seed)
    x, y = np.meshgrid(*[np.linspace(-1, 1, side)] * 2, indexing="ij")
    places = np.stack([x, y, draw.normal(0, 0.3, (side, side))], -1).reshape(-1, 3)
    a = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    faces = np.concatenate(
        [np.stack(f, 1) for f in ((a, a + side, a + 1), (a + 1, a + side, a + side + 1))]
    )
    fin = [[side, 2 * side, len(places)]]
    return Mesh(np.concatenate([places, [[0.0, -1.0, 1.2]]]), np.concatenate([faces, fin]))


SHAPES = {
    "box": box().mesh,
    "wedge40": wedge(40).mesh,
    "wedge150": wedge(150).mesh,
    "prism": prism().mesh,
    "chamfer": chamfered_box(),
    "gear": gear().mesh,
    "soup": soup(1),
    "terrain": terrain(2),
    "rougher": terrain(3),
}


@pytest.mark.parametrize("mitre", [2.0, 4.0])
@pytest.mark.parametrize("name", SHAPES)
def test_it_is_that_of_the_plain_twin_and_continuous(name: str, mitre: float) -> None:
    mesh = posed(SHAPES[name], seed=len(name))
    points = near_edges(mesh, 2000)
    found = mitred(mesh, points, mitre)
    plain = plain_mitred(points, mesh.triangles, mitre, beyond(mitre))
    assert np.abs(found - np.minimum(plain, CUT)).max() < 1e-14
    # Nor does it jump: pairs from a ten-millionth to half an eps apart.
    draw = np.random.default_rng(1)
    away = draw.normal(size=points.shape) * 10.0 ** draw.uniform(-9, -2, (len(points), 1))
    change = np.abs(mitred(mesh, points + away, mitre) - found)
    assert (change <= np.sqrt(2) * np.linalg.norm(away, axis=1) + 1e-14).all()


def test_round_a_box_it_is_the_largest_coordinate() -> None:
    mesh = normalise(box((2.0, 2.0, 2.0)).mesh)[0]
    points = np.random.default_rng(0).uniform(-1.04, 1.04, (50_000, 3))
    points = points[np.abs(points).max(axis=1) > 1]
    beyond = np.abs(points).max(axis=1) - 1
    assert np.abs(mitred(mesh, points, 9.0) - np.minimum(beyond, CUT)).max() < 1e-15


@pytest.mark.parametrize("name", ["chamfer", "prism", "wedge150"])
def test_round_a_convex_solid_it_is_the_height_over_its_highest_plane(name: str) -> None:
    """As long as no mitre is longer than allowed and no edge shorter than one."""
    mesh = posed(SHAPES[name])
    planes = ConvexHull(mesh.vertices).equations
    points = near_edges(mesh, 5000)
    height = (points @ planes[:, :3].T + planes[:, 3]).max(axis=1)
    points, height = points[height > 0], height[height > 0]
    assert np.abs(mitred(mesh, points, 9.0) - np.minimum(height, CUT)).max() < 1e-14


def test_an_open_sheet_has_flat_rims() -> None:
    mesh = normalise(
        Mesh([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], [[0, 1, 2], [0, 2, 3]])
    )[0]
    points = np.random.default_rng(0).uniform(-1.04, 1.04, (50_000, 3)) * [1, 1, 0.05]
    height = np.maximum(np.abs(points[:, 2]), np.abs(points[:, :2]).max(axis=1) - 1)
    assert np.abs(mitred(mesh, points, 9.0) - np.minimum(height, CUT)).max() < 1e-15


@pytest.mark.parametrize("mitre", [1.2, 1.5, 2.0, 4.0])
def test_a_mitre_that_would_be_longer_than_allowed_is_bevelled(mitre: float) -> None:
    """How far the offset reaches is known: its edges end square."""
    mesh = posed(SHAPES["wedge40"])
    points = near_edges(mesh, 40_000)
    cover = triangle_bricks(mesh, RESOLUTION, REACH * 4 * CUT)
    euclidean = gradients(cover.near(EPS), points)[0]
    found = mitred(mesh, points, mitre)
    assert (found <= np.minimum(euclidean, CUT)).all()
    mitres = 1 / np.sin(np.radians([20, 35, 45]))
    bevels = 1 / np.cos(np.radians([35, 27.5, 22.5]))
    edge = np.where(mitres <= mitre, mitres, bevels).max()
    reach = euclidean[found < EPS].max() / EPS
    assert 0.88 * edge < reach <= np.hypot(edge, 1) + 1e-9


def test_a_face_without_an_area_leaves_what_it_touches_round() -> None:
    """It says nothing of the planes that meet there, and no distance may come to depend on it."""
    plain = normalise(box().mesh)[0]
    a, b = plain.vertices[plain.faces[0, :2]]
    more = Mesh(
        np.concatenate([plain.vertices, [0.3 * a + 0.7 * b]]),
        np.concatenate([plain.faces, [[*plain.faces[0, :2], len(plain.vertices)]]]),
    )
    _, count = mitre_features(plain, 2.0, EPS)
    _, fewer = mitre_features(more, 2.0, EPS)
    assert 12 + 8 == count > fewer > 12


def test_repeated_faces_and_split_vertices_change_nothing() -> None:
    mesh = posed(sheet().mesh)
    apart = Mesh(
        mesh.vertices[mesh.faces].reshape(-1, 3), np.arange(mesh.faces.size).reshape(-1, 3)
    )
    twice = Mesh(mesh.vertices, np.concatenate([mesh.faces, mesh.faces[::2, ::-1]]))
    counts = {mitre_features(one, 2.0, EPS)[1] for one in (mesh, apart, twice)}
    assert len(counts) == 1
