"""The training loop, all of it.

Notable:
- Everything random is a function of (seed, step): see vae/data.py. A run killed anywhere resumes
  from its last checkpoint to the loss curve, bit for bit, that it would have had.
- Progress, hence every schedule, is step / steps; `minutes` makes it the clock instead.
- Checkpoints are written to a temporary folder and renamed; `model.safetensors` of the run folder
  holds the averaged (EMA) weights, which `DoraVAE.from_pretrained(run)` reads.
- The loss is a mean over items of per-item means, so it does not depend on how a batch is split
  over processes.
"""

from __future__ import annotations

import csv
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, gather
from torch import Tensor, nn
from torch.nn import functional

from preprocessing.console import Progress, StopError
from preprocessing.files import atomic_path, atomic_write
from vae.checkpoint import (
    CONFIG,
    WEIGHTS,
    read_config,
    read_tensors,
    write_run,
    write_tensors,
    write_weights,
)
from vae.config import TrainConfig, VAEConfig, to_dict
from vae.data import Batch, batches, check_one_eps, find_samples
from vae.model import DoraVAE, Posterior
from vae.resident import ResidentSet
from vae.start import gaussian_start, place_start

STEPS = "checkpoints"
BOARD_EVERY = 10  # steps between two points of a TensorBoard curve; log.csv has every step
ENDLESS = 2**40  # steps of a run that the clock ends
COLUMNS = ("step", "loss", "near", "sharp", "kl", "iou", "tokens", "lr", "grad_norm", "seconds")


class TrainError(ValueError):
    """Training cannot start as asked; the message says why."""


class Diverged(StopError):
    """The loss or the gradient is no longer a number; the message names the items."""


@dataclass
class State:
    """Where a run stands: steps done, training seconds spent, the best mean IoU so far."""

    step: int = 0
    seconds: float = 0.0
    best_iou: float = -1.0
    window_iou: float = 0.0
    window_steps: int = 0


def train(
    config: VAEConfig,
    data: str | Path,
    out: str | Path,
    *,
    until: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
    quiet: bool = False,
) -> dict[str, float]:
    """Train `config` on the samples in `data` into the run folder `out`; resume what is there.

    until: stop after this many steps in all (the schedules still end where the config says).
    device: cpu, or auto for what accelerate finds. Returns the last step's figures. Raises
    TrainError and DataError before the first step, Diverged when the loss stops being a number.
    """
    settings, out = config.train, Path(out)
    samples = find_samples(data)
    check_one_eps(samples)
    accelerator = Accelerator(
        cpu=device == "cpu",
        mixed_precision=settings.precision,
    )
    if accelerator.is_main_process:
        prepare_folder(config, out, list(samples), overwrite)
    accelerator.wait_for_everyone()

    model, optimizer = build(config)
    averaged = {name: value.detach().clone() for name, value in model.state_dict().items()}
    state = resume(out, model, optimizer, averaged)
    model, optimizer = accelerator.prepare(model, optimizer)
    averaged = {name: value.to(accelerator.device) for name, value in averaged.items()}
    limit = ENDLESS if settings.minutes > 0 else settings.steps
    last_step = min(limit, until or limit)
    ranks = {"rank": accelerator.process_index, "processes": accelerator.num_processes}
    reader: Iterator[Batch]
    if settings.resident:
        held = ResidentSet(lambda: find_samples(data), config, accelerator.device, **ranks)
        each = settings.accumulate
        reader = held.batches(state.step * each, last_step * each)
    else:
        reader = batches(samples, config, state.step, last_step, **ranks)
    silent = quiet or not accelerator.is_main_process
    with (
        torch_threads(settings.threads),
        Progress(
            None if last_step == ENDLESS else last_step - state.step, "train", silent
        ) as progress,
        Log(out, state.step, accelerator) as log,
    ):
        figures: dict[str, float] = log.last
        while state.step < last_step:
            started = time.monotonic()
            share = progress_share(settings, state, accelerator)
            if share >= 1.0:
                break
            figures = train_step(accelerator, model, optimizer, reader, config, state.step, share)
            average(averaged, accelerator.unwrap_model(model), settings.ema, state.step)
            state.step += 1
            state.seconds += time.monotonic() - started
            state.window_iou += figures["iou"]
            state.window_steps += 1
            log.write({"step": state.step, **figures, "seconds": state.seconds})
            rate = settings.batch * settings.accumulate * accelerator.num_processes
            rate /= time.monotonic() - started
            if last_step == ENDLESS:
                left = max(0.0, 60 * settings.minutes - state.seconds)
                progress.total = progress.done + round(left * state.step / state.seconds)
            progress.update(
                note=f"loss {figures['loss']:.4f}  IoU {figures['iou']:.3f}  "
                f"tokens {figures['tokens']:.0f}  {rate:.1f} samples/s"
            )
            if state.step % settings.save_every == 0 and state.step < last_step:
                save(accelerator, out, config, model, optimizer, averaged, state)
    save(accelerator, out, config, model, optimizer, averaged, state)
    accelerator.end_training()
    return figures


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """`count` threads for torch on the CPU while inside, 0 for as many as there are; put back
    after, since the last bit of a later result can follow the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def build(config: VAEConfig) -> tuple[DoraVAE, torch.optim.Optimizer]:
    """A freshly initialised model and its optimiser."""
    settings = config.train
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = DoraVAE(config.model)
        if settings.init_scale > 0:
            gaussian_start(model, settings.init_scale)
        if settings.start == "place":
            place_start(model, settings.start_octaves, settings.start_alpha)
    model.checkpointing = settings.checkpointing
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        eps=settings.adam_eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    return model.train(), optimizer


def train_step(
    accelerator: Accelerator,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    reader: Any,
    config: VAEConfig,
    step: int,
    share: float,
) -> dict[str, float]:
    """One optimiser step over `accumulate` micro-batches; figures are means over all items."""
    settings = config.train
    lr = learning_rate(settings, step, share)
    for group in optimizer.param_groups:
        group["lr"] = lr
    kl_weight = settings.kl_weight * min(1.0, (step + 1) / max(1, settings.kl_warmup))
    sums: dict[str, Tensor] = {}
    micro_losses: list[tuple[Tensor, list[str]]] = []
    tokens, ids = 0, []
    for micro in range(settings.accumulate):
        batch = next(reader).to(accelerator.device)
        tokens = batch.rows.shape[1]
        ids += batch.ids
        syncing = micro == settings.accumulate - 1
        with nullcontext() if syncing else accelerator.no_sync(model):
            with accelerator.autocast():
                logits, posterior = model(
                    batch.coarse,
                    batch.sharp,
                    batch.rows,
                    torch.cat([batch.near, batch.sharp_near], dim=1)[..., :3],
                    noise=batch.noise,
                    sharp_present=batch.sharp_present,
                )
            terms = losses(logits.float(), posterior, batch, config)
            loss = terms["near"] + settings.sharp_weight * terms["sharp"] + kl_weight * terms["kl"]
            micro_losses.append((loss.detach(), batch.ids))
            accelerator.backward(loss / settings.accumulate)
        for name, value in {"loss": loss, **terms}.items():
            sums[name] = sums.get(name, 0) + value.detach() / settings.accumulate
    norm = accelerator.clip_grad_norm_(model.parameters(), settings.clip)
    if not torch.isfinite(norm):  # the one wait for the device in a step
        for loss, items in micro_losses:
            if not torch.isfinite(loss):
                raise Diverged(
                    f"step {step}: the loss is {loss.item()} with the items {', '.join(items)}"
                )
        raise Diverged(f"step {step}: the gradient is not finite with the items {', '.join(ids)}")
    optimizer.step()
    optimizer.zero_grad()
    values = torch.stack([*sums.values()])
    if accelerator.num_processes > 1:
        values = gather(values[None]).mean(dim=0)
    figures = dict(zip(sums, values.tolist(), strict=True))
    return {**figures, "tokens": tokens, "lr": lr, "grad_norm": norm.item()}


def losses(
    logits: Tensor, posterior: Posterior, batch: Batch, config: VAEConfig
) -> dict[str, Tensor]:
    """The terms of the loss, means over items, and the IoU of signs on near and space points.

    near: on points near the surface and in space; sharp: on points near salient edges, 0 for an
    item without any. tsdf: squared error against clip(sdf, +-cut) / cut; occupancy: binary
    cross-entropy against sdf >= 0.
    """
    count = batch.near.shape[1]
    sdf = torch.cat([batch.near, batch.sharp_near], dim=1)[..., 3]
    cut = config.model.truncation
    if config.model.output == "tsdf":
        error = (logits - (sdf / cut).clamp(-1.0, 1.0)).square()
    else:
        target = (sdf >= 0).float()
        error = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    sharp = error[:, count:].mean(dim=1) * batch.sharp_present
    inside, truth = logits[:, :count] > 0, sdf[:, :count] > 0
    union = (inside | truth).sum().clamp(min=1)
    return {
        "near": error[:, :count].mean(dim=1).mean(),
        "sharp": sharp.mean(),
        "kl": posterior.kl().mean(),
        "iou": (inside & truth).sum() / union,
    }


def progress_share(settings: TrainConfig, state: State, accelerator: Accelerator) -> float:
    """How much of the run is done, 0 to 1: by steps, or by the clock of the main process."""
    if settings.minutes <= 0:
        return state.step / settings.steps
    clock = torch.tensor([state.seconds], device=accelerator.device)
    if accelerator.num_processes > 1:
        clock = broadcast(clock)
    return clock.item() / (60 * settings.minutes)


def learning_rate(settings: TrainConfig, step: int, share: float) -> float:
    """Linear warm-up over `warmup` steps, then a cosine to final_lr_share of the peak."""
    low = settings.final_lr_share
    cosine = low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    return settings.lr * cosine * min(1.0, (step + 1) / max(1, settings.warmup))


@torch.no_grad()
def average(averaged: Mapping[str, Tensor], model: nn.Module, decay: float, step: int) -> None:
    """Move the average towards the weights; the horizon grows with the step up to `decay`."""
    now = min(decay, (1 + step) / (10 + step))
    values = model.state_dict()
    torch._foreach_lerp_([averaged[name] for name in values], [*values.values()], 1 - now)


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


def save(
    accelerator: Accelerator,
    out: Path,
    config: VAEConfig,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: Mapping[str, Tensor],
    state: State,
) -> None:
    """A checkpoint, the run's own weights, the best ones; older checkpoints go."""
    accelerator.wait_for_everyone()
    mean_iou = state.window_iou / max(1, state.window_steps)
    improved = state.window_steps > 0 and mean_iou > state.best_iou
    if improved:
        state.best_iou = mean_iou
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


class Log:
    """`log.csv` and TensorBoard, written by the main process; rows past a resume point go."""

    def __init__(self, out: Path, step: int, accelerator: Accelerator) -> None:
        self.path, self.active = out / "log.csv", accelerator.is_main_process
        self.last: dict[str, float] = {}
        self.close: list[Callable[[], None]] = []
        if not self.active:
            return
        rows = raw_log(self.path) if self.path.exists() else []
        rows = [row for row in rows if int(row["step"]) <= step]
        if rows:
            self.last = {name: float(rows[-1][name]) for name in COLUMNS[1:-1]}
        with atomic_path(self.path) as temporary, temporary.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        from torch.utils.tensorboard import SummaryWriter

        self.board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)
        self.handle = self.path.open("a", newline="")
        self.writer = csv.DictWriter(self.handle, COLUMNS)
        self.close = [self.board.close, self.handle.close]

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *error: object) -> None:
        for close in self.close:
            close()

    def write(self, row: Mapping[str, float]) -> None:
        """One row; flushed, so that a kill loses none that a checkpoint counts on."""
        if not self.active:
            return
        self.writer.writerow(row)
        self.handle.flush()
        if int(row["step"]) % BOARD_EVERY:
            return
        for name in COLUMNS[1:-1]:
            self.board.add_scalar(name, row[name], int(row["step"]))


def raw_log(path: Path) -> list[dict[str, str]]:
    """The rows of a log as text, so that writing them again changes no character."""
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def read_log(path: str | Path) -> list[dict[str, float]]:
    """The rows of a run's log.csv as numbers."""
    return [{k: float(v) for k, v in row.items()} for row in raw_log(Path(path))]
