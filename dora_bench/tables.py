"""The leaderboard as a table: ranking, CSV, Markdown and JSON.

- Ranked by the exact point-to-surface scores (`RANKING`) with failures at the worst value; equal
  scores share a rank.
- Every table is a function of the result files alone: no dates, fixed order, seeded intervals.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dora_bench.metrics import FLOORS, METRICS
from dora_bench.report import HELD_OUT, Result, ResultsError, groups_of
from preprocessing.files import atomic_write

SCHEMA = 1
BOTH_SPLITS = (f"split:{HELD_OUT}", "split:train")  # where there are both, the first is what counts
RANKING = ("surface_f_0.005", "surface_cd_l1")
COSTS = (
    *("latent_floats", "latent_bytes", "sample_s", "encode_s", "decode_s"),
    *("peak_memory_mb", "cuda_peak_mb"),
)
MARKDOWN_METRICS = (
    "surface_f_0.005",
    "surface_cd_l1",
    "edge_f_0.005",
    "normal_consistency",
    "sne",
    "iou",
    "f_0.005",
    "cd_l1",
)


def leaderboard_table(results: list[Result], group: str | None = None) -> pd.DataFrame:
    """One row per suite, group, model and token count, best first within each suite and group.

    `rank` orders by `RANKING`, with failures at the worst value. Metric columns are raw values:
    `<metric>` the mean over successes with `_median`, `_ci_low`, `_ci_high`; `_failures_worst` the
    mean with failures at the worst. Costs are means over the group's successful items. `group`
    keeps one group only.
    """
    rows = []
    for result in results:
        for tokens, groups in result.aggregates.items():
            for name, summary in groups.items():
                if group in (None, name):
                    rows.append(_table_row(result, int(tokens), name, summary))
    if not rows:
        raise ResultsError("no rows to rank" + (f" in group {group!r}" if group else ""))
    table = pd.DataFrame(rows)
    pieces = [_ranked(piece) for _, piece in table.groupby(["suite", "group"], sort=False)]
    table = pd.concat(pieces, ignore_index=True)
    order = {name: place for place, name in enumerate(group_order(set(table["group"])))}
    table = table.sort_values(
        ["suite", "group", "rank", "latent_bytes", "model", "tokens"],
        key=lambda column: column.map(order) if column.name == "group" else column,
        kind="stable",
        ignore_index=True,
    )
    first = ["suite", "group", "rank"]
    return table[first + [column for column in table.columns if column not in first]]


def group_label(group: str) -> str:
    """A group's name for people."""
    if group.startswith("split:"):
        return group.removeprefix("split:").capitalize()
    return "All" if group == "all" else group.replace(":", " ")


def group_order(names: set[str]) -> list[str]:
    """Held-out and trained shapes first where a suite has both, then all, levels, other splits."""
    first = list(BOTH_SPLITS) if set(BOTH_SPLITS) <= names else []
    rest = sorted(names - set(first), key=lambda n: (n != "all", n.startswith("split:"), n))
    return [*first, *rest]


def group_rows(result: Result, tokens: int, group: str) -> pd.DataFrame:
    """The rows of items.parquet behind one aggregate."""
    rows = result.items[result.items["tokens"] == tokens]
    for name, inside in groups_of(rows):
        if name == group:
            return rows[inside]
    return rows.iloc[:0]


def _table_row(result: Result, tokens: int, group: str, summary: dict[str, Any]) -> dict[str, Any]:
    rows = group_rows(result, tokens, group)
    done = rows[rows["status"] == "ok"]
    row: dict[str, Any] = {
        "suite": result.suite_key,
        "group": group,
        "model": result.label,
        "kind": result.model.get("kind", ""),
        "tokens": tokens,
        "n_ok": summary["n_ok"],
        "n_total": summary["n_total"],
    }
    for cost in COSTS:
        row[cost] = float(done[cost].mean()) if cost in done and len(done) else np.nan
    for name in METRICS:
        values = summary.get(name, {})
        for key, suffix in (
            ("mean", ""),
            ("median", "_median"),
            ("ci_low", "_ci_low"),
            ("ci_high", "_ci_high"),
            ("mean_failures_worst", "_failures_worst"),
        ):
            value = values.get(key)
            row[name + suffix] = np.nan if value is None else value
    return row


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of one suite and group with their rank, equal scores sharing one."""
    keys = []
    for name in RANKING:
        sign = -1.0 if METRICS[name].direction == "higher" else 1.0
        keys.append((sign * table[f"{name}_failures_worst"]).fillna(np.inf))
    scores = pd.Series(list(zip(*keys, strict=True)), index=table.index)
    place = {score: sum(other < score for other in scores) + 1 for score in set(scores)}
    return table.assign(rank=scores.map(place))


def noise_floors(results: list[Result], group: str = "all") -> dict[str, float]:
    """Mean over a group's items of what the truth scores against a second sampling of itself.

    {metric: raw value}, for the point-to-point metrics whose floor columns the rows have.
    """
    rows = [
        group_rows(result, int(tokens), group) for result in results for tokens in result.aggregates
    ]
    items = pd.concat(rows).sort_values("id", kind="stable") if rows else pd.DataFrame()
    floors = {}
    for name, column in FLOORS.items():
        if column in items:
            per_item = items.dropna(subset=[column]).groupby("id")[column].mean()
            if len(per_item):
                floors[name] = float(per_item.mean())
    return floors


# Writers


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """The table as CSV: raw values, ten digits, empty where there is none."""
    atomic_write(path, table.to_csv(index=False, float_format="%.10g", lineterminator="\n"))


def write_json(table: pd.DataFrame, path: str | Path) -> None:
    """The table as {"schema", "ranking", "rows": [...]}; null where there is no value."""
    rows = [
        {
            key: None if isinstance(value, float) and np.isnan(value) else value
            for key, value in row.items()
        }
        for row in table.to_dict("records")
    ]
    record = {"schema": SCHEMA, "ranking": list(RANKING), "rows": rows}
    atomic_write(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def write_markdown(results: list[Result], path: str | Path) -> None:
    """A table per suite and group: means with their 95 % interval, ranked, noise floor below."""
    table = leaderboard_table(results)
    parts, before = ["# Dora-bench leaderboard", ""], None
    for (suite, group), rows in table.groupby(["suite", "group"], sort=False):
        of_suite = [result for result in results if result.suite_key == suite]
        if suite != before:
            parts += [f"## {suite}", ""]
            before = suite
        parts += [f"### {group_label(str(group))}", ""]
        parts += [*_markdown_table(rows, of_suite, str(group)), ""]
    parts += [
        "Means over the items that succeeded, with 95 % bootstrap intervals; `ok` counts them. "
        "Ranked by surface F(0.005), then surface CD-L1, each with failures at the worst value. "
        "The noise floor is what the truth scores against a second sampling of itself.",
        "",
    ]
    atomic_write(path, "\n".join(parts))


def _markdown_table(rows: pd.DataFrame, results: list[Result], group: str) -> list[str]:
    names = [name for name in MARKDOWN_METRICS if rows[name].notna().any()]
    arrows = {name: "↑" if METRICS[name].direction == "higher" else "↓" for name in names}
    head = ["#", "model", "tokens", "ok", "latent bytes"]
    head += [f"{METRICS[name].label} {arrows[name]}" for name in names]
    lines = [head, ["--:", "---", "--:", "--:", "--:"] + ["--:"] * len(names)]
    for row in rows.to_dict("records"):
        tokens = str(row["tokens"]) if row["tokens"] > 0 else "–"
        size = "–" if np.isnan(row["latent_bytes"]) else f"{row['latent_bytes']:,.0f}"
        cells = [str(row["rank"]), str(row["model"]).replace("|", "\\|"), tokens]
        cells += [f"{row['n_ok']}/{row['n_total']}", size]
        lines.append(cells + [_interval_text(row, name) for name in names])
    floors = noise_floors(results, group)
    if any(name in floors for name in names):
        cells = [shown(name, floors[name]) if name in floors else "" for name in names]
        lines.append(["", "*noise floor*", "", "", "", *cells])
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _interval_text(row: dict[str, Any], name: str) -> str:
    mean, low, high = (row[name + suffix] for suffix in ("", "_ci_low", "_ci_high"))
    if np.isnan(mean):
        return "–"
    return shown(name, mean) + (
        "" if np.isnan(low) else f" [{shown(name, low)}, {shown(name, high)}]"
    )


def shown(name: str, value: float) -> str:
    """A raw value as the tables print it: scaled, with the metric's decimals."""
    return f"{value * METRICS[name].scale:.{METRICS[name].decimals}f}"
