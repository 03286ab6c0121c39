"""How well salient edges are kept: edge against edge, and the surface where the true edges are.

Points lie on salient edges in proportion to length, so a finely cut edge counts no more than a
coarsely cut one. Distances go to the other mesh's edge *segments*, exactly.
"""

from dataclasses import dataclass

import numpy as np

from dora_bench.segment_kernels import LEAF, nearest_segments
from preprocessing.distance.morton import morton_order


@dataclass(frozen=True)
class SegmentTree:
    """Segments (E,2,3) in Morton order of their midpoints, and the heap of boxes over them."""

    segments: np.ndarray
    boxes: np.ndarray

    def distances(self, points: np.ndarray) -> np.ndarray:
        """Distance from every point (N,3) to the nearest segment, float64 (N,)."""
        return nearest_segments(
            np.ascontiguousarray(points, np.float64), self.segments, self.boxes
        )[0]


def segment_tree(segments: np.ndarray) -> SegmentTree:
    """A tree over segments (E,2,3), E >= 1, that answers nearest-segment queries exactly."""
    if len(segments) == 0:
        raise ValueError("there is no segment to measure a distance to")
    segments = np.ascontiguousarray(segments[morton_order(segments.mean(axis=1))], np.float64)
    leaves = -(-len(segments) // LEAF)
    width = 1 << (leaves - 1).bit_length()
    boxes = np.empty((2 * width - 1, 6))
    boxes[:, :3], boxes[:, 3:] = np.inf, -np.inf
    starts = np.arange(0, len(segments), LEAF)
    boxes[width - 1 : width - 1 + leaves, :3] = np.minimum.reduceat(segments.min(axis=1), starts)
    boxes[width - 1 : width - 1 + leaves, 3:] = np.maximum.reduceat(segments.max(axis=1), starts)
    for first in (2**level - 1 for level in reversed(range(width.bit_length() - 1))):
        below = boxes[2 * first + 1 : 4 * first + 3].reshape(first + 1, 2, 6)
        boxes[first : 2 * first + 1, :3] = below[:, :, :3].min(axis=1)
        boxes[first : 2 * first + 1, 3:] = below[:, :, 3:].max(axis=1)
    return SegmentTree(segments, boxes)


def angle_to_nearer_face(normals: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Degrees between `normals` (N,3) and the nearer of each edge point's two face normals.

    `sides` (N,2,3) are the normals of the two faces that meet at the true edge. Unsigned: winding
    carries no meaning here. On an exact copy of the edge the closest face is one of the two: 0. On
    a rounded edge it faces halfway between them: half the dihedral angle.
    """
    cosines = np.einsum("nk,nsk->ns", normals, sides)
    aligned = np.where(cosines < 0, -1.0, 1.0)[..., None] * sides
    chords = np.linalg.norm(aligned - normals[:, None], axis=2).min(axis=1)
    return np.degrees(2 * np.arcsin(np.minimum(chords / 2, 1.0)))  # arccos would lose small angles
