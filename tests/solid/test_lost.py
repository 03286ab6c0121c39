"""Lost points: none of a ball, those at the bottom of a slot too narrow for the offset."""

import numpy as np

from preprocessing.mesh import Mesh
from preprocessing.shapes import box, sphere
from preprocessing.solid.lost import visible_points
from preprocessing.solid.watertight import make_watertight

EPS = 2 / 64


def blocks(gap: float) -> Mesh:
    """Two blocks side by side."""
    one = box((0.9, 1.0, 1.0)).mesh
    shift = np.array([0.9 + gap, 0, 0])
    return Mesh(
        np.vstack([one.vertices, one.vertices + shift]),
        np.vstack([one.faces, one.faces + len(one.vertices)]),
    )


def test_a_full_audit_counts_what_a_narrow_slot_hides() -> None:
    assert make_watertight(sphere(subdivisions=3).mesh, EPS, audit="full").audit["lost"] == 0
    narrow = make_watertight(blocks(EPS), EPS, audit="full").audit["lost"]
    wide = make_watertight(blocks(8 * EPS), EPS, audit="full").audit["lost"]
    assert 0.05 < narrow < 0.3
    assert wide == 0
    assert "lost" not in make_watertight(blocks(EPS), EPS).audit


def test_only_the_hull_of_nested_shapes_is_visible() -> None:
    inner, outer = sphere(0.3, subdivisions=3).mesh, sphere(1.0, subdivisions=3).mesh
    both = Mesh(
        np.vstack([outer.vertices, inner.vertices]),
        np.vstack([outer.faces, inner.faces + len(outer.vertices)]),
    )
    seen = visible_points(both)
    assert len(seen.points) > 100_000
    assert (np.linalg.norm(seen.points, axis=1) > 0.9).all()
