"""Run models over a suite: model x token counts x meshes -> rows, then one result folder a model.

Notable:
- One work item is one mesh at one token count. Each row is a file of its own, written as soon as it
  is known (`rows/<id>@<tokens>.json`): whatever is killed, only rows in flight are lost, and the
  same command does the missing ones.
- A crash, hang or exception costs its own token count; a failure is a row: its status and reason,
  and the worst value of every metric.
- Rows of one folder come from one set of settings and one scorer (run.json, and in each row);
  others are refused, and so is a suite whose meshes are not those of its hash.
- A GPU without memory is tried again alone and in smaller pieces, and again by the next run.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from dora_bench.metrics import SCORED
from dora_bench.models import is_baseline, look_here, resolve_model
from dora_bench.protocol import ModelInfo
from dora_bench.rows.devices import Hardware, Seat, visible_gpus
from dora_bench.rows.files import is_retried, row_path, write_row
from dora_bench.rows.item import Task, lost_row
from dora_bench.rows.job import EvalSettings as EvalSettings
from dora_bench.rows.job import Job
from dora_bench.rows.results import collect_rows, safe_name, write_results
from dora_bench.suite import Suite
from preprocessing.console import Progress, UsageError
from preprocessing.files import atomic_write
from preprocessing.running.runner import Item, Outcome, run
from preprocessing.settings import Limits
from preprocessing.stores.address import Place


@dataclass(frozen=True, kw_only=True)
class Running:
    """How an evaluation is carried out; no score depends on it.

    by: who ran it, for the model's card. retry: do failed rows again. overwrite: do all again.
    """

    limits: Limits = field(default_factory=Limits)
    hardware: Hardware = field(default_factory=Hardware)
    by: str = ""
    retry: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Evaluation:
    """Where the results lie, the rows, and the numbers of rows that are ok and in all."""

    folder: Place
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
    retry: bool = False,
) -> Evaluation:
    """Evaluate the model of this name on a suite into out/<model>/<suite>@<hash>.

    As `evaluate_all`, for one model.
    """
    running = Running(limits=limits or Limits(), overwrite=overwrite, retry=retry)
    return evaluate_all([model], suite, out, tokens, settings, running)[0]


def evaluate_all(
    models: Sequence[str],
    suite: Suite,
    out: Path,
    tokens: Sequence[int] = (64, 256, 1024),
    settings: EvalSettings | None = None,
    running: Running | None = None,
) -> list[Evaluation]:
    """Evaluate models on a suite, each into out/<model>/<suite>@<hash>.

    Rows that are there already are kept; the result is the same as of an undisturbed run, times and
    memory aside. A model without tokens is evaluated once, as tokens 0. Each worker loads each
    model once. Raises UsageError, before the first has run, for an unknown model, token counts
    below 1, a device that is not there, or a folder with results of other settings.
    """
    settings, running = settings or EvalSettings(), running or Running()
    suite.check_meshes()
    look_here()
    with tempfile.TemporaryDirectory(prefix="dora-bench-") as work:
        seat, limits = seated(running, Path(work))
        infos = describe_all(models, settings.posterior, seat)
        jobs = []
        for name, info in zip(models, infos, strict=True):
            counts = counts_for(info, tokens)
            folder = out / safe_name(info.name) / f"{safe_name(suite.name)}@{suite.hash[:12]}"
            jobs.append(Job(name, info, suite, counts, settings, folder, seat))
            claim(folder, jobs[-1].fingerprint, running.overwrite)
        return [carry_out(job, limits, running) for job in jobs]


def counts_for(info: ModelInfo, tokens: Sequence[int]) -> tuple[int, ...]:
    """The token counts of a model, sorted; (0,) for one without tokens. Raises UsageError."""
    counts = tuple(sorted(set(tokens))) if info.uses_tokens else (0,)
    if info.uses_tokens and (not counts or counts[0] < 1):
        raise UsageError("--tokens: give counts of at least 1, as in --tokens 64,256,1024")
    return counts


def seated(running: Running, work: Path) -> tuple[Seat, Limits]:
    """Where workers find their device, and the limits with no more workers than it can seat.

    Raises UsageError for cuda on a machine without a GPU.
    """
    hardware, limits = running.hardware, running.limits
    on_cluster = limits.ray_address is not None
    visible = 0 if hardware.device == "cpu" else len(visible_gpus())
    if hardware.device == "cuda" and not (visible or on_cluster):
        raise UsageError("--device cuda: this machine shows no GPU; nvidia-smi must list one")
    if hardware.device == "cpu" or not (visible or (on_cluster and hardware.device == "cuda")):
        return Seat("cpu" if hardware.device == "cpu" else "auto"), limits
    if on_cluster or limits.executor == "ray":
        return Seat("cuda", gpus=hardware.gpus), replace(limits, gpus=hardware.gpus)
    slots = int(visible / hardware.gpus)
    if not slots:
        raise UsageError(f"--gpus {hardware.gpus:g}: this machine shows {visible}")
    workers = min(limits.workers or len(os.sched_getaffinity(0)), slots)
    limits = replace(limits, executor="inline", workers=workers)
    return Seat("cuda", str(work), slots, hardware.gpus), limits


def describe_all(models: Sequence[str], posterior: str, seat: Seat) -> list[ModelInfo]:
    """What each model says of itself, read in a process of its own that is gone afterwards.

    The driver would keep its memory, and on a GPU a context. Raises UsageError.
    """
    infos = {n: resolve_model(n, posterior).info for n in models if is_baseline(n)}
    others = [name for name in dict.fromkeys(models) if name not in infos]
    items = [Item(name, (name, posterior, seat)) for name in others]
    for outcome in run("dora_bench.rows.item:describe", items, executor="inline", workers=1):
        if outcome.status != "ok":
            detail = f" ({outcome.detail})" if outcome.detail else ""
            raise UsageError(f"{outcome.id} cannot be loaded: {outcome.reason}{detail}")
        info, problem = outcome.value
        if info is None:
            raise UsageError(problem)
        infos[outcome.id] = info
    return [infos[name] for name in models]


def carry_out(job: Job, limits: Limits, running: Running) -> Evaluation:
    """Do what is missing of one model, then write its results."""
    tasks = [job.task(str(name), n) for name in job.suite.items["id"] for n in job.counts]
    todo = []
    for task in tasks:
        row = job.row(task)
        wanted = row is None or is_retried(row) or (running.retry and row["status"] not in SCORED)
        if wanted:
            row_path(job.folder, task.item_id, task.tokens).unlink(missing_ok=True)
            todo.append(task)
    with Progress(len(tasks), job.info.name, limits.quiet) as progress:
        progress.done = len(tasks) - len(todo)
        run_round(job, todo, limits, progress)
        again = [replace(task, smaller=True) for task in todo if lacked_memory(job, task)]
        progress.done -= len(again)
        run_round(job, again, replace(limits, workers=1), progress)
    items = collect_rows(job)
    write_results(job, items, running.by)
    return Evaluation(job.folder, items, int((items["status"] == "ok").sum()), len(items))


def lacked_memory(job: Job, task: Task) -> bool:
    """Whether a GPU had too little memory for the task."""
    row = job.row(task)
    return row is not None and is_retried(row)


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
        raise UsageError(
            f"{folder} holds results of another {differences(before, now)}; give --overwrite to "
            "replace them, or another --out"
        )


def differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Which parts of two fingerprints differ, in words; of settings, what they were and are."""
    words = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        if key == "settings" and isinstance(old, dict) and isinstance(new, dict):
            changed = [k for k in sorted({*old, *new}) if old.get(k) != new.get(k)]
            key += f" ({', '.join(f'{k} {old.get(k)}, now {new.get(k)}' for k in changed)})"
        words.append(key)
    return ", ".join(words)


def run_round(job: Job, todo: list[Task], limits: Limits, progress: Progress) -> None:
    """Do every task once; each has a row afterwards."""
    tasks = {f"{task.item_id}@{task.tokens}": task for task in todo}
    outcomes = run(
        "dora_bench.rows.item:evaluate_item",
        [Item(key, task) for key, task in tasks.items()],
        **limits.for_runner(),
    )
    for outcome in outcomes:
        task = tasks[outcome.id]
        if not row_path(job.folder, task.item_id, task.tokens).is_file():
            write_row(job.folder, task.item_id, task.tokens, failure(outcome, task))
        progress.update(note=f"last {outcome.id}")


def failure(outcome: Outcome, task: Task) -> dict[str, Any]:
    """The row of an item whose worker did not finish it."""
    status = "failed" if outcome.status == "ok" else outcome.status
    reason = " ".join(f"{outcome.reason} {outcome.detail if status == 'rejected' else ''}".split())
    return lost_row(status, reason, task.mark)
