"""Local attention: all tokens is full attention, fewer come close, words are checked."""

import numpy as np
import pytest
import torch
from vae_samples import box_sample

from preprocessing.seeds import generator
from vae.config import ModelConfig
from vae.inputs import model_eps
from vae.latents import encode_shape
from vae.local import AttentionError, nearest_count
from vae.model import DoraVAE
from vae.reconstruction import decoded_field

CONFIG = ModelConfig(width=32, heads=2, encoder_layers=1, decoder_layers=1, embed=8)


def test_words() -> None:
    assert nearest_count("full") is None
    assert nearest_count("local:64") == 64
    for word in ("local", "local:0", "near:3", "local:x"):
        with pytest.raises(AttentionError, match="local:K"):
            nearest_count(word)


def test_all_tokens_are_full_attention_and_few_are_near() -> None:
    torch.manual_seed(0)
    model = DoraVAE(CONFIG).requires_grad_(False).eval()
    latents = encode_shape(model, box_sample("box", (0.9, 0.5, 0.3)), 64)
    points = generator(0, "local", "test").uniform(-1, 1, (500, 3)).astype(np.float32)
    full = decoded_field(model, latents)(points)
    assert np.allclose(decoded_field(model, latents, "local:64")(points), full, atol=1e-5)
    assert np.allclose(decoded_field(model, latents, "local:999")(points), full, atol=1e-5)
    assert not np.allclose(decoded_field(model, latents, "local:2")(points), full, atol=1e-5)


def test_the_boxed_model_knows_its_eps() -> None:
    from pathlib import Path

    assert model_eps(Path("dora-tiny")) == 2 / 128
