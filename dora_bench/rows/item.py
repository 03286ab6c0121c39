"""The worker's side of an evaluation: one mesh at one token count becomes a row.

Notable:
- The model works before the truth is prepared, and a truth is kept for the mesh's next count.
- Times are taken after a warm-up on a box, once a process and model: libraries that compile, load
  or pick algorithms at the first call do it there.
- `encode_s` is encoding alone: a model that has `prepare` draws and orders its points there, which
  is `sample_s`.
"""

import gc
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from dora_bench.metrics import SCORED
from dora_bench.models import resolve_model
from dora_bench.placing import POOR, Align, Placement, align, misplaced
from dora_bench.protocol import Latent, ModelInfo, ShapeInput, ShapeModel
from dora_bench.rows.devices import Seat, take
from dora_bench.rows.files import write_row
from dora_bench.rows.memory import (
    PeakMemory,
    free_cuda,
    is_cuda_out_of_memory,
    resident,
    wait_for_cuda,
)
from dora_bench.rows.pictures import keep_picture
from dora_bench.score import (
    SCORER_VERSION,
    ScoreSettings,
    Truth,
    failed_scores,
    prepare_truth,
    score_usable,
    worst_scores,
)
from preprocessing.console import UsageError
from preprocessing.mesh import Mesh, MeshError, load_mesh
from preprocessing.running.system import keep_freed_memory
from preprocessing.shapes import box

WARM_RESOLUTION = 32


@dataclass(frozen=True)
class Task:
    """One work item, sent to a worker: one mesh at one token count.

    warm_tokens: a count that the model certainly takes. mark: the fingerprint that the row carries.
    smaller: try with less memory at a time, after a GPU had too little.
    """

    item_id: str
    mesh_path: str
    model: str
    tokens: int
    warm_tokens: int
    score: ScoreSettings
    resolution: int
    posterior: str
    align: Align
    gallery: bool
    folder: str
    mark: str
    seat: Seat
    smaller: bool = False


@dataclass(frozen=True)
class Loaded:
    """A model in this process, and the memory in MB that it took to load and to warm up."""

    model: ShapeModel
    own_mb: float


def describe(request: tuple[str, str, Seat]) -> tuple[ModelInfo | None, str]:
    """Worker: what a model says of itself, or why the name stands for none."""
    name, posterior, seat = request
    take(seat)
    try:
        return resolve_model(name, posterior).info, ""
    except UsageError as error:
        return None, str(error)


@lru_cache(maxsize=1)
def loaded(name: str, posterior: str, tokens: int) -> Loaded:
    """The model of this worker process, loaded and warmed up once.

    Freed memory is kept from here on, an eighth of a small model's time; `PeakMemory` gives it back
    before it measures.
    """
    keep_freed_memory()
    before = resident()
    model = resolve_model(name, posterior)
    shape = ShapeInput("warm-up", box().mesh)
    try:
        prepare = getattr(model, "prepare", None)
        if prepare is not None:
            prepare(shape, tokens, 0)
        model.decode(model.encode(shape, tokens, 0), WARM_RESOLUTION)
    except Exception as error:  # noqa: BLE001 - what fails on a box too is a row of its own soon
        if is_cuda_out_of_memory(error):
            free_cuda()
    gc.collect()
    return Loaded(model, max(0.0, resident() - before))


@lru_cache(maxsize=1)
def prepared(item_id: str, mesh_path: str, settings: ScoreSettings) -> tuple[ShapeInput, Truth]:
    """A mesh and its truth, kept for the next token count of the same mesh."""
    shape = ShapeInput(item_id, load_mesh(mesh_path))
    return shape, prepare_truth(shape.mesh, settings, item_id)


def evaluate_item(task: Task) -> None:
    """Worker: run the model, score what it gives, write the row and the picture."""
    take(task.seat)
    one = loaded(task.model, task.posterior, task.warm_tokens)
    if task.smaller and hasattr(one.model, "smaller"):
        one.model.smaller()
    shape = ShapeInput(task.item_id, load_mesh(task.mesh_path))
    row, mesh = run_model(one, shape, task)
    row = {"fingerprint": task.mark, "scorer_version": SCORER_VERSION, **row}
    truth = prepared(task.item_id, task.mesh_path, task.score)[1]
    if mesh is None:
        row = {**failed_scores(truth), **row}
    else:
        row |= scored(truth, mesh, shape, task)
    folder = Path(task.folder)
    if task.gallery:
        keep_pictures(folder / "gallery", shape, mesh if row["status"] in SCORED else None, task)
    write_row(folder, task.item_id, task.tokens, row)


def run_model(one: Loaded, shape: ShapeInput, task: Task) -> tuple[dict[str, Any], Mesh | None]:
    """Encode and decode: status, sizes, times and memory, and the mesh where there is one."""
    row: dict[str, Any] = {"status": "ok", "reason": ""}
    mesh = None
    memory = PeakMemory()
    try:
        with memory:
            latent = encoded(one.model, shape, task, row)
            started = time.perf_counter()
            mesh = one.model.decode(latent, task.resolution)
            wait_for_cuda()
            row["decode_s"] = time.perf_counter() - started
    except MeshError as error:
        row.update(status="failed", reason=f"{error.reason}: {error.message}")
    except RuntimeError as error:
        if not is_cuda_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:300]
        row.update(status="memory", reason=reason, device_memory=True)
        free_cuda()
    row["peak_memory_mb"] = one.own_mb + memory.grown_mb
    row["cuda_peak_mb"] = memory.cuda_mb
    return row, mesh


def encoded(model: ShapeModel, shape: ShapeInput, task: Task, row: dict[str, Any]) -> Latent:
    """The latent; its size, `sample_s` and `encode_s` go into the row."""
    seed, prepare = task.score.seed, getattr(model, "prepare", None)
    if prepare is not None:
        started = time.perf_counter()
        kept = prepare(shape, task.tokens, seed)
        row["sample_s"] = time.perf_counter() - started if kept is None else float(kept)
    wait_for_cuda()
    started = time.perf_counter()
    latent: Latent = model.encode(shape, task.tokens, seed)
    wait_for_cuda()
    row["encode_s"] = time.perf_counter() - started
    row["latent_floats"], row["latent_bytes"] = latent.floats, latent.bytes
    return latent


def scored(truth: Truth, mesh: Mesh, shape: ShapeInput, task: Task) -> dict[str, Any]:
    """Every score of a mesh, with what is to be said about its place."""
    try:
        placement = align(mesh, shape.mesh, task.align, task.item_id)
        row = score_usable(truth, placement.move(mesh))
        return row | place_of(row, placement, mesh, shape, task.align)
    except MeshError as error:
        reason = f"{error.reason}: {error.message}"
        return {**failed_scores(truth), "status": "failed", "reason": reason}


def place_of(
    row: dict[str, Any], placement: Placement, mesh: Mesh, shape: ShapeInput, how: Align
) -> dict[str, Any]:
    """What is to be said about where the mesh lies: how it was moved, or seems misplaced."""
    if how != "none":
        x, y, z = (f"{value:.6g}" for value in placement.shift)
        moved = f"moved: axes {placement.axes}, scale {placement.scale:.6g}, shift {x} {y} {z}"
        return {"notes": "; ".join(filter(None, (moved, row["notes"])))}
    if row["surface_cd_l1"] > POOR and (why := misplaced(mesh, shape.mesh, shape.id)):
        return {"status": "misplaced", "reason": why}
    return {}


def keep_pictures(folder: Path, shape: ShapeInput, mesh: Mesh | None, task: Task) -> None:
    """Light copies of the truth, once, and of a mesh that could be scored."""
    truth = folder / f"{shape.id}@truth.ply"
    if not truth.is_file():
        keep_picture(shape.mesh, truth)
    if mesh is not None:
        keep_picture(mesh, folder / f"{shape.id}@{task.tokens}.ply")


def lost_row(status: str, reason: str, mark: str) -> dict[str, Any]:
    """The row of an item whose worker did not finish it."""
    kept = {"fingerprint": mark, "scorer_version": SCORER_VERSION}
    return {**kept, "status": status, "reason": reason, **worst_scores()}
