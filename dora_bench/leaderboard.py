"""The leaderboard: CSV, Markdown and JSON tables, and a page that needs no server.

The page works from disk without a network: style, code and tables are inside it; meshes and the
scores of single shapes lie in `parts/` beside it and are loaded when they are looked at. Its
content policy forbids it to load anything else. The same results give the same bytes.
"""

import re
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from dora_bench.board.gallery import gallery, item_facts, item_values, rounded
from dora_bench.board.parts import Parts, embedded
from dora_bench.metrics import METRICS, SCORED
from dora_bench.page_meshes import DISTANCE_RANGE
from dora_bench.report import Result, load_results
from dora_bench.tables import (
    BOTH_SPLITS,
    COSTS,
    RANKING,
    group_label,
    group_rows,
    leaderboard_table,
    noise_floors,
    write_csv,
    write_json,
    write_markdown,
)
from preprocessing.files import atomic_write

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("core", "table", "charts", "scatter", "card", "mesh", "render", "gallery", "main")
SUMMARY = ("mean", "median", "ci_low", "ci_high")
SUMMARY_WORST = ("mean_failures_worst", "ci_low_failures_worst", "ci_high_failures_worst")


def write_leaderboard(
    results: list[Path], out: Path, *, gallery_shapes: int = 24, quiet: bool = True
) -> pd.DataFrame:
    """Write index.html, parts/ and leaderboard.csv, .md, .json into `out`; return the table.

    `results` are results.json files or folders searched for them. The page shows the meshes of at
    most `gallery_shapes` shapes per suite, those with the worst scores. Raises ResultsError for
    paths without readable results and MeshError for a gallery mesh that cannot be read.
    """
    loaded = load_results(results)
    table = leaderboard_table(loaded)
    write_csv(table, out / "leaderboard.csv")
    write_json(table, out / "leaderboard.json")
    write_markdown(loaded, out / "leaderboard.md")
    parts = Parts(out / "parts")
    atomic_write(out / "index.html", page(loaded, table, parts, gallery_shapes, quiet))
    parts.finish()
    return table


def page(
    results: list[Result], table: pd.DataFrame, parts: Parts, gallery_shapes: int, quiet: bool
) -> str:
    """The page as HTML text; what it loads later goes into `parts`."""
    suites = []
    for key in sorted({result.suite_key for result in results}):
        of_suite = [result for result in results if result.suite_key == key]
        of_key = table[table["suite"] == key]
        suites.append(_suite_data(of_suite, of_key))
        suites[-1]["gallery"] = gallery(
            of_suite, parts, gallery_shapes, set(BOTH_SPLITS) <= set(of_key["group"]), quiet
        )
        items = item_facts(of_suite)
        suites[-1]["items"] = parts.add(["items", str(items)], partial(list, items))
        ids = [str(item[0]) for item in items]
        for model, result in zip(suites[-1]["models"], of_suite, strict=True):
            model["items"] = item_values(result, ids, parts)
    data = {
        "suites": suites,
        "metrics": [
            {"id": name, **vars(metric), "family": _family(name)}
            for name, metric in METRICS.items()
        ],
        "costs": list(COSTS),
        "ranking": list(RANKING),
        "scored": list(SCORED),
        "distanceRange": list(DISTANCE_RANGE),
    }
    text = (ASSETS / "page.html").read_text(encoding="utf-8")
    script = "\n".join((ASSETS / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    pieces = {
        "STYLE": (ASSETS / "style.css").read_text(encoding="utf-8"),
        "DATA": embedded(data),
        "SCRIPT": f'(() => {{\n"use strict";\n{script}\n}})();',
    }
    return re.sub(r"/\*([A-Z]+)\*/", lambda found: pieces[found[1]], text)


def _family(name: str) -> str:
    """Which set of columns a metric belongs to."""
    if name.startswith("surface_"):
        return "surface"
    if "edge" in name or name in ("sne", "normal_consistency"):
        return "edges"
    return "literature" if name.startswith(("cd_", "f_")) else "shape"


def _suite_data(results: list[Result], table: pd.DataFrame) -> dict[str, Any]:
    """What the page knows about one suite at once: groups, models, rows with summaries."""
    groups = list(dict.fromkeys(table["group"]))
    ranks = table.set_index(["group", "model", "tokens"])["rank"]
    rows: list[dict[str, Any]] = []
    for result in results:
        for tokens, summaries in result.aggregates.items():
            row: dict[str, Any] = {"model": result.label, "tokens": int(tokens), "groups": {}}
            for group, summary in summaries.items():
                place = int(ranks.loc[group, result.label, int(tokens)])
                row["groups"][group] = _row_data(result, int(tokens), group, summary, place)
            rows.append(row)
    suite = results[0].suite
    counts = table.groupby("group")["n_total"].max()
    return {
        "key": results[0].suite_key,
        "name": suite["name"],
        "version": str(suite.get("version", "")),
        "hash": str(suite.get("hash", "")),
        "conditions": results[0].conditions,
        "angle": suite.get("angle"),
        "groups": [
            {"id": group, "label": group_label(group), "count": int(counts[group])}
            for group in groups
        ],
        "models": [_model_data(result) for result in results],
        "rows": rows,
        "floors": {group: noise_floors(results, group) for group in groups},
    }


def _model_data(result: Result) -> dict[str, Any]:
    """What a reader needs to know how a model's scores came about."""
    return {
        "label": result.label,
        "kind": str(result.model.get("kind", "")),
        "weights": str(result.model.get("weights_sha256") or "")[:12],
        "device": result.device,
        "settings": {
            key: value
            for key, value in sorted(result.settings.items())
            if isinstance(value, str | int | float)
        },
        "sne": str(result.settings.get("sne", {}).get("version", "")),
        "versions": dict(sorted(result.versions.items())),
        "card": result.card,
        "config": {
            key: value
            for key, value in sorted((result.model.get("config") or {}).items())
            if isinstance(value, str | int | float)
        },
    }


def _row_data(
    result: Result, tokens: int, group: str, summary: dict[str, Any], rank: int
) -> dict[str, Any]:
    """One row of the table in one group."""
    items = group_rows(result, tokens, group)
    done = items[items["status"] == "ok"]
    reasons = items[items["status"] != "ok"]["status"].value_counts(sort=False)
    return {
        "rank": rank,
        "ok": summary["n_ok"],
        "total": summary["n_total"],
        "failures": {str(key): int(reasons[key]) for key in sorted(reasons.index)},
        "costs": [
            rounded(done[cost].mean(), 10) if cost in done and len(done) else None for cost in COSTS
        ],
        "metrics": {
            name: [rounded(summary[name].get(key)) for key in SUMMARY + SUMMARY_WORST]
            for name in METRICS
            if name in summary
        },
    }
