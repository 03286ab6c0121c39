"""What the commands print: tables of means, what failed and why, what to look at."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd
import typer

from dora_bench.board.submissions import Finding
from dora_bench.compare import Comparison
from dora_bench.evaluation import Evaluation
from dora_bench.metrics import METRICS
from dora_bench.score_files import Scores, summary
from dora_bench.suite import Suite

SHOWN = ("surface_cd_l1", "surface_f_0.005", "cd_l1", "f_0.01", "edge_f_0.01")
SHOWN_LAST = ("normal_consistency", "sne", "iou")


def show_suite(suite: Suite, left_out: dict[str, str], quiet: bool, as_json: bool) -> None:
    """Print what a suite holds and what was left out, with reasons."""
    record = {"folder": str(suite.folder), **suite.record}
    if as_json:
        typer.echo(json.dumps(record))
    elif not quiet:
        counts = ", ".join(f"{level} {count}" for level, count in sorted(record["counts"].items()))
        typer.echo(f"{suite.folder}: {len(suite.items)} meshes ({counts}), hash {suite.hash[:12]}")
        for item, reason in sorted(left_out.items()):
            typer.echo(f"left out {item}: {reason}")


def show_evaluations(done: Sequence[Evaluation], quiet: bool, as_json: bool) -> None:
    """Print means by model and token count, of held-out shapes first, and every failure."""
    if as_json:
        records = [{"folder": str(e.folder), "n_ok": e.n_ok, "n_total": e.n_total} for e in done]
        counts = {"n_ok": sum(e.n_ok for e in done), "n_total": sum(e.n_total for e in done)}
        typer.echo(json.dumps(records[0] if len(records) == 1 else {**counts, "models": records}))
        return
    if quiet:
        return
    items = pd.concat([each.items for each in done])
    by = ["tokens"] if len(done) == 1 else ["model", "tokens"]
    splits = [split for split in ("held-out", "train") if (items["split"] == split).any()]
    for split in splits if len(splits) > 1 else []:
        typer.echo(f"{split}:\n{means_table(items[items['split'] == split], by)}")
    if len(splits) < 2:
        typer.echo(means_table(items, by))
    for row in items[items["status"] != "ok"].itertuples():
        typer.echo(f"{row.status} {row.id} of {row.model} at {row.tokens} tokens: {row.reason}")
    for each in done:
        typer.echo(f"{each.n_ok}/{each.n_total} ok, {each.folder / 'results.json'}")


def show_scores(scores: Scores, quiet: bool, as_json: bool) -> None:
    """Print the scores of mesh files and every failure; what to look at goes to standard error."""
    rows = scores.rows
    if as_json:
        typer.echo(json.dumps(summary(scores)))
    elif not quiet:
        typer.echo(means_table(rows, ["id"]) if len(rows) <= 50 else means_table(rows, []))
        for row in rows[rows["status"] != "ok"].itertuples():
            typer.echo(f"{row.status} {row.id}: {row.reason}")
    say_what_to_look_at(scores)


def show_comparison(first: str, second: str, rows: list[Comparison], as_json: bool) -> None:
    """Print what two models differ in: a line a metric, then the items that differ most."""
    records = [asdict(row) for row in rows]
    if as_json:
        typer.echo(json.dumps({"first": first, "second": second, "metrics": records}))
        return
    typer.echo(f"first: {first}\nsecond: {second}\ndifferences are first - second")
    table = pd.DataFrame(records).drop(columns="most_different")
    typer.echo(table.to_string(index=False, float_format=lambda v: f"{v:.4g}"))
    for row in rows:
        if row.most_different:
            typer.echo(f"\n{row.metric}: where they differ most")
            listed = pd.DataFrame(row.most_different)
            typer.echo(listed.to_string(index=False, float_format=lambda v: f"{v:.4g}"))


def show_findings(count: int, findings: list[Finding], quiet: bool, as_json: bool) -> None:
    """Print what a check of submissions found, a line each, and whether they can be taken."""
    wrong = sum(finding.wrong for finding in findings)
    if as_json:
        told = [asdict(finding) for finding in findings]
        typer.echo(json.dumps({"results": count, "wrong": wrong, "findings": told}))
    elif not quiet:
        for finding in findings:
            typer.echo(f"{'wrong' if finding.wrong else 'note'} {finding.path}: {finding.message}")
        typer.echo(f"{count} results, {wrong} faults" if wrong else f"{count} results, all sound")


def say_what_to_look_at(scores: Scores) -> None:
    """On standard error: notes of single rows, and the files of either side without a partner."""
    for row in scores.rows.itertuples():
        if row.notes:
            typer.echo(f"note {row.id}: {row.notes}", err=True)
    for side, other, ids in (
        ("truth", "prediction", scores.pairing.truths_alone),
        ("prediction", "truth", scores.pairing.predictions_alone),
    ):
        if ids:
            typer.echo(f"{side} without a {other} ({len(ids)}): {', '.join(ids)}", err=True)
    if wrong := int((scores.rows["status"] == "misplaced").sum()):
        typer.echo(
            f"warning: {wrong} of {len(scores.rows)} predictions seem to lie in another frame or "
            "unit than their truth; their scores are as they lie",
            err=True,
        )


def means_table(rows: pd.DataFrame, by: list[str]) -> str:
    """Means of the main metrics as text, failures at their worst values, in the papers' units."""
    names = [*SHOWN, *SHOWN_LAST]
    table = rows.groupby(by)[names].mean() if by else rows[names].mean().to_frame().T
    for name in names:
        table[name] = table[name].astype(float) * METRICS[name].scale
    table.columns = [METRICS[name].label for name in names]
    formats = [lambda v, d=METRICS[n].decimals: f"{v:.{d}f}" for n in names]
    return table.to_string(formatters=formats, index=bool(by))
