"""Generated shapes: closed forms for volume and edges, and the same shapes for the same seed."""

import numpy as np
import pytest

from preprocessing import shapes
from preprocessing.half_edges import count_components, edge_faults
from preprocessing.mesh import Mesh, validate
from preprocessing.points.edges import salient_edges
from preprocessing.shape_builders import clip_ears
from preprocessing.shapes import KINDS, generate_shapes, random_rotation

TURN = random_rotation(np.random.default_rng(7))
OPEN = {"sheet"}
FAULTY = {"flipped_faces", "duplicated_faces", "seam"}


def volume(mesh: Mesh) -> float:
    a, b, c = mesh.triangles.transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def edge_lengths(shape: shapes.Shape) -> np.ndarray:
    return np.linalg.norm(shape.true_edges[:, 1] - shape.true_edges[:, 0], axis=1)


def round_edge(count: int, radius: float, segments: int) -> float:
    """Length of `count` polygons with `segments` corners on a circle."""
    return count * segments * 2 * radius * np.sin(np.pi / segments)


def polygon_area(radius: float, segments: int) -> float:
    return segments / 2 * radius**2 * np.sin(2 * np.pi / segments)


DISC = polygon_area(1.0, 128)
CLOSED_FORMS = {
    "box": (shapes.box((3.0, 2.0, 1.0), TURN), 6.0, 4 * (3 + 2 + 1), [90.0]),
    "wedge": (
        shapes.wedge(40.0, 2.0, 1.5, TURN),
        2 * np.sin(np.radians(40)) * 1.5,
        3 * 1.5 + 2 * (4 + 4 * np.sin(np.radians(20))),
        [90.0, 110.0, 140.0],
    ),
    "prism": (shapes.prism(6, 1.0, 2.0, TURN), 3 * 3**0.5, 12 + 12, [60.0, 90.0]),
    "cylinder": (
        shapes.cylinder(0.5, 2.0, 128, TURN),
        DISC * 0.25 * 2,
        round_edge(2, 0.5, 128),
        [90.0],
    ),
    "cone": (
        shapes.cone(0.8, 1.5, 0.0, 128, TURN),
        DISC * 0.64 * 0.5,
        round_edge(1, 0.8, 128),
        [180 - np.degrees(np.arctan2(1.5, 0.8 * np.cos(np.pi / 128)))],
    ),
    "washer": (
        shapes.washer(1.0, 0.5, 0.4, 128, TURN),
        DISC * 0.75 * 0.4,
        round_edge(2, 1.0, 128) + round_edge(2, 0.5, 128),
        [90.0],
    ),
    "cup": (
        shapes.cup(1.0, 2.0, 0.25, 128, TURN),
        DISC * (2 - 0.5625 * 1.75),
        round_edge(2, 1.0, 128) + round_edge(2, 0.75, 128),
        [90.0],
    ),
    "stairs": (
        shapes.stairs(4, 2.0, 1.0, TURN),
        4 * (1 + 2 + 3 + 4) / 16,
        2 * 8 + 10 * 1.0,
        [90.0],
    ),
    "plate_with_holes": (
        shapes.plate_with_holes(3, 2, 0.5, 0.1, 0.2, 64, TURN),
        0.2 * (1.5 - 6 * polygon_area(0.1, 64)),
        2 * 5.0 + 4 * 0.2 + round_edge(12, 0.1, 64),
        [90.0],
    ),
}  # fmt: skip
"""Kind -> (shape, volume, total length of the true edges, their angles in degrees)."""


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_volume_edge_length_and_angles_in_closed_form(name: str) -> None:
    shape, expected, length, angles = CLOSED_FORMS[name]
    assert np.isclose(volume(shape.mesh), expected, rtol=1e-9)
    assert np.isclose(edge_lengths(shape).sum(), length, rtol=1e-9)
    assert np.allclose(np.unique(shape.true_angles.round(6)), np.sort(angles), atol=1e-5)


@pytest.mark.parametrize("shape", generate_shapes(42, seed=1), ids=lambda shape: shape.id)
def test_every_shape_is_what_its_kind_promises(shape: shapes.Shape) -> None:
    loaded = validate(shape.mesh.vertices, shape.mesh.faces)
    assert loaded.degenerate_faces == 0
    assert loaded.unused_vertices == 0
    assert shape.smooth == (len(shape.true_edges) == 0)
    assert shape.true_edges.shape == (len(shape.true_angles), 2, 3)
    faults = edge_faults(loaded.mesh.faces)
    if shape.kind not in OPEN | FAULTY:
        assert (faults.open_edges, faults.nonmanifold_edges, faults.flipped_edges) == (0, 0, 0)
        assert volume(shape.mesh) > 0
    assert (faults.open_edges > 0) == (shape.kind in OPEN)
    assert (faults.flipped_edges > 0) == (shape.kind == "flipped_faces")
    assert (faults.nonmanifold_edges > 0) == (shape.kind == "duplicated_faces")


# The others have true edges that are no dihedral edges of their mesh, or the other way round.
PLAIN = [
    shape
    for shape in generate_shapes(21, seed=2)
    if shape.kind not in OPEN | {"duplicated_faces", "box_in_box"}
]


@pytest.mark.parametrize("shape", PLAIN, ids=lambda shape: shape.id)
def test_true_edges_are_the_salient_edges_of_the_mesh(shape: shapes.Shape) -> None:
    """Where the shape is closed and whole, both definitions find the same segments and angles."""
    mesh = validate(shape.mesh.vertices, shape.mesh.faces).mesh
    found = salient_edges(mesh, 15.0)
    assert np.isclose(found.total_length, edge_lengths(shape).sum(), rtol=1e-9)

    def middles(segments: np.ndarray) -> np.ndarray:
        return np.round(segments.mean(axis=1), 9) + 0.0

    theirs, ours = middles(found.segments), middles(shape.true_edges)
    one, two = np.lexsort(theirs.T), np.lexsort(ours.T)
    assert np.allclose(theirs[one], ours[two], atol=1e-8)
    assert np.allclose(found.angles[one], shape.true_angles[two], atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "radius"),
    [
        (shapes.sphere(0.8, 4, TURN), lambda p: np.linalg.norm(p, axis=1) - 0.8),
        (
            shapes.torus(0.7, 0.2, pose=TURN),
            lambda p: (
                np.hypot(np.hypot((p @ TURN)[:, 0], (p @ TURN)[:, 1]) - 0.7, (p @ TURN)[:, 2]) - 0.2
            ),
        ),
        (
            shapes.capsule(0.3, 1.0, pose=TURN),
            lambda p: (
                np.hypot(
                    np.hypot((p @ TURN)[:, 0], (p @ TURN)[:, 1]),
                    np.maximum(np.abs((p @ TURN)[:, 2]) - 0.5, 0),
                )
                - 0.3
            ),
        ),
    ],
    ids=["sphere", "torus", "capsule"],
)
def test_smooth_shapes_lie_on_their_surface_and_have_no_edge(shape, radius) -> None:
    assert shape.smooth
    assert np.abs(radius(shape.mesh.vertices)).max() < 1e-12
    assert len(salient_edges(shape.mesh, 15.0)) == 0


def test_components_are_as_many_as_parts() -> None:
    for shape, parts in [
        (shapes.wheel_on_axle(pose=TURN), 3),
        (shapes.box_in_box(), 2),
        (shapes.scattered_parts(6, seed=3), 6),
        (shapes.gear(), 1),
    ]:
        mesh = shape.mesh
        assert count_components(mesh.faces, len(mesh.vertices)) == parts


def test_a_cavity_is_wound_inwards() -> None:
    assert np.isclose(volume(shapes.box_in_box(2.0, 1.0).mesh), 8 + 1)
    assert np.isclose(volume(shapes.box_in_box(2.0, 1.0, cavity=True).mesh), 8 - 1)


def test_the_rim_of_a_sheet_is_its_only_edge() -> None:
    shape = shapes.sheet(2.0, 1.0, 0.0, 10)
    assert np.isclose(edge_lengths(shape).sum(), 6.0)
    assert (shape.true_angles == 180.0).all()
    assert not shape.smooth


def test_a_seed_gives_the_same_shapes_however_many_are_asked_for() -> None:
    few, many = generate_shapes(5, seed=4), generate_shapes(30, seed=4)
    for one, two in zip(few, many, strict=False):
        assert one.id == two.id
        assert np.array_equal(one.mesh.vertices, two.mesh.vertices)
        assert np.array_equal(one.mesh.faces, two.mesh.faces)
    other = generate_shapes(5, seed=5)
    assert not np.array_equal(few[0].mesh.vertices, other[0].mesh.vertices)
    assert len({shape.id for shape in many}) == 30
    assert {shape.kind for shape in many} == set(KINDS)


def test_random_rotations_are_rotations() -> None:
    generator = np.random.default_rng(0)
    turns = np.array([random_rotation(generator) for _ in range(300)])
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3))
    assert np.allclose(np.linalg.det(turns), 1.0)
    assert np.abs(turns.mean(axis=0)).max() < 0.12  # uniform: every entry has mean 0, sd 0.033


def test_ear_clipping_covers_the_polygon_exactly() -> None:
    star = np.array([[0, 0], [4, 0], [4, 4], [3, 1], [2, 3], [1, 1], [0, 4]], float)
    a, b, c = star[clip_ears(star)].transpose(1, 0, 2)
    areas = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    x, y = star.T
    assert (areas > 0).all()
    assert np.isclose(areas.sum(), (x * np.roll(y, -1) - y * np.roll(x, -1)).sum())
    with pytest.raises(ValueError, match="counter-clockwise"):
        clip_ears(star[::-1])
