"""dora-bench as a user meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from dora_bench.metrics import METRICS
from preprocessing.mesh import Mesh, save_mesh
from preprocessing.shapes import box, sphere

FEW = ("--points", "2000")
ROOT = Path(__file__).parents[2]


def dora_bench(
    *arguments: object, code: int = 0, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            "from dora_bench.cli import main; main()",
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    cube = box().mesh
    big = Mesh(cube.vertices * 50 + 10, cube.faces)  # any frame: the truth's box sets it
    save_mesh(big, tmp_path / "truth/parts/box.obj")
    save_mesh(sphere().mesh, tmp_path / "truth/ball.ply")
    save_mesh(big, tmp_path / "prediction/parts/box.stl")
    return tmp_path / "truth", tmp_path / "prediction"


def test_score_of_two_meshes_is_one_flat_object(folders: tuple[Path, Path]) -> None:
    truth, prediction = folders
    done = dora_bench(
        "score", truth / "parts/box.obj", prediction / "parts/box.stl", *FEW, "--json"
    )
    found = json.loads(done.stdout)
    assert set(METRICS) <= set(found)
    assert found["surface_cd_l1"] == pytest.approx(0, abs=1e-6)
    assert (found["iou"], found["pred_watertight"]) == (pytest.approx(1, abs=1e-4), True)


def test_score_of_two_folders_counts_what_is_missing(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    done = dora_bench("score", *folders, *FEW, "--out", tmp_path / "rows.csv", code=3)
    rows = pd.read_csv(tmp_path / "rows.csv").set_index("id")
    assert rows["status"].to_dict() == {"ball": "failed", "parts/box": "ok"}
    assert rows.loc["ball", "surface_cd_l1"] == METRICS["surface_cd_l1"].worst
    assert "there is no prediction" in done.stdout


def test_build_eval_compare_leaderboard(folders: tuple[Path, Path], tmp_path: Path) -> None:
    suite, results = tmp_path / "suite", tmp_path / "results"
    built = json.loads(dora_bench("build", folders[0], "--out", suite, "--json").stdout)
    assert built["counts"] == {"L0": 1, "L1": 1}
    common = ("--suite", suite, "--out", results, *FEW, "--resolution", 32)
    both = ("--model", "identity", "--model")
    assert "voxel-N" in dora_bench("eval", *both, "voxle-32", *common, code=2).stderr
    assert not results.exists()
    done = json.loads(dora_bench("eval", *both, "voxel-32", *common, "--json").stdout)
    assert [model["n_ok"] for model in done["models"]] == [2, 2]
    done = json.loads(dora_bench("eval", "--model", "voxel-32", *common, "--json").stdout)
    assert (done["n_ok"], Path(done["folder"]).parent) == (2, results / "voxel-32")
    dora_bench("eval", "--model", "identity", "--suite", suite, "--out", results, code=2)
    done = dora_bench("compare", results / "identity", results / "voxel-32", "--json")
    versus = json.loads(done.stdout)["metrics"][0]
    assert (versus["first_better"], versus["second_better"]) == (2, 0)
    dora_bench("leaderboard", results, "--out", tmp_path / "site")
    assert (tmp_path / "site/index.html").stat().st_size > 10_000
    dora_bench("leaderboard", results, "--out", tmp_path / "site")
    (tmp_path / "home").mkdir()
    (tmp_path / "home/index.html").write_text("mine")
    done = dora_bench("leaderboard", results, "--out", tmp_path / "home", code=2)
    assert "index.html of something else" in done.stderr
    assert (tmp_path / "home/index.html").read_text() == "mine"


def test_a_model_of_a_module_in_the_current_folder(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """The guide's, by the installed command, whose path does not start with the current folder."""
    guide = (ROOT / "docs/add-your-model.md").read_text()
    (tmp_path / "here").mkdir()
    (tmp_path / "here/mymodel.py").write_text(guide.split("```python\n")[1].split("```")[0])
    dora_bench("build", folders[0], "--out", tmp_path / "suite")
    common = ("eval", "--model", "mymodel:Hull", "--suite", tmp_path / "suite", *FEW)
    common += ("--executor", "inline", "--workers", 2, "--out", tmp_path / "results", "--json")
    done = json.loads(dora_bench(*common, folder=tmp_path / "here").stdout)
    assert (done["n_ok"], done["n_total"]) == (2, 2)
    assert "cannot import" in dora_bench(*common, folder=tmp_path, code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("eval", "--model", "identity", "--suite", "."), "no suite here"),
        (("eval", "--model", "identiy"), "did you mean identity"),
        (("score", "a.ply", "b.ply", "--out", "/proc/none/scores.csv"), "cannot write there"),
        (("leaderboard", ".", "--out", "/proc/none"), "cannot write there"),
        (("eval", "--model", "identity", "--tokens", "many"), "whole numbers"),
        (("eval", "--model", "identity", "--align", "icp"), "use one of none, bbox, similarity"),
        (("score", "nowhere.ply", "there.ply"), "no such file"),
        (("leaderboard", "nowhere", "--out", "x"), "no results.json"),
    ],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    done = dora_bench(*arguments, code=2)
    assert message in done.stderr
    assert done.stderr.count("\n") <= 2


def test_score_says_what_is_misplaced_ambiguous_and_left_over(tmp_path: Path) -> None:
    cube, ball = box().mesh, sphere().mesh
    for name in ("cube.ply", "chair.obj", "alone.ply"):
        save_mesh(cube, tmp_path / "truth" / name)
    save_mesh(ball, tmp_path / "truth/ball.ply")
    for name in ("chair.ply", "chair.stl", "extra.ply"):
        save_mesh(cube, tmp_path / "prediction" / name)
    save_mesh(Mesh(1000 * cube.vertices, cube.faces), tmp_path / "prediction/cube.ply")
    save_mesh(ball, tmp_path / "prediction/ball.obj")
    both = (tmp_path / "truth", tmp_path / "prediction", *FEW)
    done = dora_bench("score", *both, "--out", tmp_path / "rows.csv", code=3)
    rows = pd.read_csv(tmp_path / "rows.csv").set_index("id")
    assert rows["status"].to_dict() == {
        "alone": "failed", "ball": "ok", "chair": "failed", "cube": "misplaced",
    }  # fmt: skip
    assert "chair.ply and chair.stl" in rows.loc["chair", "reason"]
    assert "--align bbox" in rows.loc["cube", "reason"]
    assert (rows["surface_cd_l1"] <= METRICS["surface_cd_l1"].worst).all()
    assert "truth without a prediction (1): alone" in done.stderr
    assert "prediction without a truth (1): extra" in done.stderr
    assert "another frame or unit" in done.stderr
    found = json.loads(dora_bench("score", *both, "--align", "similarity", "--json", code=3).stdout)
    assert (found["unmatched_truths"], found["unmatched_predictions"]) == (["alone"], ["extra"])
    assert (found["n_ok"], found["n_total"]) == (2, 4)
