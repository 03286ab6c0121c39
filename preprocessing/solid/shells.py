"""Choosing the shells of an extracted surface: outer ones stay, voids and what is in them go."""

import numpy as np

from preprocessing.distance.queries import closest_points
from preprocessing.half_edge_kernels import vertex_components
from preprocessing.mesh import Mesh
from preprocessing.solid import shell_kernels as kernels
from preprocessing.solid.bricks import BRICK, BrickField, brick_lookup, spacing
from preprocessing.solid.isosurface import BrickSurface

# Barycentric coordinates of a ray's start in its face: no grid line, no edge, no corner.
START = np.array([0.41257, 0.31733, 0.27010])
# A true cavity: winding numbers at most this at 16 points, and this share of 256 walls facing it.
CAVITY_WINDING, CAVITY_WALLS = 0.1, 0.95


def outer_shells(
    surface: BrickSurface, field: BrickField, cavities_of: Mesh | None = None
) -> BrickSurface:
    """The components of a surface that bound its outside.

    Faces point away from the material, so a component of negative signed volume bounds a void and
    is dropped; so is a positive component inside another positive one (winding number at a point
    of it). What is left bounds the solid with every enclosed void filled. With `cavities_of`, the
    input in the same frame, voids that it bounds as cavities stay, and what floats in them.
    """
    component, count = vertex_components(len(surface.vertices), surface.faces)
    volume, first = kernels.component_volumes(surface.vertices, surface.faces, component, count)
    points = np.einsum("c,fcx->fx", START, surface.vertices[surface.faces[first]])

    def around(chosen: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Sum of weight times winding number of the other components round the chosen ones."""
        return kernels.windings(
            points[chosen],
            chosen,
            surface.vertices,
            surface.faces,
            component,
            weight,
            surface.first_face,
            brick_lookup(field.resolution, field.bricks),
            BRICK * spacing(field.resolution),
        )

    kept = volume > 0
    if cavities_of is None:
        outward = np.flatnonzero(kept)
        if len(outward) > 1:
            kept[outward[around(outward, kept.astype(np.int8)) != 0]] = False
    else:
        order = np.argsort(component, kind="stable")
        ends = np.cumsum(np.bincount(component, minlength=count))
        for void in np.flatnonzero(volume < 0):
            walls = order[ends[void - 1] if void else 0 : ends[void]]
            kept[void] = is_cavity(cavities_of, surface.vertices[walls])
        kept = _nested(kept, volume, around)
    old, faces, first_vertex, first_face = kernels.keep_components(
        surface.faces, component, kept, surface.first_vertex, surface.first_face
    )
    return BrickSurface(surface.vertices[old], faces, first_vertex, first_face)


def is_cavity(mesh: Mesh, walls: np.ndarray) -> bool:
    """Whether the void with these vertices (V,3) on its boundary is a cavity of the input.

    The winding number of the input is near 0 inside it and the input's faces that bound it face
    it. A randomly wound input has winding numbers near 0 anywhere, but its faces disagree.
    """
    some = walls[np.linspace(0, len(walls) - 1, min(256, len(walls))).astype(int)]
    closest, _, _, normal = closest_points(mesh, some)
    facing = np.einsum("px,px->p", some - closest, normal) > 0
    if facing.mean() < CAVITY_WALLS:
        return False
    winding = kernels.solid_angles(some[:: max(1, len(some) // 16)], mesh.triangles)
    return bool((np.abs(winding) < CAVITY_WINDING).all())


def _nested(kept: np.ndarray, volume: np.ndarray, around) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Drop, from the outside in, solids that lie in solid and voids that lie in no solid."""
    everything = np.arange(len(kept))
    depth = around(everything, np.sign(volume).astype(np.int8))
    kept = kept.copy()
    for level in np.unique(depth):
        chosen = np.flatnonzero(kept & (depth == level))
        outer = (kept & (depth < level)).astype(np.int8)
        solid = around(chosen, outer) if len(chosen) else np.empty(0)
        kept[chosen[solid != (volume[chosen] < 0)]] = False
    return kept
