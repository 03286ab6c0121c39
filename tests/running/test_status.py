"""The operator's view: right while a run goes on, after it, and after it was killed."""

import json
import subprocess
import sys
import time
from pathlib import Path

from small_runs import run_watertight, write_box

from preprocessing.running.ledger import Ledger, is_locked, read_ledger
from preprocessing.running.ledger_columns import WATERTIGHT
from preprocessing.running.run_settings import RunRecord, read_record
from preprocessing.running.status import run_status, status_text
from preprocessing.settings import Limits


def test_a_run_that_ended_is_told_as_it_was(tmp_path: Path) -> None:
    for name in "abc":
        write_box(tmp_path / f"in/{name}.obj")
    (tmp_path / "in/broken.obj").write_text("v 0 0 0\n")
    run_watertight(tmp_path / "in", tmp_path / "out")
    told = run_status(tmp_path / "out")
    assert (told["state"], told["total"], told["done"]) == ("finished", 4, 4)
    assert told["counts"] == {"ok": 3, "rejected": 1}
    assert told["eta_s"] is None
    (failure,) = told["failures"]
    assert (failure["status"], failure["count"]) == ("rejected", 1)
    assert failure["reason"]
    assert {row["id"] for row in told["slowest"]} >= set("abc")
    (count,) = told["nodes"].values()
    assert count == 4
    text = status_text(told)
    assert "finished: 4 of 4" in text
    assert "1 rejected" in text
    again = json.loads(json.dumps(told))
    assert again == told


def test_a_run_under_way_and_one_that_was_killed(tmp_path: Path) -> None:
    """Rows count while the journal alone has them; a lock tells the living from the dead."""
    ledger = Ledger(tmp_path, WATERTIGHT)
    record = RunRecord(tmp_path, {}, Limits(), total=10)
    record.started -= 60
    for i in range(3):
        row = {"id": str(i), "path": "p", "status": "ok", "seconds": float(i), "node": "here"}
        ledger.record(row)
    record.note({"ok": 3})
    told = run_status(tmp_path)
    assert (told["state"], told["done"], told["total"]) == ("running", 3, 10)
    assert 59 < told["elapsed_s"] < 120
    assert abs(told["rate"] - 3 / told["elapsed_s"]) < 1e-3
    assert abs(told["eta_s"] - 7 / told["rate"]) < 2
    assert told["nodes"] == {"here": 3}
    assert [row["id"] for row in told["slowest"]] == ["2", "1", "0"]
    assert "left" in status_text(told)
    ledger.close()
    assert run_status(tmp_path)["state"] == "stopped"


def test_looking_does_not_disturb_a_run_that_starts(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from preprocessing.running.ledger import is_locked\n"
        "print('ready', flush=True)\n"
        "while True: is_locked(Path(sys.argv[1]))\n"
    )
    Ledger(tmp_path, WATERTIGHT).close()
    looking = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert looking.stdout is not None
        looking.stdout.readline()
        for _ in range(50):
            Ledger(tmp_path, WATERTIGHT).close()
    finally:
        looking.kill()
        looking.communicate()
    assert not is_locked(tmp_path)


def test_the_progress_is_noted_at_most_every_few_seconds(tmp_path: Path, monkeypatch) -> None:
    record = RunRecord(tmp_path, {}, Limits(), total=2)
    record.note({})
    record.note_sometimes({"ok": 1})
    assert read_record(tmp_path)["progress"]["counts"] == {}
    monkeypatch.setattr(time, "monotonic", lambda: record.noted + 6)
    record.note_sometimes({"ok": 1})
    assert read_record(tmp_path)["progress"]["counts"] == {"ok": 1}
    assert len(read_ledger(tmp_path)) == 0
