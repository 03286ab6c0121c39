"""Evaluation: rows, failures, resuming after a kill, and comparing two models."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dora_bench.compare import compare
from dora_bench.evaluation import EvalSettings, evaluate
from dora_bench.metrics import METRICS
from dora_bench.normal_error import SneSettings
from dora_bench.protocol import Latent, ModelInfo, ShapeInput
from dora_bench.score import ScoreSettings
from dora_bench.suite import Suite, build_suite
from preprocessing.console import UsageError
from preprocessing.mesh import Mesh, MeshError, save_mesh
from preprocessing.running.manifest import Entry
from preprocessing.settings import Limits
from preprocessing.shapes import box, sphere, wedge

QUICK = EvalSettings(
    score=ScoreSettings(
        points=4000, edge_points=1000, volume_cells=16, sne=SneSettings(views=4, resolution=48)
    ),
    resolution=32,
)
TIMES = ["sample_s", "encode_s", "decode_s", "peak_memory_mb", "cuda_peak_mb"]
LIMITS = Limits(executor="inline", workers=1, quiet=True)


class Rough:
    """Noise of 1 / tokens; crashes, fails, hangs or stays empty where the item's name says so."""

    info = ModelInfo(name="rough", kind="test")

    def encode(self, shape: ShapeInput, tokens: int, seed: int) -> Latent:
        time.sleep(float(os.environ.get("ROUGH_SLEEP", "0")))
        if shape.id == "crash" and tokens == 8:
            os.kill(os.getpid(), signal.SIGSEGV)
        if shape.id == "error" and tokens == 8:
            raise RuntimeError("no luck")
        noise = np.random.default_rng(seed).standard_normal(shape.mesh.vertices.shape)
        moved = Mesh(shape.mesh.vertices + 0.1 / tokens * noise, shape.mesh.faces)
        return Latent((shape.id, moved), tokens, 4 * tokens)

    def decode(self, latent: Latent, resolution: int) -> Mesh:
        name, mesh = latent.data
        if name == "empty":
            raise MeshError("empty-surface", "nothing there")
        return mesh


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    folder = tmp_path_factory.mktemp("suite")
    shapes = {"box": box(), "ball": sphere(subdivisions=3), "crash": wedge(), "empty": box()}
    shapes["error"] = wedge(70.0)
    entries = []
    for name, shape in shapes.items():
        save_mesh(shape.mesh, folder / "in" / f"{name}.ply")
        entries.append(Entry(name, str(folder / "in" / f"{name}.ply")))
    return build_suite(entries, folder / "tests", workers=1, quiet=True)[0]


def run_rough(suite: Suite, out: Path, **options: bool):
    return evaluate(f"{__name__}:Rough", suite, out, [4, 8, 16], QUICK, LIMITS, **options)


def test_rows_failures_and_aggregates(suite: Suite, tmp_path: Path) -> None:
    done = run_rough(suite, tmp_path)
    rows = done.items.set_index(["id", "tokens"])
    assert (done.n_ok, done.n_total) == (10, 15)
    failed = rows[rows["status"] != "ok"]
    assert failed["status"].to_dict() == {
        ("crash", 8): "crashed",
        ("error", 8): "failed",
        **{("empty", n): "failed" for n in (4, 8, 16)},
    }
    assert rows.loc[("crash", 8), "reason"] == "SIGSEGV"
    assert "no luck" in rows.loc[("error", 8), "reason"]
    assert rows.loc[("empty", 4), "reason"] == "empty-surface: nothing there"
    for name, metric in METRICS.items():
        assert (failed[name] == metric.worst).all()
    assert rows.loc[("box", 16), "surface_cd_l1"] < rows.loc[("box", 4), "surface_cd_l1"]
    assert rows.loc[("box", 16), "latent_bytes"] == 64
    record = json.loads((done.folder / "results.json").read_text())
    assert record["schema"] == 1
    assert record["settings"]["tokens"] == [4, 8, 16]
    assert record["settings"]["sne"]["version"] == "sne-1-modified"
    assert record["suite"]["hash"] == suite.hash
    assert done.folder == tmp_path / "rough" / f"{suite.name}@{suite.hash[:12]}"
    summary = record["aggregates"]["8"]["all"]
    assert (summary["n_ok"], summary["n_total"]) == (2, 5)
    assert (done.folder / "gallery/box@truth.ply").is_file()
    assert (done.folder / "gallery/box@16.ply").is_file()
    before = {p: p.stat().st_mtime_ns for p in (done.folder / "rows").iterdir()}
    again = run_rough(suite, tmp_path)  # nothing left to do
    pd.testing.assert_frame_equal(again.items, done.items)
    assert before == {p: p.stat().st_mtime_ns for p in (done.folder / "rows").iterdir()}


def test_other_settings_do_not_mix(suite: Suite, tmp_path: Path) -> None:
    evaluate("identity", suite, tmp_path, (), QUICK, LIMITS)
    other = EvalSettings(score=QUICK.score, resolution=64)
    with pytest.raises(UsageError, match="another settings"):
        evaluate("identity", suite, tmp_path, (), other, LIMITS)
    done = evaluate("identity", suite, tmp_path, (), other, LIMITS, overwrite=True)
    assert (done.items["tokens"] == 0).all()
    assert (done.items["iou"] == 1).all()


@pytest.mark.parametrize("rows", [1, 6])
def test_killed_and_run_again_gives_the_same(suite: Suite, tmp_path: Path, rows: int) -> None:
    plain = run_rough(suite, tmp_path / "plain")
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        f"from pathlib import Path; from dora_bench.suite import load_suite\n"
        f"import {__name__} as t\n"
        f"t.run_rough(load_suite({str(suite.folder)!r}), Path({str(tmp_path / 'killed')!r}))"
    )
    environment = {**os.environ, "ROUGH_SLEEP": "0.4"}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    while process.poll() is None and len(list(tmp_path.glob("killed/**/rows/*.json"))) < rows:
        time.sleep(0.05)
    assert process.poll() is None  # killed at work, not after an error or when all was done
    process.kill()
    process.wait()
    assert rows <= len(list(tmp_path.glob("killed/**/rows/*.json"))) < 15
    resumed = run_rough(suite, tmp_path / "killed")
    pd.testing.assert_frame_equal(
        resumed.items.drop(columns=TIMES), plain.items.drop(columns=TIMES)
    )
    records = [json.loads((d.folder / "results.json").read_text()) for d in (plain, resumed)]
    assert records[0]["aggregates"] == records[1]["aggregates"]


def test_the_items_that_differ_most_are_named_whoever_wins() -> None:
    items = pd.DataFrame({"id": list("abcd"), "tokens": 1, "status": "ok", "iou": 0.5})
    other = items.assign(iou=[0.5, 0.9, 0.4, 0.2], status=["ok", "ok", "ok", "failed"])
    found = compare(items, other.sample(frac=1, random_state=0), "iou", items=3).most_different
    assert [one["id"] for one in found] == ["d", "b", "c"]  # a failure scores the worst: 0
    assert [one["difference"] for one in found] == pytest.approx([0.5, -0.4, 0.1])
    assert (found[1]["first"], found[1]["second"]) == (0.5, 0.9)


def test_sign_test() -> None:
    ids = [f"i{n}" for n in range(12)]
    better = pd.DataFrame({"id": ids, "tokens": 1, "status": "ok", "surface_cd_l1": 0.1})
    worse = better.assign(surface_cd_l1=0.2)
    found = compare(better, worse, "surface_cd_l1")
    assert (found.first_better, found.second_better, found.ties) == (12, 0, 0)
    assert found.p == pytest.approx(2 / 2**12)
    assert found.mean_difference == pytest.approx(-0.1)
    assert [one["id"] for one in found.most_different] == ["i0", "i1", "i10", "i11", "i2"]
    failing = better.assign(status=["failed"] * 6 + ["ok"] * 6)
    mixed = compare(failing, worse, "surface_cd_l1")
    assert (mixed.first_better, mixed.second_better) == (6, 6)
    assert mixed.p == 1
    with pytest.raises(UsageError, match="same items"):
        compare(better, worse.iloc[1:], "surface_cd_l1")
