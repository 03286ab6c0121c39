"""Rows as files: one for each mesh and token count, written as soon as it is known."""

import json
from pathlib import Path
from typing import Any

from preprocessing.console import UsageError
from preprocessing.files import atomic_write


def row_path(folder: Path, item_id: str, tokens: int) -> Path:
    """Where one row is kept."""
    return folder / "rows" / f"{item_id}@{tokens}.json"


def write_row(folder: Path, item_id: str, tokens: int, row: dict[str, Any]) -> None:
    """Write one row; from then on it counts as done."""
    atomic_write(row_path(folder, item_id, tokens), json.dumps(row, indent=1) + "\n")


def read_row(folder: Path, item_id: str, tokens: int, mark: str) -> dict[str, Any] | None:
    """One row, None where there is none.

    Raises UsageError for one of other settings or of another scorer, which `mark` tells.
    """
    path = row_path(folder, item_id, tokens)
    if not path.is_file():
        return None
    row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if row.get("fingerprint") != mark:
        raise UsageError(
            f"{path} was made under other settings or by another scorer than this run; give "
            "--overwrite to do all rows again, or another --out"
        )
    return row


def is_retried(row: dict[str, Any]) -> bool:
    """Whether a row is tried again without being asked: a GPU without memory is no verdict."""
    return row["status"] == "memory" and row.get("device_memory", False)
