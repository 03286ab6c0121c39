"""Marching-cubes triangles for the 256 sign patterns of a cell, derived, not pasted.

Corner c = 4 dx + 2 dy + dz of a cell; edge e = 4 axis + rank joins EDGE_CORNERS[e]. A pattern has
bit c set where corner c is inside. On each cell face the surface is cut into segments by one rule
that looks at that face's four signs only (an ambiguous face joins its inside corners, or in the
other table its outside ones), so both cells that share the face draw the same segments: the surface
closes. Every crossed edge then lies on exactly one loop of segments per cell, so the four cells
round a grid edge make one fan round its vertex: vertices are manifold. A diagonal between two
vertices of one cell face could be drawn by the neighbour too (an edge with four triangles), so
loops are triangulated without such diagonals: edges are manifold.
"""

from functools import cache
from itertools import pairwise

import numpy as np

AXIS_STEP = (4, 2, 1)
EDGE_CORNERS = [
    (corner, corner + step) for step in AXIS_STEP for corner in range(8) if not corner & step
]
EDGE_AXIS = np.repeat(np.arange(3), 4)
EDGE_OFFSET = np.array(
    [[corner >> 2 & 1, corner >> 1 & 1, corner & 1] for corner, _ in EDGE_CORNERS]
)
_EDGE_OF = {frozenset(corners): edge for edge, corners in enumerate(EDGE_CORNERS)}
# Corners of each cell face, counter-clockwise seen from outside the cell.
FACE_CYCLES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
FACE_EDGES = [
    frozenset(_EDGE_OF[frozenset(pair)] for pair in pairwise((*cycle, cycle[0])))
    for cycle in FACE_CYCLES
]
MAX_TRIANGLES = 5


def face_segments(pattern: int, face: int) -> list[tuple[int, int]]:
    """Directed segments (edge, edge) that the surface draws on one face of a cell.

    Each run of outside corners is cut off by a segment of its own.
    """
    cycle = FACE_CYCLES[face]
    inside = [bool(pattern >> corner & 1) for corner in cycle]
    leave = [i for i in range(4) if inside[i] and not inside[(i + 1) % 4]]
    segments = []
    for start in leave:
        end = next(i % 4 for i in range(start + 1, start + 5) if inside[(i + 1) % 4])
        first = _EDGE_OF[frozenset((cycle[start], cycle[(start + 1) % 4]))]
        last = _EDGE_OF[frozenset((cycle[end], cycle[(end + 1) % 4]))]
        segments.append((first, last))
    return segments


def cell_loops(pattern: int) -> list[list[int]]:
    """Loops of crossed cell edges, each edge once, clockwise seen from outside."""
    following = dict(segment for face in range(6) for segment in face_segments(pattern, face))
    loops = []
    while following:
        loop = [min(following)]
        while (edge := following.pop(loop[-1])) != loop[0]:
            loop.append(edge)
        loops.append(loop)
    return loops


def _triangulations(loop: tuple[int, ...]) -> list[list[tuple[int, int, int]]]:
    """Every triangulation of a loop, without the diagonals that lie in a cell face."""
    if len(loop) < 3:
        return [[]]
    found = []
    first, last = loop[0], loop[-1]
    for middle in range(1, len(loop) - 1):
        sides = [(first, loop[middle])] if middle > 1 else []
        sides += [(loop[middle], last)] if middle < len(loop) - 2 else []
        if any({*side} <= face for side in sides for face in FACE_EDGES):
            continue
        for left in _triangulations(loop[: middle + 1]):
            for right in _triangulations(loop[middle:]):
                found.append([*left, (first, loop[middle], last), *right])
    return found


@cache
def _smallest_angles() -> np.ndarray:
    """The smallest angle, radians, of each three edges (12, 12, 12) with its corners at their
    middles."""
    middle = EDGE_OFFSET + 0.5 * np.eye(3)[EDGE_AXIS]
    corner = np.stack([middle[rows] for rows in np.indices((12, 12, 12))], axis=-2)
    one = np.roll(corner, -1, axis=-2) - corner
    two = np.roll(corner, 1, axis=-2) - corner
    with np.errstate(invalid="ignore"):  # an edge twice
        cosine = (one * two).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(two, axis=-1)
    angles: np.ndarray = np.arccos(np.clip(cosine, -1, 1)).min(-1)
    return angles


def _best(choices: list[list[tuple[int, int, int]]]) -> list[tuple[int, int, int]]:
    """The triangulation with the largest smallest angle, the first of several."""
    angles = _smallest_angles()
    return max(choices, key=lambda choice: min(angles[three] for three in choice))


@cache
def triangle_table(join: str = "inside") -> tuple[np.ndarray, np.ndarray]:
    """(counts int8 (256,), edges int8 (256, MAX_TRIANGLES, 3)): the triangles of each pattern.

    join: which corners of an ambiguous cell face are joined, those `inside` or `outside`. The
    second table is the first with the names exchanged and the triangles turned round.
    """
    if join == "outside":
        counts, edges = triangle_table()
        return counts[::-1].copy(), np.ascontiguousarray(edges[::-1, :, ::-1])
    counts = np.zeros(256, np.int8)
    edges = np.full((256, MAX_TRIANGLES, 3), -1, np.int8)
    for pattern in range(256):
        triangles: list[tuple[int, int, int]] = []
        for loop in cell_loops(pattern):
            triangles += _best(_triangulations(tuple(loop)))
        counts[pattern] = len(triangles)
        for index, triangle in enumerate(triangles):
            edges[pattern, index] = triangle[::-1]
    return counts, edges
