"""Decoder attention restricted to the tokens near a query: cheaper at large counts, not exact.

Off by default. Queries are grouped by cubes; each group attends to the K tokens nearest to its
middle. How far a head looks is a distance, so K should grow with the token count; what a K costs
in accuracy is in docs/training.md.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree

from vae.blocks import Keys
from vae.latents import LatentsError
from vae.model import DoraVAE

CUBES = 16  # a side, over the frame
MOST = 8192  # queries at once


class AttentionError(LatentsError):
    """An --attention that does not exist; the message says which do."""


def nearest_count(attention: str) -> int | None:
    """K of `local:K`, None for `full`. Raises AttentionError for any other word."""
    if attention == "full":
        return None
    kind, _, count = attention.partition(":")
    if kind != "local" or not count.isdigit() or int(count) < 1:
        raise AttentionError(f"attention is full or local:K such as local:256, not {attention!r}")
    return int(count)


class LocalQuery:
    """`query` of a model at positions float32 (Q,3), onto the `near` nearest tokens.

    positions float32 (T,3): where the tokens are, normalised frame; keys: of all of them.
    """

    def __init__(self, model: DoraVAE, keys: Keys, positions: np.ndarray, near: int) -> None:
        self.model, self.keys = model, keys
        self.tree = cKDTree(positions)
        self.near = min(near, len(positions))

    @torch.inference_mode()
    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Logits float32 (Q,)."""
        cubes = np.floor((points + 1.05) * (CUBES / 2.1)).astype(np.int64)
        names = (cubes[:, 0] * 4096 + cubes[:, 1]) * 4096 + cubes[:, 2]
        order = np.argsort(names, kind="stable")
        starts = np.flatnonzero(np.diff(names[order], prepend=names[order][:1] - 1))
        values = np.empty(len(points), np.float32)
        groups = np.split(order, starts[1:])
        for rows in (g[i : i + MOST] for g in groups for i in range(0, len(g), MOST)):
            group = points[rows]
            middle = (group.min(axis=0) + group.max(axis=0)) / 2
            tokens = np.atleast_1d(self.tree.query(middle, self.near)[1])
            index = torch.from_numpy(tokens.astype(np.int64)).to(self.model.device)
            keys = Keys(self.keys.key[:, :, index], self.keys.value[:, :, index])
            part = torch.tensor(group)[None].to(self.model.device)
            values[rows] = self.model.query(keys, part)[0].float().cpu().numpy()
        return values
