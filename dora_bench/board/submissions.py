"""Checks of a `leaderboard/` folder, to which anyone may add results by a pull request.

    leaderboard/<model>/<suite>@<first 12 of its hash>/results.json, items.parquet

What `dora-bench eval` writes is such a folder already. Nothing is taken on trust that the rows can
show: completeness, ranges, worst values of failures, aggregates, and that all submissions measured
the same shapes under the same noise floor.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dora_bench.board.strata import CONDITIONS, conditions
from dora_bench.metrics import FLOORS, METRICS, SCORED
from dora_bench.report import Result, ResultsError, aggregate, load_results
from dora_bench.rows.results import COLUMNS, safe_name
from dora_bench.score import SCORER_VERSION
from preprocessing.console import UsageError

STATUSES = (*SCORED, "failed", "rejected", "crashed", "timeout", "memory")
BESIDE = {"results.json", "items.parquet", "run.json", "rows", "gallery"}  # the last three optional
WANTED = ("licence", "data", "run by")  # of a trained model's card
NEEDED = [name for name in CONDITIONS if name not in ("angle",)]
CLOSE = 1e-6


@dataclass(frozen=True)
class Finding:
    """What was found at a path; `wrong` must be mended, the rest is advice."""

    path: str
    message: str
    wrong: bool = True


def check(paths: list[Path]) -> tuple[int, list[Finding]]:
    """The number of results below `paths` and what is wrong or missing with them.

    Raises UsageError for a path without any results.json.
    """
    files = sorted({file for path in paths for file in found_in(path)})
    findings: list[Finding] = []
    loaded: list[Result] = []
    for file in files:
        try:
            (result,) = load_results([file])
        except (ResultsError, ValueError, OSError) as error:
            findings.append(Finding(str(file), str(error)))
            continue
        loaded.append(result)
        findings += [Finding(str(file), text) for text in (*form(result), *rows_of(result))]
        findings += [Finding(str(file), text, wrong=False) for text in advice(result)]
    return len(files), findings + among(loaded)


def found_in(path: Path) -> list[Path]:
    """The results.json files below a path. Raises UsageError without one."""
    files = sorted(path.rglob("results.json")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise UsageError(f"{path}: no results.json here; `dora-bench eval` writes one")
    return files


def form(result: Result) -> list[str]:
    """Faults of place and record."""
    faults = []
    name, suite = str(result.model["name"]), result.suite
    wanted = (safe_name(name), f"{safe_name(suite['name'])}@{str(suite.get('hash', ''))[:12]}")
    if result.folder.resolve().parts[-2:] != wanted:
        faults.append(f"should lie in {'/'.join(wanted)}/")
    extra = sorted({path.name for path in result.folder.iterdir()} - BESIDE)
    if extra:
        faults.append(f"{', '.join(extra)}: only results.json and items.parquet belong beside it")
    missing = [key for key in NEEDED if key not in result.settings]
    missing += [f"suite.{key}" for key in ("hash", "items") if not suite.get(key)]
    if missing:
        faults.append(f"does not say {', '.join(missing)}; run `dora-bench eval` again")
    elif result.settings["scorer_version"] != SCORER_VERSION:
        version = result.settings["scorer_version"]
        faults.append(f"was scored by scorer {version}, the leaderboard's is {SCORER_VERSION}")
    return faults


def advice(result: Result) -> list[str]:
    """What a reader of the model's card will look for and not find."""
    if result.model.get("kind") == "baseline":
        return []
    lacking = [key for key in WANTED if not result.card.get(key)]
    return [f"the card does not say {', '.join(lacking)}"] if lacking else []


def rows_of(result: Result) -> list[str]:
    """Faults of the rows and of the aggregates made of them."""
    items = result.items
    lacking = [name for name in COLUMNS if name not in items]
    if lacking:
        return [f"items.parquet lacks the columns {', '.join(lacking)}"]
    return [*completeness(result), *values_of(items), *stale_aggregates(result)]


def completeness(result: Result) -> list[str]:
    """Faults of which rows are there: each item once at each token count, one model."""
    items, faults = result.items, []
    counts = sorted(int(count) for count in items["tokens"].unique())
    if counts != sorted(result.settings.get("tokens", counts)):
        faults.append(f"holds token counts {counts}, and says {result.settings.get('tokens')}")
    repeated = items[items.duplicated(["id", "tokens"])]
    if len(repeated):
        faults.append(f"holds item {repeated['id'].iloc[0]!r} twice at one token count")
    expected = int(result.suite.get("items", 0))
    for tokens, rows in items.groupby("tokens"):
        if rows["id"].nunique() != expected:
            faults.append(f"holds {rows['id'].nunique()} of {expected} items at {tokens} tokens")
    if set(items["model"]) != {result.model["name"]}:
        faults.append(f"rows are of {', '.join(sorted(set(items['model'])))}")
    if odd := sorted(set(items["status"]) - set(STATUSES)):
        faults.append(f"has the unknown status {', '.join(odd)}")
    return faults


def values_of(items: pd.DataFrame) -> list[str]:
    """Faults of the scores: out of range, missing, or a failure that is not the worst."""
    faults = []
    done = items["status"].isin(SCORED).to_numpy()
    for name, metric in METRICS.items():
        values = items[name].to_numpy(np.float64, na_value=np.nan)
        low, high = (0.0, metric.worst) if metric.direction == "lower" else (metric.worst, 1.0)
        outside = (values < low - CLOSE) | (values > high + CLOSE) | np.isinf(values)
        if outside.any():
            row = items.iloc[int(np.flatnonzero(outside)[0])]
            faults.append(f"{name} of {row['id']!r} is {row[name]:g}, outside {low:g} to {high:g}")
        unexplained = np.isnan(values) & done & (items["notes"].fillna("") == "").to_numpy()
        if unexplained.any():
            row = items.iloc[int(np.flatnonzero(unexplained)[0])]
            faults.append(f"{name} of {row['id']!r} is missing, and no note says why")
        better = ~done & ~np.isnan(values) & (np.abs(values - metric.worst) > CLOSE)
        if better.any():
            row = items.iloc[int(np.flatnonzero(better)[0])]
            faults.append(f"{row['id']!r} is {row['status']} and {name} is not the worst value")
    return faults


def stale_aggregates(result: Result) -> list[str]:
    """A fault when the aggregates are not those of the rows."""
    found = aggregate(result.items, seed=int(result.settings.get("seed", 0)))
    for tokens, groups in found.items():
        for group, summary in groups.items():
            said = result.aggregates.get(tokens, {}).get(group, {})
            for name, values in summary.items():
                if not agree(values, said.get(name)):
                    return [f"aggregates of {name} at {tokens} tokens ({group}) are not the rows'"]
    return []


def agree(one: object, other: object) -> bool:
    """Whether two aggregates are equal to rounding."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(agree(value, other.get(key)) for key, value in one.items())
    if isinstance(one, float) and isinstance(other, int | float):
        return abs(one - other) <= CLOSE * max(1.0, abs(one))
    return one == other


def among(results: list[Result]) -> list[Finding]:
    """Faults that show only beside other submissions of the same suite."""
    findings = []
    by_suite: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_suite[str(result.suite.get("hash", ""))].append(result)
    for group in by_suite.values():
        first, seen = group[0], dict[tuple[str, ...], Path]()
        for result in group:
            findings += [Finding(str(result.folder), t) for t in against(result, first)]
            weights = str(result.model.get("weights_sha256", ""))
            posterior = str(result.settings.get("posterior", ""))
            told = (str(result.model["name"]), weights, posterior)
            key = (*told, *conditions(result.settings).values())
            if key in seen:
                findings.append(Finding(str(result.folder), f"is the same as {seen[key]}"))
            seen.setdefault(key, result.folder)
    return findings


def against(result: Result, first: Result) -> list[str]:
    """What two results of one suite must share: the shapes, their levels, their noise floors."""
    columns = [name for name in ("level", "split", "salient_edges") if name in first.items]
    one, other = (
        r.items.drop_duplicates("id").set_index("id").sort_index() for r in (result, first)
    )
    if list(one.index) != list(other.index):
        odd = sorted(set(one.index) ^ set(other.index))[0]
        return [f"does not hold the shapes of {first.folder}: {odd!r} is in one alone"]
    for name in columns:
        if name in one and not (one[name] == other[name]).all():
            return [f"{name} of its shapes is not that of {first.folder}"]
    if conditions(result.settings) != conditions(first.settings):
        return []
    for name in FLOORS.values():
        if name in one and name in other:
            apart = (one[name].astype(float) - other[name].astype(float)).abs().max()
            if apart > 1e-4:
                return [f"{name} differs from that of {first.folder} under the same settings"]
    return []
