"""Remeshing: edits keep half-edges right, chords are near the offset, triangles are fair."""

from dataclasses import replace

import numpy as np
import pytest
from plain_offset import plain_distance, plain_topology

from preprocessing.half_edge_kernels import match_half_edges
from preprocessing.mesh import Mesh, normalise
from preprocessing.settings import WatertightSettings
from preprocessing.shapes import (
    box,
    cup,
    cylinder,
    gear,
    random_rotation,
    sphere,
    torus,
    wedge,
)
from preprocessing.solid.crossings import crossing_faces
from preprocessing.solid.offset_surface import marching_surface
from preprocessing.solid.remesh import halfedge_edit_kernels as kernels
from preprocessing.solid.remesh.change_kernels import _chord_near
from preprocessing.solid.remesh.deviation_kernels import TURNED, chord_deviation
from preprocessing.solid.remesh.remeshing import cubes, remesh, remesh_apart, seam_vertices
from preprocessing.solid.remesh.working import Working
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
    """Random flips, collapses, splits of edges and of faces, some of these taken back, with every
    array checked against a fresh match."""
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
    used, named, done = len(start.faces), len(start.vertices), [0, 0, 0, 0]
    rings = np.empty((2, 64), np.int64)
    for _ in range(room):
        alive = np.flatnonzero(faces[:, 0] >= 0)
        h = 3 * int(draw.choice(alive)) + int(draw.integers(3))
        kind = int(draw.integers(4))
        if kind == 0:
            tips = [faces[g // 3, (g % 3 + 2) % 3] for g in (h, mates[h])]
            if tips[0] == tips[1] or kernels.edge_between(faces, mates, leaving, *tips) >= 0:
                continue
            kernels.flip(faces, mates, leaving, h)
        elif kind == 1:
            count, _ = kernels.may_collapse(faces, mates, h, rings[0], rings[1])
            if not count:
                continue
            kernels.collapse(faces, mates, leaving, h, rings[0], count)
        elif kind == 2:
            kernels.split(faces, mates, leaving, h, named, used)
            used, named = used + 2, named + 1
        else:
            kernels.split_face(faces, mates, leaving, h // 3, named, used)
            if draw.random() < 0.3:
                kernels.unsplit_face(faces, mates, leaving, h // 3, used)
            else:
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


def test_a_sphere_of_few_facets_has_no_false_edge() -> None:
    """Its facets turn by 5.8 degrees: chords over their edges are off although normals agree."""
    solid = make_watertight(sphere(subdivisions=3).mesh, 2 / 256)
    assert dihedral_angles(solid.mesh).max() < 15


@pytest.mark.parametrize("seed", range(5))
def test_the_corner_of_three_sheets_is_met(seed: int) -> None:
    """Chords over the creases are right there before the faces between them are."""
    sheet = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.0]])
    sheets = np.concatenate([sheet, sheet[:, [2, 0, 1]], sheet[:, [1, 2, 0]]])
    faces = np.concatenate([[[k, k + 1, k + 2], [k, k + 2, k + 3]] for k in (0, 4, 8)])
    solid = make_watertight(Mesh(sheets @ pose(seed).T, faces), EPS)
    assert solid.audit["surface_max"] < 0.08


def test_chords_between_normals_that_differ_are_asked_at_their_quarters() -> None:
    """Against the distance itself, at the middle or at three places."""
    mesh, _ = normalise(gear(pose=pose(0)).mesh)
    start = marching_surface(mesh, WatertightSettings(eps=EPS, remesh=False))
    near, v, gradient = start.cover.near(EPS), start.mesh.vertices, start.gradient
    several = 0
    for a, b in start.mesh.faces[::31, :2]:
        turned = gradient[a] @ gradient[b] < TURNED
        shares = [0.5, 0.25, 0.75] if turned else [0.5]
        points = np.array([v[a] + t * (v[b] - v[a]) for t in shares])
        off = plain_distance(points, mesh.triangles) / EPS - 1
        found = chord_deviation(near, v, gradient, a, b)
        assert found == pytest.approx(off[np.abs(off).argmax()], abs=1e-9)
        for tolerance in (0.9, 1.1):
            near_enough = _chord_near(near, (v, gradient), a, b, tolerance * abs(found))
            assert near_enough == (tolerance > 1)
        several += int(np.abs(off).argmax() > 0)
    assert several > 10


def test_where_faces_met_the_surface_is_remeshed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half of a box is said to meet: it starts again, with every change there asked."""
    mesh = box(pose=pose(0)).mesh
    usual = make_watertight(mesh, EPS)
    found, calls = Working.crossing, []

    def said(work: Working) -> np.ndarray:
        calls.append(work)
        rows = np.flatnonzero(work.faces[:, 0] >= 0)
        half = rows[work.vertices[work.faces[rows], 0].max(axis=1) > 0]
        return half if len(calls) == 1 else found(work)

    monkeypatch.setattr(Working, "crossing", said)
    solid = make_watertight(mesh, EPS)
    assert len(calls) > 1
    assert solid.audit["self_intersections"] == 0
    assert solid.audit["surface_rms"] < 1.1 * usual.audit["surface_rms"]


@pytest.mark.parametrize("corners", ["round", "sharp"])
@pytest.mark.parametrize("make", [torus, gear])
def test_without_it_the_triangles_are_those_of_marching_cubes(make, corners: str) -> None:  # type: ignore[no-untyped-def]
    mesh, _ = normalise(make(pose=pose(1)).mesh)
    solid = make_watertight(mesh, EPS, remesh=False, corners=corners)
    marched = marching_surface(mesh, WatertightSettings(eps=EPS, corners=corners)).mesh
    assert solid.audit["watertight"]
    assert solid.audit["self_intersections"] == solid.audit["coincident"] == 0
    if corners == "round":
        assert solid.audit["offset_rms"] < 1e-3
        assert np.array_equal(solid.mesh.faces, marched.faces)
        assert np.abs(solid.mesh.vertices - marched.vertices).max() < 2**-20  # nudged, if anything
        better = make_watertight(mesh, EPS)
        assert len(better.mesh.faces) < len(marched.faces)


def test_a_finer_tolerance_is_nearer() -> None:
    mesh = box(pose=pose(3)).mesh
    found = [make_watertight(mesh, EPS, tolerance=t).audit for t in (0.2, 0.05, 0.02)]
    assert found[0]["surface_rms"] > found[1]["surface_rms"] > found[2]["surface_rms"]
    assert found[0]["faces"] < found[1]["faces"] < found[2]["faces"]


def test_frozen_vertices_keep_their_faces() -> None:
    mesh, _ = normalise(box(pose=pose(1)).mesh)
    start = marching_surface(mesh, WatertightSettings(eps=EPS))
    surface = start.surface
    frozen = surface.vertices[:, 0] > 0
    solid, origin = remesh(replace(start, lid=frozen), EPS, 0.05)
    old = {tuple(face) for face in surface.faces.tolist() if frozen[face].all()}
    new = {tuple(face) for face in origin[solid.faces].tolist() if frozen[face].all()}
    turned = {face[k:] + face[:k] for face in new for k in range(3)}
    assert old
    assert old <= turned
    assert len(solid.faces) < len(surface.faces)
    assert not crossing_faces(solid, closed=True).any()
    np.testing.assert_array_equal(
        solid.vertices[frozen[origin]], surface.vertices[origin[frozen[origin]]]
    )


def test_cubes_meet_in_seam_vertices_alone() -> None:
    mesh, _ = normalise(torus(0.7, 0.3, pose=pose(2)).mesh)
    start = marching_surface(mesh, WatertightSettings(eps=EPS))
    whole = start.mesh
    owner = cubes(start)
    seam = seam_vertices(whole, owner)
    assert len(np.unique(owner)) == 8
    assert 0 < seam.mean() < 0.1
    shared = {int(v) for v in np.flatnonzero(seam)}
    for one in np.unique(owner):
        inside, outside = whole.faces[owner == one], whole.faces[owner != one]
        assert set(inside.ravel().tolist()) & set(outside.ravel().tolist()) <= shared


def test_where_faces_would_meet_the_surface_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faces said to cross twice are put back, their vertices frozen, and the rest is as good.

    They stay for that pass; slivers get another chance when the seams are remeshed after it.
    """
    mesh, _ = normalise(gear(pose=pose(2)).mesh)
    start = marching_surface(mesh, WatertightSettings(eps=EPS))
    plain, _ = remesh(start, EPS, 0.05)
    asked, found, said = Working.crossing, [], []

    def twice(work: Working) -> np.ndarray:
        if len(said) == 2:
            return asked(work)
        alive = np.flatnonzero(work.faces[:, 0] >= 0)
        new = alive[len(alive) // 3 :][:2]
        if said:
            new = alive[np.isin(work.origin[work.faces[alive]], found).any(axis=1)]
        else:
            found.extend(work.origin[work.faces[new]].ravel().tolist())
        said.append(new)
        return new

    monkeypatch.setattr(Working, "crossing", twice)
    surface, owner = start.mesh, cubes(start)
    frozen, none = start.stays | seam_vertices(surface, owner), np.zeros(len(start.stays), bool)
    near = start.cover.near(EPS)
    apart, _, origin = remesh_apart(surface, start.gradient, owner, frozen, none, near, 0.05)
    old = {tuple(face) for face in start.surface.faces.tolist() if set(face) & set(found)}
    new = {tuple(face) for face in origin[apart.faces].tolist()}
    turned = {face[k:] + face[:k] for face in new for k in range(3)}
    assert old
    assert old <= turned
    assert not crossing_faces(apart, closed=True).any()
    found.clear()
    said.clear()
    solid, _ = remesh(start, EPS, 0.05)
    assert found
    assert plain_topology(solid.faces) == (True, True, True)
    assert abs(len(solid.faces) - len(plain.faces)) < 0.02 * len(plain.faces)
    assert not crossing_faces(solid, closed=True).any()


@pytest.mark.parametrize("angle", [8.0, 20.0])
def test_sharp_wedges_do_not_cross_themselves(angle: float) -> None:
    """A notch so narrow that its two walls meet in a sharp crease."""
    for seed in range(2):
        audit = make_watertight(wedge(angle, pose=pose(seed)).mesh, EPS).audit
        assert audit["self_intersections"] == 0
        assert crossing_faces(make_watertight(notched(angle, seed), EPS).mesh).sum() == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("angle", [40.0, 60.0])
def test_crevices_are_followed_to_their_ground(angle: float, seed: int) -> None:
    """A crease between two plates, whatever its way through the grid: no chord bridges it."""
    solid = make_watertight(notched(angle, seed), EPS)
    assert solid.audit["surface_rms"] < 0.006
    assert solid.audit["surface_max"] < 0.2
    assert solid.audit["euler"] == 2
    assert np.quantile(smallest_angles(solid.mesh), 1e-4) > 10


def notched(angle: float, seed: int) -> Mesh:
    """Two plates that meet along an edge at a sharp angle: outside it the offset has a crease."""
    turn = np.radians(angle)
    plate = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]])
    other = plate @ np.array(
        [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    )
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return Mesh(np.vstack([plate, other]) @ pose(seed).T, np.vstack([faces, faces + 4]))


def arrays_of(mesh: Mesh) -> tuple[np.ndarray, ...]:
    """faces, mates and leaving, with two free faces and a free vertex."""
    faces = np.full((len(mesh.faces) + 2, 3), -1, np.int32)
    faces[:-2] = mesh.faces
    mates = np.full(3 * len(faces), -1, np.int32)
    mates[:-6] = match_half_edges(mesh.faces, len(mesh.vertices)).mates
    leaving = np.full(len(mesh.vertices) + 1, -1, np.int32)
    leaving[:-1] = kernels.leaving_halves(mesh.faces.astype(np.int32), len(mesh.vertices))
    return faces, mates, leaving


def test_a_flip_taken_back_leaves_every_half_edge_as_it_was() -> None:
    mesh = torus(0.7, 0.3, 12, 9).mesh
    start = arrays_of(mesh)
    for h in range(3 * len(mesh.faces)):
        faces, mates, leaving = (array.copy() for array in start)
        old, g = kernels.corners(faces, mates, h), mates[h]
        kernels.flip(faces, mates, leaving, h)
        assert kernels.edge_between(faces, mates, leaving, old[2], old[3]) >= 0
        kernels.unflip(faces, mates, leaving, h, g, old)
        np.testing.assert_array_equal(faces, start[0])
        np.testing.assert_array_equal(mates, start[1])
        assert all(faces[g // 3, g % 3] == v for v, g in enumerate(leaving[:-1]))


def test_collapses_and_splits_can_be_taken_back() -> None:
    mesh = torus(0.7, 0.3, 12, 9).mesh
    start = arrays_of(mesh)
    used, rings = len(mesh.faces), np.empty((2, 64), np.int64)
    for h in range(0, 3 * used, 7):
        faces, mates, leaving = (array.copy() for array in start)
        count, _ = kernels.may_collapse(faces, mates, h, rings[0], rings[1])
        if count:
            old = kernels.corners(faces, mates, h)
            kernels.collapse(faces, mates, leaving, h, rings[0], count)
            kernels.uncollapse(faces, mates, leaving, h, rings[0], count, old)
            np.testing.assert_array_equal(faces, start[0])
            np.testing.assert_array_equal(mates, start[1])
            assert all(faces[g // 3, g % 3] == v for v, g in enumerate(leaving[:-1]))
        kernels.split(faces, mates, leaving, h, len(mesh.vertices), used)
        kernels.unsplit(faces, mates, leaving, h // 3, used)
        again, before = (
            {min((*f[k:], *f[:k]) for k in range(3)) for f in rows.tolist()}
            for rows in (faces[:-2], mesh.faces)
        )
        assert again == before
        fresh = match_half_edges(faces[:-2].astype(np.int64), len(mesh.vertices)).mates
        np.testing.assert_array_equal(mates[:-6], fresh)
        assert all(faces[g // 3, g % 3] == v for v, g in enumerate(leaving[:-1]))
        assert leaving[-1] == faces[used, 0] == faces[used + 1, 0] == -1
