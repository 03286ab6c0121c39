"""What one training step reads: windows of sample files, augmented, as a batch.

Notable:
- A batch is a pure function of (seed, step, slot): which items, which window, which pose, which
  posterior noise. So a resumed run needs no generator state, loader processes cannot reorder
  anything, and two processes with batch 2 read what one process with batch 4 reads.
- Samples are shuffled when written, so a window is read as a slice and never loads the file whole.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from preprocessing import seeds
from preprocessing.console import UsageError
from preprocessing.points.fps import farthest_points
from preprocessing.points.sample_at import SampleAt, SampleSource
from preprocessing.points.samples import SampleError, read_window, sample_files
from preprocessing.points.shards import find_packed, is_packed
from preprocessing.running.known_eps import eps_of_samples, require_one_eps
from preprocessing.settings import parse_eps
from preprocessing.stores.address import Place, StorePath, place
from vae.config import VAEConfig
from vae.model import split_tokens


class DataError(ValueError):
    """Samples that cannot be trained on; the message says which and why."""


@dataclass(frozen=True)
class Batch:
    """One micro-step of one process. Positions in the normalised frame, sdf positive inside.

    coarse (B,N,6), sharp (B,M,6); rows int64 (B,T) of coarse then sharp; near (B,Q,4) of surface
    and space points, sharp_near (B,S,4): xyz and sdf; space: how many of near's last rows are
    uniform in space; sharp_present bool (B,); noise (B,T,embed).
    """

    ids: list[str]
    coarse: Tensor
    sharp: Tensor
    rows: Tensor
    near: Tensor
    sharp_near: Tensor
    sharp_present: Tensor
    noise: Tensor
    space: int

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        tensors = {k: v for k, v in values.items() if torch.is_tensor(v)}
        return Batch(
            **{**values, **{k: v.to(device, non_blocking=True) for k, v in tensors.items()}}
        )


def find_samples(folder: str | Place) -> dict[str, SampleSource]:
    """Sample files by id, sorted. Raises DataError when there are none.

    `folder` holds samples itself or, as `dora-prep run` writes it, in `folder`/samples; or shards,
    as `dora-prep pack` writes them. It is a folder, or an address in a store as text or StorePath.
    """
    folder = place(str(folder))
    for root in (folder, folder / "samples"):
        if is_packed(root):
            return dict(find_packed(root))
    found = sample_files(folder)
    if not found:
        say = "`dora-prep run` writes them"
        if isinstance(folder, Path) and any(folder.rglob("*.npz")):
            say = "npz files become them by `write_sample(read_npz(path), ...)` (docs/formats.md)"
        raise DataError(f"{folder}: no samples (*.safetensors) in it; {say}")
    return dict(found)


def check_eps(samples: dict[str, SampleSource], config: VAEConfig, quiet: bool = False) -> None:
    """Raise DataError, naming them, when samples come from solids of several offsets that the
    config does not name; say so when all come from another one than it names."""
    wanted = {parse_eps(text) for text in config.data.eps}
    try:
        found = eps_of_samples(samples)
        told = set(found.values())
        if told <= wanted:
            return
        require_one_eps(found, "the samples are of solids")
    except (UsageError, SampleError) as error:
        raise DataError(str(error)) from error
    if not quiet:
        own = config.data.eps[0]
        print(
            f"the samples are of solids at eps {told.pop():g}, the config says {own}: make others "
            f"(`dora-prep run MESHES --out DIR --eps {own}`) or say --set eps=...",
            file=sys.stderr,
        )


def item_at(position: int, items: int, seed: int) -> int:
    """Which item stands at `position` of the endless stream: one permutation after another."""
    epoch, place = divmod(position, items)
    return int(epoch_order(epoch, items, seed)[place])


@lru_cache(maxsize=4)
def epoch_order(epoch: int, items: int, seed: int) -> np.ndarray:
    """The permutation of one epoch."""
    return seeds.generator(seed, f"epoch {epoch}", "order").permutation(items)


class StepData(Dataset[Batch]):
    """`self[k]` is micro-step k of this process; micro-steps are counted from the run's start."""

    def __init__(
        self, samples: dict[str, SampleSource], config: VAEConfig, rank: int = 0, processes: int = 1
    ) -> None:
        self.samples = list(samples.items())
        self.config, self.rank, self.processes = config, rank, processes

    def __getitem__(self, micro_step: int) -> Batch:
        train, data = self.config.train, self.config.data
        step = micro_step // train.accumulate
        tokens = draw_tokens(self.config, step)
        first = (micro_step * self.processes + self.rank) * train.batch
        ids, items = [], []
        for position in range(first, first + train.batch):
            item_id, path = self.samples[item_at(position, len(self.samples), train.seed)]
            generator = seeds.generator(train.seed, f"{position}\0{item_id}", "window")
            ids.append(item_id)
            items.append(read_item(item_id, path, self.config, tokens, generator))
        columns = {name: torch.tensor(np.stack([i[name] for i in items])) for name in items[0]}
        return Batch(ids=ids, space=data.space, **columns)


def draw_tokens(config: VAEConfig, step: int) -> int:
    """The token length of a step, the same in every process."""
    data, train = config.data, config.train
    weights = np.asarray(data.token_weights) / sum(data.token_weights)
    return int(
        seeds.generator(train.seed, f"{step}", "tokens").choice(data.token_lengths, p=weights)
    )


def read_item(
    item_id: str, path: SampleSource, config: VAEConfig, tokens: int, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """One item's arrays, augmented, every array of the length the config asks for."""
    data = config.data
    counts = {
        "coarse_surface": data.coarse_points,
        "sharp_surface": data.sharp_points,
        "sharp_near": data.sharp_near,
        "coarse_near": data.coarse_near,
        "space": data.space,
    }
    try:
        window = read_window(path, counts, generator)
    except SampleError as error:
        # A plain message, which a reading process can hand over.
        raise DataError(f"{item_id}: {error}") from error
    for name, rows in window.items():
        if len(rows) == 0 and counts[name] and not name.startswith("sharp"):
            raise DataError(f"{item_id}: {name} is empty")
        if not np.isfinite(rows).all():
            raise DataError(f"{item_id}: {name} holds NaN or infinity")
    present = len(window["sharp_surface"]) > 0 and len(window["sharp_near"]) > 0
    arrays = {name: filled(window[name], count) for name, count in counts.items()}
    turn = draw_pose(config, generator)
    for name, rows in arrays.items():
        arrays[name] = posed(rows, turn)
    noise = generator.standard_normal((tokens, config.model.embed), np.float32)
    if generator.random() < data.mean_share:
        noise[:] = 0
    return {
        "coarse": arrays["coarse_surface"],
        "sharp": arrays["sharp_surface"],
        "rows": choose_rows(arrays, tokens, present, item_id),
        "near": np.concatenate([arrays["coarse_near"], arrays["space"]]),
        "sharp_near": arrays["sharp_near"],
        "sharp_present": np.asarray(present),
        "noise": noise,
    }


def filled(rows: np.ndarray, count: int) -> np.ndarray:
    """`rows` repeated in turn up to `count`; zeros where there is nothing to repeat."""
    if len(rows) == 0:
        return np.zeros((count, rows.shape[1]), np.float32)
    return rows[np.arange(count) % len(rows)]


def choose_rows(
    arrays: dict[str, np.ndarray], tokens: int, present: bool, item_id: str
) -> np.ndarray:
    """Token rows by farthest point sampling, int64 (T,): coarse ones, then sharp ones plus N."""
    coarse, sharp = arrays["coarse_surface"], arrays["sharp_surface"]
    from_coarse, from_sharp = split_tokens(tokens, len(sharp) if present else 0)
    if from_coarse > len(coarse) or from_sharp > len(sharp):
        raise DataError(
            f"{item_id}: {tokens} tokens need {from_coarse} uniform and {from_sharp} salient "
            f"points; a step reads {len(coarse)} and {len(sharp)} (coarse_points, sharp_points)"
        )
    chosen = [farthest_points(coarse[:, :3], from_coarse)]
    if from_sharp:
        chosen.append(len(coarse) + farthest_points(sharp[:, :3], from_sharp))
    return np.concatenate(chosen)


def draw_pose(config: VAEConfig, generator: np.random.Generator) -> np.ndarray:
    """An orthogonal matrix (3,3): a random rotation, with some probability mirrored in x."""
    turn = np.eye(3)
    if config.data.rotate:
        turn, upper = np.linalg.qr(generator.standard_normal((3, 3)))
        turn = turn * np.sign(np.diag(upper))
        turn = turn * np.linalg.det(turn)
    if generator.random() < config.data.mirror_probability:
        turn = turn @ np.diag([-1.0, 1.0, 1.0])
    return turn.astype(np.float32)


def posed(rows: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Rows turned: xyz, and the normals of (n,6); the sdf of (n,4) does not change."""
    turned = rows.copy()
    turned[:, :3] = rows[:, :3] @ turn.T
    if rows.shape[1] == 6:
        turned[:, 3:] = rows[:, 3:] @ turn.T
    return turned


def batches(
    samples: dict[str, SampleSource],
    config: VAEConfig,
    first_step: int,
    last_step: int,
    *,
    rank: int = 0,
    processes: int = 1,
) -> Iterator[Batch]:
    """The micro-steps of steps first_step to last_step - 1 for one process."""
    each, loaders = config.train.accumulate, config.train.loaders
    # A fork of a process that has asked a store hangs: what the store's client holds is no fork's.
    apart = "forkserver" if loaders and any(map(is_stored, samples.values())) else None
    loader = DataLoader(
        StepData(samples, config, rank, processes),
        batch_size=None,
        sampler=range(first_step * each, last_step * each),
        num_workers=loaders,
        multiprocessing_context=apart,
    )
    return iter(loader)


def is_stored(source: SampleSource) -> bool:
    """Whether a sample, or the shard that it is in, lies in a store."""
    return isinstance(source.path if isinstance(source, SampleAt) else source, StorePath)
