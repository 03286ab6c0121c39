"""Crevices thinner than a cell: followed to where they end, and sewn to the coarse surface."""

from functools import partial
from itertools import product

import numpy as np
import pytest
from soups import soup

from preprocessing.mesh import Mesh, normalise
from preprocessing.settings import WatertightSettings
from preprocessing.shapes import cup, gear, random_rotation, sphere
from preprocessing.solid.audit import contacts, spread_points, topology
from preprocessing.solid.bricks import brick_lookup, cells_at, spacing
from preprocessing.solid.crevices.crevice_kernels import FINE
from preprocessing.solid.crevices.exploring import WAYS, Crevices, explore
from preprocessing.solid.crevices.outside import outside_surface, sewn_on_offset
from preprocessing.solid.crevices.stitching import finer_surface, stitched
from preprocessing.solid.exterior import exterior_field
from preprocessing.solid.isosurface import CLEARANCE, BrickSurface, extract_surface
from preprocessing.solid.offset_field import TriangleBricks, triangle_bricks
from preprocessing.solid.offset_surface import marching_surface
from preprocessing.solid.remesh.near_kernels import gradients
from preprocessing.solid.remesh.remeshing import remesh
from preprocessing.solid.watertight import make_watertight

EPS = 2 / 64
STEP = spacing(64)


def pose(seed: int) -> np.ndarray:
    return random_rotation(np.random.default_rng(seed))


def sheets(*rectangles: list[list[float]]) -> Mesh:
    """Rectangles, three corners each: one, then those beside it."""
    corners, faces = [], []
    for one, two, other in np.array(rectangles, float):
        start = len(corners)
        corners += [one, two, other, two + other - one]
        faces += [[start, start + 1, start + 2], [start + 1, start + 3, start + 2]]
    return Mesh(np.array(corners), np.array(faces))


def plates(degrees: float, apart: float) -> Mesh:
    """Two plates that open by an angle, and the distance between their near edges."""
    x, y = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return sheets(
        [[0, 0, -0.6], [1.4, 0, -0.6], [0, 0, 0.6]],
        [[0, apart, -0.6], [1.4 * x, apart + 1.4 * y, -0.6], [0, apart, 0.6]],
    )


def slotted_box(gap: float) -> Mesh:
    """A hollow box whose lid is two rectangles, with a slot between them."""
    near, far = -gap / 2, gap / 2
    return sheets(
        [[-0.5, -0.5, -0.5], [0.5, -0.5, -0.5], [-0.5, 0.5, -0.5]],
        [[-0.5, -0.5, -0.5], [0.5, -0.5, -0.5], [-0.5, -0.5, 0.5]],
        [[-0.5, 0.5, -0.5], [0.5, 0.5, -0.5], [-0.5, 0.5, 0.5]],
        [[-0.5, -0.5, -0.5], [-0.5, 0.5, -0.5], [-0.5, -0.5, 0.5]],
        [[0.5, -0.5, -0.5], [0.5, 0.5, -0.5], [0.5, -0.5, 0.5]],
        [[-0.5, -0.5, 0.5], [near, -0.5, 0.5], [-0.5, 0.5, 0.5]],
        [[far, -0.5, 0.5], [0.5, -0.5, 0.5], [far, 0.5, 0.5]],
    )


def placed(mesh: Mesh, seed: int) -> Mesh:
    """The mesh turned and moved within a cell, in the normalised frame as it is."""
    shift = np.random.default_rng(seed).uniform(0, STEP, 3)
    middle = 0.5 * (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0))
    return Mesh((mesh.vertices - middle) @ pose(seed) + shift, mesh.faces)


def bricks_of(mesh: Mesh, resolution: int, eps: float) -> TriangleBricks:
    return triangle_bricks(mesh, resolution, 1.0001 * (eps + spacing(resolution)))


@pytest.mark.parametrize("degrees", [0.0, 4.0, 12.0])
def test_crevices_are_right_to_where_they_end(degrees: float) -> None:
    """A tenth of the area that is off where the grid alone decides, or less."""
    off = np.zeros((2, 4))
    for seed in range(4):
        apart = 2 * EPS + 0.4 * STEP if degrees == 0 else 0.0
        mesh = placed(plates(degrees, apart), seed)
        near = bricks_of(mesh, 64, EPS).near(EPS)
        for finer in (False, True):
            settings = WatertightSettings(eps=EPS, remesh=finer)
            solid, _ = remesh(marching_surface(mesh, settings), EPS, settings.tolerance)
            points = spread_points(solid.vertices, solid.faces, 400_000)
            off[int(finer), seed] = (np.abs(gradients(near, points)[0] / EPS - 1) > 0.1).mean()
        assert topology(solid).vertex_manifold
        assert contacts(solid).self_intersections == 0
    assert off[1].sum() < 0.1 * off[0].sum()
    assert off[1].max() < 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_a_wedge_of_air_is_closed_late(seed: int) -> None:
    """Its crease lies too deep for a chord across it, whose ends go down the walls instead."""
    x, y = 1.2 * np.cos(np.radians(8)), 1.2 * np.sin(np.radians(8))
    book = sheets(
        [[0, 0, -0.4], [1.2, 0, -0.4], [0, 0, 0.4]], [[0, 0, -0.4], [x, y, -0.4], [0, 0, 0.4]]
    )
    assert np.abs(errors(placed(book, seed))).max() < 0.12


@pytest.mark.parametrize("seed", range(4))
def test_a_crease_beside_an_arc_is_met(seed: int) -> None:
    """The round rim of one sheet meets the flat offset of another: chords over both, off on one
    side and then on the other, are right in their middles."""
    fin = sheets(
        [[-0.6, -0.6, 0], [0.6, -0.6, 0], [-0.6, 0.6, 0]],
        [[0, -0.6, 1.8 * EPS], [0, 0.6, 1.8 * EPS], [0, -0.6, 1.8 * EPS + 0.4]],
    )
    assert np.abs(errors(placed(fin, seed))).max() < 0.12


def errors(mesh: Mesh) -> np.ndarray:
    """Distance / eps - 1 at many points of the faces of the offset surface."""
    settings = WatertightSettings(eps=EPS)
    solid, _ = remesh(marching_surface(mesh, settings), EPS, settings.tolerance)
    points = spread_points(solid.vertices, solid.faces, 200_000)
    return gradients(bricks_of(mesh, 64, EPS).near(EPS), points)[0] / EPS - 1


@pytest.mark.parametrize("seed", range(4))
def test_a_slot_thinner_than_a_cell_leads_into_the_void_in_any_pose(seed: int) -> None:
    mesh = placed(slotted_box(2 * EPS + 0.5 * STEP), seed)
    solid = outside_surface(bricks_of(mesh, 64, EPS), EPS).mesh
    # The walls have two sides of about one square each; a closed box is all solid.
    assert topology(solid).volume == pytest.approx(6 * 2 * EPS, rel=0.2)
    closed = placed(slotted_box(1.2 * EPS), seed)
    solid = outside_surface(bricks_of(closed, 64, EPS), EPS).mesh
    assert topology(solid).volume > 1.0


def test_the_flood_goes_on_from_an_entrance() -> None:
    mesh, _ = normalise(sphere(subdivisions=3).mesh)
    cover = bricks_of(mesh, 64, EPS)
    field, _ = exterior_field(cover, EPS)
    assert topology(extract(field)).components == 1
    # A corner just within the void, and on the border of its brick.
    inside = cells_at(np.array([[-1 + 2.5 * EPS, 0.01, 0.01]]), STEP) // 8 * 8
    inside[0, 0] = cells_at(np.array([[-1 + 2.5 * EPS, 0, 0]]), STEP)[0, 0]
    field, _ = exterior_field(cover, EPS, entrances=inside)
    shells = topology(extract(field))
    assert shells.components == 2
    assert shells.watertight


def extract(field) -> Mesh:  # type: ignore[no-untyped-def]
    surface = extract_surface(field, clearance=CLEARANCE, join="outside")
    return Mesh(surface.vertices, surface.faces)


def cut(mesh: Mesh, resolution: int, eps: float, cells: np.ndarray) -> tuple[Crevices, tuple]:
    """Cells of a grid cut finer, with what the coarse surface is there."""
    whole = bricks_of(mesh, resolution, eps)
    field, cover = exterior_field(whole, eps, wanted=whole.bricks)
    start = extract_surface(field, clearance=CLEARANCE, join="outside")
    return explore(field, cover, cover.near(eps), cells), (start, cover, field)


def test_cut_everywhere_it_is_marching_cubes_on_the_finer_grid() -> None:
    mesh, _ = normalise(cup(pose=pose(3)).mesh)
    mesh = Mesh(0.8 * mesh.vertices, mesh.faces)  # such an offset leaves the grid else
    resolution, eps = 16, 2 / 16
    field, _ = exterior_field(bricks_of(mesh, resolution, eps), eps)
    step = spacing(resolution)
    own = extract_surface(field).vertices
    cells = np.unique((cells_at(own, step)[:, None] + WAYS).reshape(-1, 3), axis=0)
    crevices, _ = cut(mesh, resolution, eps, cells)
    fine, _ = exterior_field(
        triangle_bricks(mesh, FINE * resolution, 1.01 * (eps + spacing(FINE * resolution))), eps
    )
    true = extract_surface(fine, clearance=CLEARANCE, join="outside")
    _, _, place, _, faces = finer_surface(crevices, step)
    assert len(place) == len(true.vertices)
    assert len(faces) == len(true.faces)
    order, other = (np.lexsort(np.round(v, 5).T) for v in (place, true.vertices))
    np.testing.assert_allclose(place[order], true.vertices[other], atol=2e-5)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_cells_are_cut_the_surface_closes(seed: int) -> None:
    draw = np.random.default_rng(seed)
    kind = (gear(pose=pose(seed)).mesh, plates(9.0, 0.0), soup(seed))[seed % 3]
    mesh, _ = normalise(kind)
    settings = WatertightSettings(eps=EPS, remesh=False)
    own = marching_surface(mesh, settings).surface.vertices
    some = own[draw.random(len(own)) < draw.choice([0.01, 0.1, 0.5])]
    crevices, (start, cover, field) = cut(mesh, 64, EPS, cells_at(some, STEP))
    surface = stitched(start, cover, crevices)
    shape = topology(Mesh(surface.vertices, surface.faces))
    assert shape.watertight
    assert shape.vertex_manifold
    assert shape.volume == pytest.approx(
        topology(Mesh(start.vertices, start.faces)).volume, rel=0.1
    )
    ranges_fit(surface, cover)
    near = cover.near(EPS)
    done = sewn_on_offset(start, cover, near, crevices, partial(explore, field, cover, near))
    assert done is not None
    assert contacts(done.mesh, closed=True).self_intersections == 0
    off = np.abs(gradients(near, done.surface.vertices)[0] / EPS - 1)
    assert (off > 0.05).sum() <= 2


def ranges_fit(surface: BrickSurface, cover: TriangleBricks) -> None:
    """Faces lie in the bricks that have them, vertices within a cell of theirs."""
    lookup = brick_lookup(cover.resolution, cover.bricks)
    middles = surface.vertices[surface.faces].mean(axis=1)
    brick = np.repeat(np.arange(len(cover.bricks)), np.diff(surface.first_face))
    np.testing.assert_array_equal(lookup[tuple((cells_at(middles, STEP) // 8).T)], brick)
    brick = np.repeat(np.arange(len(cover.bricks)), np.diff(surface.first_vertex))
    corner = cells_at(surface.vertices, STEP) - 8 * cover.bricks[brick]
    assert corner.min() >= -1
    assert corner.max() <= 8


def test_cells_with_nothing_but_an_edge_in_common_get_one_between() -> None:
    mesh, _ = normalise(sphere(subdivisions=3).mesh)
    own = marching_surface(mesh, WatertightSettings(eps=EPS, remesh=False)).surface.vertices
    diagonal = [way for way in product((-1, 0, 1), repeat=3) if np.abs(way).sum() == 2]
    for vertex in (100, 2000, 5000):
        cells = cells_at(own[vertex], STEP) + np.array([(0, 0, 0), *diagonal])
        crevices, (start, cover, _) = cut(mesh, 64, EPS, cells)
        surface = stitched(start, cover, crevices)
        assert topology(Mesh(surface.vertices, surface.faces)).vertex_manifold


def test_the_same_bytes_again() -> None:
    mesh = placed(plates(6.0, 0.0), 1)
    one, two = (make_watertight(mesh, EPS).mesh for _ in range(2))
    np.testing.assert_array_equal(one.vertices, two.vertices)
    np.testing.assert_array_equal(one.faces, two.faces)
