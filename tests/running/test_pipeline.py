"""Whatever is killed, cut, changed or full: the same command again gives the undisturbed bytes."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from disks import tiny_disk

from preprocessing.console import StopError, UsageError
from preprocessing.mesh import Mesh, load_mesh, save_mesh
from preprocessing.running.deciding import extremes_first
from preprocessing.running.known_eps import known_eps
from preprocessing.running.ledger import read_ledger
from preprocessing.running.manifest import Entry, find_inputs, mesh_suffixes
from preprocessing.running.pipeline import run_plan
from preprocessing.running.run_settings import recall
from preprocessing.running.summary import Summary
from preprocessing.running.tasks import Plan
from preprocessing.settings import Limits, SampleSettings, WatertightSettings
from preprocessing.shapes import box, generate_shapes

WORKERS = 2
SOLID = WatertightSettings(eps=2 / 48, resolution=48)
CLOUDS = SampleSettings(points=256, near=400, space=200)
INLINE = Limits(executor="inline", workers=2, quiet=True, timeout=300)
FLAGS = f"--eps 2/48 --points 256 --near 400 --space 200 --quiet --workers {WORKERS}".split()
COUNT = 6


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small meshes in two folders, one broken file among them."""
    folder = tmp_path_factory.mktemp("shapes")
    for i, shape in enumerate(generate_shapes(COUNT, seed=0)):
        save_mesh(shape.mesh, folder / f"{'ab'[i % 2]}/{shape.id}.ply")
    (folder / "a/broken.obj").write_text("v 0 0 0\n")
    return folder


@pytest.fixture(scope="session")
def undisturbed(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one run without any trouble writes."""
    out = tmp_path_factory.mktemp("undisturbed")
    summary = prepare(shapes, out)
    assert summary.counts == {"ok": COUNT, "rejected": 1}
    return out


def prepare(source: Path, out: Path, limits: Limits = INLINE, **options) -> Summary:
    """Both stages over a folder."""
    entries = find_inputs([str(source)], mesh_suffixes(), exclude=out)
    again = None if options.pop("overwrite", False) else ()
    plan = Plan(out=out, **({"watertight": SOLID, "samples": CLOUDS} | options))
    return run_plan(entries, plan, limits, again=again)


def files(out: Path) -> dict[str, bytes]:
    """Every output by its path; ledgers hold timings and are left out."""
    left_out = ("ledger.parquet", "ledger.csv", ".ledger.lock", "run.json")
    found = (path for path in out.rglob("*") if path.is_file() and path.name not in left_out)
    return {str(path.relative_to(out)): path.read_bytes() for path in found}


def check_whole(out: Path, undisturbed: Path) -> None:
    """Each item once in each ledger, and the bytes of an undisturbed run."""
    assert files(out) == files(undisturbed)
    for stage in ("watertight", "samples"):
        rows, expected = (pd.read_parquet(d / stage / "ledger.parquet") for d in (out, undisturbed))
        assert list(rows["id"]) == list(expected["id"])
        assert list(rows["status"]) == list(expected["status"])
        assert list(rows["output_sha256"]) == list(expected["output_sha256"])


def test_one_row_an_item_in_both_ledgers(undisturbed: Path, shapes: Path) -> None:
    solids = pd.read_parquet(undisturbed / "watertight/ledger.parquet").set_index("id")
    samples = pd.read_parquet(undisturbed / "samples/ledger.parquet").set_index("id")
    assert len(solids) == len(samples) == COUNT + 1
    assert solids.loc["a/broken", "status"] == "rejected"
    assert solids.loc["a/broken", "reason"]
    assert len(solids.loc["a/broken", "input_sha256"]) == 64
    fine = solids[solids.status == "ok"]
    assert fine.watertight.all()
    assert fine.edge_manifold.all()
    assert (fine.offset_max < 0.1).all()
    assert (samples[samples.status == "ok"].coarse_points == 128).all()
    assert json.loads((undisturbed / "run.json").read_text())["watertight"]["eps"] == 2 / 48


def test_the_transform_in_the_ledger_leads_back_to_the_input(
    undisturbed: Path, shapes: Path
) -> None:
    rows = pd.read_parquet(undisturbed / "watertight/ledger.parquet")
    for row in rows[rows.status == "ok"].itertuples():
        solid = load_mesh(undisturbed / "watertight" / row.output).vertices
        back = solid / row.scale + [row.center_x, row.center_y, row.center_z]
        source = load_mesh(row.path).vertices
        reach = 1.01 * row.eps / row.scale
        assert np.abs(back.min(axis=0) - source.min(axis=0)).max() < reach
        assert np.abs(back.max(axis=0) - source.max(axis=0)).max() < reach


def test_a_second_run_does_nothing(undisturbed: Path, shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out, copy_function=shutil.copy2)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.ply")}
    summary = prepare(shapes, out)
    assert summary.counts == {"skipped": COUNT, "rejected": 1}
    assert summary.exit_code == 3
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.ply")} == before
    check_whole(out, undisturbed)


def test_files_whose_time_changed_are_compared_and_not_redone(
    undisturbed: Path, shapes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out, copy_function=shutil.copyfile)
    assert prepare(shapes, out).counts == {"skipped": COUNT, "rejected": 1}
    check_whole(out, undisturbed)


def test_both_executors_and_any_worker_count_write_the_same_bytes(
    undisturbed: Path, shapes: Path, tmp_path: Path
) -> None:
    for executor, workers in (("inline", 1), ("ray", 2)):
        out = tmp_path / executor
        prepare(shapes, out, Limits(executor=executor, workers=workers, quiet=True))
        check_whole(out, undisturbed)


def test_only_what_changed_is_redone(shapes: Path, undisturbed: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(shapes, source, copy_function=shutil.copy2)
    shutil.copytree(undisturbed, out, copy_function=shutil.copy2)
    changed = sorted(source.rglob("*.ply"))[0]
    changed.write_bytes(sorted(source.rglob("*.ply"))[1].read_bytes())
    assert prepare(source, out).counts == {"ok": 1, "skipped": COUNT - 1, "rejected": 1}
    changed.write_text("nothing")
    assert prepare(source, out).counts == {"skipped": COUNT - 1, "rejected": 2}
    name = str(changed.relative_to(source).with_suffix(""))
    assert not [path for path in files(out) if path.startswith(f"watertight/{name}")]
    assert not [path for path in files(out) if path.startswith(f"samples/{name}")]


def test_overwrite_does_everything_again(undisturbed: Path, shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out, copy_function=shutil.copy2)
    other = SampleSettings(points=128, near=400, space=200)
    with pytest.raises(UsageError, match="points 256, not 128"):
        prepare(shapes, out, samples=other)
    check_whole(out, undisturbed)
    assert prepare(shapes, out, overwrite=True).counts == {"ok": COUNT, "rejected": 1}
    check_whole(out, undisturbed)


@pytest.mark.parametrize("seed", range(3))
def test_truncated_outputs_are_found_and_redone(
    seed: int, undisturbed: Path, shapes: Path, tmp_path: Path
) -> None:
    """A power cut without a working disk cache flush: outputs end at random places."""
    out, draw = tmp_path / "out", random.Random(seed)
    shutil.copytree(undisturbed, out, copy_function=shutil.copy2)
    victims = draw.sample(sorted([*out.rglob("*.ply"), *out.rglob("*.safetensors")]), 4)
    for path in victims:
        os.truncate(path, draw.randrange(path.stat().st_size))
    hit = {str(path.relative_to(out).with_suffix("")).split("/", 1)[1] for path in victims}
    summary = prepare(shapes, out)
    assert summary.counts == {"ok": len(hit), "skipped": COUNT - len(hit), "rejected": 1}
    check_whole(out, undisturbed)


def test_a_deleted_output_is_redone_and_rotten_bytes_too(
    undisturbed: Path, shapes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out, copy_function=shutil.copy2)
    first, second = sorted(out.rglob("*.ply"))[:2]
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1] + b"\x55")
    assert prepare(shapes, out).counts == {"ok": 2, "skipped": COUNT - 2, "rejected": 1}
    check_whole(out, undisturbed)


def test_a_lost_journal_is_no_loss(undisturbed: Path, shapes: Path, tmp_path: Path) -> None:
    """Files without rows are written again."""
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out, copy_function=shutil.copy2)
    (out / "samples/ledger.parquet").unlink()
    assert prepare(shapes, out).counts == {"ok": COUNT, "rejected": 1}
    check_whole(out, undisturbed)


def test_a_timeout_stands_until_the_limit_is_raised(shapes: Path, tmp_path: Path) -> None:
    short = Limits(executor="inline", workers=2, quiet=True, timeout=0.001)
    assert prepare(shapes, tmp_path, short).counts["timeout"] >= COUNT - 1
    before = read_ledger(tmp_path / "watertight")
    assert prepare(shapes, tmp_path, short).counts["timeout"] >= COUNT - 1
    assert read_ledger(tmp_path / "watertight") == before
    assert prepare(shapes, tmp_path).counts["ok"] == COUNT


def test_missing_files_of_a_list_are_rows(shapes: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{next(shapes.rglob('*.ply'))}\n{shapes}/gone.obj\n")
    summary = prepare(listed, tmp_path / "out")
    assert summary.counts == {"ok": 1, "rejected": 1}
    rows = pd.read_parquet(tmp_path / "out/samples/ledger.parquet")
    assert sorted(rows.reason) == ["", "missing"]


def test_sampling_alone_takes_eps_from_the_ledger_beside(undisturbed: Path, tmp_path: Path) -> None:
    from preprocessing.points.samples import read_metadata

    folder = undisturbed / "watertight"
    entries = find_inputs([str(folder)], mesh_suffixes())
    eps = known_eps(entries)
    run_plan(entries, Plan(out=tmp_path, watertight=None, samples=CLOUDS), INLINE, eps_of=eps)
    samples = sorted(tmp_path.rglob("*.safetensors"))
    assert len(samples) == COUNT
    assert float(read_metadata(samples[0])["eps"]) == 2 / 48


def test_settings_are_remembered(undisturbed: Path) -> None:
    assert recall(undisturbed)[0] == Plan(out=undisturbed, watertight=SOLID, samples=CLOUDS)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with tiny_disk(tmp_path / "disk", 1) as folder:
        yield folder


def test_a_full_disk_is_one_clear_error(
    small_disk: Path, undisturbed: Path, shapes: Path, tmp_path: Path
) -> None:
    with pytest.raises(StopError, match=r"is full .* make room") as caught:
        prepare(shapes, small_disk / "out")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    table = read_ledger(small_disk / "out/watertight")
    for row in table.to_pylist():
        if row["status"] == "ok":
            written = (small_disk / "out/watertight" / row["output"]).read_bytes()
            assert written == (undisturbed / "watertight" / row["output"]).read_bytes()
    assert len(table) < COUNT
    roomy = tmp_path / "roomy"
    shutil.copytree(small_disk / "out", roomy, copy_function=shutil.copy2)
    prepare(shapes, roomy)
    check_whole(roomy, undisturbed)


def start(shapes: Path, out: Path, executor: str) -> subprocess.Popen[bytes]:
    """`dora-prep run` as a process of its own."""
    command = [sys.executable, "-c", "from preprocessing.cli import main; main()", "run"]
    options = ["--out", str(out), "--executor", executor, *FLAGS]
    return subprocess.Popen([*command, str(shapes), *options], stderr=subprocess.PIPE)


def victims(driver: psutil.Process, kind: str) -> list[psutil.Process]:
    """Living processes of a run: its driver, its Ray actors, or the children that do the work."""
    if kind == "driver":
        return [driver]
    below = driver.children(recursive=True)
    if kind == "actor":
        return [process for process in below if process.name().startswith("ray::Slot")]
    servers = [p for p in below if "runner_child import serve" in " ".join(p.cmdline())]
    pids = {server.pid for server in servers}
    return [process for process in below if process.ppid() in pids]


def disturb(shapes: Path, out: Path, executor: str, kind: str, draw: random.Random) -> bool:
    """Start a run, kill -9 one of its processes at a random moment of its work; whether there was
    one to kill. At work is a run that has opened its ledger; imports come before that."""
    process = start(shapes, out, executor)
    driver = psutil.Process(process.pid)
    while process.poll() is None and not (out / "samples/.ledger.lock").exists():
        time.sleep(0.01)
    deadline = time.monotonic() + draw.uniform(0, 4.0 if executor == "ray" else 1.5)
    hit = False
    while process.poll() is None and not hit:
        time.sleep(0.01)
        if time.monotonic() < deadline:
            continue
        try:
            found = victims(driver, kind)
            if found:
                draw.choice(found).kill()
                hit = True
        except psutil.NoSuchProcess:
            continue
    _, errors = process.communicate(timeout=600)
    assert process.returncode in (0, 3, -signal.SIGKILL), errors.decode()
    return hit


def check_kills(
    shapes: Path, undisturbed: Path, out: Path, executor: str, kind: str, moments: int, seed: int
) -> None:
    """Kill at so many moments, each time finish with the same command, and compare."""
    draw = random.Random(f"{executor} {kind} {seed}")
    hits = 0
    for _ in range(moments):
        shutil.rmtree(out, ignore_errors=True)
        hits += disturb(shapes, out, executor, kind, draw)
        prepare(shapes, out)
        check_whole(out, undisturbed)
    assert hits


KILLS = [("inline", "child"), ("inline", "driver"), ("ray", "actor")]
ALL_KILLS = [*KILLS, ("ray", "child"), ("ray", "driver")]


@pytest.mark.parametrize(("executor", "kind"), KILLS)
def test_kill_9_at_a_random_moment(
    executor: str, kind: str, shapes: Path, undisturbed: Path, tmp_path: Path
) -> None:
    check_kills(shapes, undisturbed, tmp_path / "out", executor, kind, 1, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize(("executor", "kind"), ALL_KILLS)
def test_kill_9_at_20_random_moments(
    executor: str, kind: str, shapes: Path, undisturbed: Path, tmp_path: Path
) -> None:
    check_kills(shapes, undisturbed, tmp_path / "out", executor, kind, 20, seed=1)


@pytest.mark.parametrize(("executor", "kind"), [("inline", signal.SIGINT), ("ray", signal.SIGTERM)])
def test_ctrl_c_stops_and_says_how_to_resume(
    executor: str, kind: signal.Signals, shapes: Path, undisturbed: Path, tmp_path: Path
) -> None:
    process = start(shapes, tmp_path / "out", executor)
    while not (tmp_path / "out/watertight/ledger.journal.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.1 if executor == "inline" else 2.0)  # at work, and not done yet
    if process.poll() is None:
        process.send_signal(kind)
    _, errors = process.communicate(timeout=600)
    if process.returncode == 3:
        pytest.skip("this machine had finished before it was interrupted")
    assert process.returncode == 130, errors.decode()
    assert "run the same command again" in errors.decode()
    assert len(errors.decode().splitlines()) == 1
    prepare(shapes, tmp_path / "out")
    check_whole(tmp_path / "out", undisturbed)


def test_largest_and_smallest_files_come_first_in_a_window_and_none_is_lost(tmp_path, monkeypatch):
    sizes = [5, 900, 0, 40, 7, 800, 60]
    entries = [Entry(str(size), str(tmp_path / str(size))) for size in sizes]
    for entry in entries:
        Path(entry.path).write_bytes(b"x" * int(entry.id))
    entries.insert(2, Entry("gone", str(tmp_path / "gone")))
    monkeypatch.setattr("preprocessing.running.deciding.WINDOW", 4)
    order = [(entry.id, found is None) for entry, found in extremes_first(entries)]
    assert [name for name, _ in order] == ["900", "gone", "5", "0", "800", "7", "60", "40"]
    assert [name for name, missing in order if missing] == ["gone"]


def test_eps_is_found_for_folders_files_and_on_retry(undisturbed, tmp_path):
    """Samples of watertight meshes know their eps however the meshes are named."""
    solids = undisturbed / "watertight"
    for given in ([str(solids)], sorted(str(path) for path in solids.rglob("*.ply"))):
        entries = find_inputs(given, {".ply"})
        assert set(known_eps(entries).values()) == {2 / 48}
        assert len(known_eps(entries)) == len(entries) == COUNT
    assert known_eps([Entry("x", str(tmp_path / "x.ply"))]) == {}


def test_the_row_of_an_open_mesh_says_how_open_it_is(tmp_path):
    mesh = load_mesh(write_open_box(tmp_path / "open.ply"))
    entries = find_inputs([str(tmp_path / "open.ply")], {".ply"})
    plan = Plan(out=tmp_path / "out", watertight=None, samples=CLOUDS)
    summary = run_plan(entries, plan, INLINE)
    assert summary.counts == {"rejected": 1}
    row = read_ledger(tmp_path / "out").to_pylist()[0]
    assert (row["status"], row["reason"]) == ("rejected", "not-closed")
    assert (row["boundary_edges"], row["nonmanifold_edges"]) == (3, 0)
    assert len(mesh.faces) == 11
    assert run_plan(entries, plan, INLINE).counts == {"rejected": 1}


def write_open_box(path: Path) -> Path:
    """A box that lacks a face."""
    mesh = box().mesh
    save_mesh(Mesh(mesh.vertices, mesh.faces[1:]), path)
    return path
