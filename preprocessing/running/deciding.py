"""What is left to do for an input, from the rows that earlier runs left.

An item is done when its row says so and the row still holds: same input (size and time, else
sha256), same settings, same version, and the output file as it was written. `ok` and `rejected`
stand; so do `timeout` and `memory` until a higher limit is given. Everything else is done again.
"""

import itertools
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from preprocessing.running.ids import Entry
from preprocessing.running.proof import compare_beside
from preprocessing.running.recording import Stage
from preprocessing.running.tasks import Done, Task
from preprocessing.stores.address import StorePath, is_address, place
from preprocessing.stores.systems import Facts

WINDOW = 1024  # entries put in order at a time
LOOKERS = 16  # threads that ask a store
Row = dict[str, Any]


@dataclass(frozen=True)
class Stands:
    """Nothing is to be done: what the item's rows say."""

    status: str
    reason: str = ""


@dataclass(frozen=True)
class Refused:
    """Nothing can be done, and a row must say why."""

    reason: str
    message: str


Decision = Task | Stands | Refused
Looked = os.stat_result | Facts | None  # None: it is not there


@dataclass(frozen=True, kw_only=True)
class Decider:
    """Decides for one entry after another.

    again: ids to do in any case, or None for all. limit_of: what `timeout` and `memory` are now
    (None: no limit). eps_of: eps by input path.
    """

    stages: Sequence[Stage]
    version: str
    limit_of: Mapping[str, float | None]
    again: Collection[str] | None = ()
    eps_of: Mapping[str, float] = field(default_factory=dict)
    real: dict[str, str] = field(default_factory=dict)  # folders seen, links followed

    def decide(self, entry: Entry, found: Looked) -> Decision:
        """What to do about an entry whose file is `found` (None: it is not there)."""
        fault = entry.refused or self.leads_out(entry.id)
        if fault:
            return Refused("bad-id", fault)
        if found is None:
            return Refused("missing", f"{entry.path} is not there")
        if isinstance(found, os.stat_result) and not stat.S_ISREG(found.st_mode):
            return Refused("unreadable", f"{entry.path} is no regular file")
        task = Task(entry.id, entry.path, self.eps_of.get(entry.path), part=entry.part)
        rows = [stage.ledger.known(entry.id) for stage in self.stages]
        known = [row for row in rows if row is not None]
        if self.again is None or entry.id in self.again or len(known) < len(rows):
            return task
        if not all(self.row_stands(*pair, found) for pair in zip(self.stages, known, strict=True)):
            return task
        ok = [pair for pair in zip(self.stages, known, strict=True) if pair[1]["status"] == "ok"]
        whole, same = compare_beside(entry.path, known[0]["companions"])
        if not whole:
            return task
        same &= all(row["input_mtime_ns"] == found.st_mtime_ns for row in known)
        for stage, row in ok:
            try:
                size, changed = stage.measure(row["output"])
            except OSError:
                return task
            if size != row["output_bytes"]:
                return task
            same &= changed == row["output_mtime_ns"]
        if same:
            return stands(known)
        if len(ok) < len(known):
            return task
        return replace(task, done=proof_of(ok))

    def row_stands(self, stage: Stage, row: Row, found: os.stat_result | Facts) -> bool:
        """Whether a row's verdict still holds for an input of this size."""
        if row["settings"] != stage.settings or row["version"] != self.version:
            return False
        if row["input_bytes"] != found.st_size:
            return False
        if row["status"] in self.limit_of:
            limit = self.limit_of[row["status"]]
            return not (limit is None or row["limit"] is None or limit > row["limit"])
        # What was missing, the file or one that it refers to, may have been supplied.
        return row["status"] in ("ok", "rejected") and row["reason"] != "missing"

    def leads_out(self, name: str) -> str:
        """Why an id's outputs would lie outside the folder: a link on the way; else empty."""
        parent = os.path.dirname(name)
        for stage in self.stages if parent else ():
            if isinstance(stage.folder, StorePath):
                continue  # there are no links
            folder = str(stage.folder)
            inside = os.path.join(self.followed(folder), "")
            if not self.followed(os.path.join(folder, parent)).startswith(inside):
                return f"the id {name!r}: {folder}/{parent} is a link that leads out of the folder"
        return ""

    def followed(self, folder: str) -> str:
        """A folder's real path; looked up once."""
        if folder not in self.real:
            self.real[folder] = os.path.realpath(folder)
        return self.real[folder]


def stands(rows: Sequence[Row]) -> Stands:
    """What an item's rows say together: the first that is not ok, if any."""
    worst = next((row for row in rows if row["status"] != "ok"), rows[0])
    status = "skipped" if worst["status"] == "ok" else worst["status"]
    return Stands(status, worst["reason"] or "")


def proof_of(ok: Sequence[tuple[Stage, Row]]) -> Done:
    """What the child compares by sha256 where sizes are the same and times are not."""
    outputs = tuple((str(stage.folder), row["output"], row["output_sha256"]) for stage, row in ok)
    return Done(ok[0][1]["input_sha256"], outputs)


def look(path: str) -> Looked:
    """What an input's file or object is."""
    try:
        return place(path).stat() if is_address(path) else os.stat(path)
    except OSError:
        return None


def extremes_first(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Looked]]:
    """Entries and what their files are (None where one is missing), per window: the largest file,
    the smallest, the second largest, and so on, so that those of middling size come last.

    A slow mesh that comes last keeps one worker busy while the others idle, and the surprises sit
    at both ends: a large file is long to read, and 5 kB may hold triangles across the whole frame
    whose offset has millions of faces. In windows, because the first item must not wait for a look
    at 400,000 files.
    """
    for begin in range(0, len(entries), WINDOW):
        window = entries[begin : begin + WINDOW]
        with ThreadPoolExecutor(LOOKERS) as pool:  # a store answers each after a while
            stored = [entry.path for entry in window if is_address(entry.path)]
            answers = dict(zip(stored, pool.map(look, stored), strict=True))
        found = [(e, answers[e.path] if e.path in answers else look(e.path)) for e in window]
        found.sort(key=lambda pair: -pair[1].st_size if pair[1] else 1)
        middle = (len(found) + 1) // 2
        ends = itertools.zip_longest(found[:middle], reversed(found[middle:]))
        yield from (pair for both in ends for pair in both if pair)
