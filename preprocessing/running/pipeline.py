"""The stages over many meshes: what is left to do, doing it, and a ledger that loses nothing.

An item is done when its row says so and the row still holds: same input (size and time, else
sha256), same settings, same version, and the output file as it was written. `ok` and `rejected`
stand; so do `timeout` and `memory` until a higher limit is given. Everything else is done again.
"""

import errno
import hashlib
import heapq
import itertools
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from preprocessing.console import EXIT_OK, EXIT_SOME_FAILED, Interrupted, Progress, StopError
from preprocessing.doctor import memory_limit
from preprocessing.files import atomic_write, sha256_file
from preprocessing.running.ledger import SAMPLES, WATERTIGHT, Ledger, parquet_path, read_ledger
from preprocessing.running.manifest import Entry
from preprocessing.running.runner import Item, Outcome, available_cores, run
from preprocessing.running.stages import (
    HEAVY,
    Done,
    Plan,
    SampleSettings,
    Task,
    WatertightSettings,
    kernels_are_cold,
    measure,
    prepare,
    warm,
)

STALE = re.compile(r"^\..*\.\d+\.tmp(\.\w+)?$")  # what atomic_path leaves when it is killed
FULL = (errno.ENOSPC, errno.EDQUOT)
FOLD_ON_INTERRUPT = 50_000  # rows; more take too long for somebody who pressed Ctrl-C
WINDOW = 1024  # entries put in order at a time
LISTED = 1000  # failures kept for the summary; the ledger has them all


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How to run, as the common options say."""

    executor: str = "auto"
    workers: int = 0
    ray_address: str | None = None
    timeout: float | None = 3600.0
    memory: float | None = None
    overwrite: bool = False
    quiet: bool = False


@dataclass
class Summary:
    """What became of the items of one run."""

    out: str
    total: int
    counts: Counter[str] = field(default_factory=Counter)
    slowest: list[tuple[float, str]] = field(default_factory=list)  # a heap of ten
    failed: list[dict[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, name: str, status: str, reason: str, seconds: float) -> None:
        """Count one item."""
        self.counts[status] += 1
        if status not in ("ok", "skipped") and len(self.failed) < LISTED:
            self.failed.append({"id": name, "status": status, "reason": reason})
        if seconds > 0:
            push = heapq.heappush if len(self.slowest) < 10 else heapq.heappushpop
            push(self.slowest, (seconds, name))

    @property
    def exit_code(self) -> int:
        """0, or 3 when an item has neither ok nor skipped."""
        return EXIT_SOME_FAILED if self.counts.keys() - {"ok", "skipped"} else EXIT_OK

    def as_json(self) -> dict[str, Any]:
        """The machine-readable summary of `--json`."""
        return {
            "out": self.out,
            "total": self.total,
            "counts": dict(sorted(self.counts.items())),
            "seconds": round(self.seconds, 3),
            "slowest": [
                {"id": name, "seconds": round(seconds, 3)}
                for seconds, name in sorted(self.slowest, reverse=True)
            ],
            "failed": sorted(self.failed, key=lambda row: row["id"]),
        }

    def __str__(self) -> str:
        """The summary for people."""
        counts = ", ".join(f"{n} {status}" for status, n in sorted(self.counts.items()))
        lines = [f"{self.total} items in {self.seconds:.1f} s: {counts or 'none'}"]
        if self.slowest:
            lines.append("slowest:")
            for seconds, name in sorted(self.slowest, reverse=True):
                lines.append(f"  {seconds:9.2f} s  {name}")
        if self.failed:
            lines.append("not ok:")
            for row in sorted(self.failed, key=lambda row: row["id"])[:50]:
                lines.append(f"  {row['status']:9} {row['id']}: {row['reason']}")
            hidden = sum(self.counts.values()) - self.counts["ok"] - self.counts["skipped"] - 50
            if hidden > 0:
                lines.append(f"  and {hidden} more: dora-prep ledger {self.out}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Stage:
    """One ledger of a run: its folder, its rows' key in a result, and what settings they had."""

    key: str
    ledger: Ledger
    settings: str


def run_plan(
    entries: Sequence[Entry],
    out: Path,
    watertight: WatertightSettings | None,
    samples: SampleSettings | None,
    limits: Limits,
    *,
    again: Collection[str] = (),
    eps_of: dict[str, float] | None = None,
) -> Summary:
    """Carry out one or both stages for every entry, skipping what is done.

    With both stages the files go to out/watertight and out/samples, with one into `out` itself.
    `again`: ids to do in any case. `eps_of`: eps by input path, for sampling alone. Writes a
    ledger row for every entry. Raises StopError when the disk is full and Interrupted on Ctrl-C;
    both leave everything finished in place.
    """
    both = watertight is not None and samples is not None
    plan = Plan(
        watertight=watertight,
        samples=samples,
        watertight_folder=str(out / "watertight" if both else out) if watertight else "",
        samples_folder=str(out / "samples" if both else out) if samples else "",
    )
    summary = Summary(str(out), len(entries))
    started = time.monotonic()
    try:
        with ExitStack() as stack:
            stages = open_stages(stack, plan, len(entries))
            remember(out, plan, limits)
            warm_kernels(plan, limits)
            work = Work(plan, stages, limits, summary, frozenset(again), eps_of or {})
            work.carry_out(entries)
    except KeyboardInterrupt:
        finished = sum(summary.counts.values())
        raise Interrupted(
            f"stopped after {finished} of {len(entries)} items; "
            "run the same command again to go on from there"
        ) from None
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise disk_full(out) from error
    summary.seconds = time.monotonic() - started
    return summary


def warm_kernels(plan: Plan, limits: Limits) -> None:
    """Compile the kernels before the first mesh, whose time limit they would count against."""
    if not kernels_are_cold(plan):
        return
    if not limits.quiet:
        print("compiling kernels, once for this version: up to a minute", file=sys.stderr)
    for outcome in run(warm, [Item("kernels", plan)], executor="inline", preload=HEAVY):
        if outcome.status != "ok":
            raise RuntimeError(f"the kernels cannot be compiled: {outcome.reason} {outcome.detail}")


def disk_full(out: Path) -> StopError:
    """The one error a full disk gives."""
    free = psutil.disk_usage(str(out)).free / 2**20
    return StopError(
        f"the disk that holds {out} is full ({free:.1f} MB free). What is finished is in the "
        "ledger; make room and run the same command again."
    )


def open_stages(stack: ExitStack, plan: Plan, entries: int) -> list[Stage]:
    """Lock and read the ledger of each stage, and remove what a killed run left half-written."""
    stages = []
    base = settings_key(plan.watertight)
    for key, folder, schema, settings in (
        ("watertight", plan.watertight_folder, WATERTIGHT, base),
        ("samples", plan.samples_folder, SAMPLES, settings_key(plan.watertight, plan.samples)),
    ):
        if not folder:
            continue
        ledger = Ledger(Path(folder), schema)

        def leave(kind: Any, error: Any, trace: Any, ledger: Ledger = ledger) -> None:
            ledger.close(fold=kind is None or max(entries, len(ledger.row)) <= FOLD_ON_INTERRUPT)

        stack.push(leave)
        remove_stale(folder)
        stages.append(Stage(key, ledger, settings))
    return stages


def settings_key(*settings: WatertightSettings | SampleSettings | None) -> str:
    """A short fingerprint of everything that decides an output's bytes besides its input."""
    text = json.dumps([asdict(one) if one else None for one in settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def remove_stale(folder: str) -> None:
    """Delete temporary files of killed runs; the ledger's lock says that nobody is writing."""
    for parent, _, names in os.walk(folder):
        for name in names:
            if STALE.match(name):
                os.unlink(os.path.join(parent, name))


def extremes_first(entries: Sequence[Entry]) -> Iterator[tuple[Entry, os.stat_result | None]]:
    """Entries and what their files are (None where one is missing), per window: the largest file,
    the smallest, the second largest, and so on, so that those of middling size come last.

    A slow mesh that comes last keeps one worker busy while the others idle, and the surprises sit
    at both ends: a large file is long to read, and 5 kB may hold triangles across the whole frame
    whose offset has millions of faces. In windows, because the first item must not wait for a look
    at 400,000 files.
    """
    for begin in range(0, len(entries), WINDOW):
        found: list[tuple[Entry, os.stat_result | None]] = []
        for entry in entries[begin : begin + WINDOW]:
            try:
                found.append((entry, os.stat(entry.path)))
            except OSError:
                found.append((entry, None))
        found.sort(key=lambda pair: -pair[1].st_size if pair[1] else 1)
        middle = (len(found) + 1) // 2
        ends = itertools.zip_longest(found[:middle], reversed(found[middle:]))
        yield from (pair for both in ends for pair in both if pair)


class Work:
    """One pass over the entries: decide, run, record."""

    def __init__(
        self,
        plan: Plan,
        stages: list[Stage],
        limits: Limits,
        summary: Summary,
        again: frozenset[str],
        eps_of: dict[str, float],
    ) -> None:
        self.plan, self.stages, self.limits, self.summary = plan, stages, limits, summary
        self.again, self.eps_of = again, eps_of
        self.version = version("dora-bench")
        self.path_of: dict[str, str] = {}  # of the items under way
        self.memory = limits.memory or default_memory(limits)

    def carry_out(self, entries: Sequence[Entry]) -> None:
        """Do what is left and record every outcome."""
        outcomes = run(
            partial(prepare, self.plan),
            self.items(entries),
            executor=self.limits.executor,
            workers=self.limits.workers,
            timeout=self.limits.timeout,
            memory=self.memory,
            ray_address=self.limits.ray_address,
            preload=HEAVY,
        )
        with Progress(len(entries), "meshes", self.limits.quiet) as progress:
            self.progress = progress
            try:
                for outcome in outcomes:
                    self.record(outcome)
            finally:
                outcomes.close()  # on an error this kills the children now

    def items(self, entries: Sequence[Entry]) -> Iterator[Item]:
        """Items that are not done, in `extremes_first` order; those that are done are counted."""
        for entry, found in extremes_first(entries):
            if found is None:
                self.missing(entry)
                continue
            rows = [stage.ledger.known(entry.id) for stage in self.stages]
            verdict = self.verdict(entry, found, rows)
            if isinstance(verdict, Task):
                self.path_of[entry.id] = entry.path
                yield Item(entry.id, verdict)
            else:
                worst = next((r for r in rows if r and r["status"] != "ok"), rows[0])
                assert worst is not None
                status = "skipped" if worst["status"] == "ok" else worst["status"]
                self.count(entry.id, status, worst["reason"] or "", 0.0)

    def verdict(
        self, entry: Entry, found: os.stat_result, rows: list[dict[str, Any] | None]
    ) -> Task | None:
        """The task that is left for an entry; None when its rows stand as they are."""
        task = Task(entry.id, entry.path, self.eps_of.get(entry.path))
        if self.limits.overwrite or entry.id in self.again:
            return task
        same = True
        outputs = []
        for stage, row in zip(self.stages, rows, strict=True):
            if row is None or row["settings"] != stage.settings or row["version"] != self.version:
                return task
            if row["input_bytes"] != found.st_size:
                return task
            same &= row["input_mtime_ns"] == found.st_mtime_ns
            if row["status"] in ("timeout", "memory"):
                limit = self.limits.timeout if row["status"] == "timeout" else self.memory
                if limit is None or row["limit"] is None or limit > row["limit"]:
                    return task
            elif row["status"] == "ok":
                outputs.append((stage, row))
            elif row["status"] != "rejected":
                return task
        for stage, row in outputs:
            try:
                size, changed = measure(stage.ledger.folder, row["output"])
            except OSError:
                return task
            if size != row["output_bytes"]:
                return task
            same &= changed == row["output_mtime_ns"]
        if same:
            return None
        if len(outputs) < len(self.stages):
            return task
        proof = tuple(
            (str(stage.ledger.folder), row["output"], row["output_sha256"])
            for stage, row in outputs
        )
        return replace(task, done=Done(outputs[0][1]["input_sha256"], proof))

    def missing(self, entry: Entry) -> None:
        """A listed file that is not there."""
        for stage in self.stages:
            stage.ledger.record(
                {
                    "id": entry.id,
                    "path": entry.path,
                    "status": "rejected",
                    "reason": "missing",
                    "detail": f"{entry.path} is not there",
                    "version": self.version,
                }
            )
        self.count(entry.id, "rejected", "missing", 0.0)

    def record(self, outcome: Outcome) -> None:
        """Write an outcome's rows. Raises OSError(ENOSPC) when the item met a full disk."""
        path = self.path_of.pop(outcome.id)
        if outcome.status == "failed" and any(f"[Errno {c}]" in outcome.reason for c in FULL):
            raise OSError(errno.ENOSPC, outcome.reason)
        result = outcome.value or {}
        if result.get("unchanged"):
            self.renew(outcome.id, result["input"])
            self.count(outcome.id, "skipped", "", 0.0)
            return
        facts = result.get("input") or facts_of(path)
        limit = {"timeout": self.limits.timeout, "memory": self.memory}.get(outcome.status)
        status, reason = outcome.status, outcome.reason
        for stage in self.stages:
            columns = result.get(stage.key, {})
            if columns.get("status", outcome.status) != "ok":
                self.discard(stage, outcome.id)
            stage.ledger.record(
                {
                    "id": outcome.id,
                    "path": path,
                    "status": outcome.status,
                    "reason": outcome.reason,
                    "detail": outcome.detail,
                    "seconds": outcome.seconds,
                    "peak_memory_mb": outcome.peak_memory_mb,
                    "settings": stage.settings,
                    "version": self.version,
                    "limit": limit,
                    **facts,
                    **columns,
                }
            )
            if columns.get("status", "ok") != "ok":
                status, reason = columns["status"], columns["reason"]
        self.count(outcome.id, status, reason, outcome.seconds)

    def discard(self, stage: Stage, name: str) -> None:
        """Remove what an earlier run wrote for an item that is not ok any more."""
        row = stage.ledger.known(name)
        for output in (row["output"] or "").split("|") if row else ():
            if output:
                (stage.ledger.folder / output).unlink(missing_ok=True)

    def renew(self, name: str, facts: dict[str, Any]) -> None:
        """Note the new times of files that turned out unchanged, so they are not hashed again."""
        for stage in self.stages:
            row = stage.ledger.row_of(name)
            _, changed = measure(stage.ledger.folder, row["output"])
            stage.ledger.record({**row, **facts, "output_mtime_ns": changed})

    def count(self, name: str, status: str, reason: str, seconds: float) -> None:
        """Count one item and move the progress line."""
        self.summary.add(name, status, reason, seconds)
        self.progress.update(note=self.note)

    def note(self) -> str:
        """Failures by kind and the memory in use, for the progress line."""
        kinds = [f"{n} {kind}" for kind, n in sorted(self.summary.counts.items()) if kind != "ok"]
        return "  ".join([*kinds, f"memory {psutil.virtual_memory().percent}%"])


def facts_of(path: str) -> dict[str, Any]:
    """The input's columns for an item that could not tell them itself."""
    try:
        found = os.stat(path)
        digest = sha256_file(path)
    except OSError:
        return {}
    return {
        "input_bytes": found.st_size,
        "input_mtime_ns": found.st_mtime_ns,
        "input_sha256": digest,
    }


def default_memory(limits: Limits) -> float | None:
    """GB an item when none is asked for: nine tenths of this machine, shared by the workers.

    None on a cluster, whose machines this one knows nothing about.
    """
    if limits.ray_address is not None:
        return None
    slots = limits.workers or available_cores()
    return round(0.9 * memory_limit() / 2**30 / slots, 2)


def remember(out: Path, plan: Plan, limits: Limits) -> None:
    """Write the settings to out/run.json, from which `dora-prep ledger --retry` goes on."""
    told = {
        "watertight": asdict(plan.watertight) if plan.watertight else None,
        "samples": asdict(plan.samples) if plan.samples else None,
        "limits": asdict(replace(limits, overwrite=False)),
        "version": version("dora-bench"),
    }
    atomic_write(out / "run.json", json.dumps(told, indent=1) + "\n")


def recall(out: Path) -> tuple[WatertightSettings | None, SampleSettings | None, Limits]:
    """What `remember` wrote. Raises FileNotFoundError."""
    told = json.loads((out / "run.json").read_text())
    watertight, samples = told["watertight"], told["samples"]
    return (
        WatertightSettings(**watertight) if watertight else None,
        SampleSettings(**samples) if samples else None,
        Limits(**told["limits"]),
    )


def known_eps(entries: Sequence[Entry]) -> dict[str, float]:
    """eps by file, for those files that `watertight` has written: from the ledger above them."""
    tables: dict[str, dict[str, float]] = {}
    homes: dict[str, str] = {}
    found: dict[str, float] = {}
    for entry in entries:
        folder = os.path.dirname(entry.path)
        if folder not in homes:
            above = [folder, *map(str, Path(folder).parents)]
            homes[folder] = next((f for f in above if parquet_path(Path(f)).exists()), "")
        home = homes[folder]
        if home and home not in tables:
            tables[home] = eps_by_file(Path(home))
        if home and entry.path in tables[home]:
            found[entry.path] = tables[home][entry.path]
    return found


def eps_by_file(folder: Path) -> dict[str, float]:
    """eps of every output of a folder's ledger; nothing where it is not one of `watertight`."""
    table = read_ledger(folder)
    if "eps" not in table.column_names or "output" not in table.column_names:
        return {}
    pairs = zip(table["output"].to_pylist(), table["eps"].to_pylist(), strict=True)
    return {str(folder / name): eps for name, eps in pairs if name and eps}
