"""The engine proper: the surface at distance eps on bricks, shells chosen, sheets kept apart."""

import numpy as np

from preprocessing.mesh import Mesh
from preprocessing.solid import projection_kernels
from preprocessing.solid.audit import SurfaceError, surface_error
from preprocessing.solid.bricks import BrickField, brick_lookup, spacing
from preprocessing.solid.embedding import embed
from preprocessing.solid.holes import fill, hole_filling, on_lid
from preprocessing.solid.isosurface import BrickSurface, extract_surface
from preprocessing.solid.offset_field import TriangleBricks, offset_field, triangle_bricks
from preprocessing.solid.projection import project
from preprocessing.solid.shells import outer_shells

# Vertices start this share of a cell away from grid corners: no needles, and projection mends it.
CLEARANCE = 0.1
# Triangles this far from a brick, in units of eps + one cell, can matter to its corners.
REACH = 1.0001


def offset_surface(
    mesh: Mesh, eps: float, resolution: int, keep_cavities: bool = False
) -> tuple[BrickSurface, TriangleBricks]:
    """The surface at distance eps with the triangles that each brick met; normalised frame."""
    cover = triangle_bricks(mesh, resolution, REACH * (eps + spacing(resolution)))
    start = shells(offset_field(cover, eps), mesh if keep_cavities else None)
    return embed(start, project(start, cover, eps), cover, eps), cover


def offset_solid(
    mesh: Mesh, eps: float, resolution: int, keep_cavities: bool, close_holes: float | None
) -> tuple[Mesh, SurfaceError]:
    """The offset solid in the normalised frame and its error.

    Vertices on lids over closed holes, and up to two edges from one, where lid and wall meet, are
    no part of the offset surface and are not measured.
    """
    filling = hole_filling(mesh, close_holes, eps) if close_holes else None
    if filling is None:
        surface, cover = offset_surface(mesh, eps, resolution, keep_cavities)
        lid = np.zeros(len(surface.vertices), bool)
    else:
        cover = triangle_bricks(mesh, resolution, REACH * (eps + spacing(resolution)))
        field, cover = fill(offset_field(cover, eps), cover, filling)
        start = shells(field, mesh if keep_cavities else None)
        lid = on_lid(start.vertices, distances(start.vertices, cover, eps), filling, eps)
        surface = embed(start, project(start, cover, eps, lid), cover, eps, lid)
        for _ in range(2):
            lid[surface.faces[lid[surface.faces].any(axis=1)]] = True
    solid = Mesh(surface.vertices, surface.faces)
    return solid, surface_error(solid, lambda points: distances(points, cover, eps), eps, lid)


def shells(field: BrickField, cavities_of: Mesh | None) -> BrickSurface:
    """The outer shells of a field's surface, every vertex on its grid edge."""
    surface = extract_surface(field, clearance=CLEARANCE)
    return outer_shells(surface, field, cavities_of)


def distances(points: np.ndarray, cover: TriangleBricks, eps: float) -> np.ndarray:
    """Distance to the input, cut at eps + 2 cells, of points (P,3) on the surface, float64 (P,).

    A point lies in a brick of the cover, as every point nearer than eps + one cell does; one that
    does not, on the lid of a closed hole, is at least as far as the cut.
    """
    step = spacing(cover.resolution)
    lookup = brick_lookup(cover.resolution, cover.bricks)
    lists = (cover.offsets, cover.triangles, cover.records)
    found: np.ndarray = projection_kernels.distances(points, lookup, *lists, step, eps + 2 * step)
    return found
