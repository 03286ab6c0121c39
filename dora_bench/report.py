"""From rows of scores to aggregates with intervals, and result files read back.

A failure is never left out: `n_ok`/`n_total` stand beside every mean, and each mean has a twin in
which a failed item scores the metric's worst value.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dora_bench.board.strata import strata
from dora_bench.metrics import METRICS, SCORED
from preprocessing.console import UsageError
from preprocessing.seeds import generator

SCHEMA = 1
RESAMPLES = 2000
HELD_OUT = "held-out"
"""The split of the shapes that no model was trained on."""


class ResultsError(UsageError):
    """A path holds no result of `dora-bench eval`, or one this version cannot read."""


@dataclass(frozen=True)
class Result:
    """One model on one suite: the contents of results.json and of the items.parquet beside it.

    `label` is the model's name, made unique among the results loaded together; `suite_key` is
    "name@hash", followed in brackets by `conditions` where results of that suite were made under
    several: only those of one key are ranked together. `card`: licence, data, who ran it, when, on
    what. `folder` may hold `gallery/`.
    """

    folder: Path
    label: str
    suite_key: str
    model: dict[str, Any]
    suite: dict[str, Any]
    settings: dict[str, Any]
    versions: dict[str, str]
    device: str
    aggregates: dict[str, Any]
    items: pd.DataFrame
    conditions: str = ""
    card: dict[str, str] = field(default_factory=dict)


# Aggregates


def aggregate(items: pd.DataFrame, *, seed: int = 0) -> dict[str, dict[str, dict[str, Any]]]:
    """Summaries of one model's rows: {tokens: {group: {metric: summary, n_ok, n_total}}}.

    Groups are those of `groups_of`.
    A summary has `mean`, `median` and the percentile-bootstrap 95 % interval of the mean `ci_low`,
    `ci_high` over the items that succeeded, `n` of them; and `mean_failures_worst` with
    `ci_low_failures_worst`, `ci_high_failures_worst`, in which a failure scores the metric's worst
    value. A metric that an item does not have (no salient edges, so no edge score) is NaN in a
    successful row and is left out of both, for failures of the same item too. Without two values
    there is no interval, without one no mean: None. Items are resampled together for all metrics,
    by (seed, tokens, group), so the order of rows does not matter. Raises ValueError for two rows
    of one item at one token count, and for infinite scores.
    """
    items = items.sort_values(["tokens", "id"], kind="stable").reset_index(drop=True)
    if (twice := items.duplicated(["tokens", "id"])).any():
        row = items[twice].iloc[0]
        raise ValueError(f"two rows of item {row['id']!r} at {row['tokens']} tokens")
    names = [name for name in METRICS if name in items.columns]
    scored, counted = _score_arrays(items, names)
    summaries: dict[str, dict[str, dict[str, Any]]] = {}
    for tokens in sorted(items["tokens"].unique()):
        at_tokens = (items["tokens"] == tokens).to_numpy()
        groups = summaries[str(int(tokens))] = {}
        for group, inside in groups_of(items[at_tokens]):
            rows = np.flatnonzero(at_tokens)[inside]
            stage = f"bootstrap/{int(tokens)}/{group}"
            groups[group] = _summary(
                names, scored[rows], counted[rows], generator(seed, "aggregate", stage)
            )
            groups[group]["n_ok"] = int((items["status"].iloc[rows] == "ok").sum())
            groups[group]["n_total"] = len(rows)
    return summaries


def groups_of(items: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """The groups of these rows and their masks, bool (rows,).

    "all", "L0".."L4" for the levels present and "split:<name>" for the splits present. Where shapes
    are both trained and held out, levels are of the latter alone: "L0:held-out".
    """
    everything = np.ones(len(items), bool)
    yield "all", everything
    split = items["split"].to_numpy() if "split" in items else np.full(len(items), "")
    both = {"train", HELD_OUT} <= set(split)
    counted, of = (split == HELD_OUT, f":{HELD_OUT}") if both else (everything, "")
    for level in sorted(set(items["level"][counted])) if "level" in items else []:
        yield f"L{int(level)}{of}", (items["level"] == level).to_numpy() & counted
    for name in sorted(set(split) - {""}):
        yield f"split:{name}", split == name


def _score_arrays(items: pd.DataFrame, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Scores float64 (rows, metrics): NaN for failures, and with failures at the worst value."""
    ok = items["status"].isin(SCORED).to_numpy()
    scored = items[names].to_numpy(np.float64, na_value=np.nan).copy()
    scored[~ok] = np.nan
    if (infinite := np.isinf(scored)).any():
        row, column = np.argwhere(infinite)[0]
        raise ValueError(f"item {items['id'].iloc[row]!r}: {names[column]} is infinite")
    missing = pd.DataFrame(np.isnan(scored[ok]), index=items["id"][ok], columns=names)
    lacks = missing.groupby(level=0).any().reindex(items["id"], fill_value=False).to_numpy(bool)
    worst = np.array([METRICS[name].worst for name in names])
    counted = np.where(ok[:, None], scored, np.where(lacks, np.nan, worst))
    return scored, counted


def _summary(
    names: list[str], scored: np.ndarray, counted: np.ndarray, random: np.random.Generator
) -> dict[str, Any]:
    """The summaries of every metric over one group's rows, (rows, metrics) each."""
    mean, low, high = _bootstrap_means(np.hstack([scored, counted]), random)
    width = len(names)
    summary: dict[str, Any] = {}
    for column, name in enumerate(names):
        values = scored[:, column][~np.isnan(scored[:, column])]
        summary[name] = {
            "mean": _number(mean[column]),
            "median": _number(np.median(values)) if len(values) else None,
            "ci_low": _number(low[column]),
            "ci_high": _number(high[column]),
            "n": len(values),
            "mean_failures_worst": _number(mean[width + column]),
            "ci_low_failures_worst": _number(low[width + column]),
            "ci_high_failures_worst": _number(high[width + column]),
        }
    return summary


def _bootstrap_means(
    values: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column means of (rows, columns), NaN left out, and the 95 % interval of each; NaN: none."""
    rows, columns = values.shape
    present = ~np.isnan(values)
    filled, weight = np.where(present, values, 0.0), present.astype(np.float64)
    sums, counts = np.empty((2, RESAMPLES, columns))
    step = max(1, 2_000_000 // rows)  # resamples at a time: 16 MB of draws
    for start in range(0, RESAMPLES, step):
        block = min(step, RESAMPLES - start)
        draws = random.integers(rows, size=(block, rows)) + rows * np.arange(block)[:, None]
        times = np.bincount(draws.ravel(), minlength=block * rows).reshape(block, rows)
        sums[start : start + block] = times @ filled
        counts[start : start + block] = times @ weight
    total = present.sum(axis=0)
    mean, low, high = np.full((3, columns), np.nan)
    mean[total > 0] = filled.sum(axis=0)[total > 0] / total[total > 0]
    for column in np.flatnonzero(total >= 2):
        drawn = counts[:, column] > 0  # a resample without any of the few values has no mean
        means = sums[drawn, column] / counts[drawn, column]
        low[column], high[column] = np.quantile(means, [0.025, 0.975])
    return mean, low, high


def _number(value: float) -> float | None:
    """Ten significant digits (the rest is summation order), None for NaN."""
    return None if np.isnan(value) else float(f"{value:.10g}")


# Loading


def load_results(paths: Iterable[str | Path]) -> list[Result]:
    """Read results.json files, or every one below the given folders, in a fixed order.

    Aggregates that a file lacks, or that another schema wrote, are computed again from its rows.
    Results of one suite under several conditions (points, seed, grid, alignment, scorer) get keys
    that keep them apart. Raises ResultsError, naming the file, for a path without results, JSON
    that is not ours, a newer schema, missing rows, or rows of several scorers in one result.
    """
    files: dict[Path, Path] = {}
    for path in map(Path, paths):
        found = sorted(path.rglob("results.json")) if path.is_dir() else [path]
        if not found or not found[0].is_file():
            raise ResultsError(f"{path}: no results.json here; `dora-bench eval` writes one")
        files.update({file.resolve(): file for file in found})
    loaded = [_load(files[key]) for key in sorted(files)]
    return _with_unique_labels(_apart(loaded))


def _apart(results: list[Result]) -> list[Result]:
    """The results with keys that hold only what may be ranked together."""
    marks: dict[int, str] = {}
    for key in {result.suite_key for result in results}:
        places = [place for place, result in enumerate(results) if result.suite_key == key]
        marks |= zip(places, strata([results[place].settings for place in places]), strict=True)
    return [
        replace(each, conditions=marks[place], suite_key=f"{each.suite_key} [{marks[place]}]")
        if marks[place]
        else each
        for place, each in enumerate(results)
    ]


def _load(file: Path) -> Result:
    """One results.json and its rows, labelled with the bare model name."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ResultsError(f"{file}: not JSON ({error})") from None
    for key, inner in (("model", "name"), ("suite", "name")):
        part = record.get(key) if isinstance(record, dict) else None
        if not isinstance(part, dict) or inner not in part:
            raise ResultsError(f"{file}: not a result of dora-bench: {key}.{inner} is missing")
    schema = record.get("schema", SCHEMA)
    if not isinstance(schema, int) or schema > SCHEMA:
        raise ResultsError(f"{file}: schema {schema} is newer than {SCHEMA}; update dora-bench")
    rows = file.with_name("items.parquet")
    if not rows.is_file():
        raise ResultsError(f"{rows}: missing; run the same `dora-bench eval` again to restore it")
    items = pd.read_parquet(rows)
    if lacking := {"id", "tokens", "status"} - set(items.columns):
        raise ResultsError(f"{rows}: columns {', '.join(sorted(lacking))} are missing")
    settings = record.get("settings", {})
    check_scorer(file, items, settings)
    aggregates = record.get("aggregates")
    if schema != SCHEMA or not _complete(aggregates, items):
        aggregates = aggregate(items, seed=int(settings.get("seed", 0)))
    suite = record["suite"]
    return Result(
        folder=file.parent,
        label=str(record["model"]["name"]),
        suite_key=f"{suite['name']}@{suite.get('hash', '')}".rstrip("@"),
        model=record["model"],
        suite=suite,
        settings=settings,
        versions=record.get("versions", {}),
        device=str(record.get("device", "")),
        aggregates=aggregates,
        items=items,
        card={str(k): str(v) for k, v in record.get("card", {}).items()},
    )


def check_scorer(file: Path, items: pd.DataFrame, settings: dict[str, Any]) -> None:
    """Raise ResultsError unless every row was made by the scorer that results.json names."""
    if "scorer_version" not in items:
        return  # before versions were recorded: all of the first
    found, said = set(items["scorer_version"].unique()), settings.get("scorer_version", 1)
    if found != {said}:
        versions = ", ".join(map(str, sorted(found)))
        raise ResultsError(
            f"{file}: says scorer {said}, and its rows are of scorer {versions}; run the same "
            "`dora-bench eval` again with --overwrite"
        )


def _complete(aggregates: Any, items: pd.DataFrame) -> bool:
    """Whether stored aggregates have the groups and fields that the tables show, at each count."""
    if not isinstance(aggregates, dict):
        return False
    names = [name for name in METRICS if name in items.columns]
    for tokens in items["tokens"].unique():
        summaries = aggregates.get(str(int(tokens)), {})
        if set(summaries) != {group for group, _ in groups_of(items[items["tokens"] == tokens])}:
            return False
        if not all("ci_high_failures_worst" in summaries["all"].get(name, {}) for name in names):
            return False
    return True


def _with_unique_labels(results: list[Result]) -> list[Result]:
    """Tell models of one name on one suite apart by weights, posterior or folder."""
    labelled = []
    for result in results:
        same = [
            other
            for other in results
            if (other.suite_key, other.label) == (result.suite_key, result.label)
        ]
        for kind in range(4):
            marks = [_marks(other)[kind] for other in same]
            if len(set(marks)) == len(same):
                break
        mark = _marks(result)[kind]
        label = f"{result.label} ({mark})" if len(same) > 1 else result.label
        labelled.append(replace(result, label=label))
    return sorted(labelled, key=lambda result: (result.suite_key, result.label))


def _marks(result: Result) -> tuple[str, str, str, str]:
    """What may tell two models of one name apart, the most telling first."""
    weights = str(result.model.get("weights_sha256") or "")[:8]
    posterior = str(result.settings.get("posterior", ""))
    return weights, posterior, result.folder.parent.name, str(result.folder)
