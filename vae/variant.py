"""How the published vecset VAEs differ from Dora's: one model, its differences as values."""

import math
from dataclasses import dataclass

from vae.blocks import PLAIN, BlockStyle


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The differences; the defaults are Dora v1.1.

    Network. clouds: 2 (uniform and salient) or 1. features: channels of a point after xyz (3: the
    normal; 4: normal and a sharp flag). pi: positions are embedded at frequencies pi * 2^k in
    place of 2^k. style: of every block. encoder_norm, decoder_norm: the last LayerNorms, of
    epsilon `post_eps`. decoder_width: of latents and decoder; 0: as the encoder. query_shrink:
    the field's cross-attention has 1/query_shrink of the width and the heads, query_expansion its
    MLP's ratio. negated: the network's output is negative inside, so `query` turns its sign.

    Input. points: of each cloud, as published. per_token: queries are farthest points of that many
    random points a token; 0: of the whole cloud from row 0. frame: factor from the normalised
    frame to the one that the network sees. bound: the field is read within +-bound of the
    network's frame, beyond which it was not trained; 0: over the whole grid.
    """

    clouds: int = 2
    features: int = 3
    pi: bool = False
    style: BlockStyle = PLAIN
    encoder_norm: bool = True
    decoder_norm: bool = True
    post_eps: float = 1e-5
    decoder_width: int = 0
    query_shrink: int = 1
    query_expansion: int = 4
    negated: bool = False

    points: int = 32768
    per_token: int = 0
    frame: float = 1.0
    bound: float = 0.0

    @property
    def base(self) -> float:
        """The lowest frequency of the embedding."""
        return math.pi if self.pi else 1.0


DORA = Variant()
