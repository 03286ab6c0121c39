"""The field that the outside reaches has the same outer shells as the whole one."""

import numpy as np
import pytest
from soups import soup

from preprocessing.distance.queries import unsigned_distance
from preprocessing.mesh import Mesh, normalise
from preprocessing.shapes import box, box_in_box, cup, random_rotation, scattered_parts, sphere
from preprocessing.solid.bricks import spacing
from preprocessing.solid.exterior import exterior_field
from preprocessing.solid.isosurface import extract_surface
from preprocessing.solid.offset_field import offset_field, triangle_bricks
from preprocessing.solid.remesh.near_kernels import gradients
from preprocessing.solid.shells import outer_shells

RESOLUTION = 64
EPS = 2 / RESOLUTION


def crowded(count: int, seed: int) -> Mesh:
    """A box full of random triangles."""
    draw = np.random.default_rng(seed)
    hull = box((2, 2, 2)).mesh
    corners = draw.uniform(-0.8, 0.8, (count, 1, 3)) + draw.normal(0, 0.05, (count, 3, 3))
    inner = np.clip(corners, -0.9, 0.9).reshape(-1, 3)
    faces = np.arange(3 * count).reshape(-1, 3) + len(hull.vertices)
    return Mesh(np.vstack([hull.vertices, inner]), np.vstack([hull.faces, faces]))


def pose(seed: int) -> np.ndarray:
    return random_rotation(np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(4))
def test_the_distance_is_known_down_to_the_bottom_of_a_crevice(seed: int) -> None:
    """Two plates at 25 degrees: the air between them ends beyond the last corner outside."""
    way = np.array([np.cos(np.radians(25)), np.sin(np.radians(25)), 0.0])
    ends = np.array([[0, 0, -1], [0, 0, 1.0]])
    corners = np.vstack([ends, ends + 1.5 * np.eye(3)[0], ends, ends + 1.5 * way])
    faces = np.array([[0, 1, 2], [1, 3, 2], [4, 5, 6], [5, 7, 6]])
    mesh, _ = normalise(Mesh(corners @ pose(seed), faces))
    step = spacing(RESOLUTION)
    reach = EPS + step
    field, cover = exterior_field(triangle_bricks(mesh, RESOLUTION, 1.0001 * reach), EPS)
    vertices = extract_surface(field).vertices
    draw = np.random.default_rng(seed)
    points = vertices[draw.integers(0, len(vertices), 20_000)]
    points = points + draw.uniform(-2.0, 2.0, points.shape) * step
    true = unsigned_distance(mesh, points)
    found = gradients(cover.near(EPS), points)[0]
    asked = true < reach
    assert asked.sum() > 10_000
    assert np.abs(found - true)[asked].max() < 1e-6


@pytest.mark.parametrize(
    "mesh",
    [
        sphere(subdivisions=3).mesh,
        cup(pose=pose(1)).mesh,
        box_in_box(pose=pose(2)).mesh,
        scattered_parts(4).mesh,
        crowded(300, 0),
        *(soup(seed) for seed in range(6)),
    ],
)
def test_the_outer_shells_are_those_of_the_whole_field(mesh: Mesh) -> None:
    mesh, _ = normalise(mesh)
    cover = triangle_bricks(mesh, RESOLUTION, 1.0001 * (EPS + spacing(RESOLUTION)))
    whole = offset_field(cover, EPS)
    plain = outer_shells(extract_surface(whole), whole)
    field, part = exterior_field(cover, EPS)
    found = extract_surface(field)

    def solid(surface) -> set:  # type: ignore[no-untyped-def,type-arg]
        return set(map(bytes, np.sort(surface.vertices[surface.faces], axis=1)))

    assert solid(found) == solid(plain)
    assert len(field.bricks) <= len(part.bricks) <= len(cover.bricks)
    assert np.array_equal(part.bricks[: len(field.bricks)], field.bricks)
    assert (np.diff(part.offsets) > 0).all()


def test_what_is_enclosed_is_not_measured() -> None:
    mesh, _ = normalise(crowded(3000, 1))
    cover = triangle_bricks(mesh, 256, 1.0001 * (2 / 256 + spacing(256)))
    field, part = exterior_field(cover, 2 / 256)
    # Six walls of 32 by 32 bricks, one or two deep, and lists one deeper.
    assert len(field.bricks) < 2 * 6 * 33**2 < 0.5 * len(cover.bricks)
    assert len(part.bricks) < 3 * 6 * 33**2 < len(cover.bricks)
