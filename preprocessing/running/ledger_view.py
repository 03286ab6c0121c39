"""Reading a ledger for people: which items, how they ended, and doing some of them again."""

from collections import Counter
from dataclasses import replace
from typing import Any

from preprocessing.console import UsageError
from preprocessing.running.ids import Entry, original
from preprocessing.running.known_eps import known_eps
from preprocessing.running.ledger import has_ledger, read_ledger
from preprocessing.running.pipeline import run_plan
from preprocessing.running.run_settings import recall
from preprocessing.running.summary import Summary
from preprocessing.stores.address import Place

STATUSES = ("ok", "skipped", "rejected", "failed", "crashed", "timeout", "memory")
SHOWN = ("id", "path", "status", "reason", "detail", "seconds", "peak_memory_mb")


def ledger_rows(folder: Place, statuses: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """One row an item of a folder that a command wrote, worst stage first where `run` had two.

    `statuses` filters. Raises UsageError for an unknown status or where there is no ledger.
    """
    for status in statuses:
        if status not in STATUSES:
            raise UsageError(f"--only {status}: use some of {', '.join(STATUSES)}")
    folders = [f for f in (folder, folder / "watertight", folder / "samples") if has_ledger(f)]
    if not folders:
        raise UsageError(f"{folder} has no ledger: give a folder that dora-prep wrote")
    rows: dict[str, dict[str, Any]] = {}
    for one in folders:
        for row in read_ledger(one).select(SHOWN).to_pylist():
            if rows.get(row["id"], {"status": "ok"})["status"] == "ok":
                rows[row["id"]] = row
    return [row for _, row in sorted(rows.items()) if not statuses or row["status"] in statuses]


def show_rows(rows: list[dict[str, Any]], only: str | None) -> str:
    """The rows as text: everything that is not ok (or what was asked for), then the counts."""
    wanted = [row for row in rows if only or row["status"] != "ok"]
    lines = []
    for row in wanted:
        lines.append(f"{row['status']:9} {row['id']}: {row['reason']}".rstrip(": "))
        lines += [f"          {row[name]}" for name in ("path", "detail") if row[name]]
    counts = Counter(row["status"] for row in rows)
    lines.append(f"{len(rows)} items: " + ", ".join(f"{n} {s}" for s, n in sorted(counts.items())))
    return "\n".join(lines)


def retry_items(folder: Place, rows: list[dict[str, Any]], quiet: bool) -> Summary:
    """Do items again with the settings of the folder's last run. Raises UsageError."""
    if not (folder / "run.json").exists():
        raise UsageError(f"{folder} has no run.json; retry in the folder that was given as --out")
    plan, limits = recall(folder)
    entries = [Entry(row["id"], original(row["path"])) for row in rows if row["status"] != "ok"]
    eps_of = known_eps(entries) if plan.watertight is None else None
    again = {entry.id for entry in entries}
    return run_plan(entries, plan, replace(limits, quiet=quiet), again=again, eps_of=eps_of)
