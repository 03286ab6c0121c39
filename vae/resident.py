"""A training set that lives in the memory of the device: no reading, no waiting.

A GPU takes a small model through a thousand shapes a second, which no reader of files keeps up
with. Here every sample is loaded once, its clouds cut into a few windows whose first rows are in
farthest point order, so that the queries of any token count are a prefix.

Notable:
- A batch is a pure function of (seed, micro-step), as in `vae.data`: the draws come from the CPU
  and are the same on every device. That holds for a set that is complete at the start; one that
  grows while it trains (`growing`) depends on the clock.
- Shapes are turned at random and then brought back into the frame, as a mesh in another pose would
  be by normalisation: half of the time by one of the cube's own 48 symmetries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import torch
from torch import Tensor

from preprocessing import seeds
from preprocessing.points.fps import farthest_points
from preprocessing.points.sample_at import SampleSource
from preprocessing.points.samples import read_sample
from vae.config import VAEConfig
from vae.data import Batch, DataError, draw_tokens, filled
from vae.model import split_tokens

WINDOWS = 4  # cuts of each cloud: other points, and another farthest point order
POOL = 16384  # rows of each supervision pool that are kept: shuffled at write, so any will do
REFRESH = 100  # micro-steps between two looks for new files
FEWEST = 64  # samples that must be there before a growing set is trained on

Files = Callable[[], dict[str, SampleSource]]


@dataclass(frozen=True)
class Item:
    """One sample, cut: coarse (W,N,6), sharp (W,M,6), near, sharp_near, space (.,4), float32."""

    coarse: np.ndarray
    sharp: np.ndarray
    near: np.ndarray
    sharp_near: np.ndarray
    space: np.ndarray
    present: bool


def load_item(item_id: str, path: SampleSource, config: VAEConfig) -> Item:
    """Read and cut one sample. Raises SampleError, and DataError for too few points."""
    data = config.data
    sample = read_sample(path)
    most = max(data.token_lengths)
    present = len(sample.sharp_surface) > 0 and len(sample.sharp_near) > 0
    if len(sample.coarse_near) == 0 or len(sample.space) == 0:
        raise DataError(f"{item_id}: no supervision points")
    coarse, sharp = [], []
    for number in range(WINDOWS):
        draw = seeds.generator(config.train.seed, item_id, f"window {number}")
        first = cut(sample.coarse_surface, data.coarse_points, most, draw)
        second = cut(sample.sharp_surface, data.sharp_points, most // 2, draw)
        coarse.append(first)
        sharp.append(second)
    return Item(
        coarse=np.stack(coarse),
        sharp=np.stack(sharp),
        near=filled(sample.coarse_near[:POOL], POOL),
        sharp_near=filled(sample.sharp_near[:POOL], POOL),
        space=filled(sample.space[:POOL], POOL),
        present=present,
    )


def cut(cloud: np.ndarray, count: int, ordered: int, draw: np.random.Generator) -> np.ndarray:
    """`count` random rows of a cloud (N,6), the first `ordered` in farthest point order."""
    rows = filled(cloud[draw.permutation(len(cloud))[:count]], count)
    first = farthest_points(rows[:, :3], min(ordered, count))
    rest = np.setdiff1d(np.arange(count), first)
    return np.concatenate([rows[first], rows[rest]])


class ResidentSet:
    """Samples on a device; `batch(micro_step)` gives one process's share of a step."""

    def __init__(
        self,
        files: Files,
        config: VAEConfig,
        device: torch.device,
        *,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        """files: called for the samples there are; again, every now and then, where the set grows.

        Raises DataError and SampleError.
        """
        self.files, self.config, self.device = files, config, device
        self.rank, self.processes = rank, processes
        self.ids: list[str] = []
        self.arrays: dict[str, Tensor] = {}
        self.seen: set[str] = set()
        self.loading: list[tuple[str, Future[Item]]] = []
        # Processes: threads would fight the training loop for the interpreter lock at every kernel.
        loaders = config.train.loaders
        context = get_context("forkserver")
        self.pool = ProcessPoolExecutor(loaders, context) if loaders else None
        self.refresh(wait=FEWEST if config.train.growing else None)

    def refresh(self, wait: int | None = 0) -> None:
        """Take in what was loaded meanwhile and start to load what is new.

        wait: how many samples must be there before this returns; None for all of them.
        """
        for item_id, path in self.files().items():
            if item_id not in self.seen:
                self.seen.add(item_id)
                if self.pool is None:
                    self.add(item_id, load_item(item_id, path, self.config))
                else:
                    loading = self.pool.submit(load_item, item_id, path, self.config)
                    self.loading.append((item_id, loading))
        if wait is None:
            wait = len(self.seen)
        while self.loading and (self.loading[0][1].done() or len(self.ids) < wait):
            item_id, loading = self.loading.pop(0)
            self.add(item_id, loading.result())

    def add(self, item_id: str, item: Item) -> None:
        """Copy one item behind the others; room doubles when it runs out."""
        at = len(self.ids)
        for name in ("coarse", "sharp", "near", "sharp_near", "space", "present"):
            value = torch.as_tensor(getattr(item, name))
            if name not in self.arrays:
                self.arrays[name] = torch.zeros((64, *value.shape), dtype=value.dtype).to(
                    self.device
                )
            held = self.arrays[name]
            if at == len(held):
                self.arrays[name] = torch.cat([held, torch.zeros_like(held)])
            self.arrays[name][at] = value.to(self.device)
        self.ids.append(item_id)

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """Micro-steps first to last - 1."""
        for micro_step in range(first, last):
            if self.config.train.growing and micro_step % REFRESH == 0:
                self.refresh()
            yield self.batch(micro_step)

    def batch(self, micro_step: int) -> Batch:
        """One micro-step of this process, on the device."""
        train, data = self.config.train, self.config.data
        tokens = draw_tokens(self.config, micro_step // train.accumulate)
        draw = seeds.generator(train.seed, f"{micro_step}", "resident")
        every = train.batch * self.processes
        mine = slice(self.rank * train.batch, (self.rank + 1) * train.batch)
        items = draw.integers(len(self.ids), size=every)[mine]
        window = draw.integers(WINDOWS, size=every)[mine]
        turns = poses(draw, every, self.config)[mine]
        shrink = draw.uniform(0.9, 1.0, every)[mine]
        of_mean = draw.random(every)[mine] < data.mean_share
        starts = draw.random((every, 3))[mine]
        noise = torch.Generator(self.device).manual_seed(int(draw.integers(2**62)) + self.rank)

        at = torch.from_numpy(items).to(self.device)
        coarse = self.arrays["coarse"][at, torch.from_numpy(window).to(self.device)]
        sharp = self.arrays["sharp"][at, torch.from_numpy(window).to(self.device)]
        counts = {"near": data.coarse_near, "sharp_near": data.sharp_near, "space": data.space}
        pools = {
            name: self.runs(name, at, starts[:, column], count)
            for column, (name, count) in enumerate(counts.items())
        }
        turn = torch.from_numpy(turns).to(self.device, torch.float32)
        shrunk = torch.from_numpy(shrink).to(self.device, torch.float32)
        frame = fit(coarse[..., :3] @ turn.mT, shrunk)
        present = self.arrays["present"][at]
        of_mean_here = torch.from_numpy(of_mean).to(self.device)
        drawn = torch.randn(
            (train.batch, tokens, self.config.model.embed), generator=noise, device=self.device
        )
        return Batch(
            ids=[self.ids[i] for i in items],
            coarse=move_cloud(coarse, turn, frame),
            sharp=move_cloud(sharp, turn, frame),
            rows=self.rows(tokens, present),
            near=torch.cat(
                [move_field(pools[name], turn, frame) for name in ("near", "space")], dim=1
            ),
            sharp_near=move_field(pools["sharp_near"], turn, frame),
            sharp_present=present,
            noise=drawn * ~of_mean_here[:, None, None],
            space=data.space,
        )

    def runs(self, name: str, at: Tensor, starts: np.ndarray, count: int) -> Tensor:
        """`count` rows (B,count,4) of a pool for each item, from a random row on."""
        pool = self.arrays[name]
        first = torch.from_numpy((starts * (pool.shape[1] - count + 1)).astype(np.int64))
        rows = first.to(self.device)[:, None] + torch.arange(count, device=self.device)
        return pool[at[:, None], rows]

    def rows(self, tokens: int, present: Tensor) -> Tensor:
        """Token rows (B,T): prefixes of both clouds, or of the uniform one alone."""
        points = self.config.data.coarse_points
        coarse, sharp = split_tokens(tokens, 1)
        both = torch.cat([torch.arange(coarse), points + torch.arange(sharp)]).to(self.device)
        alone = torch.arange(tokens, device=self.device)
        return torch.where(present[:, None], both, alone)


def poses(draw: np.random.Generator, count: int, config: VAEConfig) -> np.ndarray:
    """Orthogonal matrices (count,3,3): symmetries of the cube or, half of the time, any turn."""
    data = config.data
    turns = np.tile(np.eye(3), (count, 1, 1))
    if data.rotate:
        axes = draw.permuted(np.tile(np.arange(3), (count, 1)), axis=1)
        turns = np.eye(3)[axes] * draw.choice([-1.0, 1.0], (count, 1, 3))
        any_turn, upper = np.linalg.qr(draw.standard_normal((count, 3, 3)))
        any_turn = any_turn * np.sign(np.diagonal(upper, axis1=1, axis2=2))[:, None, :]
        turns = np.where((draw.random(count) < 0.5)[:, None, None], any_turn, turns)
    mirrored = np.linalg.det(turns) < 0
    wrong = mirrored != (draw.random(count) < data.mirror_probability)
    turns[wrong, :, 0] *= -1.0
    return turns


def fit(points: Tensor, shrink: Tensor) -> tuple[Tensor, Tensor]:
    """Centre (B,1,3) and scale (B,1,1) that bring clouds (B,N,3) to sides of 2 * shrink (B,)."""
    low, high = points.amin(dim=1, keepdim=True), points.amax(dim=1, keepdim=True)
    side = (high - low).amax(dim=2, keepdim=True)
    return (low + high) / 2, 2 * shrink[:, None, None] / side


def move_cloud(cloud: Tensor, turn: Tensor, frame: tuple[Tensor, Tensor]) -> Tensor:
    """Clouds (B,N,6) turned and brought into the frame."""
    points = (cloud[..., :3] @ turn.mT - frame[0]) * frame[1]
    return torch.cat([points, cloud[..., 3:] @ turn.mT], dim=-1)


def move_field(rows: Tensor, turn: Tensor, frame: tuple[Tensor, Tensor]) -> Tensor:
    """Positions with distances (B,N,4), likewise; distances take the scale."""
    points = (rows[..., :3] @ turn.mT - frame[0]) * frame[1]
    return torch.cat([points, rows[..., 3:] * frame[1]], dim=-1)
