"""Rows of a run: one an item and stage, written after its file, and what a run left behind."""

import errno
import os
import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psutil

from preprocessing.console import Progress
from preprocessing.files import FULL
from preprocessing.mesh_errors import MeshError
from preprocessing.running.ids import Entry, former_ids, readable
from preprocessing.running.ledger import REMOVED, Ledger
from preprocessing.running.proof import (
    facts_without_reading,
    input_facts,
    measure,
    output_paths,
)
from preprocessing.running.run_settings import RunRecord
from preprocessing.running.runner import Outcome
from preprocessing.running.summary import Summary, count_for_ray
from preprocessing.running.tasks import Output
from preprocessing.stores import systems
from preprocessing.stores.address import Place, StorePath, is_address
from preprocessing.stores.ledger_copy import LedgerCopy, store_named
from preprocessing.stores.scratch import scratch_folder

STALE = re.compile(r"^\..*\.\d+\.tmp(\.\w+)?$")  # what atomic_path leaves when it is killed
FOLD_ON_INTERRUPT = 50_000  # rows; more take too long for somebody who pressed Ctrl-C


@dataclass(frozen=True)
class Stage:
    """One ledger of a run: its rows' key in a result, the folder of its outputs, and what settings
    they had. In a store the ledger is a copy, and what was written before is listed once."""

    key: str
    folder: Place
    ledger: Ledger
    settings: str
    copy: LedgerCopy | None = None
    written: dict[str, systems.Facts] | None = None

    def measure(self, names: str) -> tuple[int, int]:
        """Size and time of an output that was there when the run began. FileNotFoundError."""
        return measure(self.folder, names, self.written)


def open_stages(stack: ExitStack, outputs: Iterable[Output], entries: int) -> list[Stage]:
    """Lock and read the ledger of each output, and remove what a killed run left half-written."""
    stages = []
    for output in outputs:
        if isinstance(output.folder, StorePath):
            stages.append(open_stored(stack, output, output.folder, entries))
            continue
        ledger = Ledger(output.folder, output.columns)
        stack.push(closing(ledger, entries))
        remove_stale(output.folder)
        stages.append(Stage(output.key, output.folder, ledger, output.settings))
    return stages


def open_stored(stack: ExitStack, output: Output, folder: StorePath, entries: int) -> Stage:
    """A stage whose home is a store: its ledger, fetched, and what has been written there."""
    local = stack.enter_context(scratch_folder())
    copy = LedgerCopy(folder, local)
    stack.callback(copy.close)
    with store_named(folder, local):
        ledger = Ledger(local, output.columns)
    stack.push(closing(ledger, entries))
    copy.follow(ledger)
    written = systems.listed(str(folder)) if ledger.row else {}
    return Stage(output.key, folder, ledger, output.settings, copy, written)


def closing(ledger: Ledger, entries: int) -> Callable[..., None]:
    """An exit that closes a ledger, and folds it unless that would keep a user waiting."""

    def leave(kind: Any, error: Any, trace: Any) -> None:
        ledger.close(fold=kind is None or max(entries, len(ledger.row)) <= FOLD_ON_INTERRUPT)

    return leave


def remove_stale(folder: os.PathLike[str]) -> None:
    """Delete temporary files of killed runs; the ledger's lock says that nobody is writing."""
    for parent, _, names in os.walk(folder):
        for name in names:
            if STALE.match(name):
                os.unlink(os.path.join(parent, name))


class Recorder:
    """Writes what becomes of each item into the ledgers, and counts it."""

    def __init__(
        self,
        stages: list[Stage],
        version: str,
        limit_of: dict[str, float | None],
        summary: Summary,
        progress: Progress,
        run_record: RunRecord,
    ) -> None:
        self.stages, self.version, self.limit_of = stages, version, limit_of
        self.summary, self.progress, self.run_record = summary, progress, run_record
        self.path_of: dict[str, str] = {}  # of the items under way

    def begin(self, entry: Entry) -> None:
        """Note an entry that is given out."""
        self.path_of[entry.id] = entry.path

    def refuse(self, entry: Entry, reason: str, message: str) -> None:
        """A row for an entry that is not tried."""
        row = {"id": entry.id, "path": entry.path, "status": "rejected", "version": self.version}
        for stage in self.stages:
            if entry.refused:
                self.discard(stage, entry.id)
            stage.ledger.record({**row, "reason": reason, "detail": message})
        self.count(entry.id, "rejected", reason, 0.0)

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
        status, reason = outcome.status, outcome.reason
        for stage in self.stages:
            columns = result.get(stage.key, {})
            if columns.get("status", outcome.status) != "ok":
                self.discard(stage, outcome.id)
            row = {"id": outcome.id, "path": path, **self.columns_of(outcome), **facts, **columns}
            stage.ledger.record({**row, "settings": stage.settings})
            if columns.get("status", "ok") != "ok":
                status, reason = columns["status"], columns["reason"]
        self.count(outcome.id, status, reason, outcome.seconds)

    def columns_of(self, outcome: Outcome) -> dict[str, Any]:
        """The columns that both stages of an item share."""
        return {
            "status": outcome.status,
            "reason": outcome.reason,
            "detail": outcome.detail,
            "seconds": outcome.seconds,
            "peak_memory_mb": outcome.peak_memory_mb,
            "version": self.version,
            "limit": self.limit_of.get(outcome.status),
            "node": outcome.node or None,
        }

    def discard(self, stage: Stage, name: str) -> None:
        """Remove what an earlier run wrote for an item that is not ok any more."""
        row = stage.ledger.known(name)
        for path in output_paths(stage.folder, row["output"]) if row else ():
            path.unlink(missing_ok=True)

    def remove(self, stage: Stage, name: str) -> None:
        """Take an item out of a stage's ledger, and its files away."""
        self.discard(stage, name)
        stage.ledger.record({"id": name, "status": REMOVED, "version": self.version})

    def remove_former(self, entry: Entry) -> None:
        """Take out what the entry's file left under an id that it has no more."""
        for name in former_ids(entry):
            for stage in self.stages:
                row = stage.ledger.known(name)
                if row is not None and row["path"] == readable(entry.path):
                    self.remove(stage, name)

    def renew(self, name: str, facts: dict[str, Any]) -> None:
        """Note the new times of files that turned out unchanged, so they are not hashed again."""
        for stage in self.stages:
            row = stage.ledger.row_of(name)
            _, changed = stage.measure(row["output"])
            stage.ledger.record({**row, **facts, "output_mtime_ns": changed})

    def count(self, name: str, status: str, reason: str, seconds: float) -> None:
        """Count one item, move the progress line, and tell `status` from time to time."""
        self.summary.add(name, status, reason, seconds)
        count_for_ray(status)
        for stage in self.stages:
            if stage.copy is not None:
                stage.copy.check()
        self.run_record.note_sometimes(self.summary.counts)
        self.progress.update(note=self.note)

    def note(self) -> str:
        """Failures by kind and the memory in use, for the progress line."""
        kinds = [f"{n} {kind}" for kind, n in sorted(self.summary.counts.items()) if kind != "ok"]
        return "  ".join([*kinds, f"memory {psutil.virtual_memory().percent}%"])


def facts_of(path: str) -> dict[str, Any]:
    """The input's columns for an item that could not tell them itself; none if it is gone."""
    if is_address(path):
        return facts_without_reading(path)
    try:
        return input_facts(path)
    except MeshError:
        return {}
