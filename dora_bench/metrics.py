"""The metrics: what each column means, and the plain array functions that compute it.

Values are stored raw, as their formulas give them; `scale` and `decimals` are for showing them
(F-scores as percent, Chamfer distances in units of 1e-4, as the papers print them). Lengths are in
the truth's normalised frame, whose cube [-1, 1]^3 has the diagonal 2*sqrt(3): no two points in it
lie farther apart, so that is what a missing prediction scores on a distance.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

FARTHEST = 2 * 3**0.5
SURFACE_THRESHOLDS = (0.001, 0.005, 0.01)
POINT_THRESHOLDS = (0.001, 0.005, 0.01, 0.02)
EDGE_THRESHOLDS = (0.005, 0.01)


@dataclass(frozen=True)
class Metric:
    """How one column is shown and ranked, and what a failure scores."""

    label: str
    scale: float
    direction: Literal["higher", "lower"]
    worst: float
    decimals: int
    formula: str


def _distance(label: str, formula: str, scale: float = 1e4, worst: float = FARTHEST) -> Metric:
    return Metric(label, scale, "lower", worst, 2, formula)


def _fraction(label: str, formula: str) -> Metric:
    return Metric(label, 100.0, "higher", 0.0, 2, formula)


_SURFACE_F = "2PR/(P+R); P, R: share of random points of one mesh within {} of the other's surface"
_POINT_F = "2PR/(P+R); P, R: share of one cloud's points with a point of the other within {}"
_EDGE_F = "2PR/(P+R); P, R: share of points along one mesh's salient edges within {} of the other's"

METRICS: dict[str, Metric] = {
    "surface_cd_l1": _distance(
        "surface CD-L1 ×1e4", "mean of the two mean distances, random points to the other surface"
    ),
    "surface_f_0.001": _fraction("surface F(0.001) %", _SURFACE_F.format(0.001)),
    "surface_f_0.005": _fraction("surface F(0.005) %", _SURFACE_F.format(0.005)),
    "surface_f_0.01": _fraction("surface F(0.01) %", _SURFACE_F.format(0.01)),
    "cd_l1": _distance(
        "CD-L1 ×1e4", "mean of the two mean distances, random points to the nearest random point"
    ),
    "cd_l2": _distance(
        "CD-L2 ×1e4",
        "mean of the two mean squared distances, random points to the nearest random point",
        worst=FARTHEST**2,
    ),
    "f_0.001": _fraction("F(0.001) %", _POINT_F.format(0.001)),
    "f_0.005": _fraction("F(0.005) %", _POINT_F.format(0.005)),
    "f_0.01": _fraction("F(0.01) %", _POINT_F.format(0.01)),
    "f_0.02": _fraction("F(0.02) %", _POINT_F.format(0.02)),
    "edge_cd_l1": _distance(
        "edge CD-L1 ×1e4",
        "mean of the two mean distances, points along salient edges to the other's salient edges",
    ),
    "edge_f_0.005": _fraction("edge F(0.005) %", _EDGE_F.format(0.005)),
    "edge_f_0.01": _fraction("edge F(0.01) %", _EDGE_F.format(0.01)),
    "true_edge_distance": _distance(
        "distance at true edges ×1e4",
        "mean distance from points along the truth's salient edges to the prediction's surface",
    ),
    "true_edge_angle": Metric(
        "normal angle at true edges °",
        1.0,
        "lower",
        180.0,
        2,
        "mean angle in degrees from the prediction's normal there to the nearer of the true edge's "
        "two face normals",
    ),
    "normal_consistency": Metric(
        "normal consistency",
        1.0,
        "higher",
        0.0,
        4,
        "mean of the two mean |cosines| between a point's normal and the other surface's at the "
        "closest point",
    ),
    "sne": Metric(
        "SNE ×100",
        100.0,
        "lower",
        1 / 3,
        3,
        "mean squared difference of normal maps coded as (n + 1) / 2, near the truth's edges",
    ),
    "iou": Metric(
        "IoU", 1.0, "higher", 0.0, 4, "volume of intersection / volume of union, random points"
    ),
}

# Rows with scores of their own; any other status counts with the worst values. What seems misplaced
# is scored as it lies, so it is no success either.
SCORED = ("ok", "misplaced")

# The truth against itself, sampled twice: what a perfect prediction scores on point-to-point
# metrics. Column of the metric -> column of its floor.
FLOORS: dict[str, str] = {
    name: f"floor_{name}" for name in ("cd_l1", "f_0.001", "f_0.005", "f_0.01", "f_0.02")
}


def nearest_distances(points: np.ndarray, tree: cKDTree) -> np.ndarray:
    """Distance from each of `points` (N,3) to the nearest point in `tree`, float64 (N,).

    Fast when the points of both clouds lie along a Morton curve (1,000,000 each: 0.6 s on 2 cores,
    1.5 s otherwise).
    """
    return tree.query(points, workers=-1)[0]


def chamfer_l1(forward: np.ndarray, backward: np.ndarray) -> float:
    """Mean of the two mean distances (N,), (M,); unit of length. Fan et al., arXiv 1612.00603."""
    return float((forward.mean() + backward.mean()) / 2)


def chamfer_l2(forward: np.ndarray, backward: np.ndarray) -> float:
    """Mean of the two mean *squared* distances (N,), (M,); unit of length squared."""
    return float(((forward * forward).mean() + (backward * backward).mean()) / 2)


def f_score(forward: np.ndarray, backward: np.ndarray, threshold: float) -> float:
    """Harmonic mean 2PR/(P+R) of the shares of distances <= threshold; 0 when both are 0.

    With `forward` truth -> prediction this is recall and `backward` is precision, but the value is
    the same either way. Knapitsch et al. 2017, Tanks and Temples; Tatarchenko et al. 1905.03678.
    """
    first, second = (float((d <= threshold).mean()) for d in (forward, backward))
    return 2 * first * second / (first + second) if first + second > 0 else 0.0


def normal_consistency(
    normals: np.ndarray, there: np.ndarray, other_normals: np.ndarray, here: np.ndarray
) -> float:
    """Mean of the two mean absolute cosines, 1 = parallel everywhere.

    `normals` (N,3) of one mesh's points and `there` (N,3) at the closest points of the other, and
    the same the other way round; all unit. Absolute, as in Occupancy Networks (arXiv 1812.03828,
    supplement): winding is not judged here.
    """
    first = np.abs(np.einsum("ij,ij->i", normals, there)).mean()
    second = np.abs(np.einsum("ij,ij->i", other_normals, here)).mean()
    return float((first + second) / 2)


def volume_iou(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two inside masks bool (N,) at the same points; 0 when both empty.

    Occupancy Networks (arXiv 1812.03828).
    """
    union = np.count_nonzero(first | second)
    return float(np.count_nonzero(first & second) / union) if union else 0.0
