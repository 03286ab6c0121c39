"""Whether faces meet after a change: by kernels near it, and by all faces against all."""

import numpy as np
import pytest

from preprocessing.mesh import Mesh
from preprocessing.settings import WatertightSettings
from preprocessing.shapes import box, sphere
from preprocessing.solid.bricks import spacing
from preprocessing.solid.crossings import crossing_faces, on_lattice
from preprocessing.solid.offset_surface import marching_surface
from preprocessing.solid.projection import Marched
from preprocessing.solid.remesh import halfedge_edit_kernels as kernels
from preprocessing.solid.remesh import meeting_kernels as meeting
from preprocessing.solid.remesh.near_kernels import gradients
from preprocessing.solid.remesh.remeshing import ALIKE
from preprocessing.solid.remesh.working import Working

EPS = 2 / 64
STEP = spacing(64)


def start_of(gap: float) -> Marched:
    """The offset of two boxes, with air `gap` cells thick about the plane x = 0 of grid corners
    between."""
    one = box((0.8, 1.0, 1.0)).mesh
    apart = 0.8 + 2 * EPS + gap * STEP
    vertices = np.concatenate([one.vertices, one.vertices + np.array([apart, 0, 0])])
    vertices[:, 0] -= apart / 2
    pair = Mesh(vertices, np.concatenate([one.faces, one.faces + len(one.vertices)]))
    return marching_surface(pair, WatertightSettings(eps=EPS))


def two_boxes(gap: float) -> Working:
    """As start_of, before remeshing."""
    start = start_of(gap)
    mesh = start.mesh
    everywhere = np.ones(len(mesh.vertices), bool)
    owner, none, near = np.zeros(len(mesh.faces), np.int32), ~everywhere, start.cover.near(EPS)
    return Working.of(mesh, start.gradient, owner, everywhere, none, none, near)


@pytest.mark.parametrize(("gap", "wanted"), [(0.3, True), (0.5, True), (0.8, False), (3.0, False)])
def test_vertices_beside_thin_air_are_tight(gap: float, wanted: bool) -> None:
    work = two_boxes(gap)
    facing = np.abs(work.vertices[:, 0]) < (0.5 * gap + 0.1) * STEP
    inner = facing & (np.abs(work.vertices[:, 1:]) < 0.4).all(axis=1)
    assert inner.sum() > 100
    assert (work.tight[inner] == (2 if wanted else 0)).all()
    assert not work.tight[np.abs(work.vertices[:, 0]) > 0.2].any()


@pytest.mark.parametrize("sharp", [True, False])
@pytest.mark.parametrize("gap", [0.2, 0.5])
def test_a_moved_vertex_is_clean_where_no_two_faces_meet(gap: float, sharp: bool) -> None:
    """Moves across the air and beside it, asked of the kernel, which asks near tight vertices
    whether or not the offset turns there, and of all faces."""
    work = two_boxes(gap)
    meeting.put_all(work.mesh)
    assert not crossing_faces(Mesh(work.vertices, work.faces), closed=True).any()
    draw = np.random.default_rng(0)
    ring, other = np.empty((2, kernels.MOST_SPOKES), np.int64)
    told = []
    for at in draw.choice(np.flatnonzero(work.tight == 2), 150):
        back = work.vertices[at].copy()
        shift = draw.normal(size=3) * (1, 0.3, 0.3) * 2 * gap * STEP
        work.vertices[at] = on_lattice(back + shift)
        clean = meeting.star_is_clean(work.mesh, at, sharp, ring, other)
        meets = crossing_faces(Mesh(work.vertices, work.faces), closed=True).any()
        assert clean == (not meets)
        told.append(clean)
        work.vertices[at] = back
    assert 20 < sum(told) < 130


@pytest.mark.parametrize("gap", [0.2, 0.5])
def test_a_pair_is_clean_where_neither_of_its_faces_meets_another(gap: float) -> None:
    """The tip of one of two faces moved across the air, asked of the kernel and of all faces."""
    work = two_boxes(gap)
    meeting.put_all(work.mesh)
    draw = np.random.default_rng(1)
    ring, other = np.empty((2, kernels.MOST_SPOKES), np.int64)
    beside = np.flatnonzero((work.tight[work.faces] == 2).all(axis=1))
    told = []
    for f in draw.choice(beside, 150):
        h = 3 * f + draw.integers(3)
        around = kernels.corners(work.faces, work.mates, h)
        pair = (int(f), int(work.mates[h]) // 3)
        back = work.vertices[around[2]].copy()
        work.vertices[around[2]] = on_lattice(
            back + draw.normal(size=3) * (1, 0.3, 0.3) * gap * STEP
        )
        clean = meeting.pair_is_clean(work.mesh, pair, around, False, ring, other)
        chosen = np.zeros(len(work.faces), bool)
        chosen[list(pair)] = True
        meets = crossing_faces(Mesh(work.vertices, work.faces), chosen, closed=True).any()
        assert clean == (not meets)
        told.append(clean)
        work.vertices[around[2]] = back
    assert 20 < sum(told) < 130


def test_faces_reach_no_farther_than_told_whatever_is_changed() -> None:
    """A vertex's longest edge, measured anew where something changed, is that of all its edges."""
    work = two_boxes(0.5)
    work.improve(start_of(0.5).cover.near(EPS), (0.05, ALIKE))
    alive = work.faces[work.faces[:, 0] >= 0]
    edges = alive[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    long = np.linalg.norm(work.vertices[edges[:, 0]] - work.vertices[edges[:, 1]], axis=1)
    longest = np.zeros(len(work.vertices))
    np.maximum.at(longest, edges.ravel(), np.repeat(long, 2))
    assert (work.extent >= longest).all()
    assert work.extent[alive].max() < 3 * STEP


def test_finer_cells_lose_the_vertices_that_the_tolerance_does_not_need() -> None:
    """Two small spheres a fraction of a cell apart get fewer faces, within the tolerance, and none
    meet."""
    one = sphere(subdivisions=3).mesh
    small = one.vertices * (0.15 / np.abs(one.vertices).max())
    shift = np.array([0.15 + EPS + 0.2 * STEP, 0, 0])
    pair = Mesh(
        np.concatenate([small - shift, small + shift]),
        np.concatenate([one.faces, one.faces + len(small)]),
    )
    start = marching_surface(pair, WatertightSettings(eps=EPS))
    near, nowhere = start.cover.near(EPS), np.zeros(len(start.mesh.vertices), bool)
    left = []
    for finer in (nowhere, ~nowhere):
        owner = np.zeros(len(start.mesh.faces), np.int32)
        work = Working.of(start.mesh, start.gradient, owner, ~nowhere, nowhere, finer, near)
        work.tidy(near, (0.05, ALIKE))
        for _ in range(2):
            work.thin(near, 0.2, ~work.frozen)
        assert len(work.crossing()) == 0
        left.append(work.finished()[0])
    assert len(left[1].faces) < 0.9 * len(left[0].faces)
    middles = left[1].triangles.mean(axis=1)
    assert np.abs(gradients(near, middles)[0] - EPS).max() < 0.25 * EPS
