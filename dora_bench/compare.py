"""Two models on the same items: who wins how often, and whether that could be chance."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from dora_bench.metrics import METRICS, SCORED
from preprocessing.console import UsageError
from preprocessing.seeds import generator

RESAMPLES = 2000


@dataclass(frozen=True)
class Comparison:
    """One metric over the paired items; a difference is first - second, in the metric's unit.

    `p` is the two-sided p-value of the sign test (ties left out); `low` and `high` are the 95 %
    bootstrap interval of the mean difference, items resampled. `most_different`: the items of the
    largest differences, each with `id`, `first`, `second`, `difference`.
    """

    metric: str
    items: int
    first_better: int
    second_better: int
    ties: int
    p: float
    mean_difference: float
    low: float
    high: float
    most_different: list[dict[str, float | str]]


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    metric: str,
    *,
    tokens: tuple[int, int] | None = None,
    seed: int = 0,
    items: int = 5,
) -> Comparison:
    """Pair the rows of two items tables by id and compare a metric of METRICS.

    `tokens` picks one count of each; without it a table must hold a single count. Failures take
    part with the metric's worst value. The `items` of the largest differences are named. Raises
    UsageError for an unknown metric, several token counts, or tables of different items.
    """
    if metric not in METRICS:
        raise UsageError(f"no metric {metric!r}; known are {', '.join(METRICS)}")
    counts = tokens or (None, None)
    one, other = (paired_values(t, metric, n) for t, n in zip((first, second), counts, strict=True))
    if set(one.index) != set(other.index):
        unshared = sorted(set(one.index) ^ set(other.index))
        raise UsageError(f"the two results do not hold the same items: {unshared[0]!r} is in one")
    paired = pd.DataFrame({"first": one, "second": other[one.index]}).dropna()
    paired["difference"] = paired["first"] - paired["second"]
    difference = paired["difference"].to_numpy()
    sign = 1 if METRICS[metric].direction == "higher" else -1
    wins, losses = int((sign * difference > 0).sum()), int((sign * difference < 0).sum())
    if len(difference) == 0:
        raise UsageError(f"no item has a value of {metric} in both results")
    rows = generator(seed, metric, "compare").integers(
        len(difference), size=(RESAMPLES, len(difference))
    )
    low, high = np.quantile(difference[rows].mean(axis=1), [0.025, 0.975])
    return Comparison(
        metric=metric,
        items=len(difference),
        first_better=wins,
        second_better=losses,
        ties=len(difference) - wins - losses,
        p=float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0,
        mean_difference=float(difference.mean()),
        low=float(low),
        high=float(high),
        most_different=largest(paired, items),
    )


def largest(paired: pd.DataFrame, count: int) -> list[dict[str, float | str]]:
    """The items whose values differ most, the largest first, equal ones by name."""
    order = paired["difference"].abs().sort_values(ascending=False, kind="stable").index
    rows = paired.loc[order[:count]]
    return [{"id": str(name), **row} for name, row in rows.to_dict("index").items()]


def paired_values(items: pd.DataFrame, metric: str, tokens: int | None) -> pd.Series:
    """One value an item, sorted by id; failures at the worst value. Raises UsageError."""
    present = sorted(items["tokens"].unique())
    if tokens is None and len(present) > 1:
        raise UsageError(f"choose one of the token counts {', '.join(map(str, present))}")
    rows = items if tokens is None else items[items["tokens"] == tokens]
    if len(rows) == 0:
        raise UsageError(f"no row with {tokens} tokens; there are {', '.join(map(str, present))}")
    failed = ~rows["status"].isin(SCORED)
    values = rows[metric].astype(float).where(~failed, METRICS[metric].worst)
    return pd.Series(values.to_numpy(), index=rows["id"].to_numpy()).sort_index()
