"""The metrics: what each column means, and (see `score_meshes`) how a pair of meshes gets them.

Values are stored raw, as their formulas give them; `scale` and `decimals` are for showing them
(F-scores as percent, Chamfer distances in units of 1e-4, as the papers print them). Lengths are in
the truth's normalised frame, whose cube [-1, 1]^3 has the diagonal 2*sqrt(3): no two points in it
lie farther apart, so that is what a missing prediction scores on a distance.
"""

from dataclasses import dataclass
from typing import Literal

FARTHEST = 2 * 3**0.5


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
        -1.0,
        4,
        "mean of the two mean cosines between a point's normal and the other surface's at the "
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

# The truth against itself, sampled twice: what a perfect prediction scores on point-to-point
# metrics. Column of the metric -> column of its floor.
FLOORS: dict[str, str] = {
    name: f"floor_{name}" for name in ("cd_l1", "f_0.001", "f_0.005", "f_0.01", "f_0.02")
}
