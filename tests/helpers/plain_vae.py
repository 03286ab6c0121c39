"""The Dora-VAE once more, written plainly from its description: the twin that the model must equal.

Functions of a state dict with the published names; attention as an explicit softmax matrix. Shares
no code with vae/model.py. Used by tests and timed by benchmarks/vae_speed.py.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

State = Mapping[str, Tensor]


def encode(state: State, heads: int, coarse: Tensor, sharp: Tensor, rows: tuple[Tensor, Tensor]):
    """Token features, mean, log-variance."""
    coarse_data = linear(state, "encoder.input_proj", points_embedding(coarse))
    sharp_data = linear(state, "encoder.input_proj1", points_embedding(sharp))
    queries = torch.stack(
        [
            torch.cat([coarse_data[b][rows[0][b]], sharp_data[b][rows[1][b]]])
            for b in range(len(coarse))
        ]
    )
    tokens = cross_block(state, "encoder.cross_attn", heads, queries, coarse_data) + cross_block(
        state, "encoder.cross_attn1", heads, queries, sharp_data
    )
    tokens = self_blocks(state, "encoder.self_attn", heads, tokens)
    tokens = norm(state, "encoder.ln_post", tokens)
    moments = linear(state, "pre_kl", tokens)
    half = moments.shape[-1] // 2
    return tokens, moments[..., :half], moments[..., half:].clamp(-30, 20)


def decode(state: State, heads: int, z: Tensor) -> Tensor:
    """Latents."""
    return self_blocks(state, "transformer", heads, linear(state, "post_kl", z))


def query(state: State, heads: int, latents: Tensor, xyz: Tensor) -> Tensor:
    """Logits."""
    x = linear(state, "decoder.query_proj", fourier(xyz))
    x = cross_block(state, "decoder.cross_attn_decoder", heads, x, latents)
    return linear(state, "decoder.output_proj", norm(state, "decoder.ln_post", x))[..., 0]


def fourier(xyz: Tensor) -> Tensor:
    """x, y, z, then sin(x), sin(2x), ... sin(128x), sin(y), ..., then the cosines."""
    scaled = [xyz[..., axis] * 2.0**octave for axis in range(3) for octave in range(8)]
    columns = [xyz[..., axis] for axis in range(3)]
    columns += [torch.sin(s) for s in scaled] + [torch.cos(s) for s in scaled]
    return torch.stack(columns, dim=-1)


def points_embedding(points: Tensor) -> Tensor:
    return torch.cat([fourier(points[..., :3]), points[..., 3:]], dim=-1)


def linear(state: State, name: str, x: Tensor) -> Tensor:
    y = x @ state[f"{name}.weight"].T
    return y + state[f"{name}.bias"] if f"{name}.bias" in state else y


def norm(state: State, name: str, x: Tensor) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    variance = (x - mean).square().mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-5) * state[f"{name}.weight"] + state[
        f"{name}.bias"
    ]


def mlp(state: State, name: str, x: Tensor) -> Tensor:
    hidden = linear(state, f"{name}.c_fc", x)
    hidden = 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))
    return linear(state, f"{name}.c_proj", hidden)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """q (B,Q,H,C), k and v (B,T,H,C) -> (B,Q,H*C)."""
    scores = torch.einsum("bqhc,bkhc->bhqk", q, k) / math.sqrt(q.shape[-1])
    return torch.einsum("bhqk,bkhc->bqhc", scores.softmax(-1), v).flatten(2)


def per_head(x: Tensor, heads: int, parts: int) -> list[Tensor]:
    """(B,T,heads * parts * C): for every head its parts one after the other."""
    x = x.reshape(*x.shape[:2], heads, parts, -1)
    return [x[..., part, :] for part in range(parts)]


def cross_block(state: State, name: str, heads: int, x: Tensor, data: Tensor) -> Tensor:
    (q,) = per_head(linear(state, f"{name}.attn.c_q", norm(state, f"{name}.ln_1", x)), heads, 1)
    kv = linear(state, f"{name}.attn.c_kv", norm(state, f"{name}.ln_2", data))
    k, v = per_head(kv, heads, 2)
    x = x + linear(state, f"{name}.attn.c_proj", attend(q, k, v))
    return x + mlp(state, f"{name}.mlp", norm(state, f"{name}.ln_3", x))


def self_blocks(state: State, name: str, heads: int, x: Tensor) -> Tensor:
    layer = 0
    while f"{name}.resblocks.{layer}.attn.c_qkv.weight" in state:
        block = f"{name}.resblocks.{layer}"
        qkv = linear(state, f"{block}.attn.c_qkv", norm(state, f"{block}.ln_1", x))
        q, k, v = per_head(qkv, heads, 3)
        x = x + linear(state, f"{block}.attn.c_proj", attend(q, k, v))
        x = x + mlp(state, f"{block}.mlp", norm(state, f"{block}.ln_2", x))
        layer += 1
    return x
