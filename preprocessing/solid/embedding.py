"""Keeping sheets apart: a projected surface whose faces neither cross nor touch.

Two sheets that come closer than a cell may cross once their vertices have moved. As long as every
vertex stays on its own grid edge the triangles of a cell stay in the cell, and cells share only the
segments on their common face. So the vertices of faces that cross go back to their grid edges, and
if that does not do, away from the edges' ends in steps: at the middles nothing crosses, whatever
the pattern of a cell (tests prove all 256). Beside finer cells a coarse one has fans of triangles,
of which that is not certain; crevices/outside.py looks whether it holds.
"""

from dataclasses import replace

import numpy as np

from preprocessing.frame import HALF_WIDTH
from preprocessing.mesh import Mesh
from preprocessing.solid.bricks import grid_edges, spacing
from preprocessing.solid.crossings import crossing_faces, on_lattice
from preprocessing.solid.isosurface import BrickSurface
from preprocessing.solid.offset_field import TriangleBricks
from preprocessing.solid.projection import NEAREST, Marched, held_back, on_offset
from preprocessing.solid.remesh.near_kernels import gradients

# Shares of a grid edge that a vertex keeps from its ends, one step after the other.
KEPT_OFF = np.array([0.01, 0.05, 0.15, 0.3, 0.5])
PATIENT = 1  # steps that a vertex without a place on its edge waits


def embed(start: BrickSurface, projected: Marched, eps: float) -> tuple[Marched, bool]:
    """The projected surface on the lattice, vertices held back on grid edges where faces crossed.

    The second says that no faces cross any more; without it some may, beside finer cells alone.
    `start` is the surface before projection, with every vertex on its grid edge; those on a lid
    are not on the offset and have no other place on their edge.
    """
    vertices, faces = on_lattice(projected.surface.vertices), projected.surface.faces
    cover, lid = projected.cover, projected.lid
    near = cover.near(eps)
    stage = np.full(len(vertices), -1)
    asked = None
    while True:
        crossing = crossing_faces(Mesh(vertices, faces), asked, closed=True)
        chosen = np.unique(faces[crossing]).astype(np.int64)  # as projection has them: one kernel
        chosen = chosen[stage[chosen] < len(KEPT_OFF) - 1]
        if not len(chosen):
            break
        stage[chosen] += 1
        moved = np.zeros(len(vertices), bool)
        moved[chosen] = True
        asked = moved[faces].any(axis=1)
        if start.steps is not None:
            chosen = chosen[~waits(start, cover, near, chosen, stage[chosen])]
        kept_off = KEPT_OFF[stage[chosen]]
        vertices[chosen] = on_lattice(held_back(start, cover, eps, chosen, kept_off))
        if (flat := lid[chosen]).any():
            own = start.vertices[chosen[flat]]
            vertices[chosen[flat]] = on_lattice(off_corners(own, cover.resolution, kept_off[flat]))
    gradient, held = projected.gradient.copy(), stage >= 0
    gradient[held] = gradients(near, vertices[held])[1]
    surface = replace(projected.surface, vertices=vertices)
    # Faces whose vertices have all been at their last step were not asked again.
    apart = not crossing.any() and bool((stage < len(KEPT_OFF) - 1).all())
    return replace(projected, surface=surface, gradient=gradient), apart


def waits(
    start: BrickSurface, cover: TriangleBricks, near: tuple, chosen: np.ndarray, stage: np.ndarray
) -> np.ndarray:
    """Which of the chosen vertices (K,) have nothing on their edge to go to, and may wait.

    Those round them move first; often that does.
    """
    early = np.flatnonzero(stage <= PATIENT)
    kept_off = np.full(len(early), NEAREST)
    found = np.zeros(len(chosen), bool)
    places = held_back(start, cover, near[4], chosen[early], kept_off)
    found[early] = ~on_offset(near, places)
    return found


def off_corners(points: np.ndarray, resolution: int, kept_off: np.ndarray) -> np.ndarray:
    """Points (K,3) on grid edges moved along them, kept_off (K,) of an edge off its ends."""
    step = spacing(resolution)
    low, axis, share = grid_edges(points, step)
    rows = np.arange(len(points))
    moved = points.copy()
    share = np.clip(share, kept_off, 1 - kept_off)
    moved[rows, axis] = (low[rows, axis] + share) * step - HALF_WIDTH
    return moved
