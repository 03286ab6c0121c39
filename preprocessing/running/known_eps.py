"""The eps of meshes that `watertight` has written, from the ledger that lies above them."""

import os
from collections.abc import Sequence
from pathlib import Path

from preprocessing.running.ledger import parquet_path, read_ledger
from preprocessing.running.manifest import Entry


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
