"""Run a model over a suite: model x token counts x meshes -> rows, then one result folder.

Notable:
- One work item is one mesh with all its token counts, so a truth is measured once. Each row is a
  file of its own, written as soon as it is known (`rows/<id>@<tokens>.json`): whatever is killed,
  only rows in flight are lost, and the same command does the missing ones.
- A crash, hang or exception costs the token count it happened at; the counts after it are tried.
- A failure is a row: its status and reason, and the worst value of every metric.
- Rows of one folder come from one set of settings (run.json); other settings are refused.
"""

import json
import platform
import resource
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from dora_bench.metrics import FLOORS, METRICS
from dora_bench.models import resolve_model
from dora_bench.placing import POOR, Align, Placement, align, misplaced
from dora_bench.protocol import ModelInfo, ShapeInput, ShapeModel
from dora_bench.report import aggregate
from dora_bench.score import (
    ScoreSettings,
    Truth,
    failed_scores,
    prepare_truth,
    score_usable,
    worst_scores,
)
from dora_bench.suite import Suite
from preprocessing.console import Progress, UsageError
from preprocessing.files import atomic_path, atomic_write
from preprocessing.mesh import Mesh, MeshError, load_mesh, save_mesh
from preprocessing.running.runner import Item, Outcome, run
from preprocessing.settings import Limits
from preprocessing.solid.decimation import decimate

SCHEMA = 1
GALLERY_FACES = 6000
PACKAGES = ("dora-bench", "numpy", "scipy", "open3d", "numba", "torch", "trimesh")


@dataclass(frozen=True, kw_only=True)
class EvalSettings:
    """What a row depends on beside model, suite and tokens."""

    score: ScoreSettings = field(default_factory=ScoreSettings)
    resolution: int = 256
    posterior: str = "mean"
    align: Align = "none"
    gallery: bool = True

    def record(self) -> dict[str, Any]:
        """Plain values for results.json; `seed`, `points` and `sne` stand at the top."""
        values = {"resolution": self.resolution, "posterior": self.posterior, "align": self.align}
        return {**values, **self.score.record()}


@dataclass(frozen=True)
class Task:
    """One work item, sent to a worker: one mesh and the token counts still to do."""

    item_id: str
    mesh_path: str
    model: str
    tokens: tuple[int, ...]
    settings: EvalSettings
    folder: str


@dataclass(frozen=True)
class Evaluation:
    """Where the results lie, the rows, and the numbers of rows that are ok and in all."""

    folder: Path
    items: pd.DataFrame
    n_ok: int
    n_total: int


def evaluate(
    model: str,
    suite: Suite,
    out: Path,
    tokens: Sequence[int] = (64, 256, 1024),
    settings: EvalSettings | None = None,
    limits: Limits | None = None,
    *,
    overwrite: bool = False,
) -> Evaluation:
    """Evaluate the model of this name on a suite into out/<model>/<suite>@<hash>.

    Rows that are there already are kept; the result is the same as of an undisturbed run, times and
    memory aside. A model without tokens is evaluated once, as tokens 0. Raises UsageError for an
    unknown model, token counts below 1, or a folder with results of other settings.
    """
    settings, limits = settings or EvalSettings(), limits or Limits()
    info = resolve_model(model, settings.posterior).info
    counts = tuple(sorted(set(tokens))) if info.uses_tokens else (0,)
    if info.uses_tokens and (not counts or counts[0] < 1):
        raise UsageError("--tokens: give counts of at least 1, as in --tokens 64,256,1024")
    folder = out / safe_name(info.name) / f"{safe_name(suite.name)}@{suite.hash[:12]}"
    claim(folder, fingerprint(info, suite, settings), overwrite)
    with Progress(len(suite.items) * len(counts), info.name, limits.quiet) as progress:
        progress.done = sum(
            row_path(folder, name, count).is_file()
            for name in suite.items["id"]
            for count in counts
        )
        while todo := missing_rows(suite, folder, model, counts, settings):
            run_round(todo, limits, progress)
    items = collect_rows(suite, folder, info, counts)
    write_results(folder, info, suite, settings, counts, items)
    return Evaluation(folder, items, int((items["status"] == "ok").sum()), len(items))


def safe_name(name: str) -> str:
    """A name as one folder name."""
    return "".join(c if c.isalnum() or c in "-_.+" else "_" for c in name) or "_"


def fingerprint(info: ModelInfo, suite: Suite, settings: EvalSettings) -> dict[str, Any]:
    """What rows must agree on to stand in one folder."""
    model = {"name": info.name, "weights_sha256": info.weights_sha256, "config": info.config}
    return {"model": model, "suite": suite.hash, "settings": settings.record()}


def claim(folder: Path, mark: dict[str, Any], overwrite: bool) -> None:
    """Make the folder ours: new, of the same settings, or emptied by --overwrite."""
    if overwrite:
        shutil.rmtree(folder, ignore_errors=True)
    path, text = folder / "run.json", json.dumps(mark, indent=1, sort_keys=True) + "\n"
    if not path.is_file():
        atomic_write(path, text)
        return
    before, now = json.loads(path.read_text(encoding="utf-8")), json.loads(text)
    if before != now:
        differing = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
        details = ", ".join(differing)
        raise UsageError(
            f"{folder} holds results of another {details}; give --overwrite to replace them, or "
            "another --out"
        )


def row_path(folder: Path, item_id: str, tokens: int) -> Path:
    """Where one row is kept."""
    return folder / "rows" / f"{item_id}@{tokens}.json"


def missing_rows(
    suite: Suite, folder: Path, model: str, counts: tuple[int, ...], settings: EvalSettings
) -> list[Task]:
    """What is still to do, one task a mesh."""
    tasks = []
    for name in suite.items["id"]:
        left = tuple(count for count in counts if not row_path(folder, name, count).is_file())
        if left:
            path = str(suite.mesh_path(name))
            tasks.append(Task(name, path, model, left, settings, str(folder)))
    return tasks


def run_round(todo: list[Task], limits: Limits, progress: Progress) -> None:
    """Do every task once. A task that did not end well costs its first missing row."""
    tasks = {task.item_id: task for task in todo}
    outcomes = run(
        "dora_bench.evaluation:evaluate_item",
        [Item(task.item_id, task) for task in todo],
        **limits.for_runner(),
    )
    for outcome in outcomes:
        task = tasks[outcome.id]
        folder = Path(task.folder)
        left = [n for n in task.tokens if not row_path(folder, task.item_id, n).is_file()]
        if left:
            write_row(folder, task.item_id, left[0], failure(outcome))
        progress.update(len(task.tokens) - max(len(left) - 1, 0), note=f"last {task.item_id}")


def failure(outcome: Outcome) -> dict[str, Any]:
    """The row of an item whose worker did not finish it."""
    status = "failed" if outcome.status == "ok" else outcome.status
    reason = " ".join(f"{outcome.reason} {outcome.detail if status == 'rejected' else ''}".split())
    return {
        "status": status,
        "reason": reason,
        **worst_scores(),
        "peak_memory_mb": outcome.peak_memory_mb,
    }


@lru_cache(maxsize=1)
def loaded_model(name: str, posterior: str) -> ShapeModel:
    """The model of this worker process, loaded once."""
    return resolve_model(name, posterior)


def evaluate_item(task: Task) -> None:
    """Worker: every missing token count of one mesh, each row written when it is known."""
    folder, settings = Path(task.folder), task.settings
    model = loaded_model(task.model, settings.posterior)
    shape = ShapeInput(task.item_id, load_mesh(task.mesh_path))
    truth = prepare_truth(shape.mesh, settings.score, task.item_id)
    if settings.gallery:
        keep_picture(shape.mesh, folder / "gallery" / f"{task.item_id}@truth.ply")
    for tokens in task.tokens:
        row, mesh = evaluate_row(model, shape, truth, tokens, settings)
        if settings.gallery and mesh is not None and len(mesh.faces):
            keep_picture(mesh, folder / "gallery" / f"{task.item_id}@{tokens}.ply")
        write_row(folder, task.item_id, tokens, row)


def evaluate_row(
    model: ShapeModel, shape: ShapeInput, truth: Truth, tokens: int, settings: EvalSettings
) -> tuple[dict[str, Any], Mesh | None]:
    """Encode, decode and score once: the row's values, and the mesh where there is one."""
    row: dict[str, Any] = {"status": "ok", "reason": ""}
    mesh = None
    try:
        started = time.perf_counter()
        latent = model.encode(shape, tokens, settings.score.seed)
        row["encode_s"] = time.perf_counter() - started
        row["latent_floats"], row["latent_bytes"] = latent.floats, latent.bytes
        started = time.perf_counter()
        mesh = model.decode(latent, settings.resolution)
        row["decode_s"] = time.perf_counter() - started
        placement = align(mesh, shape.mesh, settings.align, shape.id)
        row.update(score_usable(truth, placement.move(mesh)))
        row.update(place_of(row, placement, mesh, shape, settings))
    except MeshError as error:
        row.update(failed_scores(truth))
        row.update(status="failed", reason=f"{error.reason}: {error.message}")
        mesh = None
    row.update(truth.floor)
    row["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return row, mesh


def place_of(
    row: dict[str, Any], placement: Placement, mesh: Mesh, shape: ShapeInput, settings: EvalSettings
) -> dict[str, Any]:
    """What is to be said about where the mesh lies: how it was moved, or seems misplaced."""
    if settings.align != "none":
        x, y, z = (f"{value:.6g}" for value in placement.shift)
        moved = f"moved: axes {placement.axes}, scale {placement.scale:.6g}, shift {x} {y} {z}"
        return {"notes": "; ".join(filter(None, (moved, row["notes"])))}
    if row["surface_cd_l1"] > POOR and (why := misplaced(mesh, shape.mesh, shape.id)):
        return {"status": "misplaced", "reason": why}
    return {}


def keep_picture(mesh: Mesh, path: Path) -> None:
    """A light copy of a mesh for the page, in the normalised frame."""
    small = decimate(mesh, GALLERY_FACES)
    save_mesh(small if len(small.faces) else mesh, path)


def write_row(folder: Path, item_id: str, tokens: int, row: dict[str, Any]) -> None:
    """Write one row; from then on it counts as done."""
    atomic_write(row_path(folder, item_id, tokens), json.dumps(row, indent=1) + "\n")


COLUMNS = (
    *("model", "tokens", "id", "level", "split", "salient_edges", "posterior", "status", "reason"),
    *("latent_floats", "latent_bytes"),
    *METRICS,
    *("pred_watertight", "pred_components", "notes"),
    *FLOORS.values(),
    *("encode_s", "decode_s", "peak_memory_mb"),
)


def collect_rows(
    suite: Suite, folder: Path, info: ModelInfo, counts: tuple[int, ...]
) -> pd.DataFrame:
    """All rows as a table, items in the suite's order, columns as COLUMNS."""
    rows = []
    for item in suite.items.itertuples():
        for tokens in counts:
            text = row_path(folder, str(item.id), tokens).read_text(encoding="utf-8")
            rows.append(
                {
                    "model": info.name,
                    "tokens": tokens,
                    "id": item.id,
                    "level": item.level,
                    "split": item.split,
                    "salient_edges": item.salient_edges,
                    "posterior": info.posterior,
                    **json.loads(text),
                }
            )
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    sizes = ["latent_floats", "latent_bytes", "pred_components"]
    table[sizes] = table[sizes].astype("Int64")  # whole numbers that a failure may lack
    return table


def write_results(
    folder: Path,
    info: ModelInfo,
    suite: Suite,
    settings: EvalSettings,
    counts: tuple[int, ...],
    items: pd.DataFrame,
) -> None:
    """items.parquet, then results.json, which says that the evaluation is complete."""
    with atomic_path(folder / "items.parquet") as temporary:
        items.to_parquet(temporary, index=False)
    record = {
        "schema": SCHEMA,
        "model": {k: v for k, v in asdict(info).items() if k != "device"},
        "suite": {
            "name": suite.name,
            "version": suite.record["version"],
            "hash": suite.hash,
            "items": len(suite.items),
            "angle": suite.record["angle"],
            "thresholds": suite.record["thresholds"],
        },
        "settings": {"tokens": list(counts), **settings.record()},
        "versions": {
            **{name: version(name) for name in PACKAGES},
            "python": platform.python_version(),
        },
        "device": info.device,
        "aggregates": aggregate(items, seed=settings.score.seed),
    }
    atomic_write(folder / "results.json", json.dumps(record, indent=1) + "\n")
