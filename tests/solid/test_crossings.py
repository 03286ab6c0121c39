"""Faces that meet: rational numbers against the kernels, and shapes that cross, touch, or not."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.solid.peer_crossings import meet, side
from preprocessing.mesh import Mesh
from preprocessing.shapes import box, random_rotation, sphere, torus
from preprocessing.solid import crossing_kernels as kernels
from preprocessing.solid.crossings import coincident_vertices, crossing_faces, on_lattice
from preprocessing.solid.isosurface_tables import (
    EDGE_AXIS,
    EDGE_OFFSET,
    triangle_table,
)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 40, 2**12, 2**23]))
def test_side_is_exact(seed: int, reach: int) -> None:
    """Points in one plane, moved off it by a step of the lattice or not at all."""
    draw = np.random.default_rng(seed)
    corner = draw.integers(-reach, reach + 1, (3, 3))
    weight = draw.integers(-2, 3, 2)
    other = corner[0] + weight @ (corner[1:] - corner[0]) + draw.integers(-1, 2, 3) * (seed % 2)
    points = np.vstack([corner, other]) / 2.0**23 + draw.integers(-1, 2) * 0.5
    if np.abs(points).max() >= 2:
        points = points / 8
        points = np.rint(points * 2**23) / 2**23
    assert kernels.side(points, 0, 1, 2, 3) == side(
        *(tuple(map(Fraction, p)) for p in points.tolist())
    )


def two(first: list, second: list) -> Mesh:
    """Two triangles with their corners by position: equal corners are one vertex."""
    corners = np.array([*first, *second], float) / 8
    places, faces = np.unique(corners, axis=0, return_inverse=True)
    return Mesh(places, faces.reshape(2, 3))


FLAT = [(0, 0, 0), (4, 0, 0), (0, 4, 0)]


@pytest.mark.parametrize(
    ("other", "meets"),
    [
        ([(1, 1, -1), (1, 1, 1), (5, 5, 1)], True),  # through the inside
        ([(1, 1, 0), (1, 1, 1), (5, 5, 1)], True),  # a corner on the inside
        ([(1, 1, 1), (1, 2, 1), (5, 5, 1)], False),  # above
        ([(2, 2, 0), (4, 4, 0), (4, 4, 3)], True),  # a corner on an edge
        ([(1, 1, 0), (2, 1, 0), (1, 2, 0)], True),  # inside, in the plane
        ([(5, 5, 0), (6, 5, 0), (5, 6, 0)], False),  # beside, in the plane
        ([(4, 0, 0), (0, 4, 0), (4, 4, 0)], False),  # across a shared edge, flat
        ([(4, 0, 0), (0, 4, 0), (1, 1, 0)], True),  # folded back over a shared edge
        ([(4, 0, 0), (0, 4, 0), (0, 0, 4)], False),  # a roof
        ([(0, 0, 0), (-4, 0, 0), (0, -4, 0)], False),  # a shared corner, flat
        ([(0, 0, 0), (4, 4, 0), (4, 4, 1)], True),  # a shared corner, along the inside
        ([(0, 0, 0), (1, 1, -1), (1, 1, 1)], True),  # a shared corner, through
        ([(0, 0, 0), (8, 0, 0), (0, 0, 4)], True),  # a shared corner, over an edge
        ([(0, 0, 0), (2, 2, 2), (-2, 0, 2)], False),
    ],
)
def test_pairs(other: list, meets: bool) -> None:
    mesh = two(FLAT, other)
    for turn, order in itertools.product(range(3), ([0, 1], [1, 0])):
        turned = Mesh(mesh.vertices, np.roll(mesh.faces[order], turn, axis=1))
        assert crossing_faces(turned).tolist() == [meets, meets]


def plain_meets(one: np.ndarray, two_: np.ndarray) -> bool:
    """Two triangles without common corners: is a point of both a solution of a linear program?"""
    from scipy.optimize import linprog

    equal = np.vstack([np.hstack([one.T, -two_.T]), [[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]])
    return bool(linprog(np.zeros(6), A_eq=equal, b_eq=[0, 0, 0, 1, 1], method="highs").success)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_pairs_against_a_linear_program(seed: int) -> None:
    draw = np.random.default_rng(seed)
    corners = draw.integers(-3, 4, (2, 3, 3)).astype(float)
    sides = corners[:, 1:] - corners[:, :1]
    if not np.cross(sides[:, 0], sides[:, 1]).any(axis=1).all():
        return
    if len(np.unique(corners.reshape(-1, 3), axis=0)) < 6:
        return
    mesh = Mesh(corners.reshape(-1, 3) / 4, np.arange(6).reshape(2, 3))
    assert crossing_faces(mesh).all() == plain_meets(*corners)


def test_two_shapes_that_cross_or_only_lie_close() -> None:
    ball = sphere(0.5, subdivisions=4).mesh
    for shift, crosses in ((0.3, True), (1.001, False), (0.0, True)):
        other = Mesh(ball.vertices + np.array([shift, 0, 0]), ball.faces)
        both = Mesh(
            on_lattice(np.vstack([ball.vertices, other.vertices])),
            np.vstack([ball.faces, ball.faces + len(ball.vertices)]),
        )
        found = crossing_faces(both)
        np.testing.assert_array_equal(crossing_faces(both, closed=True), found)
        assert found.any() == crosses
        if shift == 0.3:
            assert 0.01 < found.mean() < 0.3


@pytest.mark.parametrize("make", [sphere, torus, box])
def test_sound_shapes_have_none(make) -> None:  # type: ignore[no-untyped-def]
    mesh = make(pose=random_rotation(np.random.default_rng(1))).mesh
    assert not crossing_faces(Mesh(on_lattice(mesh.vertices), mesh.faces)).any()


def test_a_face_without_area_and_a_vertex_in_the_place_of_another() -> None:
    mesh = box().mesh
    sides = np.vstack([mesh.vertices, mesh.vertices[:1]])
    split = np.where(np.arange(len(mesh.faces))[:, None] == 0, len(mesh.vertices), mesh.faces)
    touching = Mesh(sides, np.where(mesh.faces == 0, split, mesh.faces))
    assert coincident_vertices(touching) == 1
    line = Mesh(np.array([[0, 0, 0], [1, 0, 0], [0.5, 0, 0]]), [[0, 1, 2]])
    assert crossing_faces(line).all()
    assert crossing_faces(Mesh(np.empty((0, 3)), np.empty((0, 3)))).shape == (0,)


def test_large_coordinates_are_scaled() -> None:
    mesh = sphere(300.0, subdivisions=3).mesh
    assert not crossing_faces(mesh).any()


def test_the_search_may_be_limited_to_pairs_with_some_faces() -> None:
    ball = sphere(0.5, subdivisions=4).mesh
    both = Mesh(
        on_lattice(np.vstack([ball.vertices, ball.vertices + np.array([0.3, 0, 0])])),
        np.vstack([ball.faces, ball.faces + len(ball.vertices)]),
    )
    chosen = np.zeros(len(both.faces), bool)
    assert not crossing_faces(both, chosen).any()
    chosen[:] = True
    every = crossing_faces(both)
    np.testing.assert_array_equal(crossing_faces(both, chosen), every)
    chosen[:] = False
    chosen[: len(ball.faces)] = True  # each crossing pair has one face of the first ball
    np.testing.assert_array_equal(crossing_faces(both, chosen), every)
    chosen[:] = False
    chosen[np.flatnonzero(every)[0]] = True
    found = crossing_faces(both, chosen)
    assert found[chosen].all()
    assert 1 < found.sum() < 20
    assert not (found & ~every).any()


@pytest.mark.parametrize("join", ["inside", "outside"])
def test_no_cell_crosses_itself_with_its_vertices_at_the_middles(join: str) -> None:
    """What keeping sheets apart ends in (embedding.py): all 256 patterns."""
    counts, edges = triangle_table(join)
    middle = on_lattice((EDGE_OFFSET + 0.5 * np.eye(3)[EDGE_AXIS]) / 2)
    for pattern in range(256):
        if counts[pattern]:
            assert not crossing_faces(Mesh(middle, edges[pattern, : counts[pattern]])).any(), (
                pattern
            )


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2), st.sampled_from([2, 5, 2**20]))
def test_random_pairs_against_rational_numbers(seed: int, shared: int, reach: int) -> None:
    """Faces with none, one or two common corners, often in one plane: the kernel's arithmetic
    against fractions, by the same cases, which also judge what another tool's filter selects."""
    draw = np.random.default_rng(seed)
    corners = draw.integers(-reach, reach + 1, (6 - shared, 3)).astype(float)
    if seed % 3 == 0:
        corners[:, 2] = corners[:, 0] - corners[:, 1]  # all in one plane, aslant
    if len(np.unique(corners, axis=0)) < len(corners):
        return
    faces = np.array([[0, 1, 2], [*range(shared), *range(3, 6 - shared)]])
    mesh = Mesh(corners / 2.0**23, faces)
    sides = np.cross(corners[faces[:, 1]] - corners[faces[:, 0]],
                     corners[faces[:, 2]] - corners[faces[:, 0]])  # fmt: skip
    if sides.any(axis=1).all():
        assert crossing_faces(mesh).tolist() == [meet(mesh, 0, 1)] * 2
