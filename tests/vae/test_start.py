"""The start that keeps place: local attention, place through the bottleneck, same parameters."""

import numpy as np
import pytest
import torch

from vae.blocks import fourier_embedding, split_heads
from vae.config import TINY, ModelConfig
from vae.model import DoraVAE
from vae.start import Channels, gaussian_start, octaves_kept, place_start

CONFIG = ModelConfig(width=64, heads=4, encoder_layers=1, decoder_layers=1, embed=24, octaves=6)


@pytest.fixture
def model() -> DoraVAE:
    torch.manual_seed(0)
    model = DoraVAE(CONFIG)
    gaussian_start(model, 0.25)
    place_start(model)
    return model.eval()


def test_projections_copy_sines_cosines_positions_and_normals(model: DoraVAE) -> None:
    points = torch.rand(1, 5, 6) * 2 - 1
    channels = Channels(octaves_kept(CONFIG))
    assert channels.octaves == 3  # embed 24 has room for 6 * 3 + 3
    for layer in (model.encoder.input_proj, model.encoder.input_proj1):
        found = layer(model.encoder.embed(points)) - layer.bias
        for k in range(channels.octaves):
            here = found[..., 6 * k : 6 * k + 6]
            angle = points[..., :3] * 2**k
            assert torch.allclose(here, torch.cat([angle.sin(), angle.cos()], -1), atol=1e-6)
        assert torch.allclose(found[..., channels.xyz : channels.count], points, atol=1e-6)


def test_attention_of_all_heads_but_one_falls_with_distance(model: DoraVAE) -> None:
    """The score of a query and a key is the sum of cos(2^k difference) over axes and octaves."""
    decoder = model.decoder
    at = torch.tensor([[[0.0, 0, 0]], [[0.1, 0.2, 0]], [[0.9, -0.8, 0.5]]]).transpose(0, 1)
    x = decoder.query_proj(fourier_embedding(at, CONFIG.octaves)) - decoder.query_proj.bias
    attn = decoder.cross_attn_decoder.attn
    q = split_heads(attn.c_q(x), CONFIG.heads)
    k = split_heads(attn.c_kv(x), CONFIG.heads).chunk(2, dim=-1)[0]
    score = (q @ k.transpose(-1, -2))[0, :, 0]
    octaves = [2, 2, 2]  # of the three heads: 16 channels a head have room for two
    for head, count in enumerate(octaves):
        difference = at[0] - at[0, :1]
        want = sum(torch.cos(2**k * difference).sum(-1) for k in range(count))
        assert torch.allclose(score[head], want, atol=1e-5)
        assert score[head, 0] > score[head, 1] > score[head, 2]


def test_the_bottleneck_passes_place(model: DoraVAE) -> None:
    features = torch.randn(1, 3, CONFIG.width)
    model.requires_grad_(False)
    mean, logvar = model.pre_kl(features).chunk(2, dim=-1)
    assert float(logvar.mean()) == pytest.approx(-4, abs=0.5)
    back = model.post_kl(mean)
    place = slice(0, Channels(octaves_kept(CONFIG)).xyz)
    # The three latents without a place start random and add a little to every channel.
    assert torch.allclose(back[..., place], features[..., place], atol=0.2)


def test_what_has_no_room_is_left_out() -> None:
    assert octaves_kept(TINY.model) == 5
    assert octaves_kept(ModelConfig(width=16, heads=2, embed=4)) == 0
    place_start(DoraVAE(ModelConfig(width=16, heads=2, embed=4, encoder_layers=1)))


def test_values_and_the_last_head_stay_random(model: DoraVAE) -> None:
    weight = model.encoder.cross_attn.attn.c_q.weight.view(4, 16, 64)
    assert (weight[:3, :, 24:] == 0).all()
    assert (weight[3] != 0).all()
    assert np.isfinite(weight.detach().numpy()).all()
