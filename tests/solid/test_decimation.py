"""Decimation: as many faces as asked for, near the surface, the same every time."""

import numpy as np

from preprocessing.distance.queries import unsigned_distance
from preprocessing.scenes import scene
from preprocessing.shapes import box, sphere
from preprocessing.solid.audit import topology
from preprocessing.solid.remesh.decimation import decimate, decimate_closed
from preprocessing.solid.watertight import make_watertight


def test_a_sphere_at_a_tenth_of_its_faces() -> None:
    mesh = sphere(1.0, 4).mesh
    small = decimate(mesh, len(mesh.faces) // 10)
    assert 0.9 * len(mesh.faces) // 10 <= len(small.faces) <= len(mesh.faces) // 10
    assert unsigned_distance(mesh, small.vertices).max() < 0.02
    assert unsigned_distance(small, mesh.vertices).max() < 0.02
    again = decimate(mesh, len(mesh.faces) // 10)
    assert again.vertices.tobytes() == small.vertices.tobytes()
    assert np.array_equal(again.faces, small.faces)


def test_flat_faces_cost_nothing() -> None:
    """The offset of a box keeps its volume when nearly all of its flat faces go."""
    solid = make_watertight(box((2.0, 1.0, 0.5)).mesh, 2 / 64)
    small = decimate(solid.mesh, 1500)
    assert len(small.faces) <= 1500
    assert unsigned_distance(solid.mesh, small.vertices).max() < 0.2 * 2 / 64


def test_a_mesh_with_no_more_faces_comes_back_as_it_is() -> None:
    mesh = box().mesh
    assert decimate(mesh, 12) is mesh


def test_what_is_closed_stays_closed_where_the_quick_way_leaves_holes() -> None:
    solid = make_watertight(scene(99, 14), 2 / 128).mesh
    assert not topology(decimate(solid, 2700)).watertight  # else another scene is to be found
    small = decimate_closed(solid, 2700)
    assert topology(small).watertight
    assert len(small.faces) <= 2700
