"""The Dora-VAE: point clouds in, any number of latent tokens, a field of any query points out.

Notable:
- Parameters bear the published names, so a published state dict loads without a mapping.
- The other published vecset VAEs are the same model with another `Variant`.
- Tokens have no positional encoding: what a latent knows of its place is in its feature.
- The decoder's keys and values depend on the latents only; `keys` computes them once per shape.
- Numbers from a file or from NumPy are copied into torch's own memory: the last bit of a matrix
  product follows the alignment of its arguments, which only torch's allocator holds constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from preprocessing.points.fps import farthest_points
from preprocessing.seeds import generator
from vae.blocks import (
    EXACT,
    Attend,
    Attends,
    CrossBlock,
    Keys,
    SelfBlocks,
    fourier_embedding,
    recompute,
)
from vae.checkpoint import WEIGHTS, CheckpointError, check_names, read_weights
from vae.config import ModelConfig
from vae.published.families import FAMILIES, family_name
from vae.published.files import find_config, find_weights, read_config_file, read_tensors_of
from vae.published.hub import locate
from vae.published.layout import gathered, published_shapes, renamed
from vae.published.settings import read_settings
from vae.variant import DORA, Variant


@dataclass(frozen=True)
class Posterior:
    """A diagonal Gaussian per token: `mean` and `logvar`, each (B,T,embed)."""

    mean: Tensor
    logvar: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One draw (B,T,embed). The generator must live on the device of the mean."""
        noise = torch.randn(
            self.mean.shape,
            generator=generator,
            device=self.mean.device,
            dtype=self.mean.dtype,
        )
        return self.mean + torch.exp(0.5 * self.logvar) * noise

    def kl(self) -> Tensor:
        """Divergence from the unit Gaussian, the mean over tokens and channels: (B,)."""
        mean, logvar = self.mean.float(), self.logvar.float()
        return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean(dim=(1, 2))


class Encoder(nn.Module):
    """Point clouds to token features: cross-attention onto each, summed, then self-attention."""

    def __init__(self, config: ModelConfig, variant: Variant = DORA) -> None:
        super().__init__()
        width, heads, style = config.width, config.heads, variant.style
        self.octaves, self.base = config.octaves, variant.base
        channels = 3 + 6 * config.octaves + variant.features
        self.input_proj = nn.Linear(channels, width)
        if variant.clouds == 2:
            self.input_proj1 = nn.Linear(channels, width)
        self.cross_attn = CrossBlock(width, heads, style)
        if variant.clouds == 2:
            self.cross_attn1 = CrossBlock(width, heads, style)
        self.self_attn = SelfBlocks(width, heads, config.encoder_layers, style)
        self.ln_post = final_norm(width, variant.post_eps, variant.encoder_norm)

    def embed(self, points: Tensor) -> Tensor:
        """Positions and features (B,N,3+F) to channels (B,N,51+F)."""
        embedded = fourier_embedding(points[..., :3], self.octaves, self.base)
        return torch.cat([embedded, points[..., 3:]], -1)

    def forward(
        self,
        coarse: Tensor,
        sharp: Tensor | None,
        rows: Tensor,
        sharp_present: Tensor | None,
        checkpointing: bool,
        attends: Attends = EXACT,
    ) -> Tensor:
        """Token features (B,T,width). rows int64 (B,T): of coarse, then (from N on) of sharp.

        sharp None: a model of one cloud. attends: other attentions than exact ones.
        """
        points = self.embed(coarse)
        coarse_keys = self.cross_attn.projected_keys(self.input_proj, points)
        if sharp is not None and sharp.shape[1] > 0:
            others = self.embed(sharp)
            sharp_keys = self.cross_attn1.projected_keys(self.input_proj1, others)
            queries = self.queries_of_two(points, others, rows)
        else:
            sharp_keys = None
            queries = self.input_proj(take_rows(points, rows))
        # Without salient points the second block keeps its residual and MLP: its attention adds
        # nothing, and the layers that follow see the scale they were trained at.
        if checkpointing:
            x = recompute(self.cross_attn, queries, coarse_keys, None, attends.coarse)
            if sharp is not None:
                second = (queries, sharp_keys, sharp_present, attends.sharp)
                x = x + recompute(self.cross_attn1, *second)
        else:
            x = self.cross_attn(queries, coarse_keys, None, attends.coarse)
            if sharp is not None:
                x = x + self.cross_attn1(queries, sharp_keys, sharp_present, attends.sharp)
        return self.ln_post(self.self_attn(x, checkpointing, attends.tokens))

    def queries_of_two(self, coarse: Tensor, sharp: Tensor, rows: Tensor) -> Tensor:
        """Projected rows of the channels of two clouds, numbered one after the other."""
        size = coarse.shape[1]
        of_coarse = self.input_proj(take_rows(coarse, rows.clamp(max=size - 1)))
        of_sharp = self.input_proj1(take_rows(sharp, (rows - size).clamp(min=0)))
        return torch.where((rows < size)[..., None], of_coarse, of_sharp)


def final_norm(width: int, eps: float, wanted: bool) -> nn.Module:
    """The LayerNorm that ends a stack, or nothing where a variant has none."""
    return nn.LayerNorm(width, eps=eps) if wanted else nn.Identity()


def take_rows(data: Tensor, index: Tensor) -> Tensor:
    """data (B,N,C) at index (B,K) -> (B,K,C)."""
    return torch.gather(data, 1, index[..., None].expand(-1, -1, data.shape[-1]))


class Decoder(nn.Module):
    """Query positions and latents to one logit per position."""

    def __init__(self, config: ModelConfig, variant: Variant = DORA) -> None:
        super().__init__()
        latents = variant.decoder_width or config.width
        width, heads = latents // variant.query_shrink, config.heads // variant.query_shrink
        # The published decoder without its last norm has no norms of heads either.
        normed = variant.style.head_norm and variant.decoder_norm
        style = replace(variant.style, head_norm=normed, expansion=variant.query_expansion)
        self.octaves, self.base = config.octaves, variant.base
        self.query_proj = nn.Linear(3 + 6 * config.octaves, width)
        self.latents_proj = nn.Linear(latents, width) if variant.query_shrink > 1 else None
        self.cross_attn_decoder = CrossBlock(width, heads, style)
        self.ln_post = final_norm(width, variant.post_eps, variant.decoder_norm)
        self.output_proj = nn.Linear(width, 1)

    def keys(self, latents: Tensor) -> Keys:
        """Keys and values of latents (B,T,width)."""
        if self.latents_proj is not None:
            latents = self.latents_proj(latents)
        return self.cross_attn_decoder.keys(latents)

    def forward(self, keys: Keys, xyz: Tensor, attend: Attend = None) -> Tensor:
        x = self.query_proj(fourier_embedding(xyz, self.octaves, self.base))
        x = self.cross_attn_decoder(x, keys, None, attend)
        return self.output_proj(self.ln_post(x)).squeeze(-1)


class DoraVAE(nn.Module):
    """The model. `checkpointing` trades a second forward pass for the memory of activations."""

    def __init__(self, config: ModelConfig, variant: Variant = DORA) -> None:
        super().__init__()
        self.config, self.variant = config, variant
        self.checkpointing = False
        width = variant.decoder_width or config.width
        self.encoder = Encoder(config, variant)
        self.pre_kl = nn.Linear(config.width, 2 * config.embed)
        self.post_kl = nn.Linear(config.embed, width)
        self.transformer = SelfBlocks(width, config.heads, config.decoder_layers, variant.style)
        self.decoder = Decoder(config, variant)

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, heads: int | None = None, accept_licence: bool = False
    ) -> DoraVAE:
        """The model of a run folder, a .safetensors file, a published .ckpt, or a name.

        name: also `dora-tiny` (in the box), FAMILY:PATH (see `load_published`) or FAMILY, fetched
        from the hub once; accept_licence where its licence asks for it. heads: the head count of a
        .ckpt that does not say it (vae/checkpoint.py states the rule that holds without). Weights
        become float32. Raises CheckpointError naming every missing, extra and misshapen tensor.
        """
        family, path = locate(name, accept_licence=accept_licence)
        if family is not None:
            return cls.from_published(family, path)
        if path.is_dir():
            path = path / WEIGHTS
        tensors, config = read_weights(path, heads=heads)
        with torch.device("meta"):
            model = cls(config)
        check_names(tensors, model.state_dict(), path)
        # Copied: see the note above on memory that is not torch's own.
        owned = {k: v.to(torch.float32, copy=True) for k, v in tensors.items()}
        model.load_state_dict(owned, assign=True)
        return model.requires_grad_(True).eval()

    @classmethod
    def from_published(
        cls, family: str, path: str | Path, settings: Mapping[str, Any] | None = None
    ) -> DoraVAE:
        """As `load_published`."""
        weights = find_weights(Path(path))
        tensors = renamed(family, read_tensors_of(weights))
        given = find_config(weights) if settings is None else settings
        config, variant = read_settings(family, tensors, given)
        with torch.device("meta"):
            model = cls(config, variant)
        state, layers = model.state_dict(), config.decoder_layers
        check_names(tensors, published_shapes(family, state, layers), weights)
        model.load_state_dict(gathered(family, tensors, state, layers), assign=True)
        return model.requires_grad_(True).eval()

    @property
    def device(self) -> torch.device:
        return self.pre_kl.weight.device

    def encode(
        self,
        coarse: Tensor,
        sharp: Tensor | None = None,
        tokens: int | None = None,
        *,
        query_index: Tensor | tuple[Tensor, Tensor] | None = None,
        seed: int = 0,
        attends: Attends = EXACT,
    ) -> Posterior:
        """The posterior of every token, from points with normals.

        coarse (B,N,6), sharp (B,M,6): positions in the normalised frame and unit normals; M = 0
        means no salient edge. A variant of one cloud takes `coarse` alone, with its own features
        (B,N,3+F), positions in its own frame. tokens: how many, T, of the queries that
        `choose_queries` takes from two clouds, `draw_queries` with `seed` from one. query_index:
        the rows instead, two int64 tensors (B,Tc), (B,Ts), or one (B,T) of one cloud. attends:
        other attentions than exact ones, see vae/local.py.
        Raises ValueError for clouds that the variant does not take, and when a cloud holds fewer
        points than tokens are asked of it.
        """
        self.check_clouds(coarse, sharp)
        if query_index is None:
            if tokens is None:
                raise ValueError("give tokens=T or query_index=rows")
            if sharp is None:
                query_index = draw_queries(coarse, tokens, self.variant.per_token, seed)
            else:
                query_index = choose_queries(coarse, sharp, tokens)
        if isinstance(query_index, Tensor):
            return self.posterior(coarse, sharp, query_index, attends=attends)
        rows = torch.cat([query_index[0], query_index[1] + coarse.shape[1]], dim=1)
        return self.posterior(coarse, sharp, rows, attends=attends)

    def check_clouds(self, coarse: Tensor, sharp: Tensor | None) -> None:
        """Raise ValueError unless the clouds are as many and as wide as the variant has them."""
        if (sharp is None) != (self.variant.clouds == 1):
            wants = "two clouds, uniform and salient (M = 0 for no edge)"
            raise ValueError(f"encode takes {wants if sharp is None else 'one cloud of points'}")
        channels = 3 + self.variant.features
        for cloud in (coarse,) if sharp is None else (coarse, sharp):
            if cloud.ndim != 3 or cloud.shape[-1] != channels:
                raise ValueError(
                    f"points have the shape (B, N, {channels}), not {tuple(cloud.shape)}"
                )

    def posterior(
        self,
        coarse: Tensor,
        sharp: Tensor | None,
        rows: Tensor,
        sharp_present: Tensor | None = None,
        attends: Attends = EXACT,
    ) -> Posterior:
        """As `encode`, from rows int64 (B,T) of the coarse cloud and, from N on, the sharp one.

        sharp_present bool (B,): False where an item of a batch has no salient points and its
        `sharp` rows are padding that nothing may attend to.
        """
        features = self.encoder(coarse, sharp, rows, sharp_present, self.checkpointing, attends)
        mean, logvar = self.pre_kl(features).chunk(2, dim=-1)
        return Posterior(mean, logvar.clamp(-30.0, 20.0))

    def decode(self, z: Tensor, attend: Attend = None) -> Tensor:
        """Posterior draws or means (B,T,embed) to latents (B,T,width) that `query` reads."""
        return self.transformer(self.post_kl(z), self.checkpointing, attend)

    def keys(self, latents: Tensor) -> Keys:
        """What `query` needs of latents (B,T,width): compute once when querying in chunks."""
        return self.decoder.keys(latents)

    def query(self, latents: Tensor | Keys, xyz: Tensor, attend: Attend = None) -> Tensor:
        """The field at xyz (B,Q,3): logits (B,Q), positive inside.

        Under `tsdf` a logit is sdf / truncation, under `occupancy` the log odds of being inside.
        """
        keys = latents if isinstance(latents, Keys) else self.keys(latents)
        if self.checkpointing and torch.is_grad_enabled():
            logits = recompute(self.decoder, keys, xyz, attend)
        else:
            logits = self.decoder(keys, xyz, attend)
        return -logits if self.variant.negated else logits

    def forward(
        self,
        coarse: Tensor,
        sharp: Tensor | None,
        rows: Tensor,
        xyz: Tensor,
        *,
        noise: Tensor | None = None,
        sharp_present: Tensor | None = None,
    ) -> tuple[Tensor, Posterior]:
        """One training pass: logits (B,Q) and the posterior. rows, sharp_present: see `posterior`.

        noise (B,T,embed): the unit Gaussian draw of the reparametrisation; None takes the mean.
        """
        posterior = self.posterior(coarse, sharp, rows, sharp_present)
        z = posterior.mean
        if noise is not None:
            z = z + torch.exp(0.5 * posterior.logvar) * noise
        return self.query(self.decode(z), xyz), posterior


def load_published(
    family: str, path: str | Path, config: Mapping[str, Any] | str | Path | None = None
) -> DoraVAE:
    """A published model of another project, or Dora's, ready to evaluate.

    family: dora, hunyuan3d-2.1, triposg, step1x-3d or craftsman. path: a .safetensors, a pickle of
    tensors, or a folder that holds one (or whose `vae` does). config: the published settings, a
    dict or a JSON file; None takes the JSON beside the weights, else what shapes and the family
    tell. Weights become float32. Raises CheckpointError naming every missing, unknown and
    misshapen tensor, and settings that make another network.
    """
    known = family_name(family)
    if known is None:
        raise CheckpointError(f"no family {family!r}; there are {', '.join(FAMILIES)}")
    if isinstance(config, (str, Path)):
        config = read_config_file(Path(config))
    if known == "dora" and config is None:
        return DoraVAE.from_pretrained(path)
    return DoraVAE.from_published(known, path, config)


def split_tokens(tokens: int, sharp_points: int) -> tuple[int, int]:
    """How many of `tokens` the uniform and the salient cloud give: (T - T // 2, T // 2).

    An empty salient cloud gives none. Raises ValueError for fewer than one token.
    """
    if tokens < 1:
        raise ValueError(f"tokens must be at least 1, not {tokens}")
    sharp = tokens // 2 if sharp_points > 0 else 0
    return tokens - sharp, sharp


def choose_queries(coarse: Tensor, sharp: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
    """Rows of both clouds by farthest point sampling from row 0: int64 (B,Tc), (B,Ts)."""
    counts = split_tokens(tokens, sharp.shape[1])
    rows = []
    for cloud, count, name in zip((coarse, sharp), counts, ("uniform", "salient"), strict=True):
        if count > cloud.shape[1]:
            raise ValueError(
                f"{tokens} tokens need {count} points of the {name} cloud, which holds "
                f"{cloud.shape[1]}; give denser clouds or fewer tokens"
            )
        positions = cloud[..., :3].detach().cpu().numpy()
        chosen = [farthest_points(item, count) for item in positions] if count else []
        index = np.stack(chosen) if chosen else np.zeros((len(positions), 0), np.int64)
        rows.append(torch.from_numpy(index).to(cloud.device))
    return rows[0], rows[1]


def draw_queries(cloud: Tensor, tokens: int, per_token: int, seed: int = 0) -> Tensor:
    """Rows of one cloud (B,N,C): farthest points of a random subset, int64 (B,T).

    The subset holds `per_token` points a token, or all where the cloud has no more, drawn without
    replacement from (seed, place in the batch); per_token 0: the whole cloud, from row 0.
    Raises ValueError when the cloud holds fewer points than tokens.
    """
    if not 1 <= tokens <= cloud.shape[1]:
        raise ValueError(f"{tokens} tokens: give from 1 to the cloud's {cloud.shape[1]} points")
    positions = cloud[..., :3].detach().cpu().numpy()
    rows = [
        subset_queries(item, tokens, per_token, generator(seed, str(place), "queries"))
        for place, item in enumerate(positions)
    ]
    return torch.from_numpy(np.stack(rows)).to(cloud.device)


def subset_queries(
    positions: np.ndarray, tokens: int, per_token: int, draw: np.random.Generator
) -> np.ndarray:
    """As `draw_queries`, for positions (N,3) of one item: int64 (T,)."""
    subset = min(per_token * tokens, len(positions)) if per_token else 0
    if not subset:
        return farthest_points(positions, tokens)
    pool = draw.choice(len(positions), subset, replace=False)
    return pool[farthest_points(positions[pool], tokens)]
