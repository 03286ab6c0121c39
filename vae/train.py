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

import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, gather
from torch import Tensor, nn
from torch.nn import functional

from preprocessing.console import Progress, StopError
from preprocessing.points.sample_at import SampleSource
from preprocessing.stores.address import Place
from vae.config import TrainConfig, VAEConfig
from vae.data import Batch, batches, check_eps, find_samples
from vae.model import DoraVAE, Posterior
from vae.resident import ResidentSet
from vae.run_folder import Run, State, TrainError, prepare_folder, resume, save
from vae.start import gaussian_start, place_start
from vae.train_log import Log
from vae.validation import Validation, averaged_model, split_by_id, validate

ENDLESS = 2**40  # steps of a run that the clock ends
PICTURE = "validation.png"
PARTED = 0.03  # a validation this far below the best of the run
DEAD_AFTER, DEAD_IOU = 400, 0.005  # steps at a mean IoU under this: it says "outside" everywhere


class Diverged(StopError):
    """The loss or the gradient is no longer a number; the message names the items."""


def train(
    config: VAEConfig,
    data: str | Place,
    out: str | Path,
    *,
    val: str | Place | None = None,
    start_from: str | Path | None = None,
    until: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
    quiet: bool = False,
) -> dict[str, float]:
    """Train `config` on the samples in `data` into the run folder `out`; resume what is there.

    val: a folder of samples to validate on; else the share `config.data.val_share` of `data`, by
    the hash of the ids. start_from: a model (a run, a file, `dora-tiny`) whose weights a new run
    begins with; its sizes must be the config's. until: stop after this many steps in all (the
    schedules still end where the config says). device: cpu, or auto for what accelerate finds.
    Returns the last step's figures. Raises TrainError and DataError before the first step,
    CheckpointError for a start_from that is no model, Diverged when the loss stops being a number.
    """
    settings, out = config.train, Path(out)

    def listed() -> tuple[dict[str, SampleSource], dict[str, SampleSource]]:
        return split_by_id(find_samples(data), config.data.val_share)

    samples, held_out = listed()
    if val:
        held_out = find_samples(val)
    check_eps(samples, config, quiet)
    accelerator = Accelerator(cpu=device == "cpu", mixed_precision=settings.precision)
    if accelerator.is_main_process:
        prepare_folder(config, out, list(samples), overwrite)
    accelerator.wait_for_everyone()
    run = open_run(config, out, accelerator, held_out, start_from)
    limit = ENDLESS if settings.minutes > 0 else settings.steps
    last_step = min(limit, until or limit)
    ranks = {"rank": accelerator.process_index, "processes": accelerator.num_processes}
    reader: Iterator[Batch]
    if settings.resident:
        held = ResidentSet(lambda: listed()[0], config, accelerator.device, **ranks)
        each = settings.accumulate
        reader = held.batches(run.state.step * each, last_step * each)
    else:
        reader = batches(samples, config, run.state.step, last_step, **ranks)
    figures = loop(run, reader, last_step, quiet or not accelerator.is_main_process)
    accelerator.end_training()
    if accelerator.is_main_process and not quiet:
        print(what_next(out), file=sys.stderr)
    return figures


def open_run(
    config: VAEConfig,
    out: Path,
    accelerator: Accelerator,
    held_out: dict[str, SampleSource],
    start_from: str | Path | None,
) -> Run:
    """Model, optimiser and average: new, from another model's weights, or where the run stopped."""
    model, optimizer = build(config)
    if start_from is not None:
        given = DoraVAE.from_pretrained(start_from)
        if given.config != config.model:
            raise TrainError(f"{start_from} is {given.config}, not what the preset builds")
        model.load_state_dict(given.state_dict())
    averaged = {name: value.detach().clone() for name, value in model.state_dict().items()}
    state = resume(out, model, optimizer, averaged)
    model, optimizer = accelerator.prepare(model, optimizer)
    averaged = {name: value.to(accelerator.device) for name, value in averaged.items()}
    return Run(config, out, accelerator, model, optimizer, averaged, state, held_out, state.step)


def loop(run: Run, reader: Iterator[Batch], last_step: int, silent: bool) -> dict[str, float]:
    """Step after step to the end, a checkpoint every `save_every`; the last step's figures."""
    config, settings, state = run.config, run.config.train, run.state
    total = None if last_step == ENDLESS else last_step - state.step
    with (
        torch_threads(settings.threads),
        Progress(total, "train", silent) as progress,
        Log(run.out, state.step, run.accelerator.is_main_process) as log,
    ):
        figures: dict[str, float] = log.last
        note = ""
        while state.step < last_step:
            started = time.monotonic()
            share = progress_share(settings, state, run.accelerator)
            if share >= 1.0:
                break
            figures = train_step(
                run.accelerator, run.model, run.optimizer, reader, config, state.step, share
            )
            average(run.averaged, run.accelerator.unwrap_model(run.model), settings.ema, state.step)
            state.step += 1
            state.seconds += time.monotonic() - started
            state.window_iou += figures["iou"]
            state.window_steps += 1
            rate = settings.batch * settings.accumulate * run.accelerator.num_processes
            rate /= time.monotonic() - started
            ends = state.step == last_step or progress_share(settings, state, run.accelerator) >= 1
            due = ends or state.step % settings.save_every == 0
            found = validation_due(run, ends) if due else None
            if found is not None:
                figures, note = {**figures, **found.row()}, found.note()
                log.picture(run.out / PICTURE, state.step)
            # The row first: a checkpoint counts on the rows up to its step.
            log.write({"step": state.step, **figures, "seconds": state.seconds})
            if due:
                warn(run, found, silent)
                save(run, found.iou["some"] if found else None)
            if last_step == ENDLESS:
                left = max(0.0, 60 * settings.minutes - state.seconds)
                progress.total = progress.done + 1 + round(left * state.step / state.seconds)
            progress.update(
                note=f"loss {figures['loss']:.4f}  IoU {figures['iou']:.3f}  "
                f"tokens {figures['tokens']:.0f}  {rate:.1f} samples/s{note}"
            )
    return figures


def validation_due(run: Run, ends: bool) -> Validation | None:
    """Figures on held-out samples at the end and every `val_every` steps, by the main process."""
    if not run.held_out or not run.accelerator.is_main_process:
        return None
    if not ends and run.state.step - run.validated < run.config.train.val_every:
        return None
    run.validated = run.state.step
    model = averaged_model(run.config.model, run.averaged, run.accelerator.device)
    return validate(model, run.held_out, run.config, run.out / PICTURE)


def warn(run: Run, found: Validation | None, silent: bool) -> None:
    """Say what a user should not find out at the end: a dead model, training that memorises."""
    state = run.state
    mean_iou = state.window_iou / max(1, state.window_steps)
    if silent:
        return
    if state.step >= DEAD_AFTER and mean_iou < DEAD_IOU:
        print(
            f"step {state.step}: the model says `outside` everywhere (IoU {mean_iou:.4f}); try "
            "--set start=place, a smaller --set lr, or more shapes (dora-prep shapes)",
            file=sys.stderr,
        )
    if found is not None and found.iou["some"] < state.best_iou - PARTED:
        print(
            f"step {state.step}: validation fell to {found.iou['some']:.3f} from "
            f"{state.best_iou:.3f} while training went on: the model memorises; more shapes "
            "(dora-prep shapes) or --set rotate=true help, and best/ holds the better weights",
            file=sys.stderr,
        )


def what_next(out: Path) -> str:
    """The command to type after a run, and what its IoU is not."""
    return (
        f"next: dora-vae reconstruct MESH --model {out} --tokens 1024 --out back.ply\n"
        f"      dora-bench eval --model {out} --tokens 64,256,1024\n"
        "(`iou` in log.csv is of signs at points near the surface and in space, of shapes trained "
        "on; the benchmark's is of volumes, and lies higher on the same shape)"
    )


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
    return model.train(), optimizer_of(model, settings)


def optimizer_of(model: nn.Module, settings: TrainConfig) -> torch.optim.Optimizer:
    """AdamW over all weights."""
    return torch.optim.AdamW(
        model.parameters(),
        lr=settings.lr,
        betas=(settings.beta1, settings.beta2),
        eps=settings.adam_eps,
        weight_decay=settings.weight_decay,
        fused=True,
    )


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
    kl_weight = weight_of_kl(settings, step)
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
        error = tsdf_error(logits, (sdf / cut).clamp(-1.0, 1.0))
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


def tsdf_error(logits: Tensor, target: Tensor) -> Tensor:
    """The error of each value under tsdf: squared, as published."""
    return (logits - target).square()


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


def weight_of_kl(settings: TrainConfig, step: int) -> float:
    """It rises from 0 over `kl_warmup` steps."""
    return settings.kl_weight * min(1.0, (step + 1) / max(1, settings.kl_warmup))


@torch.no_grad()
def average(averaged: Mapping[str, Tensor], model: nn.Module, decay: float, step: int) -> None:
    """Move the average towards the weights; the horizon grows with the step up to `decay`."""
    now = min(decay, (1 + step) / (10 + step))
    values = model.state_dict()
    torch._foreach_lerp_([averaged[name] for name in values], [*values.values()], 1 - now)
