"""Where a prediction lies: bring it to the truth, and say when it seems to be somewhere else.

Scores take both meshes as they lie. A tool that writes millimetres, or has another axis upward,
scores the worst value however good its shape is. Two ways out are offered and reported with the
score: `bbox` fits box centre and longest side; `similarity` tries the 24 rotations between axes,
each with the scale and the shift that fit best.
"""

import itertools
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.spatial import cKDTree

from preprocessing.distance.morton import morton_order
from preprocessing.distance.queries import TriangleTree
from preprocessing.mesh import Mesh, normalise
from preprocessing.points.sampling import sample_surface
from preprocessing.seeds import generator

Align = Literal["none", "bbox", "similarity"]
ALIGNMENTS: tuple[str, ...] = get_args(Align)

PROBES = 3000  # points on each surface when places are compared
ROUGH = 6  # of which every sixth is looked at before a rotation is fitted
STEPS = 12  # of the fit of scale and shift
KEPT = 4  # rotations that are fitted, the nearest before fitting
BETTER = 3.0  # times nearer than as it lies: then it is the place that is wrong, not the shape
POOR = 0.03  # mean distance below which a place is not questioned
ALIKE = 2 * POOR  # mean distance above which what fits best is another shape, wherever it lies
SIZES = 4.0  # times larger or smaller than the truth is never a reconstruction of it


def rotations() -> list[np.ndarray]:
    """The 24 rotations that take axes to axes, int8 (3,3), the identity first."""
    axes, signs = itertools.permutations(np.eye(3, dtype=np.int8)), (1, -1)
    signed = itertools.product(axes, itertools.product(signs, repeat=3))
    matrices = [np.array(rows) * np.array(turns, np.int8)[:, None] for rows, turns in signed]
    return [matrix for matrix in matrices if np.linalg.det(matrix) > 0]


@dataclass(frozen=True)
class Placement:
    """Prediction -> truth: x' = scale * rotation @ x + shift; `distance` is the mean left over."""

    rotation: np.ndarray
    scale: float
    shift: np.ndarray
    distance: float = float("nan")

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Points (N,3) of the prediction in the truth's frame."""
        return self.scale * (points @ self.rotation.T) + self.shift

    def move(self, mesh: Mesh) -> Mesh:
        """The mesh in the truth's frame."""
        return Mesh(self.apply(mesh.vertices), mesh.faces)

    @property
    def axes(self) -> str:
        """Which axes of the prediction became x, y and z, as "+x +z -y"."""
        rows = self.rotation
        return " ".join(
            f"{'-' if row.sum() < 0 else '+'}{'xyz'[np.abs(row).argmax()]}" for row in rows
        )

    def record(self) -> dict[str, float | str]:
        """The columns of a result that say what was done."""
        moved = zip("xyz", map(float, self.shift), strict=True)
        shift = {f"align_shift_{axis}": by for axis, by in moved}
        return {"align_axes": self.axes, "align_scale": self.scale, **shift}


@dataclass(frozen=True)
class Probe:
    """A surface to compare places by: points (N,3), and its triangles."""

    points: np.ndarray
    tree: TriangleTree
    face_normals: np.ndarray

    @classmethod
    def of(cls, mesh: Mesh, item_id: str, role: str) -> "Probe":
        """Raises MeshError for a mesh without an area."""
        random = generator(0, item_id, f"{role}-placing")
        points = sample_surface(mesh, PROBES, random)[0]
        points = points[morton_order(points)]
        corners = mesh.triangles
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        size = np.linalg.norm(cross, axis=1, keepdims=True)
        unit = np.divide(cross, size, out=np.zeros_like(cross), where=size > 0)
        return cls(points, TriangleTree.build(mesh), unit)


def align(prediction: Mesh, truth: Mesh, how: Align, item_id: str = "") -> Placement:
    """The placement that `how` asks for. Raises MeshError for a mesh without faces or area."""
    if how == "none":
        return Placement(rotations()[0], 1.0, np.zeros(3))
    if how == "bbox":
        return by_box(prediction, truth)
    return by_similarity(
        Probe.of(prediction, item_id, "prediction"), Probe.of(truth, item_id, "truth")
    )


def by_box(prediction: Mesh, truth: Mesh) -> Placement:
    """Box centre and longest side to the truth's."""
    there, here = normalise(prediction)[1], normalise(truth)[1]
    scale = there.scale / here.scale
    return Placement(
        rotations()[0], scale, np.asarray(here.center) - scale * np.asarray(there.center)
    )


def by_similarity(prediction: Probe, truth: Probe) -> Placement:
    """The nearest of all rotations between axes, each with its best scale and shift.

    Rotations that lie as near, as those of a cube do, give way to the one that turns least.
    """
    to_truth, to_prediction = cKDTree(truth.points), cKDTree(prediction.points)
    ours, theirs = prediction.points[::ROUGH], truth.points[::ROUGH]
    starts = []
    for rotation in rotations():
        for guess in guesses(prediction.points @ rotation.T, truth.points):
            placed = Placement(rotation, *guess)
            there = to_truth.query(placed.apply(ours))[0].mean()
            back = (theirs - placed.shift) @ rotation / placed.scale
            here = to_prediction.query(back)[0].mean() * placed.scale
            starts.append((float(there + here) / 2, placed))
    starts.sort(key=lambda start: start[0])
    fitted = [fit(placed, prediction, truth) for _, placed in starts[: 2 * KEPT]]
    nearest = min(placed.distance for placed in fitted)
    close = [p for p in fitted if p.distance <= 1.05 * nearest + 1e-6]
    return max(close, key=lambda placed: (np.trace(placed.rotation), -placed.distance))


def guesses(moved: np.ndarray, points: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Scale and shift (3,) by the boxes of two clouds (N,3), and by their means and spreads."""
    found = []
    for centre, size in (
        (
            lambda p: (p.min(axis=0) + p.max(axis=0)) / 2,
            lambda p: np.linalg.norm(np.ptp(p, axis=0)),
        ),
        (lambda p: p.mean(axis=0), lambda p: np.linalg.norm(p - p.mean(axis=0))),
    ):
        scale = float(size(points) / size(moved))
        found.append((scale, centre(points) - scale * centre(moved)))
    return found


def fit(start: Placement, prediction: Probe, truth: Probe) -> Placement:
    """Better scale and shift for one rotation, by distances to the planes at closest points.

    Chen and Medioni 1992, without the turn: each step solves four unknowns exactly. The step with
    the smallest mean distance between the surfaces, both ways, is kept.
    """
    turned = start.rotation.T
    best = found = closest(start, prediction, truth)
    for _ in range(STEPS):
        sources = np.concatenate([prediction.points, found.on_prediction]) @ turned
        targets = np.concatenate([found.on_truth, truth.points])
        planes = np.concatenate([found.truth_normals, found.prediction_normals @ turned])
        unknown = np.concatenate([(planes * sources).sum(axis=1)[:, None], planes], axis=1)
        solved = np.linalg.lstsq(unknown, (planes * targets).sum(axis=1), rcond=1e-6)[0]
        if not 0.2 < solved[0] / found.placement.scale < 5:
            break
        placement = Placement(start.rotation, float(solved[0]), solved[1:])
        found = closest(placement, prediction, truth)
        best = min(best, found, key=lambda each: each.distance)
    return Placement(start.rotation, best.placement.scale, best.placement.shift, best.distance)


@dataclass(frozen=True)
class Closest:
    """Under a placement: the closest points and unit normals of each surface to the other's points.

    (N,3) each, those of the prediction in its own frame; `distance` is the mean of both ways.
    """

    placement: Placement
    distance: float
    on_truth: np.ndarray
    truth_normals: np.ndarray
    on_prediction: np.ndarray
    prediction_normals: np.ndarray


def closest(placement: Placement, prediction: Probe, truth: Probe) -> Closest:
    """Where the surfaces are closest under a placement."""
    moved = placement.apply(prediction.points)
    there, face, touched = truth.tree.nearest(moved)
    back = (truth.points - placement.shift) @ placement.rotation / placement.scale
    here, other_face, other_touched = prediction.tree.nearest(np.ascontiguousarray(back))
    distance = float(there.mean() + here.mean() * placement.scale) / 2
    return Closest(
        placement,
        distance,
        touched,
        truth.face_normals[face],
        other_touched,
        prediction.face_normals[other_face],
    )


def box_difference(prediction: Mesh, truth: Mesh) -> tuple[float, float]:
    """Longest side over the truth's, and the way between box centres over the truth's side."""
    there, here = normalise(prediction)[1], normalise(truth)[1]
    way = np.linalg.norm(np.asarray(there.center) - np.asarray(here.center))
    return here.scale / there.scale, float(way * here.scale / 2)


def box_note(prediction: Mesh, truth: Mesh) -> str:
    """In words, when box or centre differ by more than a tenth of the longest side; else ""."""
    size, way = box_difference(prediction, truth)
    words = []
    if not 0.9 <= size <= 1.1:
        words.append(f"{size:.4g} times as large as the truth's")
    if way > 0.1:
        words.append(f"{way:.3g} of the truth's longest side away from it")
    return f"its box is {' and '.join(words)}" if words else ""


def misplaced(prediction: Mesh, truth: Mesh, item_id: str = "") -> str:
    """Why a prediction seems to lie in another frame than the truth, with what to try; else "".

    It is not the place that is wrong unless another one is BETTER times nearer and what is there is
    ALIKE, or the boxes have not even the size or the place in common. Raises MeshError for a mesh
    without an area.
    """
    one, other = Probe.of(prediction, item_id, "prediction"), Probe.of(truth, item_id, "truth")
    distance = closest(Placement(rotations()[0], 1.0, np.zeros(3)), one, other).distance
    boxed = closest(by_box(prediction, truth), one, other).distance
    found = by_similarity(one, other)
    size, way = box_difference(prediction, truth)
    proven = distance >= BETTER * found.distance and found.distance <= ALIKE
    if not proven and 1 / SIZES < size < SIZES and way < 1:
        return ""
    box_serves = boxed <= 1.5 * found.distance + 1e-3
    scaled, turned = not 0.8 < size < 1.25, found.axes != "+x +y +z" and not box_serves
    wrong = [word for word, is_so in (("scale", scaled), ("axes", turned)) if is_so]
    what = f"{' and '.join(wrong) or 'position'} {'look' if len(wrong) > 1 else 'looks'} wrong"
    way_out = f"--align similarity (axes {found.axes}, scale {found.scale:.4g})"
    return "".join(
        (
            f"{what}; {box_note(prediction, truth)}".rstrip("; "),
            f": the surfaces are {distance:.3g} apart in the mean, after ",
            f"--align bbox {boxed:.3g}" if box_serves else f"{way_out} {found.distance:.3g}",
        )
    )
