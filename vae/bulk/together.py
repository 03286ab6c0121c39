"""Several shapes through the encoder in one pass, where their clouds have equal sizes."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from vae.latents import Latents, TokenSource, batched, encode_shape, latents_of
from vae.model import DoraVAE


@torch.inference_mode()
def encode_together(
    model: DoraVAE, sources: Sequence[TokenSource], tokens: int, **told: Any
) -> list[Latents]:
    """As `encode_shape` of each, in the same order; told: its other arguments.

    A pass takes the shapes whose two clouds have the sizes of each other's. What is alone in its
    size, a model of one cloud and another attention than full go one by one.
    """
    if model.variant.clouds == 1 or told["attention"] != "full":
        return [encode_shape(model, source, tokens, **told) for source in sources]
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, source in enumerate(sources):
        clouds = source.clouds(tokens)
        groups[len(clouds.coarse), len(clouds.sharp)].append(number)
    found: dict[int, Latents] = {}
    for group in groups.values():
        some = [sources[number] for number in group]
        many = len(some) > 1
        made = (
            one_pass(model, some, tokens, told)
            if many
            else [encode_shape(model, some[0], tokens, **told)]
        )
        found |= dict(zip(group, made, strict=True))
    return [found[number] for number in range(len(sources))]


def one_pass(
    model: DoraVAE, sources: Sequence[TokenSource], tokens: int, told: dict[str, Any]
) -> list[Latents]:
    """Latents of sources whose clouds have equal sizes."""
    clouds = [source.clouds(tokens) for source in sources]
    rows = [one.rows(tokens) for one in clouds]
    device = model.device
    coarse, sharp = (
        torch.tensor(np.stack([getattr(one, name) for one in clouds])).to(device)
        for name in ("coarse", "sharp")
    )
    index = [torch.cat([batched(pair[side], device) for pair in rows]) for side in (0, 1)]
    posterior = model.encode(coarse, sharp, query_index=(index[0], index[1]))
    return [
        latents_of(
            posterior.mean[number],
            posterior.logvar[number],
            np.concatenate([one.coarse[pair[0], :3], one.sharp[pair[1], :3]]),
            salient=len(pair[1]),
            item_id=source.item_id,
            **told,
        )
        for number, (source, one, pair) in enumerate(zip(sources, clouds, rows, strict=True))
    ]
