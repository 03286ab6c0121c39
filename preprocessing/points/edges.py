"""Salient edges: where two faces meet at a dihedral angle above a threshold.

One definition, shared by sampling, benchmark levels and edge metrics:
- the dihedral angle is the angle between the two face normals, in float64; a mesh edge is salient
  when it exceeds the threshold (Dora, arXiv 2412.17808, section 3.1);
- a degenerate face has no normal worth the name: flat to within 1e-5 of the mesh's longest side,
  or a small cap, whose obtuse angle is above 160° and which a smooth surface therefore tilts at
  will. Its longest edge is left out and its two other edges look across that longest edge to the
  next real face, as if the cap were folded flat: an edge moves by 0.2 % of the longest side at
  most. Zero-length edges are left out;
- two faces that run along their edge in the same direction disagree about outside; one normal is
  turned before the angle is taken, so a flipped face makes no edge;
- boundary edges (one face) and non-manifold edges (three or more) have no dihedral angle: they are
  counted and never salient. A face that names a vertex twice takes no part.
"""

from dataclasses import dataclass

import numpy as np

from preprocessing.half_edge_kernels import match_half_edges
from preprocessing.held import MeshLike, as_mesh
from preprocessing.points.edge_kernels import face_shapes, longest_side, sharp_edges

FLAT_HEIGHT = 1e-5  # of the longest side: float32 rounding of a vertex then turns a normal by < 1°
# Marching cubes leaves caps of 162° to 171° on a torus at 256³, tilted by up to 30°.
CAP_SINE = 0.342  # sine of 160°
CAP_HEIGHT = 2e-3  # of the longest side: a quarter of a cell at 128³; larger caps are real faces
FOLDED = 1e-3  # two unit normals whose sum is shorter (beyond 179.94°) have no mean direction
LEVELS = {"20000": (5_000, 20_000, 50_000), "10000": (5_000, 10_000, 50_000)}


@dataclass(frozen=True)
class SalientEdges:
    """The salient edges of one mesh, ordered by face.

    `edges` int64 (E,2) vertex rows; `faces` int64 (E,2) the two real faces; `normals` float64
    (E,3) unit, the mean of the two face normals, zero on a fold of about 180°; `angles` float64
    (E,) degrees; `lengths` float64 (E,); `segments` float64 (E,2,3) end points. The two counts are
    of the whole mesh: edges with one face, edges with more than two.
    """

    edges: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    angles: np.ndarray
    lengths: np.ndarray
    segments: np.ndarray
    boundary_edges: int
    nonmanifold_edges: int

    def __len__(self) -> int:
        return len(self.edges)

    @property
    def total_length(self) -> float:
        """Length of all salient edges, in the mesh's unit."""
        return float(self.lengths.sum())


def salient_edges(mesh: MeshLike, angle: float = 15.0) -> SalientEdges:
    """Edges of `mesh` whose dihedral angle exceeds `angle` degrees.

    Works on any mesh, in any form that `as_mesh` takes; the module says what becomes of slivers,
    flipped faces, open and non-manifold edges. Raises ValueError for an angle outside [0, 180).
    """
    if not 0 <= angle < 180:
        raise ValueError(f"the angle threshold must be in [0, 180) degrees, not {angle}")
    mesh = as_mesh(mesh)
    vertices, faces = mesh.vertices, mesh.faces
    matched = match_half_edges(faces, len(vertices))
    side = longest_side(vertices, faces)
    normals, longest, degenerate = face_shapes(
        vertices, faces, FLAT_HEIGHT * side, CAP_HEIGHT * side, CAP_SINE
    )
    halves, sides, turned, angles = sharp_edges(
        vertices, faces, matched.mates, normals, longest, degenerate, float(angle)
    )
    corner = halves % 3
    edges = faces[halves[:, None] // 3, np.stack([corner, (corner + 1) % 3], axis=1)]
    segments = vertices[edges]
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    sign = np.where(turned, -1.0, 1.0)[:, None]
    mean = normals[sides[:, 0]] + sign * normals[sides[:, 1]]
    norm = np.linalg.norm(mean, axis=1, keepdims=True)
    mean = np.divide(mean, norm, out=np.zeros_like(mean), where=norm > FOLDED)
    kept = lengths > 0
    return SalientEdges(
        edges[kept],
        sides[kept],
        mean[kept],
        angles[kept],
        lengths[kept],
        segments[kept],
        int(matched.boundary),
        int(matched.nonmanifold),
    )


def level_of(salient_edge_count: int, variant: str = "20000") -> int:
    """Dora-bench's level of detail: 0 for no salient edge, else 1 to 4.

    The limits are 5,000, 20,000 and 50,000 edges, inclusive (one survey of the first preprint says
    10,000 in place of 20,000: `variant="10000"`). Raises ValueError for another variant.
    """
    if variant not in LEVELS:
        raise ValueError(f"the variant must be one of {sorted(LEVELS)}, not {variant!r}")
    if salient_edge_count == 0:
        return 0
    return 1 + sum(salient_edge_count > limit for limit in LEVELS[variant])
