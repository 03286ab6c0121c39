"""Remeshing: edits keep half-edges right, chords are near the offset, triangles are fair."""

import numpy as np
import pytest
from plain_offset import plain_distance, plain_topology

from preprocessing.half_edge_kernels import match_half_edges
from preprocessing.mesh import Mesh, normalise
from preprocessing.shapes import box, cup, cylinder, gear, random_rotation, sphere, torus, wedge
from preprocessing.solid.crossings import crossing_faces
from preprocessing.solid.remesh import halfedge_edit_kernels as kernels
from preprocessing.solid.watertight import make_watertight

EPS = 2 / 96


def pose(seed: int) -> np.ndarray:
    return random_rotation(np.random.default_rng(seed))


def smallest_angles(mesh: Mesh) -> np.ndarray:
    """Degrees (F,)."""
    corners = mesh.triangles
    found = []
    for k in range(3):
        one = corners[:, (k + 1) % 3] - corners[:, k]
        two = corners[:, (k + 2) % 3] - corners[:, k]
        found.append(np.arctan2(np.linalg.norm(np.cross(one, two), axis=1), (one * two).sum(1)))
    return np.degrees(np.min(found, axis=0))


def dihedral_angles(mesh: Mesh) -> np.ndarray:
    """Degrees between the two faces of each edge, by the plain definition."""
    corners = mesh.triangles
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    mates = match_half_edges(mesh.faces, len(mesh.vertices)).mates
    h = np.flatnonzero(mates > np.arange(len(mates)))
    one, two = normal[h // 3], normal[mates[h] // 3]
    sine = np.linalg.norm(np.cross(one, two), axis=1)
    return np.degrees(np.arctan2(sine, (one * two).sum(axis=1)))


@pytest.mark.parametrize("seed", range(4))
def test_edits_keep_the_mesh_closed_and_its_half_edges_matched(seed: int) -> None:
    """Random flips, collapses and splits, with every array checked against a fresh match."""
    draw = np.random.default_rng(seed)
    start = torus(0.7, 0.3, 12, 9).mesh
    room = 400
    faces = np.full((len(start.faces) + 2 * room, 3), -1, np.int32)
    faces[: len(start.faces)] = start.faces
    mates = np.full(3 * len(faces), -1, np.int32)
    mates[: 3 * len(start.faces)] = match_half_edges(start.faces, len(start.vertices)).mates
    vertices = np.zeros((len(start.vertices) + room, 3))
    leaving = np.full(len(vertices), -1, np.int32)
    leaving[: len(start.vertices)] = kernels.leaving_halves(
        start.faces.astype(np.int32), len(start.vertices)
    )
    used, named, done = len(start.faces), len(start.vertices), [0, 0, 0]
    rings = np.empty((2, 64), np.int64)
    for _ in range(room):
        alive = np.flatnonzero(faces[:, 0] >= 0)
        h = 3 * int(draw.choice(alive)) + int(draw.integers(3))
        kind = int(draw.integers(3))
        if kind == 0:
            tips = [faces[g // 3, (g % 3 + 2) % 3] for g in (h, mates[h])]
            if tips[0] == tips[1] or kernels.joined(faces, mates, leaving, *tips):
                continue
            kernels.flip(faces, mates, leaving, h)
        elif kind == 1:
            count, _ = kernels.may_collapse(faces, mates, h, rings[0], rings[1])
            if not count:
                continue
            kernels.collapse(faces, mates, leaving, h, rings[0], count)
        else:
            kernels.split(faces, mates, leaving, h, named, used)
            used, named = used + 2, named + 1
        done[kind] += 1
    assert min(done) > 30
    kept, old = kernels.compact(faces, len(faces), len(vertices))
    assert plain_topology(kept) == (True, True, True)
    assert len(old) - len(kept) // 2 == 0  # a torus: V - E + F = 0 with 2 E = 3 F
    alive = faces[:, 0] >= 0
    fresh = match_half_edges(faces[alive].astype(np.int64), len(vertices)).mates
    rows = np.cumsum(alive) - 1
    halves = np.flatnonzero(np.repeat(alive, 3))
    np.testing.assert_array_equal(3 * rows[mates[halves] // 3] + mates[halves] % 3, fresh)
    for v in old:
        assert faces[leaving[v] // 3, leaving[v] % 3] == v


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("make", [box, cylinder, cup, gear, wedge])
def test_right_between_the_vertices_and_fair(make, seed: int) -> None:  # type: ignore[no-untyped-def]
    """Random points of the faces, by brute force; angles; against the mesh without remeshing."""
    mesh, _ = normalise(make(pose=pose(seed)).mesh)
    solid = make_watertight(mesh, EPS)
    plain = make_watertight(mesh, EPS, tolerance=1.0)
    audit = solid.audit
    assert audit["self_intersections"] == audit["coincident"] == 0
    assert audit["surface_rms"] < 0.01
    assert audit["surface_max"] < 0.2  # where three sheets meet in a corner
    assert audit["surface_rms"] < 0.5 * plain.audit["surface_rms"]
    assert audit["offset_rms"] < 1e-3
    assert audit["faces"] < 1.5 * plain.audit["faces"]
    assert np.quantile(smallest_angles(solid.mesh), 1e-3) > 10
    some = solid.mesh.triangles[:: max(1, len(solid.mesh.faces) // 500)].mean(axis=1)
    error = plain_distance(some, mesh.triangles) / EPS - 1
    assert np.sqrt((error**2).mean()) < 0.02


@pytest.mark.parametrize("seed", range(3))
def test_smooth_shapes_have_no_false_edge_by_plain_angles(seed: int) -> None:
    for shape in (torus(0.7, 0.3, 96, 48, pose=pose(seed)), sphere(subdivisions=4)):
        solid = make_watertight(shape.mesh, 2 / 128)
        assert dihedral_angles(solid.mesh).max() < 15
        assert np.quantile(smallest_angles(solid.mesh), 1e-3) > 15


def test_a_finer_tolerance_is_nearer() -> None:
    mesh = box(pose=pose(3)).mesh
    found = [make_watertight(mesh, EPS, tolerance=t).audit for t in (0.2, 0.05, 0.02)]
    assert found[0]["surface_rms"] > found[1]["surface_rms"] > found[2]["surface_rms"]
    assert found[0]["faces"] < found[1]["faces"] < found[2]["faces"]


def test_frozen_vertices_keep_their_faces() -> None:
    from preprocessing.settings import WatertightSettings
    from preprocessing.solid.offset_surface import marching_surface
    from preprocessing.solid.remesh.remeshing import remesh

    mesh, _ = normalise(box(pose=pose(1)).mesh)
    surface, cover, _ = marching_surface(mesh, WatertightSettings(eps=EPS))
    start = Mesh(surface.vertices, surface.faces)
    frozen = start.vertices[:, 0] > 0
    solid, origin = remesh(start, cover, EPS, 0.05, frozen)
    old = {tuple(face) for face in start.faces.tolist() if frozen[face].all()}
    new = {tuple(face) for face in origin[solid.faces].tolist() if frozen[face].all()}
    turned = {face[k:] + face[:k] for face in new for k in range(3)}
    assert old
    assert old <= turned
    assert len(solid.faces) < len(start.faces)
    assert not crossing_faces(solid, closed=True).any()
    np.testing.assert_array_equal(
        solid.vertices[frozen[origin]], start.vertices[origin[frozen[origin]]]
    )
