"""What seems misplaced is scored as it lies, and the page does not call it failed."""

import json
from pathlib import Path

import pandas as pd
import pytest
from bench_results import make_results
from browser import browser, find_chromium

from dora_bench.leaderboard import write_leaderboard
from dora_bench.report import aggregate

LEAD = "document.getElementById('lead').textContent"
DONE = "[...document.querySelectorAll('tbody td.fail')].map(cell => cell.textContent)"


@pytest.mark.browser
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on PATH: apt-get install it")
def test_the_lead_counts_failed_and_misplaced_apart(tmp_path: Path) -> None:
    (folder,) = make_results(tmp_path, models=("dora-tiny",), tokens=(64,), count=12)
    items = pd.read_parquet(folder / "items.parquet")  # two of the twelve are failed
    items.loc[[5, 6, 7], ["status", "reason"]] = ["misplaced", "axes looks wrong"]
    items.to_parquet(folder / "items.parquet")
    record = json.loads((folder / "results.json").read_text())
    record["aggregates"] = aggregate(items)
    (folder / "results.json").write_text(json.dumps(record))
    write_leaderboard([folder], tmp_path / "site")
    with browser() as page:
        page.size(1280, 900)
        page.open(tmp_path / "site/index.html", "group=all&entries=all")
        said = page.ask(LEAD)
        shown = page.ask(DONE)
    heldout = items[items["split"] == "held-out"]["status"].value_counts()
    assert f"; {heldout['failed']} of 8 reconstructions failed and count as the worst, " in said
    assert f", {heldout['misplaced']} seem misplaced and are scored as they lie. " in said
    assert shown == ["7/12"]
    assert page.errors == []
