"""What a row says and when it is done again: times, memory, retries, devices, settings."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bench_results import QUICK

from dora_bench.evaluation import EvalSettings, Running, evaluate, evaluate_all
from dora_bench.protocol import Latent, ModelInfo, ShapeInput
from dora_bench.rows.devices import Hardware, Seat, free_slot
from dora_bench.rows.files import row_path
from dora_bench.rows.memory import is_cuda_out_of_memory
from dora_bench.suite import Suite, build_suite, load_suite
from preprocessing.console import UsageError
from preprocessing.mesh import Mesh, save_mesh
from preprocessing.running.manifest import Entry
from preprocessing.running.runner_ray import room
from preprocessing.running.supervisor import RunnerError
from preprocessing.settings import Limits
from preprocessing.shapes import box, sphere

SETTINGS = EvalSettings(score=QUICK, resolution=32)
LIMITS = Limits(executor="inline", workers=1, quiet=True)
HOG_MB = 200


def log(text: str) -> None:
    """A line in the file that the test reads: workers are other processes."""
    if path := os.environ.get("ROWS_LOG"):
        with open(path, "a", encoding="utf-8") as handle:
            handle.write(text + "\n")


class Plain:
    """Keeps the mesh; says when it is made and called."""

    info = ModelInfo(name="plain", kind="test", card={"licence": "MIT"})

    def __init__(self) -> None:
        log(f"made {self.info.name}")

    def encode(self, shape: ShapeInput, tokens: int, seed: int) -> Latent:
        log(f"encode {shape.id} {tokens}")
        return Latent(shape.mesh, tokens, 4 * tokens)

    def decode(self, latent: Latent, resolution: int) -> Mesh:
        return latent.data


class Hog(Plain):
    """Slow to draw points, says when it is called first, and takes HOG_MB while it encodes."""

    info = ModelInfo(name="hog", kind="test", uses_tokens=False)
    warm = False

    def prepare(self, shape: ShapeInput, tokens: int, seed: int) -> None:
        time.sleep(0.3)

    def encode(self, shape: ShapeInput, tokens: int, seed: int) -> Latent:
        if not self.warm:
            log(f"cold {shape.id}")  # where libraries compile and load
        self.warm = True
        taken = np.ones(HOG_MB * 2**17)
        return Latent(shape.mesh, len(taken[:8]), 64)


class Small(Plain):
    """Has too little memory on a GPU for 16 tokens until it works in smaller pieces."""

    info = ModelInfo(name="small", kind="test")
    pieces = 1

    def smaller(self) -> None:
        self.pieces *= 8

    def decode(self, latent: Latent, resolution: int) -> Mesh:
        if latent.floats == 16 and self.pieces == 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if latent.floats == 32 and not os.environ.get("ROWS_FIXED"):
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return latent.data


class Slow(Plain):
    """Hangs at 16 tokens and fails at 8 until it is mended."""

    info = ModelInfo(name="slow", kind="test")

    def encode(self, shape: ShapeInput, tokens: int, seed: int) -> Latent:
        if not os.environ.get("ROWS_FIXED") and shape.id == "box":
            if tokens == 16:
                time.sleep(600)
            if tokens == 8:
                raise RuntimeError("no luck")
        return super().encode(shape, tokens, seed)


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    entries = []
    for name, mesh in (("ball", sphere(subdivisions=3).mesh), ("box", box().mesh)):
        save_mesh(mesh, tmp_path / "in" / f"{name}.ply")
        entries.append(Entry(name, str(tmp_path / "in" / f"{name}.ply")))
    return build_suite(entries, tmp_path / "suite", workers=1, quiet=True)[0]


def run(name: str, suite: Suite, out: Path, tokens: list[int], **more: bool) -> pd.DataFrame:
    found = evaluate(f"{__name__}:{name}", suite, out, tokens, SETTINGS, LIMITS, **more)
    return found.items.set_index(["id", "tokens"])


def test_models_are_described_once_and_loaded_once_a_worker(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROWS_LOG", str(tmp_path / "log"))
    names = [f"{__name__}:Plain", f"{__name__}:Hog"]
    done = evaluate_all(names, suite, tmp_path / "r", [4, 8], SETTINGS, Running(limits=LIMITS))
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line for line in lines if line.startswith("made")].count("made plain") == 2
    calls = [line.split(" ", 1)[1] for line in lines if line.startswith("encode")]
    assert calls == ["warm-up 4", "ball 4", "ball 8", "box 4", "box 8"]
    plain, hog = (each.items for each in done)
    assert plain["sample_s"].isna().all()
    assert (hog["sample_s"] >= 0.3).all()
    assert [line for line in lines if line.startswith("cold")] == ["cold warm-up"]
    more = hog["peak_memory_mb"].to_numpy() - plain["peak_memory_mb"].mean()
    assert (more > 0.8 * HOG_MB).all()
    assert (more < 1.3 * HOG_MB).all()
    record = json.loads((done[0].folder / "results.json").read_text())
    assert record["settings"]["scorer_version"] == record["scorer_version"]
    assert record["card"]["licence"] == "MIT"
    assert record["card"]["hardware"]


def test_a_gpu_without_memory_is_tried_again_smaller_and_by_the_next_run(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = run("Small", suite, tmp_path, [8, 16, 32])
    assert (rows.xs(8, level="tokens")["status"] == "ok").all()
    assert (rows.xs(16, level="tokens")["status"] == "ok").all()
    lacking = rows.xs(32, level="tokens")
    assert (lacking["status"] == "memory").all()
    assert lacking["reason"].str.contains("CUDA out of memory").all()
    monkeypatch.setenv("ROWS_FIXED", "1")
    assert (run("Small", suite, tmp_path, [8, 16, 32])["status"] == "ok").all()


@pytest.mark.slow
def test_a_count_costs_itself_alone_and_failures_are_done_again_when_asked(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(executor="inline", workers=1, quiet=True, timeout=25.0)
    name, counts = f"{__name__}:Slow", [4, 8, 16, 32]
    found = evaluate(name, suite, tmp_path, counts, SETTINGS, limits).items
    status = found.set_index(["id", "tokens"])["status"]
    assert status[status != "ok"].to_dict() == {("box", 8): "failed", ("box", 16): "timeout"}
    monkeypatch.setenv("ROWS_FIXED", "1")
    again = evaluate(name, suite, tmp_path, counts, SETTINGS, limits)
    assert again.n_ok == 6
    ball = row_path(again.folder, "ball", 8)
    before = ball.stat().st_mtime_ns
    assert evaluate(name, suite, tmp_path, counts, SETTINGS, limits, retry=True).n_ok == 8
    assert ball.stat().st_mtime_ns == before


def test_rows_of_other_settings_and_changed_meshes_are_refused(
    suite: Suite, tmp_path: Path
) -> None:
    found = evaluate("identity", suite, tmp_path / "r", (), SETTINGS, LIMITS)
    path = row_path(found.folder, "ball", 0)
    row = json.loads(path.read_text())
    path.write_text(json.dumps({**row, "fingerprint": "another"}))
    with pytest.raises(UsageError, match="under other settings or by another scorer"):
        evaluate("identity", suite, tmp_path / "r", (), SETTINGS, LIMITS)
    mark = json.loads((found.folder / "run.json").read_text())
    del mark["settings"]["scorer_version"]
    (found.folder / "run.json").write_text(json.dumps(mark))
    with pytest.raises(UsageError, match=r"another settings \(scorer_version None, now 2\)"):
        evaluate("identity", suite, tmp_path / "r", (), SETTINGS, LIMITS)
    save_mesh(box().mesh, suite.mesh_path("ball"))
    with pytest.raises(UsageError, match="not those that the suite was built of"):
        evaluate("identity", load_suite(suite.folder), tmp_path / "s", (), SETTINGS, LIMITS)


def test_devices(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    running = Running(limits=LIMITS, hardware=Hardware(device="cuda"))
    with pytest.raises(UsageError, match="shows no GPU"):
        evaluate_all(["identity"], suite, tmp_path, [1], SETTINGS, running)
    for wrong in ({"device": "tpu"}, {"gpus": 0.0}, {"gpus": 1.5}):
        with pytest.raises(UsageError):
            Hardware(**wrong)
    assert [free_slot(tmp_path, 2) for _ in range(2)] == [0, 1]
    assert free_slot(tmp_path, 2) in (0, 1)  # all taken: shared
    assert Seat("cpu").slots == 0


@pytest.mark.parametrize(
    ("found", "gpus", "expected"),
    [({"CPU": 8}, 0, 8), ({"CPU": 8, "GPU": 2}, 1, 2), ({"CPU": 8, "GPU": 2}, 0.3, 6)],
)
def test_ray_seats_as_many_workers_as_gpus_hold(
    found: dict[str, float], gpus: float, expected: int
) -> None:
    assert room(found, gpus) == expected
    with pytest.raises(RunnerError, match="cluster has 0"):
        room({"CPU": 2.0}, 0.5)


def test_only_a_gpu_out_of_memory_counts_as_one() -> None:
    assert is_cuda_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate"))
    assert not is_cuda_out_of_memory(RuntimeError("CUDA error: device-side assert"))
    assert not is_cuda_out_of_memory(MemoryError("out of memory"))
