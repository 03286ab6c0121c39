"""The mitred distance: Euclidean off faces, the largest height over the planes off edges, corners.

Its level sets keep corners: those of a box are boxes, where the Euclidean ones are rounded. It is
the least of

- the Euclidean distance to the faces;
- for each convex edge, in the wedge between its two outward normals n: max n . d, with d from the
  foot on the edge's line, plus how far the foot is beyond the edge's end. Where the plane of
  another face that meets an end stands higher still, it counts too, and cuts the mitre off;
- for each convex corner, in the cone of directions that have it for their nearest point:
  max |n . d| over the faces that meet there.

The edge of an open sheet is closed by the plane through it at right angles to the face. An acute
edge, whose mitre would reach farther than `mitre` times the offset, is closed in the same way, by
the plane through it at right angles to the bisector: a bevel, with two edges in place of one. Such
planes count among the faces that meet at the edge's ends. Corners do not reach much farther: each
of these is at least the Euclidean distance to its edge or corner less `beyond`.

Each part is the largest of linear functions, and where the cone of one ends it is at least as large
as another one that goes on there; so the least is continuous, and moves by at most sqrt(2) times
what the point moves. (The plain rule, to take the faces at the nearest point, jumps: where two
edges, or an edge and a face, are equally near, and at the ends of edges that a third face leans
over, as at the corner of a chamfered box.)

Faces are welded by equal positions. Edges that turn by less than FLAT, and whatever touches a face
without an area, stay Euclidean.
"""

from dataclasses import dataclass

import numpy as np

from preprocessing.distance import mitre_feature_kernels as kernels
from preprocessing.distance.mitre_kernels import BEYOND, CORNER, EDGE, KIND, PAGE, WIDTH
from preprocessing.mesh import Mesh
from preprocessing.mesh_joining import drop_degenerate, join_positions
from preprocessing.settings import BORDER

FLAT = np.radians(1.0)
# Height over longest side below which a face has no plane.
THIN = 1e-10
# Edges at the limit keep their mitre in every pose: 60 degrees have one of 2 eps.
LIMIT = 1 - 1e-3


@dataclass(frozen=True)
class WeldedEdges:
    """The half-edges of faces as their edges have them: face by face round each edge.

    ends int64 (E,2), low vertex first; first int64 (E + 1,) rows of an edge's faces in the rest;
    along (E,3) its unit direction; into (H,3) unit directions into the faces, at right angles to
    the edge and counterclockwise round it; angle (H,) of these; face int64 (H,).
    """

    ends: np.ndarray
    first: np.ndarray
    along: np.ndarray
    into: np.ndarray
    angle: np.ndarray
    face: np.ndarray


def beyond_offset(eps: float, mitre: float) -> float:
    """How much farther than eps a corner may be: as where the longest mitre ends square.

    But not out of the grid.
    """
    return min(float(np.hypot(mitre, 1)) * eps, BORDER) - eps


def mitre_features(mesh: Mesh, mitre: float, beyond: float) -> tuple[np.ndarray, int]:
    """Rows float64 (R,30) of the convex edges and corners of a mesh, and how many are features.

    The rest are their pages (mitre_kernels.py), numbered from the first row of these.
    """
    places, row = join_positions(mesh.vertices)
    faces = drop_degenerate(row[mesh.faces])
    faces = faces[np.unique(np.sort(faces, axis=1), axis=0, return_index=True)[1]]
    normals, flat = face_normals(places, faces)
    plain = np.zeros(len(places), bool)
    plain[faces[flat]] = True
    edges = welded_edges(places, faces)
    table, of_edge = edge_rows(places, edges, flat)
    bisectors = table[:, 6:9].copy()
    acute = np.einsum("kx,kx->k", bisectors, table[:, 9:12]) < LIMIT / mitre
    table[~acute, 6:9] = 0
    bevels = (edges.ends[of_edge[acute]], bisectors[acute])
    corners = np.unique(edges.ends[of_edge])
    corners = corners[~plain[corners]]
    meeting = vertex_lists(len(places), edges, (faces[~flat], normals[~flat]), bevels)
    kept, sizes = kernels.convex_corners(corners, *meeting)
    cuts = kernels.count_cuts(table, bisectors, edges.ends[of_edge], plain, *meeting[2:])
    spots = np.zeros((int(kept.sum()), WIDTH))
    spots[:, :3] = places[corners[kept]]
    spots[:, KIND] = CORNER
    rows = np.concatenate([table, spots])
    sizes = np.concatenate([cuts, sizes[kept]])
    pages = np.where(sizes > 0, -(-sizes // WIDTH), 0)
    starts = len(rows) + np.cumsum(pages) - pages
    rows[:, PAGE] = np.where(sizes > 0, starts, -1)
    rows[:, BEYOND] = beyond
    ends = rows[:, :3] + rows[:, 3:6]
    rows[:, 24:27] = np.minimum(rows[:, :3], ends) - beyond
    rows[:, 27:30] = np.maximum(rows[:, :3], ends) + beyond
    text = np.zeros((int(pages.sum()), WIDTH))
    flat_text = text.reshape(-1)
    base = (starts - len(rows)) * WIDTH
    kernels.fill_cuts(flat_text, base, table, bisectors, edges.ends[of_edge], plain, *meeting[2:])
    kernels.fill_corners(flat_text, base[len(table) :], corners[kept], *meeting)
    return np.concatenate([rows, text]), len(rows)


def face_normals(places: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals (F,3), zero for a face without an area, and which have none (F,)."""
    corners = places[faces]
    sides = corners - np.roll(corners, 1, axis=1)
    normals = np.cross(sides[:, 1], sides[:, 2])
    size = np.linalg.norm(normals, axis=1, keepdims=True)
    longest = np.linalg.norm(sides, axis=2).max(axis=1, keepdims=True)
    flat = ~(size > THIN * longest**2)
    return np.divide(normals, size, out=np.zeros_like(normals), where=~flat), flat[:, 0]


def welded_edges(places: np.ndarray, faces: np.ndarray) -> WeldedEdges:
    """The edges of faces (F,3), each with its faces in the order in which they stand round it."""
    ahead = np.roll(faces, -1, axis=1).ravel()
    across = np.roll(faces, -2, axis=1).ravel()
    low, high = np.minimum(faces.ravel(), ahead), np.maximum(faces.ravel(), ahead)
    along = unit(places[high] - places[low])
    into = places[across] - places[low]
    into = unit(into - np.einsum("hx,hx->h", into, along)[:, None] * along)
    # Any two directions across the edge, the same for all its faces.
    axis = np.eye(3)[np.abs(along).argmin(axis=1)]
    one = unit(np.cross(along, axis))
    two = np.cross(along, one)
    angle = np.arctan2(np.einsum("hx,hx->h", into, two), np.einsum("hx,hx->h", into, one))
    order = np.lexsort((angle, high, low))
    low, high = low[order], high[order]
    new = np.ones(len(order), bool)
    new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    first = np.append(np.flatnonzero(new), len(order))
    ends = np.stack([low[new], high[new]], axis=1)
    face = np.repeat(np.arange(len(faces)), 3)[order]
    return WeldedEdges(ends, first, along[order][new], into[order], angle[order], face)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (N,3) over their lengths; zero stays zero."""
    size = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, size, out=np.zeros_like(vectors), where=size > 0)


def edge_rows(
    places: np.ndarray, edges: WeldedEdges, flat: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (K,30) of the convex edges, with the bisectors of all, and the edge (K,) each is of.

    Of the directions round an edge, its faces leave one widest gap; the directions that have the
    edge for their nearest point are those in it at right angles or more to both faces beside it.
    The edge of an open sheet has two rows, one either side of the sheet.
    """
    count = np.diff(edges.first)
    last = edges.first[1:] - 1
    following = np.arange(len(edges.angle)) + 1
    following[last] = edges.first[:-1]
    gap = edges.angle[following] - edges.angle
    gap[last] += 2 * np.pi
    widest = np.maximum.reduceat(gap, edges.first[:-1])
    at = np.flatnonzero(gap == np.repeat(widest, count))
    own = np.repeat(np.arange(len(count)), count)[at]
    own, once = np.unique(own, return_index=True)
    at = at[once]
    touched = np.logical_or.reduceat(flat[edges.face], edges.first[:-1])
    sharp = (widest - np.pi > FLAT) & ~touched
    own, at = own[sharp], at[sharp]
    along, border = edges.along[own], count[own] == 1
    one, two = edges.into[at], edges.into[following[at]]
    over, under = np.cross(along, one), -np.cross(along, two)
    # The plane through the border of a sheet: a face that hangs down from it, and one that stands.
    parts = [
        (
            own,
            over,
            np.where(border[:, None], -one, under),
            one,
            np.where(border[:, None], -over, two),
        ),
        (own[border], -one[border], under[border], -under[border], two[border]),
    ]
    of_edge, left, right, into, across = (np.concatenate(part) for part in zip(*parts, strict=True))
    rows = np.zeros((len(of_edge), WIDTH))
    rows[:, :3] = places[edges.ends[of_edge, 0]]
    rows[:, 3:6] = places[edges.ends[of_edge, 1]] - rows[:, :3]
    rows[:, 6:9] = bisectors_of(left, right, into, across)
    rows[:, 9:12], rows[:, 12:15] = left, right
    rows[:, 15:18], rows[:, 20:23] = into, across
    rows[:, KIND] = EDGE
    return rows, of_edge


def bisectors_of(
    left: np.ndarray, right: np.ndarray, into: np.ndarray, across: np.ndarray
) -> np.ndarray:
    """Unit directions (K,3) between outward normals, opposite ones too."""
    return unit(left + right - into - across)


def vertex_lists(
    count: int,
    edges: WeldedEdges,
    sides: tuple[np.ndarray, np.ndarray],
    bevels: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What meets at each vertex: (starts, directions of edges, starts, normals of faces).

    sides: corners (F,3) and normals (F,3) of faces; bevels: ends (K,2) and normals (K,3) of the
    planes that close acute edges. They and those that close the borders of open sheets are among
    the faces.
    """
    spot = np.concatenate([edges.ends[:, 0], edges.ends[:, 1]])
    ways = np.concatenate([edges.along, -edges.along])
    border = np.diff(edges.first) == 1
    rims = edges.into[edges.first[:-1][border]]
    owner = [sides[0].ravel(), edges.ends[border].T.ravel(), bevels[0].T.ravel()]
    planes = [np.repeat(sides[1], 3, axis=0), rims, rims, bevels[1], bevels[1]]
    whole = np.concatenate(owner), np.concatenate(planes)
    return *grouped(count, spot, ways), *grouped(count, *whole)


def grouped(count: int, owner: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts (count + 1,) of each owner's values, and the values in that order."""
    order = np.argsort(owner, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=count))])
    return starts, values[order]
