"""Does every metric get worse when the mesh does? Five degradations at five strengths.

    python -m benchmarks.metrics_monotone [--points 200000] [--items 003-l_bracket,bone]

Prints one table a shape and degradation, and whether each metric is monotone; then edges rounded
off beside an error of the same surface Chamfer distance spread over the whole surface.
"""

import argparse

import pandas as pd

from benchmarks.degradations import STRENGTHS, degrade, round_edges, same_error_spread
from dora_bench.metrics import METRICS
from dora_bench.mini_suite import mini_suite
from dora_bench.score import ScoreSettings, Truth, prepare_truth, score
from preprocessing.mesh import Mesh, load_mesh


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=200_000)
    parser.add_argument("--items", default="003-l_bracket,bone")
    options = parser.parse_args()
    suite = mini_suite()
    settings = ScoreSettings(points=options.points)
    for name in options.items.split(","):
        mesh = load_mesh(suite.mesh_path(name))
        truth = prepare_truth(mesh, settings, name)
        for kind, strengths in STRENGTHS.items():
            table = pd.DataFrame(
                [scaled(score(truth, degrade(mesh, kind, s))) for s in (*strengths,)],
                index=[f"{s:g}" for s in strengths],
            )
            table.loc["0"] = scaled(score(truth, mesh))
            table = table.loc[["0", *[f"{s:g}" for s in strengths]]]
            show(f"{name}: {kind}", table.T.assign(monotone=monotone(table, options.points)))
        show(f"{name}: edges rounded, and the same error spread", rounded(truth, mesh))


def scaled(scores: dict[str, float]) -> dict[str, float]:
    """Scores in the unit they are shown in."""
    return {name: scores[name] * metric.scale for name, metric in METRICS.items()}


def monotone(table: pd.DataFrame, points: int) -> list[str]:
    """yes, no, or flat (it moves less than sampling does), for each metric (column).

    Steps back count when they exceed four standard errors of a share of `points` points, or 0.2 %
    of the metric's span.
    """
    verdicts = []
    for name in table.columns:
        metric = METRICS[name]
        sign = 1 if metric.direction == "lower" else -1
        steps = sign * table[name].diff().dropna()
        span = abs(table[name].iloc[-1] - table[name].iloc[0])
        error = 4 * 0.5 / points**0.5 * metric.scale if name.startswith("f_") else 0.0
        if span <= max(error, 1e-9):
            verdicts.append("flat")
        else:
            verdicts.append("yes" if (steps >= -max(error, 2e-3 * span)).all() else "no")
    return verdicts


def rounded(truth: Truth, mesh: Mesh) -> pd.DataFrame:
    """Metrics of edges rounded off at three strengths, each beside its spread twin."""
    columns = {}
    for rounds in (10, 40, 160):
        soft = round_edges(mesh, rounds)
        columns[f"rounded {rounds}"] = scaled(score(truth, soft))
        columns[f"spread {rounds}"] = scaled(score(truth, same_error_spread(mesh, soft)))
    table = pd.DataFrame(columns)
    for rounds in (10, 40, 160):
        signs = pd.Series({n: 1 if METRICS[n].direction == "lower" else -1 for n in table.index})
        worse = signs * (table[f"rounded {rounds}"] - table[f"spread {rounds}"]) > 0
        table[f"rounded worse {rounds}"] = worse.map({True: "yes", False: "no"})
    return table


def show(title: str, table: pd.DataFrame) -> None:
    """Print one table."""
    print(f"\n### {title}\n")
    print(table.to_string(float_format=lambda v: f"{v:.4g}"), flush=True)


if __name__ == "__main__":
    main()
