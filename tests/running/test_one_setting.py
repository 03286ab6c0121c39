"""A folder holds outputs of one setting, whatever is run over it and wherever it is cut short."""

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from small_runs import INLINE, SOLID, below, rows, run_watertight, write_box

from preprocessing.console import UsageError
from preprocessing.running.ids import Entry
from preprocessing.running.known_eps import known_eps, require_one_eps, shown
from preprocessing.running.ledger_view import ledger_rows, retry_items
from preprocessing.running.manifest import find_inputs
from preprocessing.running.pipeline import run_plan
from preprocessing.running.tasks import Plan
from preprocessing.settings import SampleSettings
from vae.bulk.sources import find_entries
from vae.inputs import check_solid

FINER = replace(SOLID, eps=2 / 64, resolution=64)
FEW = SampleSettings(points=64, near=100, space=50)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in "ab":
        write_box(tmp_path / f"in/{name}.obj")
    (tmp_path / "in/broken.obj").write_text("")
    return tmp_path / "in"


def test_other_settings_are_refused_and_named(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_watertight(source, out)
    before = {name: (out / name).read_bytes() for name in below(out)}
    with pytest.raises(UsageError, match=r"2 outputs .*eps 2/48, not 2/64.*--overwrite"):
        run_watertight(source, out, FINER)
    with pytest.raises(UsageError, match="format ply, not obj"):
        run_watertight(source, out, replace(SOLID, format="obj"))
    assert {name: (out / name).read_bytes() for name in below(out)} == before
    assert json.loads((out / "run.json").read_text())["watertight"]["eps"] == 2 / 48
    assert run_watertight(source, out).counts == {"skipped": 2, "rejected": 1}


def test_overwrite_leaves_no_output_of_the_old_settings(source: Path, tmp_path: Path) -> None:
    """Not even of items that this run does not have."""
    out = tmp_path / "out"
    run_watertight(source, out)
    (source / "a.obj").unlink()
    assert run_watertight(source, out, replace(SOLID, format="obj"), overwrite=True).counts == {
        "ok": 1,
        "rejected": 1,
    }
    assert below(out) == {"b.obj"}
    assert set(rows(out)) == {"b", "broken"}


def test_a_folder_older_than_a_setting_goes_on_and_is_retried(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_watertight(source, out)
    told = json.loads((out / "run.json").read_text())
    assert told["watertight"].pop("remesh")
    (out / "run.json").write_text(json.dumps(told))
    assert run_watertight(source, out).counts == {"skipped": 2, "rejected": 1}
    (out / "run.json").write_text(json.dumps(told))
    assert retry_items(out, ledger_rows(out, ("rejected",)), quiet=True).counts == {"rejected": 1}
    with pytest.raises(UsageError, match="remesh True, not False"):
        run_watertight(source, out, replace(SOLID, remesh=False))


def test_solids_that_were_not_remeshed_are_for_nothing_with_edges(
    source: Path, tmp_path: Path
) -> None:
    """By sampling, suites and the VAE; what else lies there is none of theirs."""
    out = tmp_path / "out"
    run_watertight(source, out, replace(SOLID, remesh=False))
    other = write_box(out / "kept/other.obj")
    assert known_eps([Entry("other", str(other))]) == {}
    for asked in (
        lambda: known_eps(find_inputs([str(out)], {".ply"}, tmp_path / "samples")),
        lambda: find_entries([str(out)], {".ply"}, tmp_path / "latents"),
        lambda: check_solid(out / "a.ply"),
    ):
        with pytest.raises(UsageError, match="made with --no-remesh"):
            asked()


def test_what_another_run_made_below_an_input_is_no_input(source: Path, tmp_path: Path) -> None:
    """Unless it is named, or nothing else is there: then it is what was asked for."""
    out = source / "solids"
    run_watertight(source, out)
    listed = tmp_path / "list.csv"
    listed.write_text(f"path,id\n{out / 'a.ply'},solid\n{source / 'b.obj'},raw\n")
    three = {"a", "b", "broken"}
    for given, ids, left_out in (
        ([source], three, 2),
        ([source / "a.obj", out / "b.ply"], {"a", "b"}, 0),
        ([listed], {"solid", "raw"}, 0),
        ([out], {"a", "b"}, 0),
    ):
        passed_over: Counter[str] = Counter()
        found = find_inputs([*map(str, given)], {".obj", ".ply"}, None, passed_over, raw=True)
        assert {entry.id for entry in found} == ids
        assert passed_over == Counter({f"made by the run in {out}": left_out} if left_out else {})
    assert len(find_inputs([str(source)], {".obj", ".ply"})) == 5


def test_only_outputs_count(tmp_path: Path) -> None:
    """A folder of failures binds nobody."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.obj").write_text("")
    run_watertight(tmp_path / "in", tmp_path / "out")
    write_box(tmp_path / "in/a.obj")
    assert run_watertight(tmp_path / "in", tmp_path / "out", FINER).counts == {"ok": 1}


def test_samples_of_two_offsets_do_not_meet(source: Path, tmp_path: Path) -> None:
    from vae.config import preset
    from vae.data import DataError, check_eps, find_samples

    out = tmp_path / "samples"
    plan = Plan(out=out, watertight=None, samples=FEW)
    run_watertight(source, tmp_path / "one/solids")
    run_watertight(source, tmp_path / "two/solids", FINER)
    one, two = (find_inputs([str(tmp_path / name / "solids")], {".ply"}) for name in ("one", "two"))
    both = find_inputs([str(tmp_path / "one"), str(tmp_path / "two/solids")], {".ply"})
    with pytest.raises(UsageError, match=r"several eps.*2/64 \(2, as .*2/48 \(2, as"):
        run_plan(both, plan, INLINE, eps_of=known_eps(both))
    run_plan(one, plan, INLINE, eps_of=known_eps(one))
    with pytest.raises(UsageError, match="another eps, not 2/64"):
        run_plan(two, plan, INLINE, eps_of=known_eps(two))
    check_eps(find_samples(out), preset("tiny"))
    other = Plan(out=tmp_path / "more", watertight=None, samples=FEW)
    run_plan(two, other, INLINE, eps_of=known_eps(two))
    (tmp_path / "more").rename(out / "more")
    for ledger in ("more/ledger.parquet", "more/ledger.csv"):  # files alone tell their eps, too
        os.unlink(out / ledger)
        with pytest.raises(DataError, match=r"2/48 \(2, as .*2/64 \(2, as more"):
            check_eps(find_samples(out), preset("tiny"))
    assert run_plan(two, plan, INLINE, again=None, eps_of=known_eps(two)).counts == {"ok": 2}
    assert {row["eps"] for row in rows(out).values()} == {2 / 64}


def test_a_suite_of_two_offsets_is_refused(source: Path, tmp_path: Path) -> None:
    from dora_bench.suite import build_suite

    run_watertight(source, tmp_path / "in2/one")
    run_watertight(source, tmp_path / "in2/two", FINER)
    entries = find_inputs([str(tmp_path / "in2")], {".ply"})
    with pytest.raises(UsageError, match=r"2/48 .*2/64"):
        build_suite(entries, tmp_path / "suite", workers=1, quiet=True)


def test_offsets_are_named_as_people_write_them() -> None:
    assert [shown(value) for value in (2 / 256, 0.004, 1.5, "ply", None)] == [
        "2/256",
        "0.004" if not (2 / 0.004).is_integer() else "2/500",
        "1.5",
        "ply",
        "None",
    ]
    require_one_eps({"a": 0.1, "b": 0.1}, "x")
    require_one_eps({}, "x")


@pytest.mark.parametrize("overwrite", [True, False])
def test_an_output_never_replaces_an_input(tmp_path: Path, overwrite: bool) -> None:
    """Its own or another's, by whatever link: found and told before anything is written."""
    write_box(tmp_path / "in/a.obj")
    write_box(tmp_path / "in/b.ply")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    before = {name: (tmp_path / "in" / name).read_bytes() for name in ("a.obj", "b.ply")}
    obj = replace(SOLID, format="obj")
    for inputs, out in (("in/a.obj", "in"), ("link/a.obj", "in"), ("in/a.obj", "link")):
        with pytest.raises(UsageError, match=r"a\.obj is an input, and its place is an output's"):
            run_watertight(tmp_path / inputs, tmp_path / out, obj, overwrite=overwrite)
    with pytest.raises(UsageError, match="in is --out, whose files are no inputs"):
        run_watertight(tmp_path / "in", tmp_path / "in", obj, overwrite=overwrite)
    assert {name: (tmp_path / "in" / name).read_bytes() for name in ("a.obj", "b.ply")} == before
    assert run_watertight(tmp_path / "in/a.obj", tmp_path / "in").counts == {"ok": 1}


def test_files_that_no_run_has_written_are_replaced_on_request_alone(
    source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.ply").write_text("mine")
    (out / "notes.txt").write_text("mine, too")
    with pytest.raises(UsageError, match=r"a\.ply is there already, and no ledger says"):
        run_watertight(source, out)
    assert (out / "a.ply").read_text() == "mine"
    assert below(out) == {"a.ply", "notes.txt"}
    assert run_watertight(source, out, overwrite=True).counts == {"ok": 2, "rejected": 1}
    assert (out / "notes.txt").read_text() == "mine, too"
