"""dora-bench and dora-vae with every folder in a store, beside the same commands on folders."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from vae_samples import write_boxes, write_model

from preprocessing.mesh import save_mesh
from preprocessing.shapes import box, sphere
from preprocessing.stores import systems
from preprocessing.stores.address import StorePath, place
from preprocessing.stores.scratch import folder_at_hand
from preprocessing.stores.working import Keeper

FEW = ("--points", "2000")


def command(package: str, *arguments: object, code: int = 0) -> str:
    """A command of ours as a process: its standard output."""
    line = f"from {package}.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", line, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def table(path: Path | StorePath) -> pd.DataFrame:
    """A table without what a clock or a process's memory gave."""
    rows = pd.read_parquet(io.BytesIO(path.read_bytes()))
    timed = [name for name in rows if str(name).endswith(("_s", "_mb"))]
    return rows.drop(columns=timed)


@pytest.fixture
def home(bucket: str) -> StorePath:
    found = place(bucket)
    assert isinstance(found, StorePath)
    return found


@pytest.mark.slow
def test_build_eval_compare_score_and_leaderboard(home: StorePath, tmp_path: Path) -> None:
    for name, mesh in (("box.ply", box().mesh), ("deep/ball.ply", sphere().mesh)):
        save_mesh(mesh, tmp_path / "truth" / name)
        systems.put(tmp_path / "truth" / name, f"{home}/truth/{name}")
    for at in (home, tmp_path):
        command("dora_bench", "build", at / "truth", "--out", at / "suite", "--quiet")
        common = ["--suite", at / "suite", "--out", at / "results", *FEW, "--resolution", 32]
        both = ["--model", "identity", "--model", "voxel-32"]
        told = json.loads(command("dora_bench", "eval", *both, *common, "--json"))
        assert [Path(model["folder"]).parts[-3] for model in told["models"]] == ["results"] * 2
        assert told["models"][0]["folder"].startswith(str(at / "results"))
        command("dora_bench", "leaderboard", at / "results", "--out", at / "site", "--quiet")
        two = [at / "results/identity", at / "results/voxel-32"]
        compared = json.loads(command("dora_bench", "compare", *two, "--json"))
        assert compared["metrics"][0]["first_better"] == 2
        scored = ["score", at / "truth", at / "truth", *FEW, "--out", at / "scores.csv", "--quiet"]
        command("dora_bench", *scored)
    assert (home / "scores.csv").read_bytes() == (tmp_path / "scores.csv").read_bytes()
    for name in systems.listed(f"{home}/suite"):
        assert (home / "suite" / name).read_bytes() == (tmp_path / "suite" / name).read_bytes()
    for path in (tmp_path / "results").rglob("items.parquet"):
        name = path.relative_to(tmp_path).as_posix()
        pd.testing.assert_frame_equal(table(home / name), table(path))
    assert len(systems.listed(f"{home}/site")) == len(files(tmp_path / "site"))


def files(folder: Path) -> list[Path]:
    """Every file below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def test_training_goes_on_in_a_store(home: StorePath, tmp_path: Path) -> None:
    settings = ["width=16", "heads=2", "encoder_layers=1", "decoder_layers=1", "embed=4"]
    settings += ["coarse_points=32", "sharp_points=32", "coarse_near=24", "space=24"]
    settings += ["sharp_near=16", "token_lengths=6", "token_weights=1", "batch=2", "steps=6"]
    for path in files(write_boxes(tmp_path / "data", points=100)):
        systems.put(path, f"{home}/data/{path.name}")
    sets = [word for one in settings for word in ("--set", one)]
    for at in (home, tmp_path):
        line = ["train", "--data", at / "data", "--out", at / "run", "--device", "cpu", *sets]
        command("vae", *line, "--steps", 3, "--quiet")
        command("vae", *line, "--quiet")
    losses = [pd.read_csv(io.BytesIO((at / "run/log.csv").read_bytes())) for at in (home, tmp_path)]
    assert list(losses[0]["step"]) == list(range(1, 7))
    assert list(losses[0]["loss"]) == list(losses[1]["loss"])


def outputs(at: Path | StorePath) -> dict[str, bytes]:
    """Every file or object below a place but ledgers and records, which hold times."""
    if isinstance(at, StorePath):
        found = {name: (at / name).read_bytes() for name in systems.listed(str(at))}
    else:
        found = {path.relative_to(at).as_posix(): path.read_bytes() for path in files(at)}
    return {n: data for n, data in found.items() if "ledger" not in n and n != "run.json"}


def test_encode_decode_and_reconstruct_take_places(home: StorePath, tmp_path: Path) -> None:
    """A folder of samples and a raw mesh, shards, and single files: the bytes of folders."""
    write_boxes(tmp_path / "data")
    save_mesh(box((8.0, 4.0, 2.0)).mesh, tmp_path / "data/deep/mesh.ply")
    for path in files(tmp_path / "data"):
        systems.put(path, f"{home}/data/{path.relative_to(tmp_path / 'data').as_posix()}")
    model = ["--model", write_model(tmp_path / "model", 0.05), "--device", "cpu"]
    grid = ["--resolution", 32]
    for at in (home, tmp_path):
        encode = ["encode", at / "data", "--out", at / "latents", "--tokens", 7, "--eps", "2/64"]
        encode += [*model, "--shards", at / "shards", "--json"]
        assert json.loads(command("vae", *encode))["counts"] == {"ok": 4}
        assert json.loads(command("vae", *encode))["counts"] == {"skipped": 4}
        command("vae", "decode", at / "shards", "--out", at / "meshes", *model, *grid, "--quiet")
        one = ["encode", at / "data/box0.safetensors", "--out", at / "one/box0.safetensors"]
        command("vae", *one, "--tokens", 7, *model, "--quiet")
        one = ["decode", at / "one/box0.safetensors", "--out", at / "one/box0.ply"]
        command("vae", *one, *model, *grid, "--quiet")
        one = ["reconstruct", at / "data/deep/mesh.ply", "--out", at / "one/mesh.ply"]
        command("vae", *one, "--tokens", 7, "--eps", "2/64", *model, *grid, "--quiet")
    for name in ("latents", "shards", "meshes", "one"):
        assert outputs(home / name) == outputs(tmp_path / name), name
    assert outputs(home / "meshes").keys() == {f"box{i}.ply" for i in range(3)} | {"deep/mesh.ply"}


def test_what_changes_and_what_goes_is_followed(home: StorePath) -> None:
    (home / "old").write_bytes(b"old")
    with folder_at_hand(home) as folder:
        keeper = Keeper(folder, home)
        assert (folder / "old").read_bytes() == b"old"
        (folder / "deep").mkdir()
        (folder / "deep/new").write_text("new")
        (folder / ".new.tmp").write_text("half")
        keeper.push()
        assert set(systems.listed(str(home))) == {"old", "deep/new"}
        (folder / "deep/new").write_text("newer")
        (folder / "old").unlink()
        keeper.push()
    assert {n: (home / n).read_bytes() for n in systems.listed(str(home))} == {"deep/new": b"newer"}
