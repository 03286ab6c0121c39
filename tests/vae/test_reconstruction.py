"""A shape through a model and back: the mesh is the zero surface of the decoded field."""

from pathlib import Path

import numpy as np
import pytest
import torch
from vae_samples import box_sample, write_boxes

from preprocessing.mesh import MeshError
from preprocessing.points.samples import Sample
from preprocessing.solid.bricks import spacing
from vae.config import TINY, ModelConfig, override
from vae.latents import LatentsError, encode_shape
from vae.model import DoraVAE
from vae.reconstruction import decode_latents, decoded_field, reconstruct
from vae.train import train

SETTINGS = [
    *("width=32", "heads=2", "encoder_layers=1", "decoder_layers=1", "embed=4", "truncation=0.1"),
    *("coarse_points=128", "sharp_points=128", "coarse_near=100", "space=200", "sharp_near=50"),
    *("token_lengths=16,32", "token_weights=0.5,0.5", "steps=80", "warmup=10", "lr=3e-3"),
]


@pytest.fixture(scope="module")
def sample() -> Sample:
    return box_sample("box0", (0.9, 0.3, 0.5), 2000)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DoraVAE:
    """A few seconds of training on one box: a field with a surface, no more."""
    folder = tmp_path_factory.mktemp("boxes")
    data = write_boxes(folder / "data", 1, points=2000)
    train(override(TINY, SETTINGS), data, folder / "run", device="cpu", quiet=True)
    return DoraVAE.from_pretrained(folder / "run")


def test_the_mesh_is_the_zero_surface(model: DoraVAE, sample: Sample) -> None:
    done = reconstruct(model, sample, tokens=33, resolution=96)
    field, step = decoded_field(model, done.latents), spacing(96)
    inner = done.mesh.vertices[np.abs(done.mesh.vertices).max(axis=1) < 1]  # the border is outside
    # Every vertex lies on a grid edge, where the line between the field at its two ends is zero.
    place = (inner + 1.05) / step
    along = np.abs(place - place.round()).argmax(axis=1)[:, None]
    low, high = place.round(), place.round()
    np.put_along_axis(low, along, np.floor(np.take_along_axis(place, along, 1)), 1)
    np.put_along_axis(high, along, np.floor(np.take_along_axis(place, along, 1)) + 1, 1)
    share = np.take_along_axis(place - low, along, 1)[:, 0]
    first, second = (field((ends * step - 1.05).astype(np.float32)) for ends in (low, high))
    assert ((first > 0) != (second > 0)).all()
    line = (1 - share) * first + share * second
    assert np.abs(line).max() < 1e-3 * np.abs(first - second).max()
    normals = np.cross(
        done.mesh.triangles[:, 1] - done.mesh.triangles[:, 0],
        done.mesh.triangles[:, 2] - done.mesh.triangles[:, 0],
    )
    centres = done.mesh.triangles.mean(axis=1)
    volume = (centres * normals).sum() / 6
    assert 0.4 < volume / (8 * 0.9 * 0.3 * 0.5) < 1.6  # closed and outward: the box's volume
    assert (done.tokens, done.resolution, done.latents.salient) == (33, 96, 16)
    assert done.queries > 0


def test_reads_what_the_dense_grid_reads(model: DoraVAE, sample: Sample) -> None:
    """Every corner of a dense grid that the field calls inside lies within the mesh's bounds."""
    latents = encode_shape(model, sample, 32)
    field, axis = decoded_field(model, latents), np.linspace(-1.05, 1.05, 49)
    mesh = decode_latents(model, latents, 96)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    inside = field(grid.astype(np.float32)) > 0
    occupied = grid[inside & (np.abs(grid).max(axis=1) < 1.05)]
    assert (occupied.max(axis=0) <= mesh.vertices.max(axis=0) + spacing(96)).all()
    assert (occupied.min(axis=0) >= mesh.vertices.min(axis=0) - spacing(96)).all()


def test_encode_decode_equals_reconstruct(model: DoraVAE, sample: Sample) -> None:
    latents = encode_shape(model, sample, 20, seed=4, posterior="sample")
    apart = decode_latents(model, latents, 64)
    whole = reconstruct(model, sample, 20, 64, seed=4, posterior="sample").mesh
    assert np.array_equal(apart.vertices, whole.vertices)
    assert np.array_equal(apart.faces, whole.faces)
    mean = reconstruct(model, sample, 20, 64).mesh
    assert len(mean.vertices) != len(whole.vertices) or not np.array_equal(
        mean.vertices, whole.vertices
    )


@pytest.mark.parametrize("tokens", [1, 2, 501])
def test_odd_and_single_tokens(model: DoraVAE, sample: Sample, tokens: int) -> None:
    latents = encode_shape(model, sample, tokens)
    values = decoded_field(model, latents)(sample.space[:100, :3].copy())
    assert np.isfinite(values).all()


def test_chunks_do_not_change_the_field(
    model: DoraVAE, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents = encode_shape(model, sample, 16)
    points = sample.space[:, :3].copy()
    whole = decoded_field(model, latents)(points)
    monkeypatch.setattr("vae.reconstruction.CHUNK_BYTES", 1)
    assert np.abs(decoded_field(model, latents)(points) - whole).max() < 1e-5


def test_latents_of_another_model_are_refused(model: DoraVAE, sample: Sample) -> None:
    torch.manual_seed(1)
    other = DoraVAE(model.config).eval()
    with pytest.raises(LatentsError, match="another model"):
        decode_latents(other, encode_shape(model, sample, 8), 32)


def test_a_field_without_inside_is_an_empty_surface(sample: Sample, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = ModelConfig(width=16, heads=2, encoder_layers=1, decoder_layers=1, embed=3)
    model = DoraVAE(config).eval()
    model.decoder.output_proj.bias.data.fill_(-100.0)
    with pytest.raises(MeshError) as caught:
        reconstruct(model, sample, 4, 32)
    assert caught.value.reason == "empty-surface"
