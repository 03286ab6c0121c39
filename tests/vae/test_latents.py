"""One point order for every token count; latents survive their file; errors say what can be."""

from pathlib import Path

import numpy as np
import pytest
import torch
from vae_samples import box_sample, without_edges

from preprocessing.shapes import box, sphere
from vae.config import ModelConfig
from vae.latents import (
    LatentsError,
    TokenSource,
    encode_shape,
    read_latents,
    redrawn,
    write_latents,
)
from vae.model import DoraVAE

CONFIG = ModelConfig(width=16, heads=2, encoder_layers=1, decoder_layers=1, embed=3)
SAMPLE = box_sample("a/box", (0.9, 0.5, 0.4), points=200)


@pytest.fixture(scope="module")
def model() -> DoraVAE:
    torch.manual_seed(0)
    return DoraVAE(CONFIG).eval()


def test_counts_share_one_order(model: DoraVAE) -> None:
    source = TokenSource(SAMPLE)
    few, many = encode_shape(model, source, 20), encode_shape(model, source, 150)
    assert torch.equal(few.positions[:10], many.positions[:10])
    assert torch.equal(few.positions[10:], many.positions[75:85])
    assert many.salient == 75


def test_equals_the_models_own_choice(model: DoraVAE) -> None:
    """The stored order is farthest point sampling from row 0."""
    latents = encode_shape(model, SAMPLE, 33)
    with torch.no_grad():
        direct = model.encode(
            torch.from_numpy(SAMPLE.coarse_surface)[None],
            torch.from_numpy(SAMPLE.sharp_surface)[None],
            33,
        )
    assert torch.equal(latents.mean, direct.mean[0])


def test_largest_count_is_named(model: DoraVAE) -> None:
    assert encode_shape(model, SAMPLE, 400).mean.shape == (400, 3)
    with pytest.raises(LatentsError, match="at most 400"):
        encode_shape(model, SAMPLE, 401)
    with pytest.raises(LatentsError, match="at most 200"):
        encode_shape(model, without_edges(SAMPLE), 201)
    with pytest.raises(LatentsError, match="at least 1"):
        encode_shape(model, SAMPLE, 0)


def test_no_salient_points_gives_all_tokens_to_the_uniform_cloud(model: DoraVAE) -> None:
    latents = encode_shape(model, without_edges(SAMPLE), 21)
    assert latents.salient == 0
    assert latents.mean.shape == (21, 3)
    expected = SAMPLE.coarse_surface[SAMPLE.coarse_order[:21], :3]
    assert np.array_equal(latents.positions.numpy(), expected)


def test_denser_clouds_from_the_mesh(model: DoraVAE) -> None:
    """Counts that the sample serves are not moved by the mesh being at hand."""
    source = TokenSource(SAMPLE, mesh=box((1.8, 1.0, 0.8)).mesh)
    assert torch.equal(encode_shape(model, source, 300).mean, encode_shape(model, SAMPLE, 300).mean)
    dense = encode_shape(model, source, 1001)
    assert dense.mean.shape == (1001, 3)
    assert dense.salient == 500
    points = dense.positions.numpy()
    half = np.array([0.9, 0.5, 0.4])
    assert np.abs((np.abs(points) / half).max(axis=1) - 1).max() < 1e-6  # on the box
    on_edges = np.isclose(np.abs(points[501:]), half, atol=1e-6).sum(axis=1)
    assert (on_edges >= 2).all()


def test_a_smooth_mesh(model: DoraVAE) -> None:
    latents = encode_shape(model, sphere(1.0, 4).mesh, 65, seed=3)
    assert latents.salient == 0
    radii = latents.positions.norm(dim=1)
    assert (radii - 1).abs().max() < 0.01
    again = encode_shape(model, sphere(1.0, 4).mesh, 65, seed=3)
    assert torch.equal(latents.mean, again.mean)


def test_file_round_trip_is_exact_and_repeatable(model: DoraVAE, tmp_path: Path) -> None:
    latents = encode_shape(model, SAMPLE, 17, seed=5, posterior="sample")
    write_latents(latents, tmp_path / "a.safetensors")
    write_latents(latents, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    back = read_latents(tmp_path / "a.safetensors")
    for name, value in vars(latents).items():
        other = getattr(back, name)
        assert torch.equal(value, other) if torch.is_tensor(value) else value == other, name
    assert torch.equal(back.z, latents.z)
    assert back.item_id == "a/box"


def test_mean_and_sample(model: DoraVAE) -> None:
    latents = encode_shape(model, SAMPLE, 400)
    assert torch.equal(latents.z, latents.mean)
    drawn = redrawn(latents, "sample", 1)
    assert torch.equal(drawn.z, redrawn(latents, "sample", 1).z)
    assert not torch.equal(drawn.z, redrawn(latents, "sample", 2).z)
    spread = ((drawn.z - latents.mean) / torch.exp(0.5 * latents.logvar)).std()
    assert abs(spread.item() - 1) < 0.06
    with pytest.raises(LatentsError, match="mean or sample"):
        encode_shape(model, SAMPLE, 4, posterior="mode")  # type: ignore[arg-type]


def test_other_files_are_refused(model: DoraVAE, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(LatentsError, match="not a latents file"):
        read_latents(tmp_path / "a.safetensors")
    from safetensors.torch import save_file

    save_file({"mean": torch.zeros(2, 3)}, tmp_path / "b.safetensors")
    with pytest.raises(LatentsError, match="dora-vae encode"):
        read_latents(tmp_path / "b.safetensors")
