"""The transformer blocks that all published vecset VAEs share; how they differ is `BlockStyle`.

Notable:
- Parameters bear the names most of the published files use, so those load without a mapping.
- q, k and v of a head lie side by side in the fused projections (head-major), not all q first.
- Keys and values depend on the data only; `keys` computes them once for any number of queries.
- Data that are a projection of a few channels are never made without gradients: `projected_keys`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True, kw_only=True)
class BlockStyle:
    """What differs between blocks of one width.

    bias: of the q, k and v projections. head_norm: LayerNorm of every head's q and k, of epsilon
    `head_eps`. eps: of the other norms. expansion: of the MLP.
    """

    bias: bool = False
    head_norm: bool = False
    eps: float = 1e-5
    head_eps: float = 1e-6
    expansion: int = 4


PLAIN = BlockStyle()
PART = 1024  # rows of data whose keys and values are made at a time

# q (B,heads,Q,channels), k and v (B,heads,N,channels) -> as q. None: exact, over all rows.
Attend = Callable[[Tensor, Tensor, Tensor], Tensor] | None


class Attends(NamedTuple):
    """The attentions of an encoder: onto each cloud, and of the tokens among themselves."""

    coarse: Attend = None
    sharp: Attend = None
    tokens: Attend = None


EXACT = Attends()


class Keys(NamedTuple):
    """Keys and values of data to attend to, each (B,heads,T,channels)."""

    key: Tensor
    value: Tensor


def fourier_embedding(xyz: Tensor, octaves: int, base: float = 1.0) -> Tensor:
    """(...,3) -> (..., 3 + 6 * octaves): xyz, then sines, then cosines of xyz * base * 2^k."""
    frequencies = 2.0 ** torch.arange(octaves, dtype=xyz.dtype, device=xyz.device)
    if base != 1.0:
        frequencies = frequencies * base
    angles = (xyz[..., None] * frequencies).flatten(-2)
    return torch.cat([xyz, angles.sin(), angles.cos()], dim=-1)


class HeadNorms(nn.Module):
    """LayerNorms over the channels of one head, of the queries and of the keys."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.q_norm = nn.LayerNorm(channels, eps=eps)
        self.k_norm = nn.LayerNorm(channels, eps=eps)


class SelfAttention(nn.Module):
    """Multi-head attention of tokens among themselves, (B,T,width) -> (B,T,width)."""

    def __init__(self, width: int, heads: int, style: BlockStyle = PLAIN) -> None:
        super().__init__()
        self.heads = heads
        self.c_qkv = nn.Linear(width, 3 * width, bias=style.bias)
        self.c_proj = nn.Linear(width, width)
        self.attention = HeadNorms(width // heads, style.head_eps) if style.head_norm else None

    def forward(self, x: Tensor, attend: Attend = None) -> Tensor:
        q, k, v = split_heads(self.c_qkv(x), self.heads).chunk(3, dim=-1)
        if self.attention is not None:
            q, k = self.attention.q_norm(q), self.attention.k_norm(k)
        attend = attend or functional.scaled_dot_product_attention
        return self.c_proj(merge_heads(attend(q, k, v)))


class CrossAttention(nn.Module):
    """Multi-head attention from (B,Q,width) onto data (B,N,width)."""

    def __init__(self, width: int, heads: int, style: BlockStyle = PLAIN) -> None:
        super().__init__()
        self.heads = heads
        self.c_q = nn.Linear(width, width, bias=style.bias)
        self.c_kv = nn.Linear(width, 2 * width, bias=style.bias)
        self.c_proj = nn.Linear(width, width)
        self.attention = HeadNorms(width // heads, style.head_eps) if style.head_norm else None

    def keys(self, data: Tensor) -> Keys:
        """What the data contributes; reusable for any number of query chunks."""
        return self.keys_of(self.c_kv(data))

    def keys_of(self, fused: Tensor) -> Keys:
        """Keys and values from the fused projection (B,N,2 * width)."""
        key, value = split_heads(fused, self.heads).chunk(2, dim=-1)
        return Keys(key if self.attention is None else self.attention.k_norm(key), value)

    def forward(self, x: Tensor, keys: Keys, attend: Attend = None) -> Tensor:
        q = split_heads(self.c_q(x), self.heads)
        if self.attention is not None:
            q = self.attention.q_norm(q)
        attend = attend or functional.scaled_dot_product_attention
        return self.c_proj(merge_heads(attend(q, *keys)))


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B,T,heads * channels) -> (B,heads,T,channels)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B,heads,T,channels) -> (B,T,heads * channels)."""
    return x.transpose(1, 2).flatten(2)


class Mlp(nn.Module):
    """Two layers with GELU, `expansion` times the width between them."""

    def __init__(self, width: int, expansion: int = 4) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, expansion * width)
        self.c_proj = nn.Linear(expansion * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(functional.gelu(self.c_fc(x)))


class SelfBlock(nn.Module):
    """Pre-norm self-attention and MLP, both residual."""

    def __init__(self, width: int, heads: int, style: BlockStyle = PLAIN) -> None:
        super().__init__()
        self.attn = SelfAttention(width, heads, style)
        self.ln_1 = nn.LayerNorm(width, eps=style.eps)
        self.mlp = Mlp(width, style.expansion)
        self.ln_2 = nn.LayerNorm(width, eps=style.eps)

    def forward(self, x: Tensor, attend: Attend = None) -> Tensor:
        x = x + self.attn(self.ln_1(x), attend)
        return x + self.mlp(self.ln_2(x))


class CrossBlock(nn.Module):
    """Pre-norm cross-attention and MLP, both residual in the queries."""

    def __init__(self, width: int, heads: int, style: BlockStyle = PLAIN) -> None:
        super().__init__()
        self.attn = CrossAttention(width, heads, style)
        self.ln_1 = nn.LayerNorm(width, eps=style.eps)
        self.ln_2 = nn.LayerNorm(width, eps=style.eps)
        self.mlp = Mlp(width, style.expansion)
        self.ln_3 = nn.LayerNorm(width, eps=style.eps)

    def keys(self, data: Tensor) -> Keys:
        """Keys and values of data (B,N,width)."""
        return self.attn.keys(self.ln_2(data))

    def projected_keys(self, project: nn.Linear, channels: Tensor) -> Keys:
        """As `keys` of project(channels), channels (B,N,C) with C much below the width.

        Without gradients, in full precision, what costs per row are two products of width C + 1 in
        place of one of C and one of the width: see `folded`. On a CPU in parts that its cache
        holds; a GPU would wait for each.
        """
        if torch.is_grad_enabled() or not may_fold(channels, project):
            return self.keys(project(channels))
        product, offset, length = folded(project, self.ln_2, self.attn.c_kv)

        def fused(rows: Tensor) -> Tensor:
            variance = (rows @ length).square().sum(-1, keepdim=True)
            scaled = rows * (variance + self.ln_2.eps).rsqrt()
            return functional.linear(scaled, product, offset)

        rows = functional.pad(channels.flatten(0, 1), (0, 1), value=1.0)
        if rows.is_cuda:
            made = fused(rows)
        else:
            made = rows.new_empty(len(rows), len(product))
            for part, place in zip(rows.split(PART), made.split(PART), strict=True):
                place.copy_(fused(part))
        return self.attn.keys_of(made.unflatten(0, channels.shape[:2]))

    def forward(
        self,
        x: Tensor,
        keys: Keys | None,
        present: Tensor | None = None,
        attend: Attend = None,
    ) -> Tensor:
        """`keys` None: nothing to attend to. `present` bool (B,): the same for some of a batch."""
        if keys is not None:
            attended = self.attn(self.ln_1(x), keys, attend)
            if present is not None:
                attended = attended * present[:, None, None].to(attended.dtype)
            x = x + attended
        return x + self.mlp(self.ln_3(x))


def may_fold(channels: Tensor, project: nn.Linear) -> bool:
    """Whether `folded` is as near to the exact values as the steps are, and can be made at all.

    In half precision the steps norm what they have projected in float32; mps has no float64.
    """
    kind = channels.device.type
    full = project.weight.dtype in (torch.float32, torch.float64)
    return full and kind != "mps" and not torch.is_autocast_enabled(kind)


def folded(
    project: nn.Linear, norm: nn.LayerNorm, then: nn.Linear
) -> tuple[Tensor, Tensor, Tensor]:
    """then(norm(project(x))) as one product: product @ (y / deviation) + offset with y = (x, 1).

    Without its mean over the width, project(x) is still linear in y; its deviation is
    sqrt(|y @ length|^2 + norm.eps), where length is the R of that map's QR over sqrt(width).
    Returns product (out,C+1), offset (out,), length (C+1,k) in the type of the weights, made in
    float64 and rounded once.
    """
    weight = torch.cat([project.weight, project.bias[:, None]], 1).double()
    weight = weight - weight.mean(dim=0)
    length = torch.linalg.qr(weight, mode="r").R.T / len(weight) ** 0.5
    last = then.weight.double()
    offset = last @ norm.bias.double()
    if then.bias is not None:
        offset = offset + then.bias.double()
    product = (last * norm.weight.double()) @ weight
    kind = project.weight.dtype
    return product.to(kind), offset.to(kind), length.to(kind)


class SelfBlocks(nn.Module):
    """A stack of self-attention blocks."""

    def __init__(self, width: int, heads: int, layers: int, style: BlockStyle = PLAIN) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(SelfBlock(width, heads, style) for _ in range(layers))

    def forward(self, x: Tensor, checkpointing: bool, attend: Attend = None) -> Tensor:
        for block in self.resblocks:
            x = recompute(block, x, attend) if checkpointing else block(x, attend)
        return x


def recompute(function: Callable[..., Tensor], *inputs: object) -> Tensor:
    """Run `function` and keep only its inputs for the backward pass."""
    return checkpoint(function, *inputs, use_reentrant=False)
