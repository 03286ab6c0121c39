"""Published VAEs by name in the benchmark: rows at any token count, fetched or brought weights."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from dora_bench.models import resolve_model, settled
from dora_bench.vae_model import VAEModel
from preprocessing.console import UsageError
from preprocessing.files import sha256_file
from preprocessing.mesh import save_mesh
from preprocessing.shapes import wedge
from vae.published import hub

DATA = Path(__file__).parents[1] / "data"
SMALL = {"hunyuan3d-2.1": "hunyuan", "triposg": "triposg", "step1x-3d": "step1x"}


def named(family: str) -> str:
    return f"{family}:{DATA / f'{SMALL[family]}_small.safetensors'}"


def test_one_command_three_models_three_counts_and_again(tmp_path: Path) -> None:
    save_mesh(wedge().mesh, tmp_path / "meshes/wedge.ply")
    suite, results = tmp_path / "suite", tmp_path / "results"
    models = [word for family in SMALL for word in ("--model", named(family))]
    quick = ["--points", "2000", "--resolution", "12", "--no-gallery"]
    quick += ["--executor", "inline", "--workers", "1"]

    def dora_bench(*words: object) -> None:
        code = "from dora_bench.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 3), done.stderr  # random weights may draw no surface
        assert "Traceback" not in done.stderr

    dora_bench("build", tmp_path / "meshes", "--out", suite)
    common = ["--suite", suite, "--out", results, "--tokens", "7,16,40", *quick]
    dora_bench("eval", *models, *common)
    folders = sorted(path.parent for path in results.glob("*/*/results.json"))
    labels = [folder.parent.name for folder in folders]
    assert labels == [f"{family}_{SMALL[family]}_small" for family in sorted(SMALL)]
    for folder in folders:
        rows = pd.read_parquet(folder / "items.parquet")
        assert list(rows["tokens"]) == [7, 16, 40]
        assert list(rows["status"].isin(["ok", "failed"])) == [True] * 3
        assert list(rows["latent_floats"]) == [8 * 7, 8 * 16, 8 * 40]
    record = json.loads((folders[0] / "results.json").read_text())["model"]
    assert record["config"]["family"] == "hunyuan3d-2.1"
    assert record["config"]["variant"]["points"] == 81920
    weights = Path(named("hunyuan3d-2.1").partition(":")[2])
    assert record["config"]["file_sha256"] == sha256_file(weights)
    kept = {row: row.stat().st_mtime_ns for row in results.rglob("rows/*.json")}
    next(row for row in kept if folders[0] in row.parents).unlink()
    dora_bench("eval", *models[:2], *common)
    again = {row: row.stat().st_mtime_ns for row in results.rglob("rows/*.json")}
    assert again.keys() == kept.keys()
    assert sum(again[row] != kept[row] for row in kept) == 1


def test_names_of_models_in_the_tables(tmp_path: Path) -> None:
    assert VAEModel(named("triposg")).info.name == "triposg:triposg_small"
    folder = tmp_path / "vae"
    folder.mkdir()
    for suffix in ("safetensors", "json"):
        name = "config.json" if suffix == "json" else "diffusion_pytorch_model.safetensors"
        (folder / name).write_bytes((DATA / f"triposg_small.{suffix}").read_bytes())
    for path in (tmp_path, folder, folder / "diffusion_pytorch_model.safetensors"):
        assert resolve_model(f"triposg:{path}").info.name == "triposg"
    model = resolve_model(f"dora-1.1:{DATA / 'dora_small.ckpt'}", "sample")
    assert (model.info.name, model.info.posterior) == ("dora-1.1:dora_small+sample", "sample")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tripsog", "did you mean triposg"),
        ("triposg:/no/such/folder", "no such file or folder"),
        (f"triposg:{DATA / 'hunyuan_small.safetensors'}", "not of triposg"),
    ],
)
def test_what_cannot_be_loaded_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_model(name)


def test_fetched_weights_are_named_by_their_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def download(repo: str, file: str) -> str:
        asked.append((repo, file))
        kind = "json" if file.endswith("json") else "safetensors"
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((DATA / f"triposg_small.{kind}").read_bytes())
        return str(path)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr(hub, "reach_hub", lambda: None)
    name = settled("triposg", accept_licence=False)
    assert name == f"triposg:{tmp_path / 'vae/diffusion_pytorch_model.safetensors'}"
    assert {repo for repo, _ in asked} == {"VAST-AI/TripoSG"}
    assert "licence MIT" in caplog.text
    assert sha256_file(DATA / "triposg_small.safetensors") in caplog.text
    assert resolve_model(name).info.name == "triposg"


def test_a_licence_is_accepted_first_and_offline_says_what_to_bring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def offline(repo: str, file: str) -> str:
        raise LocalEntryNotFoundError("no connection\nand more")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    monkeypatch.setattr(hub, "reach_hub", lambda: None)
    with pytest.raises(UsageError, match=r"South Korea.*--accept-licence"):
        settled("hunyuan3d-2.1", accept_licence=False)
    with pytest.raises(UsageError, match=r"bring model\.fp16\.ckpt from https.*FOLDER") as caught:
        settled("hunyuan3d-2.1", accept_licence=True)
    assert "\n" not in str(caught.value)

    def closed(*_: object, **__: object) -> None:
        raise ConnectionRefusedError("no route")

    monkeypatch.undo()
    monkeypatch.setattr("socket.create_connection", closed)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    with pytest.raises(UsageError, match=r"ConnectionRefusedError.*bring .* and config\.json"):
        settled("triposg", accept_licence=False)


def test_the_model_in_the_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "ASSETS", tmp_path)
    assert settled("identity", accept_licence=False) == "identity"
    with pytest.raises(UsageError, match="dora-tiny is not in this installation"):
        resolve_model("dora-tiny")
    (tmp_path / "dora-tiny").mkdir()
    (tmp_path / "dora-tiny/model.safetensors").write_bytes(b"")
    assert hub.locate("dora-tiny") == (None, tmp_path / "dora-tiny")
    assert settled("dora-tiny", accept_licence=False) == "dora-tiny"
