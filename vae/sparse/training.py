"""Training the sparse VAE on watertight meshes: the whole loop, visible.

AdamW with amsgrad, gradients cut at 0.5, as published; the learning rate falls along a cosine over
the time given in place of 0.7 every 50,000 shapes. One symmetry of the cube is drawn a shape.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from preprocessing.console import UsageError
from preprocessing.mesh import load_mesh
from preprocessing.seeds import generator
from vae.sparse.model import TINY, LossWeights, SparseConfig, SparseVAE
from vae.sparse.run import write_sparse
from vae.sparse.voxelise import VoxelShape, batch_of, read_shape, turned, voxelise, write_shape


@dataclass(frozen=True, kw_only=True)
class SparseTraining:
    """minutes: of the clock. batch: shapes a step. threads: of torch on a CPU."""

    minutes: float = 30.0
    batch: int = 1
    lr: float = 2e-3
    final_lr_share: float = 0.05
    warmup: int = 20
    clip: float = 0.5
    seed: int = 0
    threads: int = 1
    save_every: int = 100
    loss: LossWeights = field(default_factory=LossWeights)


def train(
    data: Path,
    out: Path,
    config: SparseConfig = TINY,
    settings: SparseTraining | None = None,
    device: str = "cpu",
) -> dict[str, float]:
    """Train on the meshes of `data` (what `dora-prep watertight` writes) into `out`.

    Voxels of a mesh are kept below out/voxels. The weights are written every `save_every` steps
    and at the end. Raises UsageError when there is no mesh. Returns steps, seconds, last losses.
    """
    settings = settings or SparseTraining()
    paths = sorted(data.glob("*.ply"))
    if not paths:
        raise UsageError(f"{data} holds no .ply; make some with `dora-prep watertight`")
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    model = SparseVAE(config).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), settings.lr, amsgrad=True)
    started, losses = time.monotonic(), []
    for step, shapes in enumerate(batches(paths, out / "voxels", config, settings)):
        spent = (time.monotonic() - started) / (60 * settings.minutes)
        if step and spent >= 1:  # one step at least
            break
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * rate(step, spent, settings)
        losses.append(one_step(model, optimizer, shapes, settings, device))
        if step % settings.save_every == settings.save_every - 1:
            write_sparse(model, out, len(losses))
            recent = np.mean(losses[-settings.save_every :])
            print(f"step {step + 1}, loss {recent:.2f}, {spent:.0%} of the time", flush=True)
    write_sparse(model, out, len(losses))
    seconds = time.monotonic() - started
    return {"steps": len(losses), "seconds": seconds, "loss": float(np.mean(losses[-100:]))}


def rate(step: int, spent: float, settings: SparseTraining) -> float:
    """The share of the learning rate: a short rise, then half a cosine over the time."""
    low = settings.final_lr_share
    falling = low + (1 - low) * 0.5 * (1 + math.cos(math.pi * spent))
    return min(1.0, (step + 1) / settings.warmup) * falling


def one_step(
    model: SparseVAE,
    optimizer: torch.optim.Optimizer,
    shapes: list[VoxelShape],
    settings: SparseTraining,
    device: str,
) -> float:
    """One optimisation step on a batch; its loss. The posterior is sampled."""
    batch = batch_of(shapes, device)
    value = model(batch, settings.loss, sample=True)
    optimizer.zero_grad()
    value.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    optimizer.step()
    return float(value.detach())


def batches(
    paths: list[Path], cache: Path, config: SparseConfig, settings: SparseTraining
) -> Iterator[list[VoxelShape]]:
    """Batches without end: every mesh once a pass, in a drawn order, each turned."""
    epoch, waiting = 0, []
    while True:
        draw = generator(settings.seed, str(epoch), "sparse order")
        for index in draw.permutation(len(paths)):
            shape = voxels_of(paths[index], cache, config.resolution)
            waiting.append(turned(shape, config.resolution, draw))
            if len(waiting) == settings.batch:
                yield waiting
                waiting = []
        epoch += 1


def voxels_of(path: Path, cache: Path, resolution: int) -> VoxelShape:
    """The voxels of a mesh, from the cache where they are there."""
    kept = cache / f"{path.stem}@{resolution}.safetensors"
    if not kept.is_file():
        write_shape(voxelise(load_mesh(path), resolution, 0, path.stem), kept)
    return read_shape(kept)
