"""The leaderboard: CSV, Markdown and JSON tables, and one self-contained page.

The page works from disk without a network: style, code, scores and gallery meshes are inside it,
and its content policy forbids it to load anything. The same results give the same bytes.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dora_bench.metrics import METRICS
from dora_bench.page_meshes import DISTANCE_RANGE, distances_to, pack_mesh
from dora_bench.report import Result, load_results
from dora_bench.tables import (
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
from preprocessing.mesh import load_mesh

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("core", "table", "charts", "mesh", "render", "gallery", "main")
SUMMARY = ("mean", "median", "ci_low", "ci_high")
SUMMARY_WORST = ("mean_failures_worst", "ci_low_failures_worst", "ci_high_failures_worst")


def write_leaderboard(results: list[Path], out: Path, *, gallery_shapes: int = 24) -> pd.DataFrame:
    """Write index.html and leaderboard.csv, .md, .json into `out`; return the table.

    `results` are results.json files or folders searched for them. The page embeds the meshes of at
    most `gallery_shapes` shapes per suite, those with the worst scores. Raises ResultsError for
    paths without readable results and MeshError for a gallery mesh that cannot be read.
    """
    loaded = load_results(results)
    table = leaderboard_table(loaded)
    write_csv(table, out / "leaderboard.csv")
    write_json(table, out / "leaderboard.json")
    write_markdown(loaded, out / "leaderboard.md")
    atomic_write(out / "index.html", page(loaded, table, gallery_shapes))
    return table


def page(results: list[Result], table: pd.DataFrame, gallery_shapes: int) -> str:
    """The whole page as HTML text."""
    pool = _MeshPool()
    suites = []
    for key in sorted({result.suite_key for result in results}):
        of_suite = [result for result in results if result.suite_key == key]
        suites.append(_suite_data(of_suite, table[table["suite"] == key], pool, gallery_shapes))
    data = {
        "suites": suites,
        "metrics": [
            {"id": name, **vars(metric), "family": _family(name)}
            for name, metric in METRICS.items()
        ],
        "costs": list(COSTS),
        "ranking": list(RANKING),
        "distanceRange": list(DISTANCE_RANGE),
    }
    text = (ASSETS / "page.html").read_text(encoding="utf-8")
    script = "\n".join((ASSETS / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    parts = {
        "STYLE": (ASSETS / "style.css").read_text(encoding="utf-8"),
        "DATA": _embedded(data),
        "MESHES": _embedded(pool.packed),
        "SCRIPT": f'(() => {{\n"use strict";\n{script}\n}})();',
    }
    return re.sub(r"/\*([A-Z]+)\*/", lambda found: parts[found[1]], text)


def _family(name: str) -> str:
    """Which set of columns a metric belongs to."""
    if name.startswith("surface_"):
        return "surface"
    if "edge" in name or name in ("sne", "normal_consistency"):
        return "edges"
    return "literature" if name.startswith(("cd_", "f_")) else "shape"


def _embedded(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


class _MeshPool:
    """Packed meshes by their content, so that equal ones are embedded once."""

    def __init__(self) -> None:
        self.packed: list[dict[str, Any]] = []
        self.places: dict[str, int] = {}

    def add(self, file: Path, truth: Path | None = None) -> int:
        """Pack a mesh file, with distances to `truth` where given; return its place."""
        mesh = load_mesh(file)
        distances = None if truth is None else distances_to(mesh, load_mesh(truth))
        packed = pack_mesh(mesh, distances)
        key = json.dumps(packed, sort_keys=True)
        if key not in self.places:
            self.places[key] = len(self.packed)
            self.packed.append(packed)
        return self.places[key]


def _suite_data(
    results: list[Result], table: pd.DataFrame, pool: _MeshPool, gallery_shapes: int
) -> dict[str, Any]:
    """What the page knows about one suite: groups, rows with summaries, and the gallery."""
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
        "angle": suite.get("angle"),
        "groups": [
            {"id": group, "label": group_label(group), "count": int(counts[group])}
            for group in groups
        ],
        "models": [_model_data(result) for result in results],
        "rows": rows,
        "floors": {group: noise_floors(results, group) for group in groups},
        "gallery": _gallery(results, pool, gallery_shapes),
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
            _rounded(done[cost].mean(), 10) if cost in done and len(done) else None
            for cost in COSTS
        ],
        "metrics": {
            name: [_rounded(summary[name].get(key)) for key in SUMMARY + SUMMARY_WORST]
            for name in METRICS
            if name in summary
        },
    }


def _gallery(results: list[Result], pool: _MeshPool, limit: int) -> dict[str, Any]:
    """Shapes that have a picture, their scores per row, and the meshes behind them."""
    truths: dict[str, Path] = {}
    for result in results:
        for file in sorted((result.folder / "gallery").rglob("*@truth.ply")):
            name = file.relative_to(result.folder / "gallery").as_posix()
            truths.setdefault(name.removesuffix("@truth.ply"), file)
    facts = pd.concat([result.items for result in results]).drop_duplicates("id").set_index("id")
    chosen = _worst(results, set(truths) & set(facts.index), limit)
    shapes = []
    for name in chosen:
        fact = facts.loc[name]
        shape: dict[str, Any] = {
            "id": name,
            "level": int(fact.get("level", 0)),
            "split": str(fact.get("split", "")),
            "edges": int(fact["salient_edges"]) if "salient_edges" in fact else None,
            "truth": pool.add(truths[name]),
            "scores": {},
        }
        for result in results:
            for row in result.items[result.items["id"] == name].to_dict("records"):
                tokens = int(row["tokens"])
                file = result.folder / "gallery" / f"{name}@{tokens}.ply"
                shape["scores"][f"{result.label}@{tokens}"] = {
                    "status": str(row["status"]),
                    "reason": row["reason"] if isinstance(row.get("reason"), str) else "",
                    "mesh": pool.add(file, truths[name]) if file.is_file() else None,
                    "values": [_rounded(row.get(metric)) for metric in METRICS],
                }
        shapes.append(shape)
    return {"shapes": shapes, "available": len(truths), "scored": len(facts)}


def _worst(results: list[Result], names: set[str], limit: int) -> list[str]:
    """The shapes with the worst mean score by the first ranking metric, failures at the worst."""
    metric = RANKING[0]
    rows = pd.concat([result.items for result in results])
    rows = rows[rows["id"].isin(names)]
    value = rows[metric].where(rows["status"] == "ok", METRICS[metric].worst)
    means = value.groupby(rows["id"]).mean()
    sign = 1.0 if METRICS[metric].direction == "higher" else -1.0
    return sorted(means.index, key=lambda name: (sign * means[name], name))[:limit]


def _rounded(value: Any, digits: int = 6) -> float | None:
    """A number as the page needs it, None for no value."""
    if value is None or not np.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")
