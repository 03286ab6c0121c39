"""What a leaderboard folder takes, and each thing that it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bench_results import make_results

from dora_bench.board.submissions import check
from dora_bench.metrics import METRICS
from dora_bench.report import aggregate
from dora_bench.rows.results import COLUMNS
from preprocessing.console import UsageError


def submissions(root: Path, models: tuple[str, ...] = ("identity", "vecset")) -> list[Path]:
    """Sound submissions: what `eval` writes, with every column and failures at the worst."""
    folders = []
    for folder in make_results(root, models=models, count=4, gallery=False):
        (folder / "gallery").rmdir()
        record = json.loads((folder / "results.json").read_text())
        target = folder.with_name(f"mini@{record['suite']['hash'][:12]}")
        folder.rename(target)
        items = pd.read_parquet(target / "items.parquet")
        record["settings"]["tokens"] = sorted(map(int, items["tokens"].unique()))
        failed = items["status"] != "ok"
        for name, metric in METRICS.items():
            items[name] = items[name].where(~failed, metric.worst)
        lacks = items[list(METRICS)].isna().any(axis=1)
        items = items.reindex(columns=COLUMNS).assign(scorer_version=2)
        items["notes"] = np.where(lacks, "a shape without edges", "")
        write(target, record, items)
        folders.append(target)
    return folders


def write(folder: Path, record: dict, items: pd.DataFrame) -> None:
    items.to_parquet(folder / "items.parquet")
    record["aggregates"] = aggregate(items)
    (folder / "results.json").write_text(json.dumps(record))


def test_sound_submissions_are_taken(tmp_path: Path) -> None:
    submissions(tmp_path)
    assert check([tmp_path]) == (2, [])
    with pytest.raises(UsageError, match=r"no results\.json"):
        check([tmp_path / "nowhere"])


def changed_rows(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        record = json.loads((folder / "results.json").read_text())
        write(folder, record, change(pd.read_parquet(folder / "items.parquet")))

    return apply


def changed_record(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        record = json.loads((folder / "results.json").read_text())
        change(record)
        (folder / "results.json").write_text(json.dumps(record))

    return apply


def first_row(name: str, value: object) -> Callable[[Path], None]:
    def change(items: pd.DataFrame) -> pd.DataFrame:
        items[name] = items[name].astype(object)
        items.loc[items.index[-1], name] = value
        return items.infer_objects()

    return changed_rows(change)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (
            lambda f: f.rename(f.with_name("mini@elsewhere")),
            "should lie in vecset/mini@3f9c2ab81d7e",
        ),
        (lambda f: (f / "notes.txt").touch(), "notes.txt: only results.json"),
        (changed_record(lambda r: r["settings"].pop("points")), "does not say points"),
        (changed_record(lambda r: r["settings"].update(scorer_version=1)), "of scorer 2"),
        (changed_record(lambda r: r["settings"].update(tokens=[1])), "holds token counts"),
        (changed_record(lambda r: r["suite"].update(items=5)), "4 of 5 items"),
        (changed_record(lambda r: r.update(schema=99)), "newer"),
        (
            changed_record(
                lambda r: r["aggregates"]["64"]["all"]["iou"].update(mean_failures_worst=0.999)
            ),
            "aggregates of iou at 64",
        ),
        (changed_rows(lambda i: i.iloc[1:]), "3 of 4 items"),
        (changed_rows(lambda i: i.drop(columns="sne")), "lacks the columns sne"),
        (changed_rows(lambda i: i.assign(model="other")), "rows are of other"),
        (first_row("iou", 1.5), "outside 0 to 1"),
        (first_row("surface_cd_l1", 9.0), "outside 0 to 3.4641"),
        (changed_rows(lambda i: i.assign(iou=np.nan, notes="")), "no note says why"),
        (first_row("status", "failed"), "is not the worst value"),
        (first_row("status", "fine"), "unknown status fine"),
        (changed_rows(lambda i: i.assign(level=3)), "level of its shapes"),
        (changed_rows(lambda i: i.assign(floor_cd_l1=0.5)), "floor_cd_l1 differs"),
    ],
)
def test_each_fault_is_told(tmp_path: Path, break_it: Callable, words: str) -> None:
    break_it(submissions(tmp_path)[1])
    _, findings = check([tmp_path])
    assert any(words in finding.message for finding in findings if finding.wrong), findings


def test_a_result_that_is_there_already_and_a_card_that_says_little(tmp_path: Path) -> None:
    folder = submissions(tmp_path, ("vecset",))[0]
    changed_record(lambda r: r["card"].pop("licence"))(folder)
    _, findings = check([tmp_path])
    assert [(f.wrong, f.message) for f in findings] == [(False, "the card does not say licence")]
    shutil.copytree(folder.parent, tmp_path / "again/vecset")
    assert any("is the same as" in f.message for f in check([tmp_path])[1] if f.wrong)
