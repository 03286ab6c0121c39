"""The coarse surface and that of the finer cells, sewn together.

On a face between a coarse and a finer cell the finer one has the coarse signs on the rim, and what
is inside hangs together with the rim. So where the coarse surface has an edge there, the finer one
ends in a chain of edges between the same two vertices; the coarse triangle at that edge becomes a
fan over the chain.
"""

from itertools import pairwise

import numpy as np

from preprocessing.frame import HALF_WIDTH
from preprocessing.half_edge_kernels import match_half_edges
from preprocessing.solid.bricks import BRICK, brick_lookup, cells_at, grid_edges, spacing
from preprocessing.solid.crevices.crevice_kernels import CLEAR, FINE, SIDE, flood, settle
from preprocessing.solid.crevices.exploring import CORNERS, Crevices, numbers
from preprocessing.solid.isosurface import BrickSurface
from preprocessing.solid.isosurface_tables import EDGE_AXIS, EDGE_OFFSET, triangle_table
from preprocessing.solid.offset_field import TriangleBricks

UNIT = np.eye(3, dtype=np.int64)


def stitched(start: BrickSurface, cover: TriangleBricks, crevices: Crevices) -> BrickSurface:
    """The surface with the crevices' cells meshed on the finer lattice.

    start: the coarse one, every vertex on its grid edge, of the cover's first bricks. The new one
    has a range for each brick of the cover. Raises RuntimeError when the two do not fit.
    """
    step = spacing(cover.resolution)
    bricks = np.arange(len(start.first_vertex) - 1)
    cells = cells_at(start.vertices[start.faces].mean(axis=1), step)
    coarse = ~np.isin(numbers(cells), numbers(crevices.cells))
    kept = start.faces[coarse]
    brick = np.repeat(bricks, np.diff(start.first_face))[coarse]
    vertex_brick = np.repeat(bricks, np.diff(start.first_vertex))
    corner, axis, place, row, faces = finer_surface(crevices, step)
    called = on_coarse_edges(start.vertices, np.unique(kept), corner, axis, step)
    new = called < 0
    vertices = np.concatenate([start.vertices, place[new]])
    vertices[called[~new]] = place[~new]
    called[new] = len(start.vertices) + np.arange(new.sum())
    steps = np.full(len(vertices), step)
    steps[called] = step / FINE
    sewn, owner = sew(kept, called[faces], len(vertices))
    lookup = brick_lookup(cover.resolution, cover.bricks)
    face_brick = lookup[tuple((crevices.cells[row] // BRICK).T)]
    of_vertex = np.empty(len(corner), np.int64)
    of_vertex[faces] = face_brick[:, None]
    return in_bricks(
        (vertices, steps, np.concatenate([vertex_brick, of_vertex[new]])),
        (np.concatenate([sewn, called[faces]]), np.concatenate([brick[owner], face_brick])),
        len(cover.bricks),
    )


def on_coarse_edges(
    vertices: np.ndarray, used: np.ndarray, corner: np.ndarray, axis: np.ndarray, step: float
) -> np.ndarray:
    """The used coarse vertex on whose grid edge each finer one (V,) lies, -1 for none.

    corner (V,3), axis (V,): of the small edges. An edge that a coarse cell shares has one finer
    vertex, as it has the coarse signs.
    """
    if not len(used):
        return np.full(len(corner), -1)
    low, along, _ = grid_edges(vertices[used], step)
    keys = 3 * numbers(low) + along
    order = np.argsort(keys)
    asked = 3 * numbers(corner // FINE) + axis
    place = order[np.minimum(np.searchsorted(keys, asked, sorter=order), len(keys) - 1)]
    on_edge = ((corner % FINE == 0) | (UNIT[axis] == 1)).all(axis=1)
    found: np.ndarray = np.where(on_edge & (keys[place] == asked), used[place], -1)
    return found


def finer_surface(
    crevices: Crevices, step: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The surface in the finer cells, by marching cubes.

    The low corner (V,3) on the finer lattice and the axis (V,) of each vertex's small edge, its
    place (V,3); the cell (F,) of each face, its vertices (F,3).
    """
    known = crevices.rows, crevices.solid, crevices.excess, crevices.turns, crevices.reached
    air, reached = settle(*known)
    flood(air, reached, crevices.rows, np.ones(len(air), bool))
    pattern = np.zeros((len(air), FINE, FINE, FINE), np.uint8)
    for c, (x, y, z) in enumerate(CORNERS):
        part = ~reached[:, x : x + FINE, y : y + FINE, z : z + FINE]
        pattern |= part.astype(np.uint8) << np.uint8(c)
    counts, edges = triangle_table("outside")
    small = np.argwhere(counts[pattern] > 0)
    signs = pattern[tuple(small.T)]
    many = counts[signs].astype(np.int64)
    which = np.repeat(np.arange(len(small)), many)
    turn = np.arange(len(which)) - np.repeat(np.cumsum(many) - many, many)
    edge = edges[signs[which], turn].reshape(-1)
    row = small[which, 0]
    cell = np.repeat(row, 3)
    local = np.repeat(small[which, 1:], 3, axis=0) + EDGE_OFFSET[edge]
    axis = EDGE_AXIS[edge]
    corner = FINE * crevices.cells[cell] + local
    _, one, faces = np.unique(3 * numbers(corner) + axis, return_index=True, return_inverse=True)
    corner, axis, local, cell = corner[one], axis[one], local[one], cell[one]
    low = crevices.excess[(cell, *local.T)].astype(np.float64)
    high = crevices.excess[(cell, *(local + UNIT[axis]).T)].astype(np.float64)
    share = np.full(len(low), 0.5)  # where the distance does not say, but a coarse sign
    crossed = (low > 0) != (high > 0)
    share[crossed] = (low[crossed] / (low - high)[crossed]).clip(CLEAR, 1 - CLEAR)
    place = -HALF_WIDTH + (corner + share[:, None] * UNIT[axis]) * (step / FINE)
    return corner, axis, place, row, faces.reshape(-1, 3)


def sew(kept: np.ndarray, finer: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The coarse faces (K,3) with fans over the chains that the finer ones (F,3) end in.

    Also which of the coarse faces each comes from. count: of vertices.
    """
    ends = open_halves(finer, count)
    following = dict(ends[:, :2].tolist())
    parts: dict[int, list[tuple[int, int, int]]] = {}
    sewn = 0
    for p, q, face in open_halves(kept, count).tolist():
        chain = [q]
        while chain[-1] != p and len(chain) <= SIDE * SIDE:
            chain.append(following.get(chain[-1], p))
        sewn += len(chain) - 1
        mine = parts.setdefault(face, [tuple(kept[face].tolist())])
        index, tip = next(
            (i, part[k - 1])
            for i, part in enumerate(mine)
            for k in range(3)
            if (part[k], part[(k + 1) % 3]) == (p, q)
        )
        mine[index : index + 1] = [(a, b, tip) for b, a in pairwise(chain)][::-1]
    if sewn != len(ends) or len(following) != len(ends):
        raise RuntimeError(f"{len(ends)} edges end the finer cells' surface, {sewn} were sewn")
    whole = np.ones(len(kept), bool)
    whole[list(parts)] = False
    fans = np.array([part for mine in parts.values() for part in mine], np.int64).reshape(-1, 3)
    owner = np.repeat(list(parts), [len(mine) for mine in parts.values()]).astype(np.int64)
    return np.concatenate([kept[whole], fans]), np.concatenate([np.flatnonzero(whole), owner])


def open_halves(faces: np.ndarray, count: int) -> np.ndarray:
    """The half-edges that no other lies against: their ends and their face (K,3)."""
    halves = np.flatnonzero(match_half_edges(faces.astype(np.int32), count).mates < 0)
    row, side = np.divmod(halves, 3)
    return np.stack([faces[row, side], faces[row, (side + 1) % 3], row], axis=1)


def in_bricks(
    points: tuple[np.ndarray, np.ndarray, np.ndarray],
    triangles: tuple[np.ndarray, np.ndarray],
    bricks: int,
) -> BrickSurface:
    """A surface in the order of its bricks, without the vertices in no face.

    points: vertices (V,3), the lengths of their grid edges (V,), their bricks (V,); triangles:
    faces (F,3), their bricks (F,).
    """
    vertices, steps, vertex_brick = points
    faces, face_brick = triangles
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    order = np.argsort(vertex_brick, kind="stable")
    order = order[used[order]]
    called = np.full(len(vertices), -1, np.int32)
    called[order] = np.arange(len(order))
    turn = np.argsort(face_brick, kind="stable")
    first_vertex, first_face = (
        np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=bricks))])
        for owner in (vertex_brick[order], face_brick)
    )
    return BrickSurface(
        vertices[order], called[faces[turn]], first_vertex, first_face, steps[order]
    )
