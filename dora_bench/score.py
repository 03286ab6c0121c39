"""Score one prediction against one truth: every metric column of the results, from two meshes.

Both meshes are in the truth's normalised frame and are taken as they lie: nothing is rescaled or
moved. The work on the truth (clouds, edges, normal maps, noise floor) is done once, by
`prepare_truth`, and serves every prediction of it.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from dora_bench.edge_metrics import SegmentTree, angle_to_nearer_face, segment_tree
from dora_bench.metrics import (
    EDGE_THRESHOLDS,
    FARTHEST,
    FLOORS,
    METRICS,
    POINT_THRESHOLDS,
    SURFACE_THRESHOLDS,
    chamfer_l1,
    chamfer_l2,
    f_score,
    nearest_distances,
    normal_consistency,
    volume_iou,
)
from dora_bench.normal_error import NormalMaps, SneSettings, sharp_normal_error, truth_maps
from dora_bench.normal_kernels import agreeing_normals
from dora_bench.volume import Solid, inside, odd_edges, proper_faces, solid_of, weld
from preprocessing.distance.morton import morton_order
from preprocessing.distance.queries import TriangleTree
from preprocessing.half_edges import count_components, edge_faults
from preprocessing.held import MeshLike, unchecked
from preprocessing.mesh import Mesh, MeshError
from preprocessing.points.edges import salient_edges
from preprocessing.points.sampling import sample_segments, sample_surface
from preprocessing.seeds import generator

SCORER_VERSION = 2
"""Raised whenever the same two meshes would score otherwise: rows of two versions are not compared.

2: inside does not depend on winding, no score is worse than the worst value, open edges are welded.
"""


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """What a score depends on beside the two meshes; recorded in every result file."""

    seed: int = 0
    angle: float = 15.0  # salient edges, degrees
    points: int = 1_000_000  # on each surface
    edge_points: int = 100_000  # along each mesh's salient edges
    volume_cells: int = 80  # per axis; one random point in each cell of the joint bounding box
    sne: SneSettings = field(default_factory=SneSettings)

    def record(self) -> dict[str, object]:
        """The settings and the scorer's version, as plain values for a result file."""
        return {"scorer_version": SCORER_VERSION, **asdict(self), "sne": self.sne.record()}


@dataclass(frozen=True)
class Surface:
    """One mesh, measured: what any comparison with another one needs.

    `mesh` has merged positions and no unused vertex; `solid` is its inside, None where it has none,
    which `open_edges` of it explain. `cloud`, `normals` float64 (N,3) along a
    Morton curve, unit normals. `edge_points` (K,3) and the two face `sides` (K,2,3) at each;
    K = 0 and `edge_tree` None without a salient edge. `tree` is over the faces with an area,
    `real`, whose unit `face_normals` it goes with; ring_faces[ring_starts[v] : ring_starts[v + 1]]
    are those of them around vertex v.
    """

    mesh: Mesh
    solid: Solid | None
    open_edges: int
    components: int
    salient_edges: int
    cloud: np.ndarray
    normals: np.ndarray
    point_tree: cKDTree
    tree: TriangleTree
    real: np.ndarray
    face_normals: np.ndarray
    ring_starts: np.ndarray
    ring_faces: np.ndarray
    edge_points: np.ndarray
    sides: np.ndarray
    edge_tree: SegmentTree | None


@dataclass(frozen=True)
class Truth:
    """A truth, its normal maps and its noise floor, ready for any number of predictions."""

    settings: ScoreSettings
    item_id: str
    surface: Surface
    maps: NormalMaps
    floor: dict[str, float]


def score_meshes(
    truth: MeshLike,
    prediction: MeshLike | None,
    *,
    seed: int = 0,
    angle: float = 15.0,
    points: int = 1_000_000,
    item_id: str = "",
) -> dict[str, Any]:
    """Every metric of METRICS, `pred_watertight`, `pred_components` and the noise floor, as a dict.

    Both meshes, in any form that `as_mesh` takes, in the truth's normalised frame; lengths are in
    it, fractions and IoU in [0, 1], see METRICS for the formulas. A prediction that is None, empty
    or broken scores the worst values, and none scores worse. `notes` is there only where the IoU
    cannot be told, and says why. Raises MeshError when the truth itself is empty or broken.
    """
    settings = ScoreSettings(seed=seed, angle=angle, points=points)
    other = None if prediction is None else unchecked(prediction)
    found = score(prepare_truth(unchecked(truth), settings, item_id), other)
    return found if found["notes"] else {k: v for k, v in found.items() if k != "notes"}


def prepare_truth(mesh: Mesh, settings: ScoreSettings, item_id: str = "") -> Truth:
    """Measure a truth once. Raises MeshError(empty, non-finite, bad-index).

    An open truth has no volume: `iou` is NaN for every prediction, itself and failures included.
    """
    surface = measure(mesh, settings, item_id, "truth")
    # The second cloud is the one that a prediction equal to the truth gets: such a prediction
    # scores the floor exactly.
    second = draw_cloud(surface.mesh, settings, item_id, "prediction")[0]
    clouds = point_metrics(surface.cloud, surface.point_tree, second, cKDTree(second))
    floor = {FLOORS[name]: clouds[name] for name in FLOORS}
    return Truth(settings, item_id, surface, truth_maps(surface.mesh, settings.sne), floor)


def score(truth: Truth, prediction: Mesh | None) -> dict[str, Any]:
    """As `score_meshes`, for a prepared truth."""
    try:
        return score_usable(truth, prediction)
    except MeshError:
        return failed_scores(truth)


def score_usable(truth: Truth, prediction: Mesh | None) -> dict[str, Any]:
    """As `score`, but raises MeshError(reason) for a missing, empty or broken prediction."""
    if prediction is None:
        raise MeshError("empty", "there is no prediction")
    one = truth.surface
    other = measure(prediction, truth.settings, truth.item_id, "prediction")
    scores = {
        **surface_metrics(one, other),
        **point_metrics(one.cloud, one.point_tree, other.cloud, other.point_tree),
        **edge_scores(one, other),
        **true_edge_scores(one, other),
        "sne": sharp_normal_error(truth.maps, other.mesh),
        "iou": iou(truth, other),
    }
    return {
        **{name: no_worse(name, value) for name, value in scores.items()},
        "pred_watertight": other.solid is not None,
        "pred_components": other.components,
        **truth.floor,
        "notes": iou_note(one, other),
    }


def no_worse(name: str, value: float) -> float:
    """The value, or the metric's worst where it is worse: a failure must not beat a mesh."""
    metric = METRICS[name]
    return min(value, metric.worst) if metric.direction == "lower" else max(value, metric.worst)


def iou_note(one: Surface, other: Surface) -> str:
    """Why `iou` says nothing about these two, where it does not; else ""."""
    if one.solid is None:
        return (
            f"no IoU: the truth has no inside, {one.open_edges} of its edges lie on an odd number "
            "of faces; `dora-prep watertight` closes it"
        )
    if other.solid is None:
        return (
            f"IoU is the worst value: the prediction has no inside, {other.open_edges} of its "
            "edges lie on an odd number of faces"
        )
    return ""


def worst_scores() -> dict[str, Any]:
    """What a prediction that is missing, empty or broken scores."""
    worst: dict[str, Any] = {name: metric.worst for name, metric in METRICS.items()}
    return {**worst, "pred_watertight": False, "pred_components": 0}


def failed_scores(truth: Truth) -> dict[str, Any]:
    """As `worst_scores`, of a known truth: its floor, and no IoU where it has no inside."""
    scores = {**worst_scores(), **truth.floor, "notes": ""}
    if truth.surface.solid is None:
        scores |= {"iou": float("nan"), "notes": iou_note(truth.surface, truth.surface)}
    return scores


def measure(mesh: Mesh, settings: ScoreSettings, item_id: str, role: str) -> Surface:
    """Sample a mesh's surface and edges. `role` (truth or prediction) keeps their draws apart.

    Raises MeshError empty (no face with an area), non-finite or bad-index.
    """
    mesh = tidy(mesh)
    corners = mesh.triangles
    crosses = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sizes = np.linalg.norm(crosses, axis=1)
    real = sizes > 0
    if not real.any():
        raise MeshError("empty", "no face of the mesh has an area")
    cloud, normals = draw_cloud(mesh, settings, item_id, role)
    salient = salient_edges(mesh, settings.angle)
    edge_points, sides, edge_tree = np.empty((0, 3)), np.empty((0, 2, 3)), None
    if len(salient):
        edge_points, rows = sample_segments(
            salient.segments,
            settings.edge_points,
            generator(settings.seed, item_id, f"{role}-edges"),
        )
        order = morton_order(edge_points)
        edge_points, faces = edge_points[order], salient.faces[rows[order]]
        sides = crosses[faces] / sizes[faces][..., None]
        edge_tree = segment_tree(salient.segments)
    solid = solid_of(mesh)
    faces = mesh.faces[real]
    ring_starts = np.zeros(len(mesh.vertices) + 1, np.int64)
    ring_starts[1:] = np.cumsum(np.bincount(faces.ravel(), minlength=len(mesh.vertices)))
    return Surface(
        mesh=mesh,
        solid=solid,
        open_edges=0 if solid else odd_edges(mesh.faces),
        components=count_components(mesh.faces, len(mesh.vertices)),
        salient_edges=len(salient),
        cloud=cloud,
        normals=normals,
        point_tree=cKDTree(cloud),
        tree=TriangleTree.build(Mesh(mesh.vertices, faces)),
        real=faces,
        face_normals=crosses[real] / sizes[real, None],
        ring_starts=ring_starts,
        ring_faces=np.argsort(faces.ravel(), kind="stable") // 3,
        edge_points=edge_points,
        sides=sides,
        edge_tree=edge_tree,
    )


def tidy(mesh: Mesh) -> Mesh:
    """Without unused vertices; with equal and all but equal positions merged if that can close it.

    Files without indices repeat each position, and may round it otherwise each time.
    """
    if len(mesh.faces) == 0:
        raise MeshError("empty", "the mesh has no faces")
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise MeshError("bad-index", "a face names a vertex that is not there")
    used, faces = np.unique(mesh.faces, return_inverse=True)
    vertices, faces = mesh.vertices[used], faces.reshape(-1, 3)
    if not np.isfinite(vertices).all():
        raise MeshError("non-finite", "a vertex of the mesh is not finite")
    if edge_faults(faces).unbalanced_edges:
        vertices, merged = np.unique(vertices, axis=0, return_inverse=True)
        faces = proper_faces(merged.reshape(-1)[faces])
        if len(faces) and edge_faults(faces).unbalanced_edges:
            return weld(Mesh(vertices, faces))
    return Mesh(vertices, faces)


def draw_cloud(
    mesh: Mesh, settings: ScoreSettings, item_id: str, role: str
) -> tuple[np.ndarray, np.ndarray]:
    """Area-weighted random points and unit normals, float64 (N,3) each, along a Morton curve."""
    points, normals, _ = sample_surface(
        mesh, settings.points, generator(settings.seed, item_id, f"{role}-cloud")
    )
    order = morton_order(points)
    return points[order], normals[order]


def point_metrics(
    first: np.ndarray, first_tree: cKDTree, second: np.ndarray, second_tree: cKDTree
) -> dict[str, float]:
    """The literature's point-to-point Chamfer distances and F-scores between two clouds."""
    forward = nearest_distances(first, second_tree)
    backward = nearest_distances(second, first_tree)
    return {
        "cd_l1": chamfer_l1(forward, backward),
        "cd_l2": chamfer_l2(forward, backward),
        **{f"f_{t}": f_score(forward, backward, t) for t in POINT_THRESHOLDS},
    }


def surface_metrics(one: Surface, other: Surface) -> dict[str, float]:
    """Exact distances from each cloud to the other surface, and the normals found there."""
    forward, there = to_surface(one.cloud, other, one.normals[:, None])
    backward, here = to_surface(other.cloud, one, other.normals[:, None])
    return {
        "surface_cd_l1": chamfer_l1(forward, backward),
        **{f"surface_f_{t}": f_score(forward, backward, t) for t in SURFACE_THRESHOLDS},
        "normal_consistency": normal_consistency(one.normals, there, other.normals, here),
    }


def to_surface(
    points: np.ndarray, surface: Surface, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distance (N,) of Morton-ordered points to a surface, and its unit normal there (N,3).

    On an edge or vertex the normal is the touching face's that agrees best with one of `wanted`
    (N,S,3).
    """
    distance, face, closest = surface.tree.nearest(points)
    normals = agreeing_normals(
        closest,
        face,
        surface.mesh.vertices,
        surface.real,
        surface.face_normals,
        surface.ring_starts,
        surface.ring_faces,
        np.ascontiguousarray(wanted),
    )
    return distance, normals


def edge_scores(one: Surface, other: Surface) -> dict[str, float]:
    """Edge against edge. Neither mesh has a salient edge: perfect; only one has: the worst."""
    names = ["edge_cd_l1", *(f"edge_f_{t}" for t in EDGE_THRESHOLDS)]
    if one.edge_tree is None and other.edge_tree is None:
        return {name: 0.0 if METRICS[name].direction == "lower" else 1.0 for name in names}
    if one.edge_tree is None or other.edge_tree is None:
        return {name: METRICS[name].worst for name in names}
    forward = other.edge_tree.distances(one.edge_points)
    backward = one.edge_tree.distances(other.edge_points)
    values = [f_score(forward, backward, t) for t in EDGE_THRESHOLDS]
    return dict(zip(names, [min(chamfer_l1(forward, backward), FARTHEST), *values], strict=True))


def true_edge_scores(one: Surface, other: Surface) -> dict[str, float]:
    """The prediction's surface at the truth's edges; 0 where the truth has no salient edge."""
    if one.edge_tree is None:
        return {"true_edge_distance": 0.0, "true_edge_angle": 0.0}
    distance, normals = to_surface(one.edge_points, other, one.sides)
    angle = angle_to_nearer_face(normals, one.sides)
    return {"true_edge_distance": float(distance.mean()), "true_edge_angle": float(angle.mean())}


def iou(truth: Truth, other: Surface) -> float:
    """Volume IoU: one random point in each cell of the joint bounding box.

    A prediction without inside scores the worst; against a truth without inside it is NaN.
    """
    one, cells = truth.surface, truth.settings.volume_cells
    if one.solid is None:
        return float("nan")
    if other.solid is None:
        return METRICS["iou"].worst
    corners = np.concatenate([one.mesh.vertices, other.mesh.vertices])
    low, high = corners.min(axis=0), corners.max(axis=0)
    random = generator(truth.settings.seed, truth.item_id, "volume")
    cell = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    points = low + (cell + random.random(cell.shape)) / cells * (high - low)
    points = points[morton_order(points)]
    return volume_iou(inside(one.solid, points), inside(other.solid, points))
