"""How far a mesh reaches, which only faces with an area decide, and how its parts compare."""

import numpy as np

FLAT = 4 * float(np.finfo(np.float32).eps)
"""Height over longest side up to which a face has no area: what float32 leaves of a line."""


def flat_faces(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Which faces (F,3) of vertices (V,3) have no area, bool (F,), in any unit."""
    corners = vertices[faces]
    sides = corners - corners[:, [1, 2, 0]]
    size = np.abs(sides).max(axis=(1, 2), keepdims=True)
    sides /= np.where(size > 0, size, 1.0)
    crosses = np.cross(sides[:, 0], sides[:, 1])
    longest = (sides**2).sum(axis=2).max(axis=1)
    return (crosses**2).sum(axis=1) <= (FLAT * longest) ** 2


def solid_bounds(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner (3,) of the faces (F,3) that have an area; of all where none has.

    vertices (V,3), finite; at least one face.
    """
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    low, high = vertices[used].min(axis=0), vertices[used].max(axis=0)
    # Most meshes owe their bounds to faces with an area: look at those that touch them first.
    touching = ((vertices == low) | (vertices == high)).any(axis=1)
    at_bounds = faces[touching[faces].any(axis=1)]
    if flat_faces(vertices, at_bounds).any():
        solid = faces[~flat_faces(vertices, faces)]
        if len(solid):
            corners = vertices[solid].reshape(-1, 3)
            return corners.min(axis=0), corners.max(axis=0)
    return low, high


def sticking_out(
    vertices: np.ndarray, faces: np.ndarray, bounds: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Which faces (F,3) reach beyond the `bounds` of those with an area, bool (F,)."""
    low, high = bounds
    slack = 1e-9 * (high - low).max()
    beyond = ((vertices < low - slack) | (vertices > high + slack)).any(axis=1)
    return beyond[faces].any(axis=1)


def frame_ratio(vertices: np.ndarray, faces: np.ndarray) -> float:
    """The longest side of the mesh over that of its smallest part; 1 for a mesh in one piece.

    Parts hang together by shared vertices; vertices (V,3) all used. Over 100, the smallest part is
    a speck in the normalised frame, or two parts lie far apart.
    """
    from preprocessing.half_edge_kernels import vertex_components

    labels, _ = vertex_components(len(vertices), faces)
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    low = np.minimum.reduceat(vertices[order], starts)
    high = np.maximum.reduceat(vertices[order], starts)
    sizes = (high - low).max(axis=1)
    whole = float((vertices.max(axis=0) - vertices.min(axis=0)).max())
    return whole / float(sizes[sizes > 0].min())
