"""The eps of what a run has written: from the ledger above it, or from a sample's own metadata."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from preprocessing.console import UsageError
from preprocessing.points.sample_at import SampleAt, SampleSource
from preprocessing.points.samples import read_metadata
from preprocessing.points.shards import eps_of_packed
from preprocessing.running.ids import Entry
from preprocessing.running.ledger import has_ledger, read_ledger
from preprocessing.running.run_settings import read_record
from preprocessing.stores.address import Place, StorePath, place


def known_eps(entries: Sequence[Entry]) -> dict[str, float]:
    """eps by file, for those files that `watertight` has written: from the ledger above them.

    Raises UsageError for solids that were not remeshed: salient edges are looked for next, and
    theirs are not the shape's.
    """
    tables: dict[str, dict[str, float]] = {}
    homes: dict[str, str] = {}
    coarse: set[str] = set()
    found: dict[str, float] = {}
    for entry in entries:
        folder = os.path.dirname(entry.path)
        if folder not in homes:
            homes[folder] = next((str(f) for f in above(place(folder)) if has_ledger(f)), "")
        home = homes[folder]
        if home and home not in tables:
            tables[home] = eps_by_file(place(home))
            if not (read_record(place(home)).get("watertight") or {}).get("remesh", True):
                coarse.add(home)
        if home and entry.path in tables[home]:
            if home in coarse:
                raise UsageError(
                    f"{home} was made with --no-remesh: the edges of its meshes are the grid's, "
                    "not the shape's; make it again without"
                )
            found[entry.path] = tables[home][entry.path]
    return found


def above(folder: Place) -> list[Place]:
    """A folder and those that it lies in; of a store, up to the bucket."""
    if isinstance(folder, StorePath):
        return [folder, *list(folder.parents)[:-2]]
    return [folder, *folder.parents]


def eps_by_file(folder: Place) -> dict[str, float]:
    """eps of every output of a folder's ledger; nothing where it is not one of `watertight`."""
    table = read_ledger(folder)
    if "eps" not in table.column_names or "output" not in table.column_names:
        return {}
    pairs = zip(table["output"].to_pylist(), table["eps"].to_pylist(), strict=True)
    return {str(folder / name): eps for name, eps in pairs if name and eps}


def eps_of_samples(samples: Mapping[str, SampleSource]) -> dict[str, float]:
    """eps by id of samples, where it is known: by a ledger, a shard's index, or the sample itself.

    Raises SampleError for a file that is no sample.
    """
    loose = {n: absolute(s) for n, s in samples.items() if not isinstance(s, SampleAt)}
    told = known_eps([Entry(name, path) for name, path in loose.items()])
    found: dict[str, float] = {}
    for name, path in loose.items():
        eps = told.get(path)
        text = read_metadata(place(path)).get("eps", "") if eps is None else ""
        if eps is not None or text:
            found[name] = float(text) if eps is None else eps
    for folder in {s.path.parent for s in samples.values() if isinstance(s, SampleAt)}:
        found |= eps_of_packed(folder)
    return found


def absolute(source: str | Place) -> str:
    """A file's absolute path, or an address, as a ledger's folder and output give it."""
    return str(source) if isinstance(source, StorePath) else os.path.abspath(source)


def shown(value: Any) -> str:
    """A setting as a user would write it: an offset of a power of two as a fraction."""
    if isinstance(value, float) and 0 < value < 1 and (2 / value).is_integer():
        return f"2/{int(2 / value)}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def require_one_eps(eps_of: Mapping[str, float], what: str) -> None:
    """Raise UsageError, naming each offset with an example, where there are several.

    eps_of: by name or path, of those whose offset is known. what: begins the message.
    """
    counts = Counter(eps_of.values())
    if len(counts) < 2:
        return
    example = {eps: name for name, eps in sorted(eps_of.items(), reverse=True)}
    told = ", ".join(f"{shown(e)} ({n}, as {example[e]})" for e, n in counts.most_common())
    raise UsageError(f"{what} made at several eps, which do not mix: {told}")
