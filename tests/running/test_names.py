"""Whole runs over names and lists that nobody would choose: a row each, nothing outside --out."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from small_runs import SOLID, below, rows, run_watertight, write_box

from preprocessing.running.ledger import read_ledger
from preprocessing.running.ledger_view import ledger_rows, retry_items, show_rows

CASES = Path(__file__).parents[1] / "data/cases"


def test_any_name_gives_one_row_and_the_folder_stays_usable(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    names = [b"chair\xff.obj", b"a|b.obj", b"two\nlines.obj", b"x" * 251 + b".obj", b"ok.obj"]
    for name in names:
        write_box(source / os.fsdecode(name))
    (source / os.fsdecode(b"broken\xfe.obj")).write_text("v 0 0 0\n")
    summary = run_watertight(source, out)
    assert summary.counts == {"ok": 5, "rejected": 1}
    told = rows(out)
    assert {"chair\\xff", "a|b", "two\nlines", "ok", "broken\\xfe"} < set(told)
    assert all((out / row["output"]).is_file() for row in told.values() if row["status"] == "ok")
    assert run_watertight(source, out).counts == {"skipped": 5, "rejected": 1}
    shown = show_rows(ledger_rows(out), None)
    assert str(source / "broken\\xfe.obj") in shown
    assert shown.encode()
    (source / os.fsdecode(b"broken\xfe.obj")).write_bytes((source / "ok.obj").read_bytes())
    assert retry_items(out, ledger_rows(out, ("rejected",)), quiet=True).counts == {"ok": 1}
    assert pd.read_csv(out / "ledger.csv")["status"].eq("ok").all()


def test_files_of_one_stem_are_two_items_and_the_others_go_on(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(CASES / "same_stem/in", source)
    (source / "chair.stl").rename(tmp_path / "chair.stl")
    assert run_watertight(source, out).counts == {"ok": 4}
    assert "chair.ply" in below(out)
    (tmp_path / "chair.stl").rename(source / "chair.stl")
    assert run_watertight(source, out).counts == {"ok": 2, "skipped": 3}
    expected = {"chair.obj", "chair.stl", "good1", "good2", "good3"}
    assert set(rows(out)) == expected
    assert below(out) == {f"{name}.ply" for name in expected}  # what was `chair` is gone


def test_the_lists_that_were_reported(tmp_path: Path) -> None:
    shutil.copytree(CASES / "lists", tmp_path / "in")
    assert run_watertight(tmp_path / "in/i.parquet", tmp_path / "out").counts == {"ok": 2}
    assert set(rows(tmp_path / "out")) == {"1", "2"}
    assert len(read_ledger(str(tmp_path / "out"))) == 2
    assert run_watertight(tmp_path / "in/bom.txt", tmp_path / "two").counts == {"ok": 2}


def test_nothing_is_written_outside_of_out(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "a/b/out"
    path = write_box(source / "box.obj")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    out.mkdir(parents=True)
    (out / "link").symlink_to(elsewhere)
    (out / "inside").mkdir()
    (out / "alias").symlink_to(out / "inside")
    bad = ["../../x", "/abs", f"{elsewhere}/y", "link/z", "a/../../w", ".hidden"]
    table = pd.DataFrame({"path": str(path), "id": [*bad, "fine", "alias/fine"]})
    table.to_csv(source / "list.csv", index=False)
    before = below(tmp_path)
    summary = run_watertight(source / "list.csv", out)
    assert summary.counts == {"ok": 2, "rejected": len(bad)}
    told = rows(out)
    assert {told[name]["reason"] for name in bad} == {"bad-id"}
    assert {told[name]["detail"] for name in bad}
    ours = {"ledger.parquet", "ledger.csv", ".ledger.lock", "run.json"}
    written = {name for name in below(tmp_path) - before if Path(name).name not in ours}
    assert written == {"a/b/out/fine.ply", "a/b/out/inside/fine.ply"}
    assert not os.listdir(elsewhere)


def test_an_id_given_to_two_files_is_one_refused_row(tmp_path: Path) -> None:
    for name in "abc":
        write_box(tmp_path / f"in/{name}.obj")
    table = pd.DataFrame({"path": ["a.obj", "b.obj", "c.obj"], "id": ["x", "x", "y"]})
    table.to_parquet(tmp_path / "in/list.parquet")
    assert run_watertight(tmp_path / "in/list.parquet", tmp_path / "out").counts == {
        "ok": 1,
        "rejected": 1,
    }
    row = rows(tmp_path / "out")["x"]
    assert row["reason"] == "bad-id"
    assert "a.obj" in row["detail"]
    assert "b.obj" in row["detail"]


def test_a_pipe_in_the_place_of_a_file_is_refused_at_once(tmp_path: Path) -> None:
    write_box(tmp_path / "in/box.obj")
    os.mkfifo(tmp_path / "in/pipe.obj")
    assert run_watertight(tmp_path / "in", tmp_path / "out").counts == {"ok": 1, "rejected": 1}
    assert "no regular file" in rows(tmp_path / "out")["pipe"]["detail"]


@pytest.mark.parametrize("layout", ["safetensors", "hunyuan"])
def test_samples_under_such_names(tmp_path: Path, layout: str) -> None:
    from small_runs import INLINE

    from preprocessing.running.manifest import find_inputs
    from preprocessing.running.pipeline import run_plan
    from preprocessing.running.tasks import Plan
    from preprocessing.settings import SampleSettings

    for name in ("a|b.obj", "y" * 251 + ".obj"):
        write_box(tmp_path / "in" / name)
    few = SampleSettings(points=64, near=100, space=50, format=layout)
    plan = Plan(out=tmp_path / "out", watertight=SOLID, samples=few)
    entries = find_inputs([str(tmp_path / "in")], {".obj"})
    assert run_plan(entries, plan, INLINE).counts == {"ok": 2}
    assert run_plan(entries, plan, INLINE).counts == {"skipped": 2}
