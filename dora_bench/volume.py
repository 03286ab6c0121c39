"""What lies inside a mesh, whichever way its faces are wound.

A mesh has an inside when every edge lies on an even number of faces: then a ray from a point
crosses the surface an even or an odd number of times whatever its direction. Where faces agree
about outside, inside is where the winding number is not 0, so that parts that overlap are one
solid; where some are turned round, they are first turned back to agree with the larger area of
their part. Where no side is clearly the larger (a share of 2/3), or the part has but one side,
inside is where rays cross the surface an odd number of times.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from preprocessing.distance.queries import TriangleTree
from preprocessing.half_edges import edge_faults
from preprocessing.mesh import Mesh

WELD = 1e-6  # of the longest side: what rounding parts, and far below any threshold of a metric
CLEAR = 2 / 3  # share of a part's area that must agree for its winding to say anything


@dataclass(frozen=True)
class Solid:
    """A mesh with an inside, its faces turned to agree; `odd`: count crossings, not turns."""

    mesh: Mesh
    odd: bool


def solid_of(mesh: Mesh) -> Solid | None:
    """The inside of a mesh, or None where an edge lies on an odd number of faces.

    Faces with the same three vertices count once when that gives an inside (a surface stored with
    both its sides is one surface), else as often as they are there (a wall between two parts).
    """
    faults = edge_faults(mesh.faces)
    if faults.two_faces_each and faults.unbalanced_edges == 0:
        return Solid(mesh, odd=False)
    faces = proper_faces(mesh.faces)
    once = without_repeats(faces)
    if len(once) and not odd_edges(once):
        faces = once
    elif not len(faces) or odd_edges(faces):
        return None
    if balanced(faces):
        return Solid(Mesh(mesh.vertices, faces), odd=False)
    turned, clear = agreeing(mesh.vertices, faces)
    return Solid(Mesh(mesh.vertices, turned), odd=not (clear and balanced(turned)))


def inside(solid: Solid, points: np.ndarray) -> np.ndarray:
    """Which points are inside, bool (N,). `points` float64 (N,3) lie along a Morton curve."""
    # Distances would only let `winding` skip rays; on points far from the surface they cost more.
    winding = TriangleTree.build(solid.mesh).winding(points, np.zeros(len(points)))
    return winding % 2 == 1 if solid.odd else winding != 0


def proper_faces(faces: np.ndarray) -> np.ndarray:
    """Faces (F,3) without those that name a vertex twice."""
    return faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]


def without_repeats(faces: np.ndarray) -> np.ndarray:
    """One face (F,3) for each set of three vertices, the first as it is."""
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    return faces[np.sort(first)]


def edges_of(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edge number int64 (3F,) and whether it is run from its lower vertex, bool (3F,)."""
    starts, ends = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    low, high = np.minimum(starts, ends), np.maximum(starts, ends)
    key = low.astype(np.int64) * (int(faces.max()) + 1) + high
    return np.unique(key, return_inverse=True)[1], starts < ends


def odd_edges(faces: np.ndarray) -> int:
    """How many edges lie on an odd number of faces (F,3)."""
    return int((np.bincount(edges_of(faces)[0]) % 2).sum())


def balanced(faces: np.ndarray) -> bool:
    """Whether faces run along every edge as often one way as the other."""
    edge, upward = edges_of(faces)
    return not np.bincount(edge, np.where(upward, 1.0, -1.0)).any()


def agreeing(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, bool]:
    """Faces turned to agree across every edge of two faces, and whether it is clear which way.

    Each face is two nodes of a graph, as given and turned round; two neighbours are joined as they
    agree. The two ways round a part are then two components, and the larger area as given wins.
    """
    edge, upward = edges_of(faces)
    order = np.argsort(edge, kind="stable")
    two = np.bincount(edge)[edge[order]] == 2
    first, second = order[two].reshape(-1, 2).T  # half-edges of each edge of two faces
    one, other = first // 3, second // 3
    count = len(faces)
    disagree = np.where(upward[first] == upward[second], count, 0)
    ends = np.concatenate([other + disagree, other + count - disagree])
    graph = coo_array(
        (np.ones(len(ends), np.int8), (np.concatenate([one, one + count]), ends)), (2 * count,) * 2
    )
    _, label = connected_components(graph, directed=False)
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    weight = np.bincount(label[:count], np.linalg.norm(normal, axis=1), label.max() + 1)
    given, turned = weight[label[:count]], weight[label[count:]]
    flip = (given < turned) | ((given == turned) & (label[:count] > label[count:]))
    result = np.where(flip[:, None], faces[:, ::-1], faces)
    clear = np.maximum(given, turned) >= CLEAR * (given + turned)
    return result, bool((clear & (label[:count] != label[count:])).all())


def weld(mesh: Mesh) -> Mesh:
    """Join vertices of open edges that lie within WELD times the longest side of each other."""
    edge, _ = edges_of(mesh.faces)
    at_open = (np.bincount(edge) % 2 == 1)[edge].reshape(-1, 3)
    rim = np.unique(mesh.faces[at_open | np.roll(at_open, 1, axis=1)])
    side = float(np.ptp(mesh.vertices, axis=0).max())
    pairs = cKDTree(mesh.vertices[rim]).query_pairs(WELD * side, output_type="ndarray")
    if len(pairs) == 0:
        return mesh
    graph = coo_array((np.ones(len(pairs), np.int8), pairs.T), (len(rim),) * 2)
    _, label = connected_components(graph, directed=False)
    _, leader = np.unique(label, return_index=True)
    target = np.arange(len(mesh.vertices))
    target[rim] = rim[leader[label]]
    used, faces = np.unique(proper_faces(target[mesh.faces]), return_inverse=True)
    return Mesh(mesh.vertices[used], faces.reshape(-1, 3))
