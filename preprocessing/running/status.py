"""How a run is doing, while it runs and after: for an operator, and as JSON."""

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from preprocessing.console import UsageError, clock
from preprocessing.running.ledger import has_ledger, is_locked, read_ledger
from preprocessing.running.run_settings import read_record
from preprocessing.stores.address import Place

COLUMNS = ("id", "status", "reason", "seconds", "node")
SLOWEST = 10


def run_status(folder: Place) -> dict[str, Any]:
    """What became of a folder's items so far, and how fast it goes.

    Keys: out, state (running; finished; stopped: it ended early, by itself or killed), total, done,
    counts by status, rate (items a second), elapsed_s, eta_s (None when not running), started and
    updated (ISO, UTC), failures (status, reason and count, the most frequent first), slowest (id,
    seconds), nodes (items that each machine did). Raises UsageError where no run has been.
    """
    folders = [f for f in (folder, folder / "watertight", folder / "samples") if has_ledger(f)]
    if not folders:
        raise UsageError(f"{folder} has no ledger: give a folder that dora-prep wrote")
    rows = worst_rows(folders)
    progress = read_record(folder).get("progress") or {}
    running = any(is_locked(one) for one in folders)
    counts = progress.get("counts") or Counter(rows["status"].to_pylist())
    done = sum(counts.values())
    started, updated = progress.get("started"), progress.get("updated")
    until = time.time() if running else updated
    elapsed = until - started if started and until else 0.0
    rate = done / elapsed if elapsed > 0 else 0.0
    total = progress.get("total", done)
    return {
        "out": str(folder),
        "state": "running" if running else ended(progress.get("state", "finished")),
        "total": total,
        "done": done,
        "counts": dict(sorted(counts.items())),
        "rate": round(rate, 4),
        "elapsed_s": round(elapsed, 1),
        "eta_s": round((total - done) / rate, 1) if running and rate > 0 else None,
        "started": iso(started),
        "updated": iso(updated),
        "failures": failures(rows),
        "slowest": slowest(rows),
        "nodes": dict(Counter(name for name in rows["node"].to_pylist() if name)),
    }


def ended(state: str) -> str:
    """The state of a run that nobody is carrying out: one that was killed could not say so."""
    return "stopped" if state == "running" else state


def worst_rows(folders: list[Place]) -> pa.Table:
    """One row an item: of two stages the first that is not ok."""
    tables = [read_ledger(one).select(COLUMNS) for one in folders]
    if len(tables) == 1:
        return tables[0]
    table = pa.concat_tables(tables)
    statuses = table["status"].to_pylist()
    worst: dict[str, int] = {}
    for row, name in enumerate(table["id"].to_pylist()):
        if name not in worst or (statuses[row] != "ok" and statuses[worst[name]] == "ok"):
            worst[name] = row
    return table.take(pa.array(worst.values(), pa.int64()))


def failures(rows: pa.Table) -> list[dict[str, Any]]:
    """How often each status and reason that is not ok."""
    bad = rows.filter(pc.not_equal(rows["status"], "ok"))
    pairs = zip(bad["status"].to_pylist(), bad["reason"].to_pylist(), strict=True)
    return [
        {"status": status, "reason": reason or "", "count": count}
        for (status, reason), count in Counter(pairs).most_common()
    ]


def slowest(rows: pa.Table) -> list[dict[str, Any]]:
    """The items that took longest, of those whose time is known."""
    known = rows.filter(pc.is_valid(rows["seconds"]))
    order = pc.sort_indices(known, [("seconds", "descending")])[:SLOWEST]
    return [
        {"id": row["id"], "seconds": round(row["seconds"], 3)}
        for row in known.take(order).to_pylist()
    ]


def iso(seconds: float | None) -> str | None:
    """A time as ISO 8601 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat("T", "seconds")


def status_text(told: dict[str, Any]) -> str:
    """The status for people."""
    counts = ", ".join(f"{n} {name}" for name, n in told["counts"].items())
    head = f"{told['state']}: {told['done']} of {told['total']} in {clock(told['elapsed_s'])}"
    left = f", about {clock(told['eta_s'])} left" if told["eta_s"] is not None else ""
    lines = [f"{head}, {told['rate']:.3g}/s{left}", counts or "nothing done yet"]
    for title, shown in (
        ("not ok:", [f"{r['count']:7} {r['status']} {r['reason']}" for r in told["failures"]]),
        ("slowest:", [f"{r['seconds']:9.2f} s  {r['id']}" for r in told["slowest"]]),
        ("by machine:", [f"{n:7} {name}" for name, n in sorted(told["nodes"].items())]),
    ):
        lines += [title, *(f"  {line}" for line in shown[:20])] if shown else []
    return "\n".join(lines)
