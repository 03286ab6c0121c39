"""Uniform token points that keep away from the salient ones, which are chosen first.

As released, each cloud is thinned by itself, so a uniform token may lie beside a salient one.
Here the salient points are chosen as ever, and farthest point sampling of the uniform cloud begins
as if they had been chosen. What that changes in the spacing of the tokens, on samples:

    python -m benchmarks.boxed.repelled --data DIR --tokens 256
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from preprocessing.points.samples import read_sample
from vae.data import Batch, find_samples
from vae.latents import Clouds, TokenSource
from vae.model import split_tokens
from vae.resident import ResidentSet

CELL = 2 / 128  # of the grid that most samples are made watertight on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="samples")
    parser.add_argument("--tokens", type=int, default=256)
    options = parser.parse_args()
    spaced: dict[str, list[np.ndarray]] = {"alone": [], "repelled": []}
    for path in find_samples(options.data).values():
        clouds = TokenSource(read_sample(path)).clouds(options.tokens)
        if len(clouds.sharp):
            spaced["alone"].append(spacing(clouds, clouds.rows(options.tokens)))
            spaced["repelled"].append(spacing(clouds, repelled_rows(clouds, options.tokens)))
    print(f"{len(spaced['alone'])} shapes with salient edges, {options.tokens} tokens")
    for name, each in spaced.items():
        close = np.mean([(gaps < CELL).sum() for gaps in each])
        least, middle = np.mean([(gaps.min(), np.median(gaps)) for gaps in each], axis=0)
        print(
            f"{name:8}  nearest other token: least {least:.4f}, median {middle:.4f}; "
            f"{close:.1f} tokens within a cell of {CELL:.4f} of another"
        )


def spacing(clouds: Clouds, rows: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The distance (T,) of every token to the nearest other one."""
    at = np.concatenate([clouds.coarse[rows[0], :3], clouds.sharp[rows[1], :3]])
    return np.asarray(cKDTree(at).query(at, k=2)[0][:, 1])


def repelled_rows(clouds: Clouds, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """In the place of `Clouds.rows`: rows of coarse and of sharp that become the tokens."""
    from_coarse, from_sharp = split_tokens(tokens, len(clouds.sharp))
    second = clouds.sharp_order[:from_sharp]
    if not from_sharp:
        return clouds.coarse_order[:from_coarse], second
    seeds = torch.from_numpy(clouds.sharp[second, :3])[None]
    first = repelled(torch.from_numpy(clouds.coarse[:, :3])[None], seeds, from_coarse)
    return first[0].numpy(), second


def repelled_batch(held: ResidentSet, micro_step: int) -> Batch:
    """In the place of `ResidentSet.batch`: the same batch with uniform tokens chosen again."""
    batch = plain_batch(held, micro_step)
    tokens, points = batch.rows.shape[1], batch.coarse.shape[1]
    from_coarse, from_sharp = split_tokens(tokens, 1)
    seeds = batch.sharp[:, :from_sharp, :3]
    rows = batch.rows.clone()
    rows[:, :from_coarse] = repelled(batch.coarse[..., :3], seeds, from_coarse)
    rows[:, from_coarse:] = points + torch.arange(from_sharp, device=rows.device)
    return replace(batch, rows=torch.where(batch.sharp_present[:, None], rows, batch.rows))


plain_batch = ResidentSet.batch


def repelled(points: Tensor, seeds: Tensor, count: int) -> Tensor:
    """Rows (B,count) of points (B,N,3) in farthest point order, seeds (B,S,3) chosen before."""
    distance = torch.cdist(points, seeds).amin(dim=2)
    order = []
    for _ in range(count):
        far = distance.argmax(dim=1)
        order.append(far)
        chosen = points.take_along_dim(far[:, None, None], dim=1)
        distance = torch.minimum(distance, (points - chosen).norm(dim=2))
        distance.scatter_(1, far[:, None], -1.0)
    return torch.stack(order, dim=1)


if __name__ == "__main__":
    main()
