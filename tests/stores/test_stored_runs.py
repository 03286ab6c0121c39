"""Runs from and into a store: a folder's bytes, whatever is killed, cut or gone in between."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from s3_server import SECRET, spoiling_proxy
from small_runs import write_box, write_gltf

from preprocessing.console import StopError, UsageError
from preprocessing.mesh import save_mesh
from preprocessing.running.known_eps import known_eps
from preprocessing.running.ledger import read_ledger
from preprocessing.running.ledger_view import ledger_rows, retry_items
from preprocessing.running.manifest import find_inputs, mesh_suffixes
from preprocessing.running.pipeline import run_plan
from preprocessing.running.status import run_status
from preprocessing.running.summary import Summary
from preprocessing.running.tasks import Plan
from preprocessing.settings import Limits, SampleSettings, WatertightSettings
from preprocessing.shapes import generate_shapes
from preprocessing.stores import ledger_copy, systems
from preprocessing.stores.address import Place, place
from preprocessing.stores.systems import StoreError

SOLID = WatertightSettings(eps=2 / 48, resolution=48)
CLOUDS = SampleSettings(points=256, near=400, space=200)
INLINE = Limits(executor="inline", workers=2, quiet=True, timeout=300)
FLAGS = ["--eps", "2/48", "--points", "256", "--near", "400", "--space", "200", "--workers", "2"]
COUNT = 5
OURS = ("ledger.parquet", "ledger.csv", ".ledger.lock", "run.json", ledger_copy.LEASE)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small meshes in two folders, a glTF with its buffer and a broken file among them."""
    folder = tmp_path_factory.mktemp("shapes")
    for i, shape in enumerate(generate_shapes(COUNT - 1, seed=0)):
        save_mesh(shape.mesh, folder / f"{'ab'[i % 2]}/{i:06d}.ply")
    write_gltf(folder / "b/box.gltf")
    (folder / "a/broken.obj").write_text("v 0 0 0\n")
    return folder


@pytest.fixture(scope="session")
def undisturbed(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run from a folder into a folder writes."""
    out = tmp_path_factory.mktemp("undisturbed")
    assert prepare(str(shapes), out).counts == {"ok": COUNT, "rejected": 1}
    return out


def prepare(source: str, out: Place, limits: Limits = INLINE) -> Summary:
    """Both stages over what an INPUT names."""
    entries = find_inputs([source], mesh_suffixes(), exclude=out)
    return run_plan(entries, Plan(out=out, watertight=SOLID, samples=CLOUDS), limits)


def upload(folder: Path, address: str) -> str:
    """Every file of a folder as an object."""
    for path in folder.rglob("*"):
        if path.is_file():
            systems.put(path, f"{address}/{path.relative_to(folder).as_posix()}")
    return address


def outputs(out: Place) -> dict[str, bytes]:
    """Every output by its path; ledgers hold timings and are left out."""
    if isinstance(out, Path):
        found = {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    else:
        found = {name: systems.read(f"{out}/{name}") for name in systems.listed(str(out))}
    return {name: data for name, data in found.items() if Path(name).name not in OURS}


def check_whole(out: Place, undisturbed: Path) -> None:
    """Each item once in each ledger, and the bytes of a run in folders."""
    assert outputs(out) == outputs(undisturbed)
    for stage in ("watertight", "samples"):
        rows, expected = (read_ledger(one / stage).to_pylist() for one in (out, undisturbed))
        for name in ("id", "status", "reason", "input_sha256", "output", "output_sha256"):
            assert [row[name] for row in rows] == [row[name] for row in expected], name


def test_a_store_gets_the_bytes_of_a_folder(bucket: str, shapes: Path, undisturbed: Path) -> None:
    source, out = upload(shapes, f"{bucket}/in"), place(f"{bucket}/out")
    assert prepare(source, out).counts == {"ok": COUNT, "rejected": 1}
    check_whole(out, undisturbed)
    row = read_ledger(out / "watertight").to_pylist()[0]
    assert row["path"] == f"{bucket}/in/a/000000.ply"
    assert row["output_mtime_ns"] == (out / "watertight" / row["output"]).stat().st_mtime_ns
    broken = {r["id"]: r for r in read_ledger(out / "samples").to_pylist()}["a/broken"]
    assert (broken["status"], broken["path"]) == ("rejected", f"{bucket}/in/a/broken.obj")
    assert "dora-scratch" not in json.dumps(ledger_rows(out))
    before = systems.listed(f"{out}/watertight")
    assert prepare(source, out).counts == {"skipped": COUNT, "rejected": 1}
    after = systems.listed(f"{out}/watertight")
    assert {n: f for n, f in after.items() if n.endswith(".ply")} == {
        n: f for n, f in before.items() if n.endswith(".ply")
    }
    systems.put(shapes / "a/000000.ply", f"{bucket}/in/b/000001.ply")  # another shape now
    systems.delete(f"{out}/samples/a/000002.safetensors")
    assert prepare(source, out).counts == {"ok": 2, "skipped": COUNT - 2, "rejected": 1}


def test_status_ledger_and_retry_read_a_store(bucket: str, shapes: Path) -> None:
    source, out = upload(shapes, f"{bucket}/in"), place(f"{bucket}/out")
    short = Limits(executor="inline", workers=2, quiet=True, timeout=0.001)
    prepare(source, out, short)
    told = run_status(out)
    assert (told["state"], told["done"]) == ("finished", COUNT + 1)
    rows = ledger_rows(out, ("timeout",))
    assert len(rows) >= COUNT - 1
    assert rows[0]["path"].startswith(f"{bucket}/in/")
    assert not retry_items(out, rows, quiet=True).counts.get("ok")  # with the limits it had


def test_sampling_alone_takes_eps_from_the_ledger_in_the_store(bucket: str, shapes: Path) -> None:
    out = place(f"{bucket}/all/out")
    prepare(str(shapes), out)
    entries = find_inputs([f"{out}/watertight"], mesh_suffixes(), raw=True)
    assert len(entries) == COUNT
    assert set(known_eps(entries).values()) == {2 / 48}
    systems.put(next(shapes.rglob("*.ply")), f"{bucket}/all/raw.ply")
    passed_over: Counter[str] = Counter()
    beside = find_inputs([f"{bucket}/all"], mesh_suffixes(), None, passed_over, raw=True)
    assert [entry.id for entry in beside] == ["raw"]
    assert passed_over[f"made by the run in {out}/watertight"] == COUNT


def test_inputs_of_a_store_by_name_pattern_and_list(bucket: str, tmp_path: Path) -> None:
    write_box(tmp_path / "x.ply")
    for name in ("a/x.ply", "a/b/x.ply", "a/.hidden/x.ply", "a/x.txt~", "c/x.obj"):
        systems.put(tmp_path / "x.ply", f"{bucket}/{name}")
    systems.write(f"x.ply\n{bucket}/c/x.obj\n".encode(), f"{bucket}/a/list.txt")
    (tmp_path / "here.csv").write_text(f"path,id\n{bucket}/c/x.obj,own\nx.ply,\n")

    def found(text: str) -> list[str]:
        return [entry.id for entry in find_inputs([text], mesh_suffixes())]

    assert found(f"{bucket}/a") == ["b/x", "x"]
    assert found(f"{bucket}/a/") == ["b/x", "x"]
    assert found(f"{bucket}/a/x.ply") == ["x"]
    assert found(f"{bucket}/a/*.ply") == ["x"]
    assert found(f"{bucket}/**/*.ply") == ["a/b/x", "a/x"]
    assert found(f"{bucket}/*/[wx].[op]*") == ["a/x", "c/x"]
    assert found(f"{bucket}/a/list.txt") == [f"{bucket[5:]}/c/x", "x"]
    assert found(str(tmp_path / "here.csv")) == ["own", "x"]
    with pytest.raises(UsageError, match="no such object"):
        found(f"{bucket}/nothing")
    with pytest.raises(StoreError, match="there is no bucket no-such"):
        found("s3://no-such/a")


def test_one_run_at_a_time_and_a_killed_one_is_followed_at_once(
    bucket: str, shapes: Path, undisturbed: Path
) -> None:
    home = place(f"{bucket}/out/watertight")
    told = {"host": "elsewhere", "pid": 1, "started": 0.0, "renewed": time.time()}
    (home / ledger_copy.LEASE).write_bytes(json.dumps(told).encode())
    with pytest.raises(UsageError, match="process 1 on elsewhere"):
        prepare(str(shapes), home.parent)
    told["renewed"] -= ledger_copy.LEASE_SECONDS + 1
    (home / ledger_copy.LEASE).write_bytes(json.dumps(told).encode())
    prepare(str(shapes), home.parent)
    check_whole(home.parent, undisturbed)
    assert not (home / ledger_copy.LEASE).exists()


def every(number: int, kind: str):
    """A fault for every so many requests for objects."""
    seen = []

    def fault(method: str, path: str) -> str | None:
        seen.append(path)
        spoilt = method in ("GET", "PUT") and len(seen) % number == 0
        return kind if spoilt else None

    return fault


@pytest.mark.parametrize("kind", ["503", "cut"])
def test_passing_faults_of_a_store_cost_nothing(
    kind: str, bucket: str, port: int, use_port, shapes: Path, undisturbed: Path
) -> None:
    source = upload(shapes, f"{bucket}/in")
    with spoiling_proxy(port, every(7, kind)) as spoilt:
        use_port(spoilt)
        summary = prepare(source, place(f"{bucket}/out"))
    use_port(port)
    assert summary.counts == {"ok": COUNT, "rejected": 1}
    check_whole(place(f"{bucket}/out"), undisturbed)


def test_a_slow_body_is_a_timeout_of_its_item(
    bucket: str, port: int, use_port, shapes: Path, undisturbed: Path
) -> None:
    source, out = upload(shapes, f"{bucket}/in"), place(f"{bucket}/out")

    def slow(method: str, path: str) -> str | None:
        return "slow" if method == "GET" and path.endswith("in/a/000000.ply") else None

    with spoiling_proxy(port, slow) as spoilt:
        use_port(spoilt)
        limits = Limits(executor="inline", workers=2, quiet=True, timeout=8)
        summary = prepare(source, out, limits)
    use_port(port)
    assert summary.counts == {"ok": COUNT - 1, "rejected": 1, "timeout": 1}
    (row,) = ledger_rows(out, ("timeout",))
    assert (row["id"], row["reason"]) == ("a/000000", "no result within 8 s")
    assert prepare(source, out).counts == {"ok": 1, "skipped": COUNT - 1, "rejected": 1}
    check_whole(out, undisturbed)


def denied(method: str, path: str) -> str | None:
    """One input that the store does not give."""
    return "403" if method == "GET" and path.endswith("in/a/000000.ply") else None


def test_an_input_that_is_denied_is_a_row_and_the_others_are_done(
    bucket: str, port: int, use_port, shapes: Path
) -> None:
    source = upload(shapes, f"{bucket}/in")

    with spoiling_proxy(port, denied) as spoilt:
        use_port(spoilt)
        assert prepare(source, place(f"{bucket}/out")).counts["failed"] == 1
    use_port(port)
    (row,) = ledger_rows(place(f"{bucket}/out"), ("failed",))
    assert row["reason"].startswith(f"preprocessing.stores.systems.StoreError: {source}/a/000000")
    assert "ACCESS_DENIED" in row["reason"]


def test_a_bucket_that_vanishes_stops_the_run_with_one_clear_error(
    bucket: str, port: int, use_port, shapes: Path, undisturbed: Path
) -> None:
    out, gone = place(f"{bucket}/out"), []

    def vanished(method: str, path: str) -> str | None:
        if method == "PUT" and path.endswith(".safetensors"):
            gone.append(path)
        return "404" if len(gone) > 2 else None

    with spoiling_proxy(port, vanished) as spoilt:
        use_port(spoilt)
        with pytest.raises(StopError, match=r"s3://bucket\d+/out.*NO_SUCH_BUCKET"):
            prepare(str(shapes), out)
    use_port(port)
    prepare(str(shapes), out)
    check_whole(out, undisturbed)


def start(source: str, out: str) -> subprocess.Popen[bytes]:
    """`dora-prep run` as a process of its own."""
    command = [sys.executable, "-c", "from preprocessing.cli import main; main()", "run"]
    return subprocess.Popen(
        [*command, source, "--out", out, "--executor", "inline", *FLAGS],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def check_kills(
    bucket: str, shapes: Path, undisturbed: Path, moments: int, draw: random.Random
) -> None:
    """Kill -9 so many runs at random moments, finish each with the same command, compare."""
    source = upload(shapes, f"{bucket}/in")
    hits, window = 0, 4.0
    for moment in range(10 * moments):
        out = f"{bucket}/out{moment}"
        process = start(source, out)
        lease = place(f"{out}/watertight/{ledger_copy.LEASE}")
        while process.poll() is None and not lease.exists():
            time.sleep(0.01)
        time.sleep(draw.uniform(0, window))
        if process.poll() is None:
            process.kill()
            hits += 1
        else:
            window /= 2  # a quick machine had ended by then
        told, _ = process.communicate(timeout=600)
        assert process.returncode in (3, -signal.SIGKILL), told.decode()
        assert prepare(source, place(out)).counts["rejected"] == 1
        check_whole(place(out), undisturbed)
        if hits == moments:
            break
    assert hits == moments


def test_kill_9_at_a_random_moment(bucket: str, shapes: Path, undisturbed: Path) -> None:
    check_kills(bucket, shapes, undisturbed, 1, random.Random(0))


@pytest.mark.slow
def test_kill_9_at_10_random_moments(bucket: str, shapes: Path, undisturbed: Path) -> None:
    check_kills(bucket, shapes, undisturbed, 10, random.Random(1))


def test_no_secret_is_in_a_ledger_a_log_or_an_error(
    bucket: str, port: int, use_port, shapes: Path
) -> None:
    source = upload(shapes, f"{bucket}/in")

    with spoiling_proxy(port, denied) as spoilt:
        use_port(spoilt)
        assert os.environ["AWS_SECRET_ACCESS_KEY"] == SECRET
        process = start(source, f"{bucket}/out")
        told, _ = process.communicate(timeout=600)
        assert process.returncode == 3
        refused = start(source.replace("s3://", f"s3://key:{SECRET}@"), f"{bucket}/out")
        told += refused.communicate(timeout=600)[0]
        assert refused.returncode == 2
    use_port(port)
    assert b"1 failed" in told
    written = [systems.read(f"{bucket}/{name}") for name in systems.listed(bucket)]
    for data in [told, *written]:
        assert SECRET.encode() not in data
