"""Training the sparse VAE on watertight meshes: the whole loop, visible.

AdamW with amsgrad, gradients cut at 0.5, as published; the learning rate falls along a cosine over
the time given in place of 0.7 every 50,000 shapes. One symmetry of the cube is drawn a shape.
"""

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from preprocessing.console import Progress, UsageError
from preprocessing.mesh import load_mesh
from preprocessing.seeds import generator
from vae.sparse.model import TINY, LossWeights, SparseConfig, SparseVAE
from vae.sparse.run import write_sparse
from vae.sparse.voxelise import VoxelShape, batch_of, read_shape, turned, voxelise, write_shape


@dataclass(frozen=True, kw_only=True)
class SparseTraining:
    """minutes: of the clock. batch: shapes a step. threads: of torch on a CPU.

    precision: `no`, or `bf16` for convolutions and linear layers.
    """

    minutes: float = 30.0
    batch: int = 1
    lr: float = 2e-3
    final_lr_share: float = 0.05
    warmup: int = 20
    clip: float = 0.5
    seed: int = 0
    threads: int = 1
    precision: str = "no"
    save_every: int = 100
    loss: LossWeights = field(default_factory=LossWeights)


def train(
    data: Path,
    out: Path,
    config: SparseConfig = TINY,
    settings: SparseTraining | None = None,
    device: str = "cpu",
) -> dict[str, float]:
    """Train on a folder of voxel files (`write_shape`) or meshes (`dora-prep watertight`).

    Voxels of meshes are made first and kept below out/voxels; voxel files that appear meanwhile
    are taken in at the next pass. The weights are written every `save_every` steps and at the
    end. Raises UsageError when there is neither. Returns steps, seconds, last losses.
    """
    settings = settings or SparseTraining()
    folder = voxel_folder(data, out / "voxels", config.resolution)
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    model = SparseVAE(config).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), settings.lr, amsgrad=True)
    started, losses = time.monotonic(), []
    for step, shapes in enumerate(ahead(batches(folder, config, settings))):
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
    batch, half = batch_of(shapes, device), settings.precision == "bf16"
    with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
        value = model(batch, settings.loss, sample=True)
    optimizer.zero_grad()
    value.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    optimizer.step()
    return float(value.detach())


def voxel_folder(data: Path, made: Path, resolution: int) -> Path:
    """The folder of voxel files at a resolution: `data` itself, or `made` from its meshes."""
    if any(data.glob(f"*@{resolution}.safetensors")):
        return data
    meshes = sorted(data.glob("*.ply"))
    if not meshes:
        raise UsageError(
            f"{data} holds no .ply and no voxels at {resolution}; make some with "
            "`dora-prep watertight`"
        )
    with Progress(len(meshes), "voxels") as progress:
        for path in meshes:
            target = voxel_file(made, path.stem, resolution)
            if not target.is_file():
                write_shape(voxelise(load_mesh(path), resolution, 0, path.stem), target)
            progress.update()
    return made


def voxel_file(folder: Path, item_id: str, resolution: int) -> Path:
    """Where the voxels of an item lie."""
    return folder / f"{item_id}@{resolution}.safetensors"


def batches(
    folder: Path, config: SparseConfig, settings: SparseTraining
) -> Iterator[list[VoxelShape]]:
    """Batches without end: every file once a pass, in a drawn order, each turned."""
    epoch, waiting = 0, []
    while True:
        paths = sorted(folder.glob(f"*@{config.resolution}.safetensors"))
        draw = generator(settings.seed, str(epoch), "sparse order")
        for index in draw.permutation(len(paths)):
            waiting.append(turned(read_shape(paths[index]), config.resolution, draw))
            if len(waiting) == settings.batch:
                yield waiting
                waiting = []
        epoch += 1


def ahead(reader: Iterator[list[VoxelShape]]) -> Iterator[list[VoxelShape]]:
    """The same batches, the next of which is read while this one is trained on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, reader)
        while True:
            now, coming = coming.result(), pool.submit(next, reader)
            yield now
