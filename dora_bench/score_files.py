"""Score mesh files from any tool: two meshes, or two folders matched by id."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dora_bench.metrics import METRICS
from dora_bench.pairing import Match, Pairing, pair_up
from dora_bench.placing import POOR, Align, align, box_note, misplaced
from dora_bench.score import (
    ScoreSettings,
    failed_scores,
    prepare_truth,
    score_usable,
    worst_scores,
)
from preprocessing.console import Progress
from preprocessing.mesh import Mesh, MeshError, frame_of_output, load_mesh
from preprocessing.running.manifest import mesh_suffixes
from preprocessing.running.runner import Item, run
from preprocessing.settings import Limits


@dataclass(frozen=True)
class Pair:
    """One work item: a match and how it is scored."""

    match: Match
    settings: ScoreSettings
    align: Align


@dataclass(frozen=True)
class Scores:
    """One row a truth, and which files of either side have no partner."""

    rows: pd.DataFrame
    pairing: Pairing


def score_paths(
    truth: Path,
    prediction: Path,
    settings: ScoreSettings,
    limits: Limits,
    align: Align = "none",
) -> Scores:
    """Rows sorted by id: id, status, reason, notes and the columns of `score_meshes`.

    A prediction that is missing, ambiguous, unreadable or empty is a failed row with the worst
    values; one that seems to lie in another frame keeps its scores and has the status misplaced.
    Raises UsageError when nothing matches.
    """
    pairing = pair_up(truth, prediction, mesh_suffixes())
    pairs = [Pair(match, settings, align) for match in pairing.matches]
    rows = []
    with Progress(len(pairs), "score", limits.quiet) as progress:
        outcomes = run(
            "dora_bench.score_files:score_pair",
            [Item(pair.match.id, pair) for pair in pairs],
            **limits.for_runner(),
        )
        for outcome in outcomes:
            row = outcome.value if outcome.status == "ok" else worst_scores()
            reason = f"{outcome.reason}: {outcome.detail}".rstrip(": ")
            status = {"status": outcome.status, "reason": reason if reason else ""}
            rows.append({"id": outcome.id, **status, "notes": "", **row})
            progress.update()
    return Scores(pd.DataFrame(rows).sort_values("id", ignore_index=True), pairing)


def score_pair(pair: Pair) -> dict[str, Any]:
    """Worker: both meshes into the truth's normalised frame, then every metric."""
    match = pair.match
    mesh = load_mesh(match.truth)
    transform = frame_of_output(mesh)
    mesh = transform.place(mesh)
    truth = prepare_truth(mesh, pair.settings, match.id)
    try:
        if match.refused:
            raise MeshError("ambiguous", match.refused)
        if match.prediction is None:
            raise MeshError("missing", "there is no prediction of this id")
        other = transform.place(load_mesh(match.prediction))
        placement = align(other, mesh, pair.align, match.id)
        row = {"status": "ok", "reason": "", **score_usable(truth, placement.move(other))}
        if pair.align != "none":
            row |= placement.record()
    except MeshError as error:
        row = {"status": "failed", "reason": f"{error.reason}: {error.message}"}
        return {**row, **failed_scores(truth)}
    return judged(row, pair, other, mesh)


def judged(row: dict[str, Any], pair: Pair, other: Mesh, truth: Mesh) -> dict[str, Any]:
    """The row with what is to be said about place and choice of the prediction."""
    notes = [pair.match.note, row["notes"]]
    if pair.align == "none":
        notes.insert(1, box_note(other, truth))
        if row["surface_cd_l1"] > POOR and (why := misplaced(other, truth, pair.match.id)):
            row |= {"status": "misplaced", "reason": why}
    return {**row, "notes": "; ".join(filter(None, notes))}


def summary(scores: Scores) -> dict[str, Any]:
    """Of one pair its row; of several the metrics' means, failures at the worst, and counts.

    `unmatched_truths` and `unmatched_predictions` list what has no partner.
    """
    rows = scores.rows
    counts = {"n_ok": int((rows["status"] == "ok").sum()), "n_total": len(rows)}
    alone = {
        "unmatched_truths": scores.pairing.truths_alone,
        "unmatched_predictions": scores.pairing.predictions_alone,
    }
    if len(rows) == 1:
        row = rows.iloc[0].to_dict()
        return {**{key: plain(value) for key, value in row.items()}, **alone}
    means = rows[list(METRICS)].astype(float).mean()
    return {**{name: plain(value) for name, value in means.items()}, **counts, **alone}


def plain(value: Any) -> Any:
    """A value JSON can hold: NaN (there is no such score) becomes null."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and value != value else value
