"""Choosing the outer shells of an extracted surface: voids and whatever lies inside go."""

import numpy as np

from preprocessing import shell_kernels as kernels
from preprocessing.bricks import BRICK, BrickField, brick_lookup, spacing
from preprocessing.isosurface import BrickSurface

# Barycentric coordinates of a ray's start in its face: no grid line, no edge, no corner.
START = np.array([0.41257, 0.31733, 0.27010])


def outer_shells(surface: BrickSurface, field: BrickField) -> BrickSurface:
    """The components of a surface that bound its outside.

    Faces point away from the material, so a component of negative signed volume bounds a void and
    is dropped; so is a positive component inside another positive one (winding number at a point
    of it). What is left is the boundary of the solid with every enclosed void filled.
    """
    component, count = kernels.vertex_components(len(surface.vertices), surface.faces)
    volume, first = kernels.component_volumes(surface.vertices, surface.faces, component, count)
    outward = np.flatnonzero(volume > 0)
    kept = np.zeros(count, bool)
    kept[outward] = True
    if len(outward) > 1:
        points = np.einsum("c,fcx->fx", START, surface.vertices[surface.faces[first[outward]]])
        winding = kernels.windings(
            points,
            surface.vertices,
            surface.faces,
            component,
            count,
            surface.first_face,
            brick_lookup(field.resolution, field.bricks),
            BRICK * spacing(field.resolution),
        )[:, outward]
        np.fill_diagonal(winding, 0)
        kept[outward[(winding != 0).any(axis=1)]] = False
    old, faces, first_vertex, first_face = kernels.keep_components(
        surface.faces, component, kept, surface.first_vertex, surface.first_face
    )
    return BrickSurface(surface.vertices[old], faces, first_vertex, first_face)
