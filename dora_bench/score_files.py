"""Score mesh files from any tool: two meshes, or two folders matched by id."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from dora_bench.evaluation import Limits, align_bbox
from dora_bench.metrics import METRICS
from dora_bench.score import ScoreSettings, prepare_truth, score_usable, worst_scores
from preprocessing.console import Progress, UsageError
from preprocessing.mesh import MeshError, frame_of_output, load_mesh
from preprocessing.running.manifest import find_inputs, mesh_suffixes
from preprocessing.running.runner import Item, run

Align = Literal["none", "bbox"]


@dataclass(frozen=True)
class Pair:
    """A truth and the prediction of the same id; None where there is none."""

    id: str
    truth: str
    prediction: str | None
    settings: ScoreSettings
    align: Align


def score_paths(
    truth: Path,
    prediction: Path,
    settings: ScoreSettings,
    limits: Limits,
    align: Align = "none",
) -> pd.DataFrame:
    """One row a truth, sorted by id: id, status, reason and the columns of `score_meshes`.

    A prediction that is missing, unreadable or empty is a failed row with the worst values.
    Raises UsageError when nothing matches.
    """
    pairs = match(truth, prediction, settings, align)
    rows = []
    with Progress(len(pairs), "score", limits.quiet) as progress:
        outcomes = run(
            "dora_bench.score_files:score_pair",
            [Item(pair.id, pair) for pair in pairs],
            executor=limits.executor,
            workers=limits.workers,
            timeout=limits.timeout,
            memory=limits.memory,
            ray_address=limits.ray_address,
        )
        for outcome in outcomes:
            row = outcome.value if outcome.status == "ok" else worst_scores()
            status = {"status": outcome.status, "reason": outcome.reason}
            rows.append({"id": outcome.id, **status, **row})
            progress.update()
    return pd.DataFrame(rows).sort_values("id", ignore_index=True)


def match(truth: Path, prediction: Path, settings: ScoreSettings, align: Align) -> list[Pair]:
    """Pair two files, or two folders by id. Raises UsageError."""
    for path in (truth, prediction):
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
    if truth.is_dir() != prediction.is_dir():
        raise UsageError("give two meshes or two folders, not one of each")
    if not truth.is_dir():
        return [Pair(truth.stem, str(truth), str(prediction), settings, align)]
    truths, predictions = (
        {entry.id: entry.path for entry in find_inputs([str(path)], mesh_suffixes())}
        for path in (truth, prediction)
    )
    if not set(truths) & set(predictions):
        raise UsageError(
            f"no mesh of {prediction} has the id of one of {truth} (the path below the folder, "
            f"without its suffix): {min(predictions)!r} and {min(truths)!r}, for two"
        )
    return [Pair(k, truths[k], predictions.get(k), settings, align) for k in sorted(truths)]


def score_pair(pair: Pair) -> dict[str, Any]:
    """Worker: both meshes into the truth's normalised frame, then every metric."""
    mesh = load_mesh(pair.truth)
    transform = frame_of_output(mesh)
    mesh = transform.place(mesh)
    truth = prepare_truth(mesh, pair.settings, pair.id)
    try:
        if pair.prediction is None:
            raise MeshError("missing", "there is no prediction of this id")
        other = transform.place(load_mesh(pair.prediction))
        if pair.align == "bbox":
            other = align_bbox(other, mesh)
        return score_usable(truth, other)
    except MeshError as error:
        reason = f"{error.reason}: {error.message}"
        return {"status": "failed", "reason": reason, **worst_scores(), **truth.floor}


def summary(rows: pd.DataFrame) -> dict[str, Any]:
    """Of one pair its row; of several the metrics' means, failures at the worst, and counts."""
    counts = {"n_ok": int((rows["status"] == "ok").sum()), "n_total": len(rows)}
    if len(rows) == 1:
        row = rows.iloc[0].to_dict()
        return {key: plain(value) for key, value in row.items()}
    means = rows[list(METRICS)].astype(float).mean()
    return {**{name: plain(value) for name, value in means.items()}, **counts}


def plain(value: Any) -> Any:
    """A value JSON can hold: NaN (there is no such score) becomes null."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and value != value else value
