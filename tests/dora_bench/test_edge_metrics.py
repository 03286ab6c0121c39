"""Distances to segments against brute force; angles at true edges against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dora_bench.edge_metrics import angle_to_nearer_face, segment_tree


def brute_force(points: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Distance from every point to the nearest segment, plainly."""
    start, along = segments[:, 0], segments[:, 1] - segments[:, 0]
    length2 = (along**2).sum(axis=1)
    offset = points[:, None] - start
    t = np.clip((offset * along).sum(-1) / np.where(length2 > 0, length2, 1), 0, 1)
    return np.linalg.norm(offset - t[..., None] * along, axis=-1).min(axis=1)


@given(st.integers(1, 70), st.integers(0, 10**6), st.sampled_from([0.0, 0.01, 1.0]))
def test_segment_distances_against_brute_force(count: int, seed: int, size: float) -> None:
    random = np.random.default_rng(seed)
    start = random.standard_normal((count, 1, 3))
    segments = np.concatenate([start, start + size * random.standard_normal((count, 1, 3))], axis=1)
    points = random.standard_normal((700, 3)) * random.choice([0.1, 1, 30])
    np.testing.assert_allclose(
        segment_tree(segments).distances(points), brute_force(points, segments), rtol=1e-12
    )


def test_no_segment_is_refused() -> None:
    with pytest.raises(ValueError, match="no segment"):
        segment_tree(np.empty((0, 2, 3)))


@pytest.mark.parametrize("tilt", [0.0, 1e-6, 0.1, 40.0])
def test_angle_to_the_nearer_face(tilt: float) -> None:
    sides = np.array([[[0.0, 0, 1], [0, 1, 0]]])
    normal = np.array([[0.0, math.sin(math.radians(tilt)), math.cos(math.radians(tilt))]])
    for sign in (1, -1):
        assert angle_to_nearer_face(sign * normal, sides)[0] == pytest.approx(tilt, abs=1e-9)


def test_a_rounded_edge_is_half_the_dihedral_off() -> None:
    sides = np.array([[[0.0, 0, 1], [0, 1, 0]]])
    bisector = np.array([[0, 1, 1]]) / math.sqrt(2)
    assert angle_to_nearer_face(bisector, sides)[0] == pytest.approx(45)
