"""Attention that looks closely at what is near and coarsely at the rest: cheaper at large counts.

Off by default, and not exact; what a K costs in accuracy is in docs/training.md. The rows that are
attended to come in an order whose prefixes thin them evenly, farthest point order. Queries are
grouped by place, and a group attends to the K rows nearest to its middle; beyond those to the K
nearest of the first quarter of all rows, each of which stands for four; beyond those to the K
nearest of the first sixteenth, and so on to a prefix of K rows at most, which is taken whole. A row
that stands for n adds log n to its logit, so that the sums of attention keep their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional

from preprocessing.distance.morton import morton_order
from vae.blocks import Attends
from vae.config import ConfigError

THINNING = 4  # rows of a level for one of the next: its neighbours then reach twice as far
GROUP, SMALL_GROUP = 64, 8  # queries that share their rows; fewer where queries lie far apart
GATHERED = 2**20  # floats of keys that are gathered at a time: more leaves the cache


def nearest_count(attention: str) -> int | None:
    """K of `local:K`, None for `full`. Raises ConfigError for any other word."""
    if attention == "full":
        return None
    kind, _, count = attention.partition(":")
    if kind != "local" or not count.isdigit() or int(count) < 1:
        raise ConfigError(f"attention is full or local:K such as local:256, not {attention!r}")
    return int(count)


@dataclass(frozen=True)
class Level:
    """One thinning of the rows: rows int64 (L,), the log of what each stands for float32 (L,)."""

    rows: np.ndarray
    weights: np.ndarray
    tree: cKDTree


class Pyramid:
    """Rows to attend to at positions float32 (N,3), and their thinnings."""

    def __init__(self, positions: np.ndarray, orders: Sequence[np.ndarray], near: int) -> None:
        """orders: the rows of each cloud among the positions, in an order whose prefixes thin them
        evenly; together all rows. near: K."""
        self.near, share = near, 1
        self.levels: list[Level] = []
        while not self.levels or len(self.levels[-1].rows) > near:
            taken = [order[: -(-len(order) // share)] for order in orders if len(order)]
            weights = [
                np.full(len(rows), np.log(len(order) / len(rows)), np.float32)
                for rows, order in zip(taken, (o for o in orders if len(o)), strict=True)
            ]
            rows = np.concatenate(taken)
            if self.levels and len(rows) == len(self.levels[-1].rows):
                break  # clouds of one row each
            self.levels.append(Level(rows, np.concatenate(weights), cKDTree(positions[rows])))
            share *= THINNING

    def plan(self, queries: np.ndarray) -> Plan:
        """What queries at float32 (Q,3) attend to."""
        groups = in_groups(morton_order(queries), GROUP)
        middles, radii = balls(queries[groups])
        near = min(self.near, len(self.levels[0].rows))
        reach = self.levels[0].tree.query(middles, [near])[0][:, 0]
        wide = radii > reach / 2
        # Each query once: what a group was filled up with belongs to that group alone.
        apart = groups[wide].ravel()
        apart = apart[np.diff(apart, prepend=-1) != 0]
        blocks = [groups[~wide], in_groups(apart, SMALL_GROUP)]
        return Plan([self.block(queries, block) for block in blocks if len(block)])

    def block(self, queries: np.ndarray, groups: np.ndarray) -> Block:
        """Rows and weights of groups int64 (G,S) of queries."""
        middles, _ = balls(queries[groups])
        rows, weights = [], []
        within = np.full(len(middles), -1.0)
        for level in self.levels:
            count = min(self.near, len(level.rows))
            distances, found = level.tree.query(middles, list(range(1, count + 1)))
            rows.append(level.rows[found])
            # What a finer level has is left out here.
            fresh = distances > within[:, None]
            weights.append(np.where(fresh, level.weights[found], -np.inf))
            within = distances[:, -1]
        return Block(
            torch.from_numpy(groups),
            torch.from_numpy(np.concatenate(rows, axis=1)),
            torch.from_numpy(np.concatenate(weights, axis=1).astype(np.float32)),
        )


@dataclass(frozen=True)
class Block:
    """Groups of queries int64 (G,S), the rows int64 (G,M) each attends to, their weights (G,M)."""

    groups: Tensor
    rows: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Plan:
    """An attention in place of `scaled_dot_product_attention`, for one shape (a batch of one)."""

    blocks: list[Block]

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query (1,heads,Q,channels), key and value (1,heads,N,channels) -> as query."""
        queries, keys, values = (t[0].transpose(0, 1).contiguous() for t in (query, key, value))
        out = torch.empty_like(queries)
        for block in self.blocks:
            each = block.rows.shape[1] * (keys[0].numel() + values[0].numel())
            for at in range(0, len(block.groups), step := max(1, GATHERED // each)):
                part = slice(at, at + step)
                groups, rows = block.groups[part].to(keys.device), block.rows[part].to(keys.device)
                weights = block.weights[part, None, None].to(keys.device, keys.dtype)
                found = functional.scaled_dot_product_attention(
                    queries[groups].transpose(1, 2),
                    keys[rows].transpose(1, 2),
                    values[rows].transpose(1, 2),
                    attn_mask=weights.expand(-1, 1, groups.shape[1], -1),
                )
                out[groups.flatten()] = found.transpose(1, 2).flatten(0, 1)
        return out.transpose(0, 1)[None]


def token_pyramid(positions: np.ndarray, salient: int, near: int) -> Pyramid:
    """Of tokens at float32 (T,3), the last `salient` of which are salient; both in their order."""
    rows = np.arange(len(positions))
    return Pyramid(positions, [rows[: len(rows) - salient], rows[len(rows) - salient :]], near)


def encoder_attends(
    clouds: Sequence[tuple[np.ndarray, np.ndarray]], tokens: np.ndarray, salient: int, near: int
) -> Attends:
    """The attentions of an encoder. clouds: positions float32 (N,3) and order of each; the order
    may be of a part, the other rows follow. tokens float32 (T,3), salient: as `token_pyramid`."""
    plans = []
    for positions, order in clouds:
        rest = np.setdiff1d(np.arange(len(positions)), order)
        rows = np.concatenate([order, rest]).astype(np.int64)
        plans.append(Pyramid(positions, [rows], near).plan(tokens) if len(rows) else None)
    own = token_pyramid(tokens, salient, near).plan(tokens)
    return Attends(plans[0], plans[1] if len(plans) > 1 else None, own)


def in_groups(order: np.ndarray, size: int) -> np.ndarray:
    """Rows (Q,) in groups int64 (G,size); the last row fills up the last group."""
    filled = np.concatenate([order, np.repeat(order[-1:], -len(order) % size)])
    return filled.astype(np.int64).reshape(-1, size)


def balls(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middles (G,3) of the boxes of groups of points (G,S,3) and half of their diagonals (G,)."""
    low, high = groups.min(axis=1), groups.max(axis=1)
    return (low + high) / 2, np.linalg.norm(high - low, axis=1) / 2
