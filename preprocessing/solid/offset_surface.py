"""The engine proper: the surface at distance eps on bricks, shells chosen, sheets kept apart."""

from collections.abc import Callable
from functools import partial

import numpy as np

from preprocessing.distance.mitre import beyond_offset, mitre_features
from preprocessing.distance.queries import unsigned_distance
from preprocessing.half_edges import widened
from preprocessing.mesh import Mesh
from preprocessing.settings import WatertightSettings
from preprocessing.solid.audit import Contacts, SurfaceError, contacts, surface_error
from preprocessing.solid.bricks import spacing
from preprocessing.solid.crevices.outside import outside_surface
from preprocessing.solid.embedding import embed
from preprocessing.solid.exterior import exterior_field
from preprocessing.solid.holes import fill, hole_filling, on_lid
from preprocessing.solid.isosurface import CLEARANCE, extract_surface
from preprocessing.solid.offset_field import TriangleBricks, offset_field, triangle_bricks
from preprocessing.solid.projection import Marched, project
from preprocessing.solid.remesh.near_kernels import gradients
from preprocessing.solid.remesh.nudging import nudge
from preprocessing.solid.remesh.remeshing import remesh
from preprocessing.solid.sharp.creases import sharpen
from preprocessing.solid.shells import outer_shells

# Triangles this far from a brick, in units of eps + one cell, can matter to its corners.
REACH = 1.0001


def offset_solid(mesh: Mesh, settings: WatertightSettings) -> tuple[Mesh, SurfaceError, Contacts]:
    """The offset solid in the normalised frame, its error, and its contacts: none, if all is well.

    Vertices on lids over closed holes, and up to two edges from one, where lid and wall meet, are
    no part of the offset surface and are not measured.
    """
    start = marching_surface(mesh, settings)
    if start.cover.mitred:
        start = sharpen(start, settings.eps)
    if settings.remesh:
        solid, origin = remesh(start, settings.eps, settings.tolerance)
    else:
        solid, origin = start.mesh, np.arange(len(start.gradient))
    solid = nudge(solid)
    lid = widened(solid.faces, start.lid[origin], 2)
    near = start.cover.near(settings.eps)
    error = surface_error(solid, lambda points: gradients(near, points)[0], settings.eps, lid)
    return solid, error, contacts(solid, closed=True)


def marching_surface(mesh: Mesh, settings: WatertightSettings) -> Marched:
    """The surface as marching cubes meshes it, at distance eps and without crossings.

    Crevices thinner than a cell are followed on a finer lattice where the outer shells of a rounded
    offset are remeshed; without that, chamfers in all creases are as far off.
    """
    eps, step = settings.eps, spacing(settings.resolution)
    filling = hole_filling(mesh, settings.close_holes, eps) if settings.close_holes else None
    cover = cover_of(mesh, settings, REACH * (eps + step))
    shells = filling is None and not settings.keep_cavities
    if shells and settings.remesh and not cover.mitred:
        return outside_surface(cover, eps)
    # A rounded offset is nowhere thinner than 2 eps, the air in its crevices is: that is what hangs
    # together where a cell face has two corners inside and two outside. A mitred edge is thin, too.
    join = "inside" if cover.mitred else "outside"
    if shells:
        field, cover = exterior_field(cover, eps)
        start = extract_surface(field, clearance=CLEARANCE, join=join)
    else:
        field = offset_field(cover, eps)
        if filling is not None:
            field, cover = fill(field, cover, filling)
        start = extract_surface(field, clearance=CLEARANCE, join=join)
        start = outer_shells(start, field, mesh if settings.keep_cavities else None)
    lid = np.zeros(len(start.vertices), bool)
    if filling is not None:
        lid = on_lid(start.vertices, gradients(cover.near(eps), start.vertices)[0], filling, eps)
    return embed(start, project(start, cover, eps, lid), eps)[0]


def cover_of(mesh: Mesh, settings: WatertightSettings, margin: float) -> TriangleBricks:
    """The bricks within `margin` of a mesh, by the distance that the settings ask for."""
    features = None
    if settings.corners == "sharp":
        beyond = beyond_offset(settings.eps, settings.mitre)
        features = mitre_features(mesh, settings.mitre, beyond)
    return triangle_bricks(mesh, settings.resolution, margin, features)


def distance_to(mesh: Mesh, settings: WatertightSettings) -> Callable[[np.ndarray], np.ndarray]:
    """The distance (P,) of points (P,3) to the input; a mitred one, as far as simplifying goes."""
    if settings.corners == "round":
        return partial(unsigned_distance, mesh)
    reach = settings.eps * (1 + (settings.simplify or 0))
    cover = cover_of(mesh, settings, REACH * (reach + spacing(settings.resolution)))
    near = cover.near(reach)
    return lambda points: gradients(near, points)[0]
