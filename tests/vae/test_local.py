"""Local attention: exact while K covers all, a brute-force twin, close on a model that is local."""

import numpy as np
import pytest
import torch
from vae_samples import box_sample

from preprocessing.points.fps import farthest_points
from preprocessing.seeds import generator
from vae.config import ConfigError, ModelConfig
from vae.inputs import model_eps
from vae.latents import encode_shape, read_latents, write_latents
from vae.local import GROUP, Pyramid, nearest_count
from vae.model import DoraVAE
from vae.reconstruction import decoded_field
from vae.start import gaussian_start, place_start

CONFIG = ModelConfig(width=32, heads=2, encoder_layers=1, decoder_layers=1, embed=8)


def test_words() -> None:
    assert nearest_count("full") is None
    assert nearest_count("local:64") == 64
    for word in ("local", "local:0", "near:3", "local:x"):
        with pytest.raises(ConfigError, match="local:K"):
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


def ordered_points(count: int, seed: int = 0) -> np.ndarray:
    """Points of a sphere in farthest point order, float32 (count,3)."""
    points = generator(seed, "local", "sphere").standard_normal((count, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points[farthest_points(points, count)].astype(np.float32)


def qkv(queries: int, rows: int) -> list[torch.Tensor]:
    noise = torch.Generator().manual_seed(0)
    return [torch.randn(1, 2, n, 4, generator=noise) for n in (queries, rows, rows)]


def test_a_plan_is_what_it_says() -> None:
    """One group, three levels: the softmax written out over the rows of each ring."""
    near, count = 10, 100
    rows = ordered_points(count)
    queries = ordered_points(GROUP) * 0.01
    q, k, v = qkv(GROUP, count)
    got = Pyramid(rows, [np.arange(count)], near).plan(queries)(q, k, v)
    middle = (queries.min(axis=0) + queries.max(axis=0)) / 2
    apart = np.linalg.norm(rows - middle, axis=1)
    weights, within = np.zeros(count), -1.0
    for share, size in ((1, 100), (4, 25), (16, 7)):
        nearest = np.argsort(apart[:size])[:near]
        fresh = nearest[apart[nearest] > within]
        weights[fresh] += count / size
        within = apart[nearest].max()
        assert size == -(-count // share)
    scores = torch.einsum("bhqc,bhnc->bhqn", q, k) / 2
    shares = scores.exp() * torch.tensor(weights, dtype=torch.float32)
    want = torch.einsum("bhqn,bhnc->bhqc", shares / shares.sum(-1, keepdim=True), v)
    assert torch.allclose(got, want, atol=1e-5)


def test_every_query_is_in_one_group() -> None:
    """Else two groups write it, and which is last is up to the device."""
    rows = ordered_points(2000)
    for count in (1, 63, 65, 500):
        plan = Pyramid(rows, [np.arange(2000)], 16).plan(ordered_points(count, seed=2) * 1.2)
        groups = [set(g.tolist()) for block in plan.blocks for g in block.groups]
        assert sum(map(len, groups)) == count
        assert set().union(*groups) == set(range(count))


def test_what_all_rows_agree_on_comes_back() -> None:
    """Equal values at any weights; and with equal keys the mean of a smooth value, nearly."""
    rows = np.concatenate([ordered_points(1000), ordered_points(1000, seed=1)])
    queries = ordered_points(500, seed=2)
    plan = Pyramid(rows, [np.arange(1000), np.arange(1000, 2000)], 64).plan(queries)
    q, k, v = qkv(500, 2000)
    assert torch.allclose(plan(q, k, torch.ones_like(v)), torch.ones(1, 2, 500, 4), atol=1e-5)
    smooth = torch.tensor(rows[:, :1]).cos().expand(1, 2, 2000, 4)
    mean = plan(q, torch.zeros_like(k), smooth)
    assert (mean - smooth.mean(2, keepdim=True)).abs().max() < 0.02


def test_it_is_close_where_attention_is_local() -> None:
    """A model that starts at its place: encoder and decoder with 5 of 16 tokens within reach."""
    torch.manual_seed(0)
    model = DoraVAE(ModelConfig(width=64, heads=4, encoder_layers=1, decoder_layers=1, embed=48))
    gaussian_start(model, 0.25)
    place_start(model)
    sample = box_sample("box", (0.9, 0.5, 0.3))
    full, local = (encode_shape(model, sample, 400, attention=a) for a in ("full", "local:64"))
    assert (local.attention, full.attention) == ("local:64", "full")
    scale = float(full.mean.square().mean().sqrt())
    assert 0 < float((full.mean - local.mean).square().mean().sqrt()) < 0.05 * scale
    points = generator(0, "local", "test").uniform(-1, 1, (3000, 3)).astype(np.float32)
    exact, near = (decoded_field(model, full, a)(points) for a in ("full", "local:64"))
    assert 0 < np.sqrt(np.mean((exact - near) ** 2)) < 0.05 * exact.std()


def test_the_file_says_how_latents_were_encoded(tmp_path) -> None:
    torch.manual_seed(0)
    model = DoraVAE(CONFIG).requires_grad_(False).eval()
    for attention in ("full", "local:8"):
        latents = encode_shape(
            model, box_sample("box", (0.9, 0.5, 0.3)), 32, attention=attention, model_hash="m"
        )
        write_latents(latents, tmp_path / "l.safetensors")
        assert read_latents(tmp_path / "l.safetensors").attention == attention


def test_the_boxed_model_knows_its_eps() -> None:
    from pathlib import Path

    assert model_eps(Path("dora-tiny")) == 2 / 128
