"""Faults of a mesh that its faces alone show: open, non-manifold and flipped edges, copies."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class EdgeFaults:
    """Edge counts of a mesh, and the open edges themselves as vertex pairs (K,2)."""

    edges: int
    open_edges: int
    nonmanifold_edges: int
    flipped_edges: int
    open_pairs: np.ndarray


def edge_faults(faces: np.ndarray) -> EdgeFaults:
    """Count the edges of faces (F,3) with one face, with more than two, and with two that disagree.

    Two faces agree about outside when they run along their edge in opposite directions.
    """
    halves = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forward = np.where(halves[:, 0] < halves[:, 1], 1, -1)
    pairs, which, uses = np.unique(
        np.sort(halves, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    balance = np.bincount(which.reshape(-1), forward, len(pairs))
    return EdgeFaults(
        edges=len(pairs),
        open_edges=int((uses == 1).sum()),
        nonmanifold_edges=int((uses > 2).sum()),
        flipped_edges=int(((uses == 2) & (balance != 0)).sum()),
        open_pairs=pairs[uses == 1],
    )


def duplicate_faces(faces: np.ndarray) -> int:
    """How many faces repeat the three vertices of an earlier one, in any order."""
    return len(faces) - len(np.unique(np.sort(faces, axis=1), axis=0))


def count_components(faces: np.ndarray, vertex_count: int) -> int:
    """Groups of faces that hang together by shared vertices."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = np.concatenate([faces[:, 0], faces[:, 1]])
    columns = np.concatenate([faces[:, 1], faces[:, 2]])
    links = coo_array((np.ones(len(rows), bool), (rows, columns)), (vertex_count, vertex_count))
    return int(connected_components(links, directed=False)[0])
