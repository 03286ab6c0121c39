"""What the page knows about single shapes: pictures of the hardest, and every score of all."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dora_bench.board.parts import Parts
from dora_bench.metrics import METRICS, SCORED
from dora_bench.report import HELD_OUT, Result
from dora_bench.tables import RANKING
from preprocessing.console import Progress


def gallery(
    results: list[Result], parts: Parts, limit: int, held_out: bool, quiet: bool
) -> dict[str, Any]:
    """Shapes that have a picture, their scores per row, and the parts with the meshes behind them.

    At most `limit` shapes, those with the worst scores; `held_out`: of the held-out ones first. A
    mesh is named [part, place in it]: a part holds one shape at one token count.
    """
    truths: dict[str, Path] = {}
    for result in results:
        for file in sorted((result.folder / "gallery").rglob("*@truth.ply")):
            name = file.relative_to(result.folder / "gallery").as_posix()
            truths.setdefault(name.removesuffix("@truth.ply"), file)
    facts = pd.concat([result.items for result in results]).drop_duplicates("id").set_index("id")
    chosen = hardest(results, set(truths) & set(facts.index), limit, held_out)
    by_item = [dict(list(result.items.groupby("id"))) for result in results]
    shapes = []
    with Progress(len(chosen), "pictures", quiet) as progress:
        for name in chosen:
            rows = [
                (r, items[name]) for r, items in zip(results, by_item, strict=True) if name in items
            ]
            shapes.append(shape_data(name, facts.loc[name], rows, truths[name], parts))
            progress.update()
    return {"shapes": shapes, "available": len(truths), "scored": len(facts)}


def shape_data(
    name: str, fact: pd.Series, rows: list[tuple[Result, pd.DataFrame]], truth: Path, parts: Parts
) -> dict[str, Any]:
    """One shape: facts, the truth's mesh, and for each model and count its scores and mesh."""
    scores: dict[str, dict[str, Any]] = {}
    files: dict[int, list[tuple[str, Path]]] = {}
    for result, items in rows:
        for row in items.to_dict("records"):
            tokens, key = int(row["tokens"]), f"{result.label}@{int(row['tokens'])}"
            scores[key] = {
                "status": str(row["status"]),
                "reason": row["reason"] if isinstance(row.get("reason"), str) else "",
                "mesh": None,
                "values": [rounded(row.get(metric)) for metric in METRICS],
            }
            file = result.folder / "gallery" / f"{name}@{tokens}.ply"
            if file.is_file():
                files.setdefault(tokens, []).append((key, file))
    for group in files.values():
        part = parts.meshes([file for _, file in group], truth)
        for place, (key, _) in enumerate(group):
            scores[key]["mesh"] = [part, place]
    return {
        "id": name,
        "level": int(fact.get("level", 0)),
        "split": str(fact.get("split", "")),
        "edges": int(fact["salient_edges"]) if "salient_edges" in fact else None,
        "truth": [parts.meshes([truth], None), 0],
        "scores": scores,
    }


def hardest(results: list[Result], names: set[str], limit: int, held_out: bool) -> list[str]:
    """The shapes with the worst mean score by the first ranking metric, failures at the worst."""
    metric = RANKING[0]
    rows = pd.concat([result.items for result in results])
    rows = rows[rows["id"].isin(names)]
    value = rows[metric].where(rows["status"].isin(SCORED), METRICS[metric].worst)
    means = value.groupby(rows["id"]).mean()
    sign = 1.0 if METRICS[metric].direction == "higher" else -1.0
    trained = set(rows["id"][rows["split"] != HELD_OUT]) if held_out else set()
    return sorted(means.index, key=lambda n: (n in trained, sign * means[n], n))[:limit]


def item_facts(results: list[Result]) -> list[list[Any]]:
    """Every item of a suite by name: [id, level, split]."""
    facts = pd.concat([result.items for result in results]).drop_duplicates("id").set_index("id")
    return [
        [str(name), int(fact.get("level", 0)), str(fact.get("split", ""))]
        for name, fact in facts.sort_index().iterrows()
    ]


def item_values(result: Result, ids: list[str], parts: Parts) -> str:
    """The name of a part with every score of a model: {tokens: {metric: values along ids}}.

    A failure has the metric's worst value, an item that is not there or has no such score null.
    """

    def make() -> dict[str, dict[str, list[float | None]]]:
        found = {}
        for tokens, rows in result.items.groupby("tokens"):
            rows = rows.set_index("id").reindex(ids)
            lost = (rows["status"].notna() & ~rows["status"].isin(SCORED)).to_numpy(bool)
            found[str(tokens)] = {
                name: [
                    rounded(METRICS[name].worst if bad else value, 4)
                    for value, bad in zip(rows[name], lost, strict=True)
                ]
                for name in METRICS
                if name in rows
            }
        return found

    items = result.items.sort_values(["tokens", "id"]).to_json(double_precision=10)
    return parts.add(["scores", *ids, items], make)


def rounded(value: Any, digits: int = 6) -> float | None:
    """A number as the page needs it, None for no value."""
    if value is None or not np.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")
