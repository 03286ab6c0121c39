"""Results of other points, seed, grid, alignment or scorer are never ranked together."""

import json
from pathlib import Path

import pytest
from bench_results import make_results

from dora_bench.board.strata import CONDITIONS, differences, strata
from dora_bench.leaderboard import write_leaderboard
from dora_bench.report import ResultsError, load_results
from dora_bench.tables import leaderboard_table

CHANGES = [
    ("points", 10_000),
    ("seed", 1),
    ("align", "bbox"),
    ("resolution", 64),
    ("scorer_version", 99),
    ("sne", {"version": "sne-2"}),
]


def changed(folder: Path, name: str, value: object) -> None:
    """Write another setting into a result."""
    record = json.loads((folder / "results.json").read_text())
    record["settings"][name] = value
    (folder / "results.json").write_text(json.dumps(record))


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_each_of_them_splits_the_ranking(tmp_path: Path, name: str, value: object) -> None:
    folders = make_results(tmp_path, models=("identity", "vecset"), count=3, gallery=False)
    changed(folders[1], name, value)
    results = load_results([tmp_path])
    table = leaderboard_table(results, group="all")
    assert table["suite"].nunique() == 2
    for _, rows in table.groupby("suite"):
        assert rows["model"].nunique() == 1
        assert rows["rank"].min() == 1
    assert all(name.replace("_", " ") in result.conditions for result in results)
    assert name in differences(results[0].settings, results[1].settings)
    write_leaderboard([tmp_path], tmp_path / "site")
    text = (tmp_path / "site/leaderboard.md").read_text()
    assert text.count("\n## ") == 2


def test_equal_settings_stand_together(tmp_path: Path) -> None:
    make_results(tmp_path, models=("identity", "vecset"), count=3, gallery=False)
    results = load_results([tmp_path])
    assert {result.conditions for result in results} == {""}
    assert strata([results[0].settings, {**results[1].settings, "tokens": [1]}]) == ["", ""]


def test_rows_of_two_scorers_in_one_result_are_refused(tmp_path: Path) -> None:
    import pandas as pd

    (folder,) = make_results(tmp_path, models=("vecset",), count=3, gallery=False)
    items = pd.read_parquet(folder / "items.parquet")
    items["scorer_version"] = [1] + [2] * (len(items) - 1)
    items.to_parquet(folder / "items.parquet")
    with pytest.raises(ResultsError, match="its rows are of scorer 1, 2"):
        load_results([tmp_path])


def test_what_a_result_does_not_say_was_made_by_the_first_scorer() -> None:
    assert CONDITIONS["scorer_version"] == 1
    assert differences({}, {"scorer_version": 1}) == ""
    assert differences({}, {"scorer_version": 2}) == "scorer_version 1 against 2"
