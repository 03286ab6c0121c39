"""Predictions in another frame: found, named, and brought back."""

import numpy as np
import pytest
from bench_results import quick_scores
from hypothesis import given, settings
from hypothesis import strategies as st

from dora_bench.metrics import METRICS
from dora_bench.placing import align, box_note, misplaced, rotations
from preprocessing.mesh import Mesh, normalise
from preprocessing.shapes import Shape, box, gear, generate_shapes, l_bracket, sphere


def lopsided() -> Mesh:
    """A shape that no rotation between axes leaves as it is."""
    parts = [box().mesh, box().mesh, box().mesh]
    sizes = ([1, 0.2, 0.3], [0.15, 0.7, 0.1], [0.1, 0.15, 0.5])
    places = ([0, 0, 0], [0.8, 0.6, 0.1], [-0.7, 0.1, 0.4])
    vertices = [p.vertices * s + c for p, s, c in zip(parts, sizes, places, strict=True)]
    count = len(parts[0].vertices)
    faces = [parts[0].faces + count * k for k in range(3)]
    return normalise(Mesh(np.concatenate(vertices), np.concatenate(faces)))[0]


TRUTH = lopsided()
TILTED = ("000", "001", "003", "006")  # box, gear, L bracket and cylinder, turned at random


def test_the_rotations_are_the_group_of_the_cube() -> None:
    found = rotations()
    assert len({r.tobytes() for r in found}) == 24
    assert all(round(np.linalg.det(r)) == 1 for r in found)
    assert (found[0] == np.eye(3)).all()


@settings(max_examples=6)
@given(
    st.integers(0, 23),
    st.floats(-3, 3),
    st.tuples(*[st.floats(-100, 100)] * 3),
    st.floats(0, 0.01),
)
def test_similarity_finds_any_of_them_back(
    which: int, power: float, shift: tuple[float, ...], noise: float
) -> None:
    moved = TRUTH.vertices + noise * np.random.default_rng(0).standard_normal(TRUTH.vertices.shape)
    moved = 10**power * (moved @ rotations()[which].T) + shift
    placement = align(Mesh(moved, TRUTH.faces), TRUTH, "similarity")
    assert (placement.rotation == rotations()[which].T).all()
    assert placement.scale == pytest.approx(10**-power, rel=0.01 + 2 * noise)
    assert np.abs(placement.apply(moved) - TRUTH.vertices).max() < 1e-6 + 6 * noise


def test_a_shape_that_looks_the_same_is_not_turned() -> None:
    cube = normalise(box().mesh)[0]
    placement = align(Mesh(3 * cube.vertices + 1, cube.faces), cube, "similarity")
    assert placement.record()["align_axes"] == "+x +y +z"
    assert placement.scale == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: 1000 * v, ("scale looks wrong", "1000 times", "--align bbox")),
        (lambda v: v / 25.4, ("scale looks wrong", "--align bbox")),
        (lambda v: v + np.array([0.0, 5.0, 0.0]), ("position looks wrong", "--align bbox")),
        (lambda v: v[:, [1, 2, 0]], ("axes looks wrong", "--align similarity (axes +z +x +y")),
        (lambda v: 1000 * v[:, [1, 2, 0]], ("scale and axes look wrong", "--align similarity")),
    ],
)
def test_what_is_misplaced_is_told_with_the_way_out(change, words: tuple[str, ...]) -> None:
    message = misplaced(Mesh(change(TRUTH.vertices), TRUTH.faces), TRUTH)
    for part in words:
        assert part in message


@pytest.mark.parametrize("other", [sphere().mesh, gear().mesh, l_bracket().mesh])
def test_another_shape_is_bad_and_not_misplaced(other: Mesh) -> None:
    assert misplaced(normalise(other)[0], TRUTH) == ""


@pytest.mark.parametrize("shape", [s for s in generate_shapes(7, 0) if s.id[:3] in TILTED])
def test_the_whole_frame_is_bad_and_not_misplaced(shape: Shape) -> None:
    """A model of random weights says `inside` everywhere. Half that cube is three times nearer to
    a shape that stands askew, and not the shape."""
    cube = normalise(box((1, 1, 1)).mesh)[0]
    assert misplaced(Mesh(1.05 * cube.vertices, cube.faces), normalise(shape.mesh)[0]) == ""


def test_a_box_that_differs_is_noted() -> None:
    assert box_note(TRUTH, TRUTH) == ""
    assert "1.3 times" in box_note(Mesh(1.3 * TRUTH.vertices, TRUTH.faces), TRUTH)


@pytest.mark.parametrize("size", [1e-6, 50, 1e6])
def test_no_prediction_scores_worse_than_none(size: float) -> None:
    found = quick_scores(TRUTH, Mesh(size * TRUTH.vertices + size, TRUTH.faces))
    for name, metric in METRICS.items():
        low, high = sorted((0.0, metric.worst)) if metric.direction == "lower" else (0.0, 1.0)
        assert low <= found[name] <= high, name
