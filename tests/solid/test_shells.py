"""Which shells stay: outer ones all, voids and what is in them only when asked."""

import numpy as np
import pytest

from preprocessing.mesh import Mesh
from preprocessing.shapes import box_in_box, scattered_parts, sphere, wheel_on_axle
from preprocessing.solid.watertight import Watertight, make_watertight

EPS = 2 / 64


def ball(radius: float, center: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
    mesh = sphere(radius, subdivisions=3).mesh
    return Mesh(mesh.vertices + np.array(center), mesh.faces)


def inverted(mesh: Mesh) -> Mesh:
    return Mesh(mesh.vertices, mesh.faces[:, ::-1])


def together(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def components(mesh: Mesh, keep_cavities: bool = False) -> int:
    solid: Watertight = make_watertight(mesh, EPS, keep_cavities=keep_cavities)
    return int(solid.audit["components"])


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_k_separate_parts_give_k_components(count: int) -> None:
    places = [(0.9 * (i % 3), 0.9 * (i // 3), 0.1 * i) for i in range(count)]
    assert components(together(*(ball(0.3, place) for place in places))) == count


def test_generated_scenes() -> None:
    assert components(box_in_box().mesh) == 1
    assert components(wheel_on_axle().mesh) >= 1
    assert components(scattered_parts(5).mesh) == 5


HOLLOW = together(ball(1), inverted(ball(0.7)))


@pytest.mark.parametrize(
    ("mesh", "kept"),
    [
        (ball(1), 1),  # a closed surface is a solid, not a wall
        (inverted(ball(1)), 1),
        (HOLLOW, 2),
        (together(HOLLOW, ball(0.3)), 3),  # and a ball floating in the cavity
        (together(HOLLOW, ball(0.5), inverted(ball(0.3))), 4),
        (together(ball(1), ball(0.6)), 1),  # two nested outward balls: solid all through
    ],
)
def test_cavities(mesh: Mesh, kept: int) -> None:
    assert components(mesh) == 1
    assert components(mesh, keep_cavities=True) == kept


def test_randomly_wound_input_gives_no_evidence_of_a_cavity() -> None:
    mesh = ball(1)
    turned = mesh.faces.copy()
    some = np.random.default_rng(0).random(len(turned)) < 0.5
    turned[some] = turned[some, ::-1]
    assert components(Mesh(mesh.vertices, turned), keep_cavities=True) == 1


def test_a_kept_cavity_is_missing_from_the_volume() -> None:
    solid = make_watertight(HOLLOW, EPS, keep_cavities=True)
    expected = 4 / 3 * np.pi * ((1 + EPS) ** 3 - (0.7 - EPS) ** 3)
    assert solid.audit["volume"] == pytest.approx(expected, rel=0.02)
