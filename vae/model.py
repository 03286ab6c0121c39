"""The Dora-VAE: two point clouds in, any number of latent tokens, a field of any query points out.

Notable:
- Parameters bear the published names, so a published state dict loads without a mapping.
- q, k and v of a head lie side by side in the fused projections (head-major), not all q first.
- Tokens have no positional encoding: what a latent knows of its place is in its feature.
- The decoder's keys and values depend on the latents only; `keys` computes them once per shape.
- Numbers from a file or from NumPy are copied into torch's own memory: the last bit of a matrix
  product follows the alignment of its arguments, which only torch's allocator holds constant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from preprocessing.points.fps import farthest_points
from vae.checkpoint import WEIGHTS, check_names, read_weights
from vae.config import ModelConfig


class Keys(NamedTuple):
    """Keys and values of data to attend to, each (B,heads,T,channels)."""

    key: Tensor
    value: Tensor


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


def fourier_embedding(xyz: Tensor, octaves: int) -> Tensor:
    """(...,3) -> (..., 3 + 6 * octaves): xyz, then sines, then cosines of xyz * 2^k, without pi."""
    frequencies = 2.0 ** torch.arange(octaves, dtype=xyz.dtype, device=xyz.device)
    angles = (xyz[..., None] * frequencies).flatten(-2)
    return torch.cat([xyz, angles.sin(), angles.cos()], dim=-1)


class SelfAttention(nn.Module):
    """Multi-head attention of tokens among themselves, (B,T,width) -> (B,T,width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.c_qkv = nn.Linear(width, 3 * width, bias=False)
        self.c_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = split_heads(self.c_qkv(x), self.heads).chunk(3, dim=-1)
        return self.c_proj(merge_heads(functional.scaled_dot_product_attention(q, k, v)))


class CrossAttention(nn.Module):
    """Multi-head attention from (B,Q,width) onto data (B,N,width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.c_q = nn.Linear(width, width, bias=False)
        self.c_kv = nn.Linear(width, 2 * width, bias=False)
        self.c_proj = nn.Linear(width, width)

    def keys(self, data: Tensor) -> Keys:
        """What the data contributes; reusable for any number of query chunks."""
        return Keys(*split_heads(self.c_kv(data), self.heads).chunk(2, dim=-1))

    def forward(self, x: Tensor, keys: Keys) -> Tensor:
        q = split_heads(self.c_q(x), self.heads)
        return self.c_proj(merge_heads(functional.scaled_dot_product_attention(q, *keys)))


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B,T,heads * channels) -> (B,heads,T,channels)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B,heads,T,channels) -> (B,T,heads * channels)."""
    return x.transpose(1, 2).flatten(2)


class Mlp(nn.Module):
    """Two layers with GELU, four times the width between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(functional.gelu(self.c_fc(x)))


class SelfBlock(nn.Module):
    """Pre-norm self-attention and MLP, both residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = SelfAttention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class CrossBlock(nn.Module):
    """Pre-norm cross-attention and MLP, both residual in the queries."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = CrossAttention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)
        self.ln_3 = nn.LayerNorm(width)

    def keys(self, data: Tensor) -> Keys:
        return self.attn.keys(self.ln_2(data))

    def forward(self, x: Tensor, keys: Keys | None, present: Tensor | None = None) -> Tensor:
        """`keys` None: nothing to attend to. `present` bool (B,): the same for some of a batch."""
        if keys is not None:
            attended = self.attn(self.ln_1(x), keys)
            if present is not None:
                attended = attended * present[:, None, None].to(attended.dtype)
            x = x + attended
        return x + self.mlp(self.ln_3(x))


class SelfBlocks(nn.Module):
    """A stack of self-attention blocks."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(SelfBlock(width, heads) for _ in range(layers))

    def forward(self, x: Tensor, checkpointing: bool) -> Tensor:
        for block in self.resblocks:
            x = recompute(block, x) if checkpointing else block(x)
        return x


def recompute(function: Callable[..., Tensor], *inputs: object) -> Tensor:
    """Run `function` and keep only its inputs for the backward pass."""
    return checkpoint(function, *inputs, use_reentrant=False)


class Encoder(nn.Module):
    """Point clouds to token features: cross-attention onto each, summed, then self-attention."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        self.octaves = config.octaves
        channels = 6 + 6 * config.octaves
        self.input_proj = nn.Linear(channels, width)
        self.input_proj1 = nn.Linear(channels, width)
        self.cross_attn = CrossBlock(width, heads)
        self.cross_attn1 = CrossBlock(width, heads)
        self.self_attn = SelfBlocks(width, heads, config.encoder_layers)
        self.ln_post = nn.LayerNorm(width)

    def embed(self, points: Tensor) -> Tensor:
        """Positions and normals (B,N,6) to channels (B,N,54)."""
        return torch.cat([fourier_embedding(points[..., :3], self.octaves), points[..., 3:]], -1)

    def forward(
        self,
        coarse: Tensor,
        sharp: Tensor,
        rows: Tensor,
        sharp_present: Tensor | None,
        checkpointing: bool,
    ) -> Tensor:
        """Token features (B,T,width). rows int64 (B,T): of coarse, then (from N on) of sharp."""
        coarse_data = self.input_proj(self.embed(coarse))
        coarse_keys = self.cross_attn.keys(coarse_data)
        if sharp.shape[1] > 0:
            sharp_data = self.input_proj1(self.embed(sharp))
            sharp_keys = self.cross_attn1.keys(sharp_data)
            queries = take_rows(torch.cat([coarse_data, sharp_data], dim=1), rows)
        else:
            sharp_keys = None
            queries = take_rows(coarse_data, rows)
        # Without salient points the second block keeps its residual and MLP: its attention adds
        # nothing, and the layers that follow see the scale they were trained at.
        if checkpointing:
            x = recompute(self.cross_attn, queries, coarse_keys)
            x = x + recompute(self.cross_attn1, queries, sharp_keys, sharp_present)
        else:
            x = self.cross_attn(queries, coarse_keys)
            x = x + self.cross_attn1(queries, sharp_keys, sharp_present)
        return self.ln_post(self.self_attn(x, checkpointing))


def take_rows(data: Tensor, index: Tensor) -> Tensor:
    """data (B,N,C) at index (B,K) -> (B,K,C)."""
    return torch.gather(data, 1, index[..., None].expand(-1, -1, data.shape[-1]))


class Decoder(nn.Module):
    """Query positions and latents to one logit per position."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.octaves = config.octaves
        self.query_proj = nn.Linear(3 + 6 * config.octaves, config.width)
        self.cross_attn_decoder = CrossBlock(config.width, config.heads)
        self.ln_post = nn.LayerNorm(config.width)
        self.output_proj = nn.Linear(config.width, 1)

    def forward(self, keys: Keys, xyz: Tensor) -> Tensor:
        x = self.query_proj(fourier_embedding(xyz, self.octaves))
        return self.output_proj(self.ln_post(self.cross_attn_decoder(x, keys))).squeeze(-1)


class DoraVAE(nn.Module):
    """The model. `checkpointing` trades a second forward pass for the memory of activations."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpointing = False
        self.encoder = Encoder(config)
        self.pre_kl = nn.Linear(config.width, 2 * config.embed)
        self.post_kl = nn.Linear(config.embed, config.width)
        self.transformer = SelfBlocks(config.width, config.heads, config.decoder_layers)
        self.decoder = Decoder(config)

    @classmethod
    def from_pretrained(cls, path: str | Path, *, heads: int | None = None) -> DoraVAE:
        """The model of a run folder, a .safetensors file or a published .ckpt, ready to evaluate.

        heads: the head count of a .ckpt that does not say it (vae/checkpoint.py states the rule
        that holds without). Weights become float32. Raises CheckpointError naming every missing,
        extra and misshapen tensor.
        """
        path = Path(path)
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

    @property
    def device(self) -> torch.device:
        return self.pre_kl.weight.device

    def encode(
        self,
        coarse: Tensor,
        sharp: Tensor,
        tokens: int | None = None,
        *,
        query_index: tuple[Tensor, Tensor] | None = None,
    ) -> Posterior:
        """The posterior of every token, from points with normals.

        coarse (B,N,6), sharp (B,M,6): positions in the normalised frame and unit normals; M = 0
        means no salient edge. tokens: how many, T; half from each cloud, chosen by farthest point
        sampling from row 0 (odd T: one more from coarse; M = 0: all from coarse). query_index:
        the rows instead, two int64 tensors (B,Tc), (B,Ts).
        Raises ValueError when a cloud holds fewer points than tokens are asked of it.
        """
        if query_index is None:
            if tokens is None:
                raise ValueError("give tokens=T or query_index=(coarse rows, sharp rows)")
            query_index = choose_queries(coarse, sharp, tokens)
        rows = torch.cat([query_index[0], query_index[1] + coarse.shape[1]], dim=1)
        return self.posterior(coarse, sharp, rows)

    def posterior(
        self, coarse: Tensor, sharp: Tensor, rows: Tensor, sharp_present: Tensor | None = None
    ) -> Posterior:
        """As `encode`, from rows int64 (B,T) of the coarse cloud and, from N on, the sharp one.

        sharp_present bool (B,): False where an item of a batch has no salient points and its
        `sharp` rows are padding that nothing may attend to.
        """
        features = self.encoder(coarse, sharp, rows, sharp_present, self.checkpointing)
        mean, logvar = self.pre_kl(features).chunk(2, dim=-1)
        return Posterior(mean, logvar.clamp(-30.0, 20.0))

    def decode(self, z: Tensor) -> Tensor:
        """Posterior draws or means (B,T,embed) to latents (B,T,width) that `query` reads."""
        return self.transformer(self.post_kl(z), self.checkpointing)

    def keys(self, latents: Tensor) -> Keys:
        """What `query` needs of latents (B,T,width): compute once when querying in chunks."""
        return self.decoder.cross_attn_decoder.keys(latents)

    def query(self, latents: Tensor | Keys, xyz: Tensor) -> Tensor:
        """The field at xyz (B,Q,3): logits (B,Q), positive inside.

        Under `tsdf` a logit is sdf / truncation, under `occupancy` the log odds of being inside.
        """
        keys = latents if isinstance(latents, Keys) else self.keys(latents)
        if self.checkpointing and torch.is_grad_enabled():
            return recompute(self.decoder, keys, xyz)
        return self.decoder(keys, xyz)

    def forward(
        self,
        coarse: Tensor,
        sharp: Tensor,
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
