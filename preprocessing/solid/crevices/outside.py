"""The outer shells of a mesh, right in crevices that are thinner than a cell, too.

Marching cubes ends a crevice wherever no grid corner happens to lie in it any more, with faces
across that are off by up to half a cell. From there a flood goes on over a finer lattice
(exploring.py), and its cells are meshed on that lattice (stitching.py). Where it leads into a void
that the coarse flood has not come into, or past the bricks that it came near to, the coarse field
is made anew with these. Where a vertex finds no place on the offset at which faces do not meet, the
cells round it are cut finer as well; if they cross all the same, the coarse surface is taken.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from preprocessing.solid.bricks import cells_at, spacing
from preprocessing.solid.crevices.crevice_kernels import narrow_faces
from preprocessing.solid.crevices.exploring import WAYS, Crevices, explore
from preprocessing.solid.crevices.stitching import stitched
from preprocessing.solid.crossings import crossing_faces
from preprocessing.solid.embedding import embed
from preprocessing.solid.exterior import NOWHERE, exterior_field
from preprocessing.solid.isosurface import CLEARANCE, BrickSurface, extract_surface
from preprocessing.solid.offset_field import TriangleBricks
from preprocessing.solid.projection import Marched, project
from preprocessing.solid.remesh.near_kernels import gradients

ROUNDS = 8  # times that the coarse field is made, with what the last one did not know
WIDER = 3  # times that the cells round vertices off the offset are cut finer
OFF = 0.05  # share of eps that a vertex is off then


def outside_surface(whole: TriangleBricks, eps: float) -> Marched:
    """The outer shells, without crossings, from the bricks of the whole mesh."""
    step = spacing(whole.resolution)
    seeds = entrances = wanted = NOWHERE
    for _ in range(ROUNDS):
        field, cover = exterior_field(whole, eps, entrances, wanted)
        start = extract_surface(field, clearance=CLEARANCE, join="outside")
        projected = project(start, cover, eps, no_lid(start))
        near = cover.near(eps)
        narrow = narrow_faces(near, projected.surface.vertices, start.faces)
        middles = start.vertices[start.faces[narrow]].mean(axis=1)
        seeds = np.unique(np.concatenate([seeds, cells_at(middles, step)]), axis=0)
        if not len(seeds):
            return embed(start, projected, eps)[0]
        crevices = explore(field, cover, near, seeds)
        known = len(entrances), len(wanted)
        entrances = np.unique(np.concatenate([entrances, crevices.entrances]), axis=0)
        beyond = (crevices.missing[:, None] + WAYS).reshape(-1, 3)
        wanted = np.unique(np.concatenate([wanted, beyond]), axis=0)
        if (len(entrances), len(wanted)) == known:
            break
    again = partial(explore, field, cover, near)
    sewn = sewn_on_offset(start, cover, near, crevices, again)
    return sewn or embed(start, projected, eps)[0]


def sewn_on_offset(
    start: BrickSurface,
    cover: TriangleBricks,
    near: tuple,
    crevices: Crevices,
    again: Callable[[np.ndarray], Crevices],
) -> Marched | None:
    """The surface sewn together and on the offset; `again` explores from other cells.

    None where faces cross that cutting more cells does not keep apart: a coarse cell with two fans
    has no places where they surely do not, as other cells have (embedding.py).
    """
    eps, step = near[4], near[5]
    best, least = None, np.inf
    for turn in range(WIDER + 1):
        finer = stitched(start, cover, crevices)
        done, apart = embed(finer, project(finer, cover, eps, no_lid(finer)), eps)
        off = np.abs(gradients(near, done.surface.vertices)[0] - eps) > OFF * eps
        many = off.sum()
        if not apart:
            crossing = crossing_faces(done.mesh, closed=True)
            apart = not crossing.any()
            off[finer.faces[crossing]] = True
        if apart and many < least:
            best, least = done, many
        if turn == WIDER or not off.any():
            break
        round_them = cells_at(finer.vertices[off], step)[:, None] + WAYS
        crevices = again(np.concatenate([crevices.cells, round_them.reshape(-1, 3)]))
    return best


def no_lid(surface: BrickSurface) -> np.ndarray:
    """No vertex (V,) on the lid of a hole."""
    return np.zeros(len(surface.vertices), bool)
