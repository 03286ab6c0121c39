"""The engine proper: the surface at distance eps on bricks, shells chosen, sheets kept apart."""

import numpy as np

from preprocessing.distance.mitre import mitre_features
from preprocessing.mesh import Mesh
from preprocessing.settings import WatertightSettings
from preprocessing.solid import projection_kernels
from preprocessing.solid.audit import Contacts, SurfaceError, surface_error
from preprocessing.solid.bricks import brick_lookup, spacing
from preprocessing.solid.crossings import crossing_faces
from preprocessing.solid.embedding import embed
from preprocessing.solid.exterior import exterior_field
from preprocessing.solid.holes import fill, hole_filling, on_lid
from preprocessing.solid.isosurface import BrickSurface, extract_surface
from preprocessing.solid.offset_field import TriangleBricks, offset_field, triangle_bricks
from preprocessing.solid.projection import project
from preprocessing.solid.remesh.remeshing import remesh
from preprocessing.solid.shells import outer_shells

# Vertices start this share of a cell away from grid corners: no needles, and projection mends it.
CLEARANCE = 0.1
# Triangles this far from a brick, in units of eps + one cell, can matter to its corners.
REACH = 1.0001


def offset_solid(mesh: Mesh, settings: WatertightSettings) -> tuple[Mesh, SurfaceError, Contacts]:
    """The offset solid in the normalised frame, its error, and its contacts, which are none.

    Vertices on lids over closed holes, and up to two edges from one, where lid and wall meet, are
    no part of the offset surface and are not measured.
    """
    eps = settings.eps
    surface, cover, lid = marching_surface(mesh, settings)
    start = Mesh(surface.vertices, surface.faces)
    solid, origin, found = remesh_apart(start, cover, eps, settings.tolerance, lid)
    lid = lid[origin]
    if lid.any():
        for _ in range(2):
            lid[solid.faces[lid[solid.faces].any(axis=1)]] = True
    error = surface_error(solid, lambda points: distances(points, cover, eps), eps, lid)
    return solid, error, found


def marching_surface(
    mesh: Mesh, settings: WatertightSettings
) -> tuple[BrickSurface, TriangleBricks, np.ndarray]:
    """The surface as marching cubes meshes it, at distance eps and without crossings.

    Returns it with the triangles that each brick met, and which vertices (V,) lie on lids.
    """
    eps, step = settings.eps, spacing(settings.resolution)
    filling = hole_filling(mesh, settings.close_holes, eps) if settings.close_holes else None
    features = None
    if settings.corners == "sharp":
        features = mitre_features(mesh, eps, settings.mitre)
    cover = triangle_bricks(mesh, settings.resolution, REACH * (eps + step), features)
    if filling is None and not settings.keep_cavities:
        field, cover = exterior_field(cover, eps)
        start = extract_surface(field, clearance=CLEARANCE)
    else:
        field = offset_field(cover, eps)
        if filling is not None:
            field, cover = fill(field, cover, filling)
        start = extract_surface(field, clearance=CLEARANCE)
        start = outer_shells(start, field, mesh if settings.keep_cavities else None)
    lid = np.zeros(len(start.vertices), bool)
    if filling is not None:
        lid = on_lid(start.vertices, distances(start.vertices, cover, eps), filling, eps)
    return embed(start, project(start, cover, eps, lid), cover, eps, lid), cover, lid


def remesh_apart(
    start: Mesh, cover: TriangleBricks, eps: float, tolerance: float, frozen: np.ndarray
) -> tuple[Mesh, np.ndarray, Contacts]:
    """The mesh remeshed (remeshing.py) where that makes no faces meet, and their contacts: none.

    Vertices whose faces meet stay as they were at the start, where none did, and those round them,
    until no face meets another.
    """
    frozen = frozen.copy()
    while True:
        solid, origin = remesh(start, cover, eps, tolerance, frozen)
        crossing = crossing_faces(solid, closed=True)
        if not crossing.any():
            return solid, origin, Contacts(0, 0)
        frozen[origin[solid.faces[crossing]]] = True
        frozen[start.faces[frozen[start.faces].any(axis=1)]] = True


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
