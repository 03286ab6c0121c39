"""`pack` and `run --shards` pack what the folder holds, and refuse what is no training set."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from preprocessing.cli import app
from preprocessing.console import UsageError
from preprocessing.points.samples import Sample, write_sample
from preprocessing.running import pipeline
from preprocessing.running.packing import pack_folder
from preprocessing.running.summary import Summary


def write(folder: Path, name: str, eps: float) -> None:
    """A sample of ten points."""
    cloud = np.zeros((10, 6), np.float32)
    cloud[:, 5] = 1
    near, order = np.zeros((10, 4), np.float32), np.arange(10, dtype=np.int32)
    metadata = {"id": name, "eps": repr(eps)}
    sample = Sample(cloud, cloud, near, near, near, order, order, metadata)
    write_sample(sample, folder / f"{name}.safetensors")


def test_run_packs_at_its_end_as_pack_does(tmp_path: Path, monkeypatch) -> None:
    def pretend(entries, plan, limits, **options) -> Summary:
        for entry in entries:
            write(plan.samples_folder, entry.id, plan.watertight.eps)
        summary = Summary(str(plan.out), len(entries))
        summary.add("a", "ok", "", 1.0)
        return summary

    monkeypatch.setattr(pipeline, "run_plan", pretend)
    (tmp_path / "in").mkdir()
    for name in "abc":
        (tmp_path / f"in/{name}.obj").write_bytes(b"")
    out, one, two = (str(tmp_path / name) for name in ("out", "one", "two"))
    size = ["--shard-size", "2kB", "--json"]
    run = ["run", str(tmp_path / "in"), "--out", out, "--shards", one, *size]
    assert CliRunner().invoke(app, run).exit_code == 0
    done = CliRunner().invoke(app, ["pack", out, "--out", two, *size])
    assert json.loads(done.stdout)["samples"] == 3
    names = sorted(path.name for path in Path(one).iterdir())
    assert names[0] == "index.parquet"
    assert len(names) > 2
    for name in names:
        assert (Path(one) / name).read_bytes() == (Path(two) / name).read_bytes()


def test_samples_of_two_offsets_are_no_training_set(tmp_path: Path) -> None:
    write(tmp_path / "in", "a", 2 / 256)
    write(tmp_path / "in", "b", 2 / 512)
    with pytest.raises(UsageError, match=r"2/256 \(1, as a\), 2/512 \(1, as b\)"):
        pack_folder(tmp_path / "in", tmp_path / "out", "2GB", quiet=True)
    assert not (tmp_path / "out").exists()
