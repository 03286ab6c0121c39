"""Aggregates against closed forms, intervals against theory, and result files read back."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bench_results import make_results
from hypothesis import given, settings
from hypothesis import strategies as st

from dora_bench.metrics import METRICS
from dora_bench.report import ResultsError, aggregate, load_results


def frame(values: list[float], status: list[str] | None = None, **columns: object) -> pd.DataFrame:
    """Rows of one metric at 64 tokens."""
    return pd.DataFrame(
        {
            "tokens": 64,
            "id": [f"item-{i:04d}" for i in range(len(values))],
            "status": status or ["ok"] * len(values),
            "iou": values,
            **columns,
        }
    )


def test_interval_of_the_mean_is_the_normal_theory_one() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, 2000)
    summary = aggregate(frame(list(values)))["64"]["all"]["iou"]
    error = values.std() / np.sqrt(len(values))
    assert summary["mean"] == pytest.approx(values.mean(), rel=1e-9)
    assert summary["median"] == pytest.approx(np.median(values), rel=1e-9)
    assert summary["ci_low"] == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert summary["ci_high"] == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_interval_covers_the_true_mean_as_often_as_it_says() -> None:
    random, covered = np.random.default_rng(1), 0
    for trial in range(200):
        summary = aggregate(frame(list(random.normal(0, 1, 60))), seed=trial)["64"]["all"]["iou"]
        covered += summary["ci_low"] <= 0 <= summary["ci_high"]
    assert 0.89 <= covered / 200 <= 0.98


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(0, 2**32), st.randoms())
def test_mean_lies_in_its_interval_and_row_order_does_not_matter(
    values: list[float], seed: int, shuffler: object
) -> None:
    items = frame(values, level=[i % 3 for i in range(len(values))])
    order = list(range(len(values)))
    shuffler.shuffle(order)  # type: ignore[attr-defined]
    result = aggregate(items, seed=seed)
    assert aggregate(items.iloc[order], seed=seed) == result
    summary = result["64"]["all"]["iou"]
    if len(values) > 1:
        assert summary["ci_low"] - 1e-9 <= summary["mean"] <= summary["ci_high"] + 1e-9
    else:
        assert summary["ci_low"] is None
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_failure_counts_and_scores_the_worst_value() -> None:
    items = frame([0.8, np.nan, 0.6, np.nan], ["ok", "failed", "ok", "timeout"])
    summary = aggregate(items)["64"]["all"]
    assert (summary["n_ok"], summary["n_total"], summary["iou"]["n"]) == (2, 4, 2)
    assert summary["iou"]["mean"] == pytest.approx(0.7)
    assert summary["iou"]["mean_failures_worst"] == pytest.approx(0.35)
    low, high = (summary["iou"][f"ci_{end}_failures_worst"] for end in ("low", "high"))
    assert 0 <= low < 0.35 < high <= 0.8


def test_nothing_but_failures_has_no_mean_and_the_worst_twin() -> None:
    summary = aggregate(frame([np.nan, np.nan], ["failed", "crashed"]))["64"]["all"]
    assert summary["n_ok"] == 0
    assert summary["iou"]["mean"] is None
    assert summary["iou"]["mean_failures_worst"] == METRICS["iou"].worst


def test_a_metric_an_item_does_not_have_is_left_out_for_failures_of_it_too() -> None:
    items = frame([0.9, 0.8, np.nan], ["ok", "ok", "failed"])
    items["id"] = ["smooth", "sharp", "smooth"]
    items["tokens"] = [64, 64, 256]
    items["edge_f_0.01"] = [np.nan, 0.5, np.nan]
    summary = aggregate(items)
    assert summary["64"]["all"]["edge_f_0.01"]["mean_failures_worst"] == 0.5
    assert summary["256"]["all"]["edge_f_0.01"]["mean_failures_worst"] is None
    assert summary["256"]["all"]["iou"]["mean_failures_worst"] == METRICS["iou"].worst


def test_groups_are_levels_and_splits_and_their_items_add_up() -> None:
    items = frame([0.1, 0.2, 0.3, 0.4], level=[0, 1, 1, 4], split=["train", "train", "", ""])
    groups = aggregate(items)["64"]
    assert list(groups) == ["all", "L0", "L1", "L4", "split:train"]
    assert groups["L1"]["iou"]["mean"] == pytest.approx(0.25)
    assert sum(groups[f"L{level}"]["n_total"] for level in (0, 1, 4)) == groups["all"]["n_total"]
    assert groups["split:train"]["n_total"] == 2


def test_levels_never_mix_trained_and_held_out_shapes() -> None:
    split = ["train", "held-out", "train", "held-out"]
    groups = aggregate(frame([0.1, 0.2, 0.3, 0.4], level=[1, 1, 4, 0], split=split))["64"]
    assert list(groups) == ["all", "L0:held-out", "L1:held-out", "split:held-out", "split:train"]
    assert (groups["L1:held-out"]["n_total"], groups["L1:held-out"]["iou"]["mean"]) == (1, 0.2)


def test_bad_rows_are_errors() -> None:
    twice = pd.concat([frame([0.1]), frame([0.2])])
    with pytest.raises(ValueError, match="two rows of item 'item-0000'"):
        aggregate(twice)
    with pytest.raises(ValueError, match="iou is infinite"):
        aggregate(frame([np.inf, 0.2]))


def test_results_are_found_below_folders_once(tmp_path: Path) -> None:
    folders = make_results(tmp_path, models=("identity", "vecset"), count=3, gallery=False)
    results = load_results([tmp_path, folders[0], folders[1] / "results.json"])
    assert [result.label for result in results] == ["identity", "vecset"]
    assert results[0].suite_key == "mini@3f9c2ab81d7e0415"
    assert results[0].aggregates == aggregate(results[0].items)


def test_missing_aggregates_and_an_older_schema_are_computed_again(tmp_path: Path) -> None:
    (folder,) = make_results(tmp_path, models=("vecset",), count=3, gallery=False)
    expected = load_results([folder])[0].aggregates
    record = json.loads((folder / "results.json").read_text())
    del record["aggregates"], record["versions"], record["device"]
    for schema in (None, 0, 1):
        record["schema"] = schema
        if schema is None:
            del record["schema"]
        (folder / "results.json").write_text(json.dumps(record))
        assert load_results([folder])[0].aggregates == expected


def test_models_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for run in ("a", "b"):
        (folder,) = make_results(tmp_path / run, models=("vecset",), count=3, gallery=False)
        record = json.loads((folder / "results.json").read_text())
        record["model"]["weights_sha256"] = run * 64
        (folder / "results.json").write_text(json.dumps(record))
    labels = [result.label for result in load_results([tmp_path])]
    assert labels == ["vecset (aaaaaaaa)", "vecset (bbbbbbbb)"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[1, 2]", "not a result of dora-bench: model.name"),
        ('{"model": {"name": "x"}, "scores": 3}', "suite.name is missing"),
        ('{"schema": 99, "model": {"name": "x"}, "suite": {"name": "y"}}', "schema 99 is newer"),
        ('{"model": {"name": "x"}, "suite": {"name": "y"}}', "items.parquet: missing"),
    ],
)
def test_foreign_files_are_named_with_the_reason(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ResultsError, match=message) as caught:
        load_results([tmp_path])
    assert str(tmp_path) in str(caught.value)


def test_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"no results\.json here"):
        load_results([tmp_path])
