"""One folder, one setting: what a folder may hold beside outputs of the settings asked for.

A training set of two offsets looks like one and is none. So a run whose settings differ from those
of the outputs that a folder has is refused; with --overwrite those outputs, all of them, go first,
so that the folder holds one setting at any moment, also when the run is cut short.

What a run did not write is not its to replace: an input never, and in a folder that no run has
written to any file.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from preprocessing.console import UsageError
from preprocessing.running.ids import Entry
from preprocessing.running.known_eps import require_one_eps, shown
from preprocessing.running.ledger import has_ledger
from preprocessing.running.recording import Recorder, Stage
from preprocessing.running.run_settings import read_record
from preprocessing.running.tasks import Work
from preprocessing.stores import systems
from preprocessing.stores.address import StorePath, is_address


def spare(entries: Sequence[Entry], work: Work, overwrite: bool) -> None:
    """Raise UsageError where an output would take the place of a file that no run has written.

    Of an input, by whatever links; and, unless `overwrite`, of any file in a folder without a
    ledger or run.json. Where there is one, a run that was killed may have written files without
    rows.
    """
    trusted = overwrite or bool(read_record(work.out))
    real = cache(os.path.realpath)

    def resolved(path: str) -> str:
        folder, name = os.path.split(path)
        return path if is_address(path) else os.path.join(real(folder), name)

    inputs = {resolved(entry.path) for entry in entries}
    for output in work.outputs:
        known = trusted or has_ledger(output.folder)
        stored = isinstance(output.folder, StorePath) and not known
        there = set(systems.listed(str(output.folder))) if stored else set()
        for name in names_of(entries, output.endings):
            target = f"{output.folder}/{name}"
            if resolved(target) in inputs:
                raise UsageError(
                    f"{target} is an input, and its place is an output's: give another --out"
                )
            if name in there or (not (known or stored) and os.path.lexists(target)):
                raise UsageError(
                    f"{target} is there already, and no ledger says that a run wrote it: give "
                    "another --out, or --overwrite to replace it"
                )


def names_of(entries: Sequence[Entry], endings: Collection[str]) -> Iterator[str]:
    """The names, below their folder, of all files that the entries' outputs would have."""
    for entry in entries:
        if not entry.refused:
            yield from (entry.id + ending for ending in endings)


def claim(
    recorder: Recorder, work: Work, eps_of: Mapping[str, float] | None, overwrite: bool
) -> int:
    """Make every output's folder fit for the work; the number of outputs that were removed.

    eps_of: of the inputs, for sampling alone. Raises UsageError where outputs of other settings
    stand in the way, or inputs of several offsets would meet in one folder.
    """
    require_one_eps(eps_of or {}, "the inputs were")
    eps = next(iter((eps_of or {}).values()), None)
    strangers: list[tuple[Stage, list[str]]] = []
    for stage in recorder.stages:
        found = dict.fromkeys(stage.ledger.others("settings", stage.settings))
        if eps is not None:
            found |= dict.fromkeys(stage.ledger.others("eps", eps))
        if found:
            strangers.append((stage, list(found)))
    if strangers and not overwrite:
        stage, names = strangers[0]
        raise UsageError(
            f"{stage.folder} holds {len(names)} outputs of other settings"
            f"{differences(work, eps)}: give another --out, or --overwrite to replace them all"
        )
    for stage, names in strangers:
        for name in names:
            recorder.remove(stage, name)
    return sum(len(names) for _, names in strangers)


def differences(work: Work, eps: float | None) -> str:
    """Which settings differ from those of the folder's last run, where it left them."""
    before = read_record(work.out)
    told = []
    for name, now in work.told.items():
        then: dict[str, Any] = before.get(name) or {}
        for key, value in (now or {}).items():
            if key in then and then[key] != value:
                told.append(f"{key} {shown(then[key])}, not {shown(value)}")
    if not told and eps is not None:
        told.append(f"another eps, not {shown(eps)}")
    return f" ({'; '.join(told)})" if told else ""
