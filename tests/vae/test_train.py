"""Training resumes to the same bits, splits over processes, stops on NaN, and learns."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from vae_samples import write_boxes

from preprocessing.points.samples import sample_files
from preprocessing.points.shards import pack_samples
from vae.checkpoint import read_config
from vae.config import TINY, VAEConfig, override
from vae.data import StepData, find_samples
from vae.model import DoraVAE
from vae.run_folder import TrainError, prepare_folder
from vae.train import (
    Diverged,
    average,
    build,
    learning_rate,
    losses,
    train,
)
from vae.train_log import read_log
from vae.validation import split_by_id

ROOT = Path(__file__).parents[2]
SETTINGS = [
    "width=16",
    "heads=2",
    "encoder_layers=1",
    "decoder_layers=1",
    "embed=4",
    "coarse_points=32",
    "sharp_points=32",
    "coarse_near=24",
    "space=24",
    "sharp_near=16",
    "token_lengths=6,9",
    "token_weights=0.5,0.5",
    "batch=2",
    "steps=20",
    "warmup=5",
    "save_every=4",
    "keep_last=2",
]


def config(*extra: str) -> VAEConfig:
    return override(TINY, [*SETTINGS, *extra])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_boxes(tmp_path_factory.mktemp("data"), points=100)


def curve(run: Path) -> list[list[str]]:
    """The log as text, without the clock."""
    with (run / "log.csv").open(newline="") as handle:
        return [row[:-1] for row in csv.reader(handle)]


def test_ten_plus_resume_plus_ten_is_twenty(data: Path, tmp_path: Path) -> None:
    train(config(), data, tmp_path / "whole", device="cpu", quiet=True)
    train(config(), data, tmp_path / "parts", until=10, device="cpu", quiet=True)
    train(config(), data, tmp_path / "parts", device="cpu", quiet=True)
    assert len(curve(tmp_path / "whole")) == 21
    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")
    for name in ("model.safetensors", "checkpoints/step-00000020/model.safetensors"):
        whole, parts = (tmp_path / run / name for run in ("whole", "parts"))
        assert whole.read_bytes() == parts.read_bytes()


def test_resumes_from_the_last_checkpoint_after_a_kill(data: Path, tmp_path: Path) -> None:
    """A kill after step 10 leaves the checkpoint of step 8 and ten rows of log."""
    train(config("keep_last=5"), data, tmp_path / "run", until=10, device="cpu", quiet=True)
    before = curve(tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoints/step-00000010")
    half = tmp_path / "run/checkpoints/step-00000009"  # a folder that was cut short
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"cut short")
    train(config("keep_last=5"), data, tmp_path / "run", until=10, device="cpu", quiet=True)
    assert curve(tmp_path / "run") == before


def test_the_curve_from_shards_is_that_from_files(data: Path, tmp_path: Path) -> None:
    pack_samples(sample_files(data), tmp_path / "shards", 20_000, quiet=True)
    assert len(list((tmp_path / "shards").glob("*.tar"))) > 1
    train(config(), data, tmp_path / "loose", device="cpu", quiet=True)
    train(config(), tmp_path / "shards", tmp_path / "packed", until=7, device="cpu", quiet=True)
    train(config(), tmp_path / "shards", tmp_path / "packed", device="cpu", quiet=True)
    assert len(curve(tmp_path / "loose")) == 21
    assert curve(tmp_path / "packed") == curve(tmp_path / "loose")
    weights = [(tmp_path / run / "model.safetensors").read_bytes() for run in ("loose", "packed")]
    assert weights[0] == weights[1]


def test_keeps_the_last_and_the_best(data: Path, tmp_path: Path) -> None:
    train(config(), data, tmp_path, device="cpu", quiet=True)
    kept = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step-00000016", "step-00000020"]
    for folder in (tmp_path, tmp_path / "best"):
        assert isinstance(DoraVAE.from_pretrained(folder), DoraVAE)
    assert list((tmp_path / "tensorboard").iterdir())
    assert not list(tmp_path.rglob("*.tmp*"))


def test_another_config_or_data_is_refused(data: Path, tmp_path: Path) -> None:
    train(config(), data, tmp_path / "run", until=1, device="cpu", quiet=True)
    preset = config().train.lr
    with pytest.raises(TrainError, match=re.escape(f"train.lr={preset} (now 0.5)")):
        train(config("lr=0.5"), data, tmp_path / "run", device="cpu", quiet=True)
    other = write_boxes(tmp_path / "other", 1, points=100)
    with pytest.raises(TrainError, match="other samples"):
        train(config(), other, tmp_path / "run", device="cpu", quiet=True)
    train(config("steps=1"), other, tmp_path / "run", overwrite=True, device="cpu", quiet=True)
    assert len(read_log(tmp_path / "run/log.csv")) == 1


def test_a_run_without_a_checkpoint_gives_way_to_another_config(data: Path, tmp_path: Path) -> None:
    prepare_folder(config("lr=0.5"), tmp_path, ["a"], overwrite=False)
    train(config("steps=1"), data, tmp_path, device="cpu", quiet=True)
    assert read_config(tmp_path) == config("steps=1")


def test_minutes_put_the_clock_in_place_of_steps(data: Path, tmp_path: Path) -> None:
    timed = config("steps=1", "minutes=0.02")
    figures = train(timed, data, tmp_path, device="cpu", quiet=True)
    log = read_log(tmp_path / "log.csv")
    assert len(log) > 1
    assert float(log[-1]["seconds"]) >= 1.2
    assert float(log[-1]["lr"]) < 0.2 * timed.train.lr
    assert train(timed, data, tmp_path, device="cpu", quiet=True)["loss"] == figures["loss"]


def test_a_finished_run_does_nothing_more(data: Path, tmp_path: Path) -> None:
    first = train(config("steps=3"), data, tmp_path, device="cpu", quiet=True)
    weights = (tmp_path / "model.safetensors").read_bytes()
    again = train(config("steps=3"), data, tmp_path, device="cpu", quiet=True)
    assert again == first
    assert (tmp_path / "model.safetensors").read_bytes() == weights


def test_accumulation_equals_a_larger_batch(data: Path, tmp_path: Path) -> None:
    train(config("batch=4", "steps=6"), data, tmp_path / "large", device="cpu", quiet=True)
    train(
        config("batch=1", "accumulate=4", "steps=6"),
        data,
        tmp_path / "small",
        device="cpu",
        quiet=True,
    )
    logs = [read_log(tmp_path / run / "log.csv") for run in ("large", "small")]
    for one, other in zip(*logs, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_two_gloo_processes_equal_one_with_twice_the_batch(data: Path, tmp_path: Path) -> None:
    settings = [part for s in [*SETTINGS, "steps=6"] for part in ("--set", s)]
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"),
        *("--master_port=29561", "-m", "vae.cli", "train", "--preset=tiny", "--device=cpu"),
        *("--data", str(data), "--out", str(tmp_path / "two"), *settings),
    ]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    train(config("batch=4", "steps=6"), data, tmp_path / "one", device="cpu", quiet=True)
    logs = [read_log(tmp_path / run / "log.csv") for run in ("one", "two")]
    assert len(logs[1]) == 6
    for one, two in zip(*logs, strict=True):
        for name in ("loss", "near", "sharp", "kl", "grad_norm"):
            assert one[name] == pytest.approx(two[name], rel=2e-4), name


def test_nan_stops_with_the_items_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import vae.train as module

    honest = module.losses
    calls = []

    def poisoned(*arguments: object) -> dict[str, torch.Tensor]:
        calls.append(1)
        terms = honest(*arguments)  # type: ignore[arg-type]
        return {**terms, "near": terms["near"] * float("nan")} if len(calls) == 3 else terms

    monkeypatch.setattr(module, "losses", poisoned)
    with pytest.raises(Diverged, match=r"step 2: the loss is nan with the items box\d, box\d"):
        train(config(), data, tmp_path, device="cpu", quiet=True)


def test_bf16_trains_with_float32_masters(data: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from vae.config import TINY, override; from vae.train import train; "
        "train(override(TINY, sys.argv[3:]), sys.argv[1], sys.argv[2], device='cpu')"
    )
    # A process of its own: accelerate fixes the precision once per process.
    subprocess.run(
        [sys.executable, "-c", code, str(data), str(tmp_path), *SETTINGS, "precision=bf16"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=600,
    )
    train(config(), data, tmp_path / "full", device="cpu", quiet=True)
    half, full = read_log(tmp_path / "log.csv"), read_log(tmp_path / "full/log.csv")
    assert half[-1]["loss"] == pytest.approx(full[-1]["loss"], rel=0.1)
    assert half[-1]["loss"] != full[-1]["loss"]
    assert DoraVAE.from_pretrained(tmp_path).pre_kl.weight.dtype == torch.float32


def test_losses_are_the_published_ones(data: Path) -> None:
    batch = StepData(find_samples(data), config())[0]
    model, _ = build(config())
    xyz = torch.cat([batch.near, batch.sharp_near], 1)[..., :3]
    logits, posterior = model(
        batch.coarse, batch.sharp, batch.rows, xyz, sharp_present=batch.sharp_present
    )
    terms = losses(logits, posterior, batch, config())
    near = ((logits[:, :48] - (batch.near[..., 3] / 0.05).clamp(-1, 1)) ** 2).mean()
    assert terms["near"].item() == pytest.approx(near.item(), rel=1e-5)
    sharp = ((logits[:, 48:] - (batch.sharp_near[..., 3] / 0.05).clamp(-1, 1)) ** 2).mean(1)
    sharp = (sharp * batch.sharp_present).mean()
    assert terms["sharp"].item() == pytest.approx(sharp.item(), rel=1e-5)
    perfect = torch.cat([batch.near, batch.sharp_near], 1)[..., 3]
    assert losses(perfect, posterior, batch, config())["iou"] == 1
    assert losses(-perfect, posterior, batch, config())["iou"] == 0
    occupancy = losses(1e4 * perfect, posterior, batch, config("output=occupancy"))
    assert occupancy["near"] < 1e-2


def test_an_item_without_edges_has_no_sharp_loss(data: Path) -> None:
    batch = StepData({"box2": find_samples(data)["box2"]}, config())[0]
    model, _ = build(config())
    xyz = torch.cat([batch.near, batch.sharp_near], 1)[..., :3]
    logits, posterior = model(
        batch.coarse, batch.sharp, batch.rows, xyz, sharp_present=batch.sharp_present
    )
    assert losses(logits, posterior, batch, config())["sharp"] == 0


def test_schedules() -> None:
    settings = config("lr=1.0", "warmup=5", "final_lr_share=0.1").train
    assert learning_rate(settings, 0, 0.0) == pytest.approx(0.2)
    assert learning_rate(settings, 10, 0.5) == pytest.approx(0.55)
    assert learning_rate(settings, 19, 1.0) == pytest.approx(0.1)


def test_average_starts_at_the_weights_and_follows_slowly() -> None:
    model, _ = build(config())
    averaged = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    average(averaged, model, 0.99, 0)
    name, value = next(iter(model.state_dict().items()))
    assert torch.allclose(averaged[name], 0.9 * value)
    average(averaged, model, 0.99, 10**6)
    assert torch.allclose(averaged[name], 0.9 * value + 0.01 * 0.1 * value)
    average(averaged, model, 0.0, 5)
    assert torch.equal(averaged[name], value)


def test_same_seed_same_start_other_seed_other_start() -> None:
    one, same, other = (build(config(f"seed={s}"))[0].state_dict() for s in (1, 1, 2))
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not torch.equal(one["pre_kl.weight"], other["pre_kl.weight"])


def test_it_learns_a_box(tmp_path: Path) -> None:
    """Half of the points lie within 0.01 of the surface: calling all inside gives 0.4."""
    data = write_boxes(tmp_path / "data", 1, points=2000)
    learning = config(
        *(
            "width=32",
            "steps=150",
            "lr=3e-3",
            "init_scale=0.25",
            "save_every=50",
            "space=200",
            "coarse_near=100",
        ),
        *("coarse_points=128", "sharp_points=128", "token_lengths=16,32", "truncation=0.1"),
    )
    train(learning, data, tmp_path / "run", device="cpu", quiet=True)
    rows = read_log(tmp_path / "run/log.csv")
    assert sum(row["iou"] for row in rows[-20:]) / 20 > 0.58


def test_validation_is_logged_drawn_and_chooses_the_best(data: Path, tmp_path: Path) -> None:
    settings = config("val_share=0.5", "val_every=8")
    train(settings, data, tmp_path, device="cpu", quiet=True)
    rows = read_log(tmp_path / "log.csv")
    validated = [row for row in rows if "val_iou_some" in row]
    assert [row["step"] for row in validated] == [8, 16, 20]
    for row in validated:
        assert all(0 <= row[f"val_{k}_{t}"] <= 1 for k in ("iou", "f") for t in ("few", "many"))
    state = json.loads((tmp_path / "checkpoints/step-00000020/state.json").read_text())
    assert state["best_iou"] == max(row["val_iou_some"] for row in validated)
    assert (tmp_path / "validation.png").read_bytes().startswith(b"\x89PNG")


def test_held_out_items_are_chosen_by_their_ids_alone(data: Path) -> None:
    samples = {f"item-{i}": data for i in range(2000)}
    kept, held = split_by_id(samples, 0.1)
    assert kept.keys() | held.keys() == samples.keys()
    assert 150 < len(held) < 250
    few = dict(list(samples.items())[:50])
    assert split_by_id(few, 0.1)[1].keys() == held.keys() & few.keys()
    assert split_by_id(samples, 0.0)[1] == {}


def test_training_begins_with_the_weights_of_another_model(data: Path, tmp_path: Path) -> None:
    train(config("steps=3"), data, tmp_path / "first", device="cpu", quiet=True)
    still = config("steps=1", "lr=1e-30", "warmup=1")
    train(still, data, tmp_path / "tuned", start_from=tmp_path / "first", device="cpu", quiet=True)
    first, tuned = (DoraVAE.from_pretrained(tmp_path / run) for run in ("first", "tuned"))
    for name, value in first.state_dict().items():
        assert torch.allclose(tuned.state_dict()[name], value, atol=1e-6), name
    with pytest.raises(TrainError, match="not what the preset builds"):
        wide = config("steps=1", "width=32")
        train(wide, data, tmp_path / "x", start_from=tmp_path / "first", device="cpu", quiet=True)


def test_a_model_that_says_outside_is_told(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vae.train.DEAD_AFTER", 4)
    monkeypatch.setattr("vae.train.DEAD_IOU", 2.0)
    train(config("steps=4"), data, tmp_path, device="cpu")
    told = capsys.readouterr().err
    assert "`outside` everywhere" in told
    assert f"dora-bench eval --model {tmp_path}" in told
