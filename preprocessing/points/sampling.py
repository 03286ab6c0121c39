"""Hybrid point samples of a watertight mesh: uniform and salient clouds, supervision with SDF.

Dora (arXiv 2412.17808, section 3.1) as released, except that points between the ends of salient
edges are spread by length (`edge_spread="edge"`: as released, evenly over the edges), that every
draw is seeded by (seed, item id, stage), and that a mesh without salient edges gives an empty
salient cloud instead of a crash.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import get_num_threads

from preprocessing.distance.queries import SignedDistance
from preprocessing.frame import HALF_WIDTH
from preprocessing.held import MeshLike, as_mesh
from preprocessing.mesh import Mesh
from preprocessing.points.edge_kernels import corner_sums, double_areas
from preprocessing.points.edges import FOLDED, SalientEdges, level_of, salient_edges
from preprocessing.points.fps import farthest_points
from preprocessing.points.samples import Sample, SampleError, check_sample, rounded
from preprocessing.seeds import generator
from preprocessing.settings import EDGE_SPREADS

REDRAWS = 256  # rounds of new noise; in the worst case, a corner of the cube, 7/8 remain a round


@dataclass(frozen=True, kw_only=True)
class Supervision:
    """Where signed distances are taken; the defaults are the published ones.

    `dense` area-weighted surface points: the pool that FPS thins to the uniform cloud, and that
    near points start from. Near points: every dense point once per sigma of `near_sigmas`. Salient
    ones: every point of the salient cloud once per sigma of `salient_sigmas`. `space` points
    uniform in [-1.05, 1.05]^3. Sigmas are in units of the normalised frame.
    """

    dense: int = 200_000
    near_sigmas: tuple[float, ...] = (0.001, 0.005)
    salient_sigmas: tuple[float, ...] = (0.001, 0.005, 0.007, 0.01)
    space: int = 200_000


PUBLISHED = Supervision()


def sample_shape(
    mesh: MeshLike,
    *,
    points: int = 65536,
    angle: float = 15.0,
    seed: int = 0,
    item_id: str = "",
    eps: float | None = None,
    edge_spread: str = "length",
    supervision: Supervision = PUBLISHED,
    dtype: str = "float32",
) -> Sample:
    """Everything the VAE trains on from one watertight mesh in the normalised frame.

    `mesh` in any form that `as_mesh` takes. `points` is the total: points // 2 uniform and up to
    points // 2 salient ones (exactly as many, or none where no edge is salient). `eps` is recorded
    in the metadata. `dtype` float16: rows hold what a file of that type does, and distances belong
    to the rounded points. The sample is a pure function of the arguments; rows are shuffled, see
    `samples.Sample`.

    Raises SampleError outside-cube, degenerate or one of `check_sample`, MeshError(not-closed) for
    a mesh without an inside, MeshError(empty), and ValueError for arguments out of range.
    """
    mesh = as_mesh(mesh)
    count = points // 2
    if not 0 < count <= supervision.dense:
        raise ValueError(
            f"points // 2 must be from 1 to the {supervision.dense} dense points, not {count}"
        )

    def shuffled(name: str, points: np.ndarray) -> np.ndarray:
        # Rounded before distances are taken: they belong to the stored coordinates.
        rows = rounded(points.astype(np.float32), dtype)
        return generator(seed, item_id, f"shuffle-{name}").permutation(rows)

    def uniform() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        draw = generator(seed, item_id, "surface")
        dense, normals, _ = sample_surface(mesh, supervision.dense, draw)
        noise = generator(seed, item_id, "near-noise")
        near = with_noise(dense, supervision.near_sigmas, noise)
        queries = shuffled("coarse_near", near)
        return queries, *thinned(np.concatenate([dense, normals], axis=1), count)

    def salient() -> tuple[SalientEdges, np.ndarray, np.ndarray, np.ndarray]:
        edges = salient_edges(mesh, angle)
        draw = generator(seed, item_id, "salient")
        rows, order = thinned(salient_pool(mesh, edges, count, draw, edge_spread), count)
        noise = generator(seed, item_id, "salient-noise")
        near = with_noise(rows[:, :3], supervision.salient_sigmas, noise)
        return edges, shuffled("sharp_near", near), rows, order

    if len(mesh.faces) == 0:
        raise SampleError("degenerate", "the mesh has no faces to sample")

    def space() -> np.ndarray:
        draw = generator(seed, item_id, "space")
        return shuffled("space", draw.uniform(-HALF_WIDTH, HALF_WIDTH, (supervision.space, 3)))

    if get_num_threads() > 1:
        # The parts know nothing of each other, and their kernels release the interpreter lock. Only
        # the distance has parallel ones: in the runner's children one can run at a time.
        with ThreadPoolExecutor(2) as beside:
            parts = beside.submit(salient), beside.submit(uniform)
            distance, far = SignedDistance(mesh), space()
            edges, sharp_near, sharp_rows, sharp_order = parts[0].result()
            coarse_near, coarse_rows, coarse_order = parts[1].result()
    else:
        distance, far = SignedDistance(mesh), space()
        edges, sharp_near, sharp_rows, sharp_order = salient()
        coarse_near, coarse_rows, coarse_order = uniform()

    queries = {"sharp_near": sharp_near, "coarse_near": coarse_near, "space": far}
    sample = Sample(
        coarse_surface=rounded(coarse_rows, dtype),
        sharp_surface=rounded(sharp_rows, dtype),
        coarse_order=coarse_order,
        sharp_order=sharp_order,
        **{name: rounded(rows, dtype) for name, rows in supervise(distance, queries).items()},
        metadata={
            "id": item_id,
            "seed": str(seed),
            "angle": repr(float(angle)),
            "eps": "" if eps is None else repr(float(eps)),
            "edge_spread": edge_spread,
            "salient_edges": str(len(edges)),
            "salient_length": repr(edges.total_length),
            "boundary_edges": str(edges.boundary_edges),
            "nonmanifold_edges": str(edges.nonmanifold_edges),
            "folded_edges": str(int((~edges.normals.any(axis=1)).sum())),
            "level": str(level_of(len(edges))),
            "rows": "shuffled; the farthest point order is in coarse_order and sharp_order",
            **({"dtype": dtype} if dtype != "float32" else {}),
        },
    )
    check_sample(sample)
    return sample


def thinned(pool: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` rows of a pool (P,C) by farthest point sampling from its first, in the pool's order.

    Returns (rows float32 (count,C), their farthest point order int32 (count,)). Of a pool in random
    order the rows are shuffled too; and since the lower of two rows stays the lower, the order is
    to the bit what farthest point sampling of the rows themselves gives. An empty pool gives none.
    """
    if len(pool) == 0:
        return pool.astype(np.float32), np.empty(0, np.int32)
    chosen = farthest_points(pool[:, :3], count)
    kept = np.sort(chosen)
    return pool[kept].astype(np.float32), np.searchsorted(kept, chosen).astype(np.int32)


def sample_surface(
    mesh: Mesh, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Area-weighted random surface points.

    Returns (points float64 (count,3), unit face normals float64 (count,3), faces int64 (count,)).
    Raises SampleError(degenerate) when the mesh has no area.
    """
    doubled = double_areas(mesh.vertices, mesh.faces)
    total = np.cumsum(doubled)
    if len(total) == 0 or not total[-1] > 0:
        raise SampleError("degenerate", "the mesh has no area to sample")
    # side="right": a face of no area has an empty interval and is never chosen.
    drawn = generator.random(count) * total[-1]
    # Sorted, the look-ups touch memory in order.
    rank = np.argsort(drawn)
    faces = np.empty(count, np.int64)
    faces[rank] = np.searchsorted(total, drawn[rank], side="right")
    faces = np.minimum(faces, last_positive(doubled))
    along = generator.random((count, 2))
    along = np.where(along.sum(axis=1, keepdims=True) > 1, 1 - along, along)
    corners = mesh.vertices.take(mesh.faces.take(faces, axis=0), axis=0)
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    points = corners[:, 0] + along[:, :1] * first + along[:, 1:] * second
    return points, np.cross(first, second) / doubled[faces, None], faces


def last_positive(weights: np.ndarray) -> int:
    """Row of the last weight above zero: where a draw that rounds up to the total belongs."""
    return int(np.flatnonzero(weights > 0)[-1])


def sample_segments(
    segments: np.ndarray, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Points along segments (E,2,3), spread by length: one at random in each of `count` strata.

    Returns (points float64 (count,3), segment of each int64 (count,)). Raises
    SampleError(degenerate) when the segments have no length and count > 0.
    """
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    ends = np.cumsum(lengths)
    if count == 0:
        return np.empty((0, 3)), np.empty(0, np.int64)
    if len(ends) == 0 or not ends[-1] > 0:
        raise SampleError("degenerate", "the segments have no length to sample")
    drawn = (np.arange(count) + generator.random(count)) * (ends[-1] / count)
    rows = np.minimum(np.searchsorted(ends, drawn, side="right"), last_positive(lengths))
    along = np.clip((drawn - ends[rows]) / lengths[rows] + 1, 0, 1)[:, None]
    return segments[rows, 0] * (1 - along) + segments[rows, 1] * along, rows


def salient_cloud(
    mesh: Mesh,
    edges: SalientEdges,
    count: int,
    generator: np.random.Generator,
    edge_spread: str = "length",
) -> np.ndarray:
    """The salient cloud in farthest point order, float64 (count,6), or (0,6); of `salient_pool`."""
    pool = salient_pool(mesh, edges, count, generator, edge_spread)
    return pool[farthest_points(pool[:, :3], count)] if len(pool) else pool


def salient_pool(
    mesh: Mesh, edges: SalientEdges, count: int, generator: np.random.Generator, edge_spread: str
) -> np.ndarray:
    """What the salient cloud is thinned from, in random order, float64 (P,6): xyz and unit normal.

    With at least `count` end points: all of them. With fewer: all of them and points between them,
    P = `count`. Without a salient edge: (0,6). End points carry the angle-weighted vertex normal,
    points between the normalised mean of the two face normals. Where the surface is folded onto
    itself neither has a direction (thin gaps that an offset just closes): such points are left out,
    the others make up the number. Raises SampleError(bad-normal) when no other is left.
    """
    if edge_spread not in EDGE_SPREADS:
        raise ValueError(f"edge_spread must be one of {EDGE_SPREADS}, not {edge_spread!r}")
    if len(edges) == 0:
        return np.empty((0, 6))
    rows = generator.permutation(np.unique(edges.edges))
    cloud = np.concatenate([mesh.vertices[rows], vertex_normals(mesh, rows)], axis=1)
    cloud = cloud[cloud[:, 3:].any(axis=1)]
    missing = count - len(cloud)
    if missing > 0:
        unfolded = edges.normals.any(axis=1)
        if not unfolded.any():
            raise SampleError("bad-normal", "the surface is folded onto itself at every edge")
        spread = sample_segments if edge_spread == "length" else points_per_edge
        points, at = spread(edges.segments[unfolded], missing, generator)
        between = np.concatenate([points, edges.normals[unfolded][at]], axis=1)
        cloud = generator.permutation(np.concatenate([cloud, between]))
    return cloud


def points_per_edge(
    segments: np.ndarray, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """As released: the same number of points on every edge, evenly spaced, whatever its length.

    Returns as `sample_segments`. The remainder goes to one point more on randomly chosen edges.
    """
    share = np.full(len(segments), count // len(segments))
    share[generator.permutation(len(segments))[: count % len(segments)]] += 1
    rows = np.repeat(np.arange(len(segments)), share)
    place = np.arange(count) - np.repeat(np.cumsum(share) - share, share)
    along = ((place + 1) / (share[rows] + 1))[:, None]
    return segments[rows, 0] * (1 - along) + segments[rows, 1] * along, rows


def vertex_normals(mesh: Mesh, rows: np.ndarray) -> np.ndarray:
    """Angle-weighted unit normals of the vertices `rows` (K,), float64 (K,3); zero on a fold."""
    slots = np.full(len(mesh.vertices), -1, np.int64)
    slots[rows] = np.arange(len(rows))
    sums = corner_sums(mesh.vertices, mesh.faces, slots, len(rows))
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, norms, out=np.zeros_like(sums), where=norms > FOLDED)


def with_noise(
    points: np.ndarray, sigmas: tuple[float, ...], generator: np.random.Generator
) -> np.ndarray:
    """Every point once per sigma with Gaussian noise, float64 (len(sigmas) * P, 3).

    A point that the noise carries out of [-1.05, 1.05]^3 gets new noise until it stays inside, so
    near the faces of the cube the noise is a truncated Gaussian. Raises SampleError(outside-cube)
    when the points themselves lie outside.
    """
    if len(points) and np.abs(points).max() > HALF_WIDTH:
        raise SampleError("outside-cube", "the mesh leaves [-1.05, 1.05]^3: normalise it first")
    centres = np.tile(points, (len(sigmas), 1))
    scales = np.repeat(np.asarray(sigmas, np.float64), len(points))[:, None]
    noisy = centres + scales * generator.standard_normal(centres.shape)
    beyond = np.abs(noisy) > HALF_WIDTH
    outside = np.flatnonzero(beyond.any(axis=1)) if beyond.any() else np.empty(0, np.int64)
    for _ in range(REDRAWS):
        if len(outside) == 0:
            return noisy
        again = centres[outside] + scales[outside] * generator.standard_normal((len(outside), 3))
        noisy[outside] = again
        outside = outside[np.abs(again).max(axis=1) > HALF_WIDTH]
    raise SampleError("outside-cube", "noise carries points out of the cube: sigma is too large")


def supervise(distance: SignedDistance, queries: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Signed distances of the query points float32 (.,3), as rows (.,4) of xyz and sdf."""
    sdf = distance(np.concatenate(list(queries.values()))).astype(np.float32)
    limits = np.cumsum([len(points) for points in queries.values()])[:-1]
    return {
        name: np.concatenate([points, values[:, None]], axis=1)
        for (name, points), values in zip(queries.items(), np.split(sdf, limits), strict=True)
    }


def shuffled_cloud(
    cloud: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Shuffle a cloud (N,C) but for its first point; float32 rows (N,C), their order int32 (N,).

    The order is the farthest point order of the rows as stored, from row 0.
    """
    rows = cloud.astype(np.float32)
    rows[1:] = generator.permutation(rows[1:])
    if len(rows) == 0:
        return rows, np.empty(0, np.int32)
    return rows, farthest_points(rows[:, :3], len(rows)).astype(np.int32)
