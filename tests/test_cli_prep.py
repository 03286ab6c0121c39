"""dora-prep as a user meets it: exit codes, what is on standard output, every broken file a row."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from preprocessing.mesh import save_mesh
from preprocessing.shapes import generate_shapes

COMMANDS = ("watertight", "sample", "run", "ledger", "status", "pack", "inspect", "doctor")
QUICK = ["--eps", "2/48", "--executor", "inline"]
FEW = ["--points", "256", "--near", "400", "--space", "200"]


def prep(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run dora-prep."""
    command = [sys.executable, "-c", "from preprocessing.cli import main; main()"]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, check=False
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of two meshes and a broken one, and what `run` made of it."""
    folder = tmp_path_factory.mktemp("cli")
    for shape in generate_shapes(2, seed=1):
        save_mesh(shape.mesh, folder / f"in/{shape.id}.obj")
    (folder / "in/empty.stl").write_bytes(b"")
    (folder / "in/scene.usda").write_text("#usda 1.0\n")
    done = prep("run", folder / "in", "--out", folder / "out", *QUICK, *FEW, "--json")
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert told["counts"] == {"ok": 2, "rejected": 2}
    assert {row["id"] for row in told["failed"]} == {"empty", "scene"}
    return folder / "in", folder / "out"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command: str) -> None:
    done = prep(command, "--help")
    assert done.returncode == 0
    assert f"dora-prep {command}" in done.stdout.split("Example")[1]


def test_the_summary_says_what_failed_and_what_was_slow(prepared: tuple[Path, Path]) -> None:
    source, out = prepared
    done = prep("run", source, "--out", out, *QUICK, *FEW)
    assert done.returncode == 3
    assert done.stdout.startswith("4 items in ")
    assert "2 rejected, 2 skipped" in done.stdout
    assert "rejected  scene: unsupported-format" in done.stdout
    assert "slowest" in prep("run", source, "--out", out, *QUICK, *FEW, "--overwrite").stdout


def test_quiet_says_nothing(prepared: tuple[Path, Path]) -> None:
    source, out = prepared
    done = prep("run", source, "--out", out, *QUICK, *FEW, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


def test_stages_apart_write_the_same_clouds_as_run(
    prepared: tuple[Path, Path], tmp_path: Path
) -> None:
    from preprocessing.points.samples import read_sample

    source, out = prepared
    assert prep("watertight", source, "--out", tmp_path / "w", *QUICK).returncode == 3
    options = [*FEW, "--executor", "inline"]
    assert prep("sample", tmp_path / "w", "--out", tmp_path / "s", *options).returncode == 0
    for path in (tmp_path / "w").rglob("*.ply"):
        assert path.read_bytes() == (out / "watertight" / path.name).read_bytes()
    for path in (tmp_path / "s").rglob("*.safetensors"):
        one, other = read_sample(path), read_sample(out / "samples" / path.name)
        assert (one.coarse_surface == other.coarse_surface).all()
        assert (one.sharp_surface == other.sharp_surface).all()
        assert abs(one.space - other.space).max() < 1e-4
        assert one.metadata == other.metadata


def test_ledger_prints_filters_and_retries(prepared: tuple[Path, Path]) -> None:
    source, out = prepared
    shown = prep("ledger", out)
    assert shown.returncode == 0
    assert "4 items: 2 ok, 2 rejected" in shown.stdout
    assert f"{source / 'scene.usda'}" in shown.stdout
    assert "export it as GLB" in shown.stdout
    rows = json.loads(prep("ledger", out, "--only", "rejected", "--json").stdout)
    assert [row["id"] for row in rows] == ["empty", "scene"]
    (source / "empty.stl").write_bytes(next(source.glob("*.obj")).read_bytes())
    before = pd.read_parquet(out / "watertight/ledger.parquet")
    done = prep("ledger", out, "--only", "rejected", "--retry", "--json")
    assert json.loads(done.stdout)["total"] == 2
    after = pd.read_parquet(out / "watertight/ledger.parquet")
    assert list(after["id"]) == list(before["id"])
    (source / "empty.stl").write_bytes(b"")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nowhere", "--out", "o"], "nowhere: no such file"),
        (["run", ".", "--out", "o"], "holds no file"),
        (["run", "a.obj", "--out", "o", "--eps", "soon"], "--eps soon"),
        (["run", "a.obj", "--out", "o", "--eps", "2/512", "--resolution", "100"], "--resolution"),
        (["run", "a.obj", "--out", "o", "--method", "magic"], "offset, alpha-wrap, manifold"),
        (["run", "a.obj", "--out", "o", "--format", "step"], "ply, obj, glb, stl"),
        (["run", "a.obj", "--out", "o", "--executor", "threads"], "auto, inline, ray"),
        (["run", "a.obj", "--out", "o", "--near", "10"], "give --near"),
        (["run", "a.obj", "--out", "o", "--corners", "soft"], "--corners soft: use one of round"),
        (["watertight", "a.obj", "--out", "o", "--mitre", "3"], "--mitre limits sharp corners"),
        (["run", "a.obj", "--out", "o", "--no-remesh"], "--no-remesh gives solids with edges that"),
        (
            ["watertight", "a.obj", "--out", "o", "--no-remesh", "--tolerance", "1"],
            "--tolerance is",
        ),
        (
            ["watertight", "a.obj", "--out", "o", "--no-remesh", "--method", "manifold"],
            "--no-remesh works with the method offset alone",
        ),
        (["run", "a.obj", "--out", "o", "--eps", "2/5120000"], "has 10320 cells an axis"),
        (["run", "a.obj", "--out", "o", "--eps", "2/10000", "--memory", "2"], "at most 4504 fits"),
        (["run", "a.obj", "--out", "o", "--sample-format", "csv"], "--sample-format csv"),
        (["run", "a.obj"], "--out"),
        (["ledger", "."], "no ledger"),
        (["status", "."], "no ledger"),
        (["pack", ".", "--out", "o"], "holds no samples"),
        (["pack", ".", "--out", "o", "--shard-size", "big"], "--shard-size big"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_one_line(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    if "2/10000" in arguments:
        (tmp_path / "a.obj").write_bytes(b"")  # what fits is known when the number of items is
    done = prep(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_solids_that_were_not_remeshed_are_not_sampled(
    prepared: tuple[Path, Path], tmp_path: Path
) -> None:
    """Salient points would lie on edges of the grid."""
    given = next(prepared[0].glob("*.obj"))
    done = prep("watertight", given, "--out", tmp_path / "solids", *QUICK, "--no-remesh")
    assert done.returncode == 0, done.stderr
    done = prep("sample", tmp_path / "solids", "--out", tmp_path / "samples", *FEW)
    assert done.returncode == 2
    assert "--no-remesh: the edges of its meshes are the grid's" in done.stderr
    assert not (tmp_path / "samples").exists()


def test_two_files_with_one_id_stop_the_run_before_it_starts(tmp_path: Path) -> None:
    for name in ("one/a.obj", "two/a.obj"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"")
    done = prep("run", tmp_path / "one", tmp_path / "two", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "one/a.obj" in done.stderr
    assert "two/a.obj" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["a.obj", "a.obj/below", "/proc/nowhere"])
def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path: Path, out: str) -> None:
    (tmp_path / "a.obj").write_bytes(b"")
    done = prep("run", "a.obj", "--out", out, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert f"{out}: " in done.stderr
    assert "Traceback" not in done.stderr


def test_kinds_that_are_not_read_are_named_once(tmp_path: Path) -> None:
    for name in ("a.obj", "b.drcx", "c.drcx", "d.mtl"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"")
    done = prep("watertight", tmp_path / "in", "--out", tmp_path / "out", *QUICK)
    assert done.stderr.count("2 .drcx") == 1
    assert ".mtl" not in done.stderr
    again = prep("watertight", tmp_path / "in", "--out", tmp_path / "out", *QUICK, "--json")
    assert json.loads(again.stdout)["passed_over"] == {".drcx": 2}


def test_outputs_of_another_run_are_named_and_left_out(
    prepared: tuple[Path, Path], tmp_path: Path
) -> None:
    source, out = prepared
    folder = tmp_path / "all"
    folder.mkdir()
    (folder / "raw.obj").write_bytes(next(source.glob("*.obj")).read_bytes())
    (folder / "solids").symlink_to(out / "watertight")
    done = prep("watertight", folder, "--out", tmp_path / "out", *QUICK)
    assert f"passed over: 2 made by the run in {folder}/solids" in done.stderr
    again = prep("watertight", folder, "--out", tmp_path / "out", *QUICK, "--json")
    told = json.loads(again.stdout)
    assert told["counts"] == {"skipped": 1}
    assert told["passed_over"] == {f"made by the run in {folder}/solids": 2}


def test_inspect_and_doctor(prepared: tuple[Path, Path], tmp_path: Path) -> None:
    source, out = prepared
    mesh = next(source.glob("*.obj"))
    done = prep("inspect", mesh, "--png", tmp_path / "p.png", "--html", tmp_path / "p.html")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in (tmp_path / "p.html").read_text()
    sample = next((out / "samples").glob("*.safetensors"))
    assert "rows" in json.loads(prep("inspect", sample, "--json").stdout)
    broken = prep("inspect", source / "empty.stl")
    assert broken.returncode == 3
    assert "Traceback" not in broken.stderr
    doctor = prep("doctor", "--no-ray", "--json")
    assert {"name", "ok", "detail", "mend"} == set(json.loads(doctor.stdout)[0])


def test_every_broken_file_is_a_row_and_no_traceback(meshes_dir: Path, tmp_path: Path) -> None:
    done = prep("watertight", meshes_dir / "broken", "--out", tmp_path, *QUICK, "--json")
    assert done.returncode in (0, 3), done.stderr
    assert "Traceback" not in done.stderr
    rows = pd.read_parquet(tmp_path / "ledger.parquet")
    assert set(rows.status) <= {"ok", "rejected"}, rows[~rows.status.isin(["ok", "rejected"])]
    assert (rows[rows.status == "rejected"].reason != "").all()
    names = {path.name for path in (meshes_dir / "broken").rglob("*") if path.is_file()}
    ignored = {name for name in names if name.endswith((".bin", ".csv"))}
    assert {Path(path).name for path in rows.path} == names - ignored
