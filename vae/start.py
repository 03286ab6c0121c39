"""How a new model's weights start: at random, or so that it keeps place.

A Gaussian start spends its first thousands of steps unable to tell where anything is, since tokens
have no positional encoding and place must survive three attentions and the bottleneck. The start
that keeps place gives the untrained model what it would have to discover:

1. `input_proj`, `input_proj1` and `query_proj` copy sine and cosine of the first octaves, xyz and
   the normal into fixed channels of the width (`Channels`).
2. In the three cross-attentions, queries and keys of all heads but one read those channels. The
   product of two such codes is the sum over octaves of cos(2^k * difference), a kernel of distance:
   attention starts local, coarse in the first heads, finer in the later ones.
3. `pre_kl` and `post_kl` pass the same channels through the latent; the log-variance starts at -4.

Everything is trained from there; the architecture, and with it every published checkpoint, stays.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vae.blocks import CrossBlock
from vae.config import ModelConfig
from vae.model import DoraVAE

LOG_VARIANCE = -4.0


@dataclass(frozen=True)
class Channels:
    """Which channels of the width carry place: `octaves` of them, 6 each, then xyz, the normal.

    Channel 6 k + axis holds sin(2^k x_axis), 6 k + 3 + axis its cosine.
    """

    octaves: int

    @property
    def xyz(self) -> int:
        return 6 * self.octaves

    @property
    def normal(self) -> int:
        return 6 * self.octaves + 3

    @property
    def count(self) -> int:
        return 6 * self.octaves + 6


def octaves_kept(config: ModelConfig, wanted: int = 5) -> int:
    """The octaves that width, bottleneck and embedding have room for, at most `wanted`."""
    room = min((config.width - 6) // 6, (config.embed - 3) // 6, config.octaves)
    return max(0, min(wanted, room))


@torch.no_grad()
def gaussian_start(model: DoraVAE, scale: float) -> None:
    """Linear weights from a Gaussian of scale / sqrt(width), biases zero."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=scale / math.sqrt(model.config.width))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@torch.no_grad()
def place_start(model: DoraVAE, octaves: int = 5, alpha: float = 1.0) -> None:
    """Write the start that keeps place over whatever weights the model has.

    octaves: how many to carry, fewer where the sizes leave no room. alpha: the factor on the codes
    that queries and keys read; attention is the softer the smaller it is.
    """
    config = model.config
    channels = Channels(octaves_kept(config, octaves))
    encoder, decoder = model.encoder, model.decoder
    for layer in (encoder.input_proj, encoder.input_proj1, decoder.query_proj):
        copy_place(layer.weight, channels, config.octaves)
    for block in (encoder.cross_attn, encoder.cross_attn1, decoder.cross_attn_decoder):
        attend_near(block, channels, alpha)
    pass_through(model, channels)
    model.pre_kl.bias[config.embed :] = LOG_VARIANCE


def pass_through(model: DoraVAE, channels: Channels) -> None:
    """The bottleneck hands the place channels on, all but xyz, which the sines tell."""
    normal = range(channels.normal, channels.count)
    for latent, channel in enumerate([*range(channels.xyz), *normal]):
        model.pre_kl.weight[latent] = 0
        model.pre_kl.weight[latent, channel] = 1
        model.post_kl.weight[:, latent] = 0
        model.post_kl.weight[channel, latent] = 1


def copy_place(weight: Tensor, channels: Channels, octaves: int) -> None:
    """A projection (width, inputs) of embedded points copies place into its channels.

    Inputs lie as `fourier_embedding` makes them: xyz, sines by axis and octave, cosines; then the
    normal where there is one. octaves: of the embedding.
    """
    weight[: channels.count] = 0
    for axis in range(3):
        for k in range(channels.octaves):
            column = 3 + axis * octaves + k
            weight[6 * k + axis, column] = 1
            weight[6 * k + 3 + axis, column + 3 * octaves] = 1
        weight[channels.xyz + axis, axis] = 1
        if weight.shape[1] > 3 + 6 * octaves:
            weight[channels.normal + axis, 3 + 6 * octaves + axis] = 1


def attend_near(block: CrossBlock, channels: Channels, alpha: float) -> None:
    """Queries and keys of all heads but the last read the place channels; values stay random."""
    heads = block.attn.heads
    width = block.attn.c_q.weight.shape[1]
    size = width // heads
    q = block.attn.c_q.weight.view(heads, size, width)
    k = block.attn.c_kv.weight.view(heads, 2, size, width)[:, 0]
    most = min(channels.octaves, size // 6)
    for head in range(heads - 1):
        rows = 6 * head_octaves(most, heads, head)
        for weight in (q[head], k[head]):
            weight.zero_()
            weight[:rows, :rows] = alpha * torch.eye(rows)


def head_octaves(most: int, heads: int, head: int) -> int:
    """The octaves that a head reads, at most `most`: the later heads see more, hence less far."""
    return min(most, max(2, most - (heads - 2 - head)))
