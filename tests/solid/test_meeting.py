"""Whether faces meet after a change: by kernels near it, and by all faces against all."""

import numpy as np
import pytest

from preprocessing.mesh import Mesh
from preprocessing.settings import WatertightSettings
from preprocessing.shapes import box
from preprocessing.solid.bricks import spacing
from preprocessing.solid.crossings import crossing_faces, on_lattice
from preprocessing.solid.offset_surface import marching_surface
from preprocessing.solid.remesh import halfedge_edit_kernels as kernels
from preprocessing.solid.remesh import meeting_kernels as meeting
from preprocessing.solid.remesh.working import Working

EPS = 2 / 64
STEP = spacing(64)


def two_boxes(gap: float) -> Working:
    """The offset of two boxes before remeshing, with air `gap` cells thick about the plane x = 0 of
    grid corners between."""
    one = box((0.8, 1.0, 1.0)).mesh
    apart = 0.8 + 2 * EPS + gap * STEP
    vertices = np.concatenate([one.vertices, one.vertices + np.array([apart, 0, 0])])
    vertices[:, 0] -= apart / 2
    pair = Mesh(vertices, np.concatenate([one.faces, one.faces + len(one.vertices)]))
    start = marching_surface(pair, WatertightSettings(eps=EPS))
    mesh = start.mesh
    everywhere = np.ones(len(mesh.vertices), bool)
    owner = np.zeros(len(mesh.faces), np.int32)
    return Working.of(mesh, start.gradient, owner, everywhere, ~everywhere, start.cover.near(EPS))


@pytest.mark.parametrize(("gap", "wanted"), [(0.5, True), (0.9, True), (1.4, False), (3.0, False)])
def test_vertices_beside_thin_air_are_tight(gap: float, wanted: bool) -> None:
    work = two_boxes(gap)
    facing = np.abs(work.vertices[:, 0]) < (0.5 * gap + 0.1) * STEP
    inner = facing & (np.abs(work.vertices[:, 1:]) < 0.4).all(axis=1)
    assert inner.sum() > 100
    assert (work.tight[inner] == (2 if wanted else 0)).all()
    assert not work.tight[np.abs(work.vertices[:, 0]) > 0.2].any()


@pytest.mark.parametrize("sharp", [True, False])
@pytest.mark.parametrize("gap", [0.3, 0.8])
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


@pytest.mark.parametrize("gap", [0.3, 0.8])
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
