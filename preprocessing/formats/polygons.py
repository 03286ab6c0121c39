"""Polygons of any number of corners, with holes or without, to triangles.

The triangles of a polygon have its area: a concave one is cut by its ears in the plane of its
Newell normal, so that no triangle folds over another; a hole is joined to the outline by a bridge.
"""

import numpy as np

from preprocessing.mesh_errors import MeshError

MOST_CONCAVE = 20_000
"""Corners of a concave polygon that are still cut: the time grows with their square."""


def check_indices(indices: np.ndarray, vertex_count: int) -> None:
    """Raise MeshError(index-out-of-range) unless all of `indices` are in 0..vertex_count-1."""
    if len(indices) and (indices.min() < 0 or indices.max() >= vertex_count):
        wrong = int(indices.min() if indices.min() < 0 else indices.max())
        raise MeshError(
            "index-out-of-range", f"a face names vertex {wrong}, but there are {vertex_count}"
        )


def triangulate(vertices: np.ndarray, corners: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Triangles (F,3) of polygons given as one flat list of `corners` and `counts` per polygon.

    vertices (V,3); the triangles are wound as their polygon and come in the polygons' order. A
    convex polygon becomes the fan from its first corner, a concave one is cut by its ears; all
    corners are used, so that neighbours stay joined. Among other polygons, one of a single corner
    or two becomes a triangle that names a corner twice, for load_mesh to count and drop.
    Raises MeshError(index-out-of-range, too-large).
    """
    check_indices(corners, len(vertices))
    if not (counts >= 3).any():
        return np.empty((0, 3), np.int64)
    starts = np.cumsum(counts) - counts
    triangles, order = [], []
    for size in np.unique(counts[counts > 0]):
        which = np.flatnonzero(counts == size)
        polygons = corners[starts[which][:, None] + np.arange(size)]
        if size < 3:
            cut = polygons[:, None, [0, -1, -1]]
        else:
            cut = cut_polygons(vertices, polygons)
        triangles.append(cut.reshape(-1, 3).astype(np.int64))
        order.append(np.repeat(which, cut.shape[1]))
    if len(triangles) == 1:
        return triangles[0]
    return np.concatenate(triangles)[np.argsort(np.concatenate(order), kind="stable")]


def triangulate_with_holes(
    vertices: np.ndarray, outline: np.ndarray, holes: list[np.ndarray]
) -> np.ndarray:
    """Triangles (F,3) of one polygon with holes, wound as its outline.

    vertices (V,3); outline and holes are indices into them, each hole inside the outline, apart
    from the others and wound either way. The triangles' area is the outline's less the holes'.
    Raises MeshError(index-out-of-range; unreadable where a hole is not inside).
    """
    rings = [np.asarray(ring, np.int64) for ring in (outline, *holes)]
    check_indices(np.concatenate(rings), len(vertices))
    rings = [rings[0], *(ring for ring in rings[1:] if len(ring) >= 3)]
    if len(rings) == 1 or len(rings[0]) < 3:
        return triangulate(vertices, rings[0], np.array([len(rings[0])]))
    from preprocessing.formats.polygon_kernels import clip_ears

    plane = flatten(vertices[rings[0]][None], vertices[np.concatenate(rings)][None])[0]
    ends = np.cumsum([len(ring) for ring in rings])
    local = [np.arange(end - len(ring), end) for ring, end in zip(rings, ends, strict=True)]
    outer, inner = local[0], [turned_clockwise(plane, hole) for hole in local[1:]]
    for hole in sorted(inner, key=lambda hole: -plane[hole, 0].max()):
        later = [other for other in inner if plane[other, 0].max() <= plane[hole, 0].max()]
        outer = bridged(plane, outer, hole, later)
    triangles = outer[clip_ears(plane[outer])]
    wanted = sum(ring_area(plane[ring]) for ring in (local[0], *inner))
    covered = sum(abs(ring_area(plane[triangle])) for triangle in triangles)
    if not abs(covered - wanted) <= 1e-9:
        raise MeshError("unreadable", "a hole of a polygon is not inside its outline")
    return np.concatenate(rings)[triangles]


def cut_polygons(vertices: np.ndarray, polygons: np.ndarray) -> np.ndarray:
    """Triangles (P,n-2,3) of polygons (P,n) of one size n >= 3."""
    size = polygons.shape[1]
    fan = np.stack([np.zeros(size - 2, int), np.arange(1, size - 1), np.arange(2, size)], axis=1)
    triangles = polygons[:, fan]
    if size == 3:
        return triangles
    with np.errstate(all="ignore"):  # load_mesh names what is not finite
        places = within_one(vertices[polygons])
        crosses = np.cross(places[:, 1:-1] - places[:, :1], places[:, 2:] - places[:, :1])
        # Newell's normal: the sum of the fan's, wherever the fan starts.
        normals = crosses.sum(axis=1, keepdims=True)
        folded = np.flatnonzero(((crosses * normals).sum(axis=2) < 0).any(axis=1))
    if len(folded) == 0:
        return triangles
    if size > MOST_CONCAVE:
        raise MeshError("too-large", f"a concave face of {size} corners; split it first")
    from preprocessing.formats.polygon_kernels import clip_polygons

    local = clip_polygons(flatten(places[folded], places[folded]))
    triangles[folded] = polygons[folded[:, None, None], local]
    return triangles


def within_one(places: np.ndarray) -> np.ndarray:
    """Polygons (P,n,3) moved and scaled so that each spans about one unit from the origin."""
    low = places.min(axis=1, keepdims=True)
    extent = (places.max(axis=1, keepdims=True) - low).max(axis=2, keepdims=True)
    return (places - low) / np.where(extent > 0, extent, 1.0)


def flatten(outlines: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Places (P,m,3) in the plane (P,m,2) of each outline (P,n,3), counter-clockwise there.

    Scaled by the outline's extent. A plane along two axes keeps their coordinates to the bit.
    """
    low = outlines.min(axis=1, keepdims=True)
    extent = (outlines.max(axis=1, keepdims=True) - low).max(axis=2, keepdims=True)
    extent = np.where(extent > 0, extent, 1.0)
    outlines, places = (outlines - low) / extent, (places - low) / extent
    from_first = outlines - outlines[:, :1]
    normals = np.cross(from_first[:, 1:-1], from_first[:, 2:]).sum(axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), np.finfo(float).tiny)
    # The axis that the normal follows least is never parallel to it.
    helper = np.eye(3)[np.abs(normals).argmin(axis=1)]
    across = np.cross(helper, normals)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), np.finfo(float).tiny)
    axes = np.stack([across, np.cross(normals, across)], axis=2)
    return places @ axes


def ring_area(ring: np.ndarray) -> float:
    """Signed area of a ring (n,2), positive counter-clockwise."""
    x, y = (ring - ring[0]).T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def turned_clockwise(plane: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """A ring (n,) of indices into `plane` (m,2), wound clockwise."""
    return ring[::-1] if ring_area(plane[ring]) > 0 else ring


def bridged(
    plane: np.ndarray, outer: np.ndarray, hole: np.ndarray, holes: list[np.ndarray]
) -> np.ndarray:
    """One ring of `outer` and `hole`, joined by a segment walked there and back.

    All are rings of indices into `plane` (m,2); the segment crosses no edge of `outer` or `holes`.
    Raises MeshError(unreadable) where there is no such segment.
    """
    from preprocessing.formats.polygon_kernels import in_cone

    starts = np.concatenate([outer, *holes])
    ends = np.concatenate([np.roll(ring, -1) for ring in (outer, *holes)])

    def free(p: int, m: int) -> bool:
        near, far = outer[p], hole[m]
        cone = outer[p - 1], near, outer[(p + 1) % len(outer)]
        beside = hole[m - 1], far, hole[(m + 1) % len(hole)]
        if (plane[near] == plane[far]).all():
            return in_cone(plane, *cone, beside[0]) and in_cone(plane, *cone, beside[2])
        open_way = in_cone(plane, *cone, far) and in_cone(plane, *beside, near)
        return open_way and not crossed(plane, near, far, starts, ends)

    # Where the rings touch, there; else from the corner farthest right, which sees the outline.
    touching = (plane[hole][:, None] == plane[outer][None]).all(axis=2)
    pairs = [(p, m) for m, p in np.argwhere(touching)]
    first = next((pair for pair in pairs if free(*pair)), None)
    for m in np.argsort(-plane[hole, 0], kind="stable"):
        if first is not None:
            break
        away = np.linalg.norm(plane[outer] - plane[hole[m]], axis=1)
        near_first = np.argsort(away, kind="stable")
        first = next(((p, m) for p in near_first if free(p, m)), None)
    if first is None:
        raise MeshError("unreadable", "a hole of a polygon is not inside its outline")
    p, m = first
    return np.concatenate([outer[: p + 1], hole[m:], hole[: m + 1], outer[p:]])


def crossed(plane: np.ndarray, one: int, two: int, starts: np.ndarray, ends: np.ndarray) -> bool:
    """Whether the segment between two points meets an edge that neither of them belongs to."""
    a, b, c, d = plane[one], plane[two], plane[starts], plane[ends]

    def side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
        u, v = q - p, r - p
        return np.sign(u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0])

    own = (c == a).all(axis=1) | (d == a).all(axis=1) | (c == b).all(axis=1) | (d == b).all(axis=1)
    apart = (side(a, b, c) * side(a, b, d) > 0) | (side(c, d, a) * side(c, d, b) > 0)
    inline = (side(a, b, c) == 0) & (side(a, b, d) == 0)
    beside = (np.maximum(c, d) < np.minimum(a, b)).any(axis=1)
    beside |= (np.minimum(c, d) > np.maximum(a, b)).any(axis=1)
    return bool((~own & ~apart & ~(inline & beside)).any())
