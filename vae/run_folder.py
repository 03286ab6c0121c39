"""A run's folder: what is refused, what a resumed run reads, what a checkpoint writes.

Checkpoints are written to a temporary folder and renamed; `model.safetensors` of the folder holds
the averaged (EMA) weights, which `DoraVAE.from_pretrained(folder)` reads.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from preprocessing.files import atomic_write
from preprocessing.points.sample_at import SampleSource
from vae.checkpoint import (
    CONFIG,
    WEIGHTS,
    read_config,
    read_tensors,
    write_run,
    write_tensors,
    write_weights,
)
from vae.config import VAEConfig, to_dict
from vae.model import DoraVAE

STEPS = "checkpoints"


class TrainError(ValueError):
    """Training cannot start as asked; the message says why."""


@dataclass
class State:
    """Where a run stands: steps done, training seconds spent, the best IoU so far, which is what
    validation says where there is any."""

    step: int = 0
    seconds: float = 0.0
    best_iou: float = -1.0
    window_iou: float = 0.0
    window_steps: int = 0


@dataclass
class Run:
    """What the loop carries: processes, model, optimiser, the averaged weights, where it stands."""

    config: VAEConfig
    out: Path
    accelerator: Accelerator
    model: nn.Module
    optimizer: torch.optim.Optimizer
    averaged: dict[str, Tensor]
    state: State
    held_out: dict[str, SampleSource]
    validated: int = 0  # the step of the last validation


def prepare_folder(config: VAEConfig, out: Path, ids: list[str], overwrite: bool) -> None:
    """A new run folder, or an old one of the same config and samples. Raises TrainError.

    A run that ended before its first checkpoint leaves nothing to lose: another may take its place.
    """
    if overwrite:
        for path in (out / STEPS, out / "best", out / "tensorboard"):
            shutil.rmtree(path, ignore_errors=True)
        for name in (CONFIG, WEIGHTS, "samples.json", "log.csv"):
            (out / name).unlink(missing_ok=True)
    if (out / CONFIG).exists() and (saved_steps(out) or (out / WEIGHTS).exists()):
        before, now = flat(to_dict(read_config(out))), flat(to_dict(config))
        changed = [f"{k}={before[k]} (now {now[k]})" for k in now if before[k] != now[k]]
        if changed:
            raise TrainError(f"{out} holds a run with {', '.join(changed)}; --overwrite restarts")
        if (out / "samples.json").exists() and json.loads(
            (out / "samples.json").read_text()
        ) != ids:
            raise TrainError(f"{out} was trained on other samples; --overwrite restarts it")
    atomic_write(out / CONFIG, json.dumps(to_dict(config), indent=1) + "\n")
    atomic_write(out / "samples.json", json.dumps(ids, indent=1) + "\n")


def flat(values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """{section: {key: value}} -> {section.key: value}."""
    return {f"{s}.{k}": v for s, section in values.items() for k, v in section.items()}


def saved_steps(out: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(p for p in (out / STEPS).glob("step-*") if (p / "state.json").exists())


def resume(
    out: Path, model: DoraVAE, optimizer: torch.optim.Optimizer, averaged: dict[str, Tensor]
) -> State:
    """Load the newest checkpoint, if any, into model, optimiser and average."""
    saved = saved_steps(out)
    if not saved:
        return State()
    newest = saved[-1]
    model.load_state_dict(read_tensors(newest / WEIGHTS))
    averaged.update(read_tensors(newest / "ema.safetensors"))
    moments = read_tensors(newest / "optimizer.safetensors")
    state = optimizer.state_dict()
    state["state"] = {}
    for key, value in moments.items():
        index, name = key.split(".")
        state["state"].setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(state)
    return State(**json.loads((newest / "state.json").read_text()))


def save(run: Run, val_iou: float | None) -> None:
    """A checkpoint, the run's own weights, the best ones; older checkpoints go.

    Best is what validation says (`val_iou`, None where there was none this time); in a run without
    held-out samples the mean training IoU since the checkpoint before.
    """
    accelerator, out, config = run.accelerator, run.out, run.config
    model, optimizer, averaged, state = run.model, run.optimizer, run.averaged, run.state
    accelerator.wait_for_everyone()
    mean_iou = state.window_iou / max(1, state.window_steps)
    score = val_iou if run.held_out else mean_iou
    improved = score is not None and score > state.best_iou
    if improved and score is not None:
        state.best_iou = score
    state.window_iou, state.window_steps = 0.0, 0
    if not accelerator.is_main_process:
        return
    target = out / STEPS / f"step-{state.step:08d}"
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    moments = {
        f"{index}.{name}": value
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }
    write_weights(accelerator.unwrap_model(model).state_dict(), config.model, temporary / WEIGHTS)
    write_weights(averaged, config.model, temporary / "ema.safetensors")
    write_tensors(moments, temporary / "optimizer.safetensors")
    atomic_write(temporary / "state.json", json.dumps(asdict(state)))
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
    write_run(out, averaged, config)
    if improved:
        write_run(out / "best", averaged, config)
    for old in saved_steps(out)[: -config.train.keep_last]:
        shutil.rmtree(old)
