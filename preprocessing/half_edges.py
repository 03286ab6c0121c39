"""What the faces of a mesh alone say: open, non-manifold and flipped edges, copies, components.

The one place where half-edges are matched and components counted; kernels load on first use.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from preprocessing.half_edge_kernels import HalfEdges


@dataclass(frozen=True)
class EdgeFaults:
    """How many edges a mesh has, and how many of them are at fault."""

    edges: int
    open_edges: int
    nonmanifold_edges: int
    flipped_edges: int
    unbalanced_edges: int
    """Those that faces do not run along as often there as back: 0 where a mesh has an inside."""

    @property
    def two_faces_each(self) -> bool:
        """Whether each edge belongs to exactly two faces, however these are turned."""
        return self.open_edges == self.nonmanifold_edges == 0


def edge_faults(faces: np.ndarray) -> EdgeFaults:
    """Count the edges of faces (F,3) with one face, with more than two, and with two that disagree.

    Two faces agree about outside when they run along their edge in opposite directions. A face
    that names a vertex twice takes no part.
    """
    found = matched(faces)
    return EdgeFaults(
        edges=int(found.edges),
        open_edges=int(found.boundary),
        nonmanifold_edges=int(found.nonmanifold),
        flipped_edges=int(found.flipped),
        unbalanced_edges=int(found.unbalanced),
    )


def open_edges(faces: np.ndarray) -> np.ndarray:
    """The edges of one face each, as pairs of vertices int64 (K,2), the lower one first, sorted."""
    from preprocessing.half_edge_kernels import BOUNDARY

    halves = np.flatnonzero(matched(faces).mates == BOUNDARY)
    ends = faces[halves[:, None] // 3, (halves[:, None] + [0, 1]) % 3]
    return np.unique(np.sort(ends, axis=1), axis=0)


def matched(faces: np.ndarray) -> "HalfEdges":
    """The half-edges of faces (F,3), each with the one on its other side."""
    from preprocessing.half_edge_kernels import match_half_edges

    return match_half_edges(np.ascontiguousarray(faces), int(faces.max(initial=-1)) + 1)


def duplicate_faces(faces: np.ndarray) -> int:
    """How many faces repeat the three vertices of an earlier one, in any order."""
    return len(faces) - len(np.unique(np.sort(faces, axis=1), axis=0))


def count_components(faces: np.ndarray, vertex_count: int) -> int:
    """Groups of faces that hang together by shared vertices; unused vertices do not count."""
    from preprocessing.half_edge_kernels import vertex_components

    used = np.zeros(vertex_count, bool)
    used[faces] = True
    _, groups = vertex_components(vertex_count, faces)
    return int(groups) - int((~used).sum())


def widened(faces: np.ndarray, chosen: np.ndarray, rings: int = 1) -> np.ndarray:
    """The chosen vertices, bool (V,), and those that are up to `rings` edges away."""
    chosen = chosen.copy()
    for _ in range(rings):
        chosen[faces[chosen[faces].any(axis=1)]] = True
    return chosen
