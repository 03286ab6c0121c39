"""The sparse VAE: names, voxels of a mesh, a loss that falls, batches that do not mix."""

import numpy as np
import pytest
import torch

from preprocessing.shapes import box, sphere
from vae.sparse.grid import Grid
from vae.sparse.model import LossWeights, SparseConfig, SparseVAE, levels_of
from vae.sparse.voxelise import VoxelShape, batch_of, turned, voxelise

CONFIG = SparseConfig(resolution=16, levels=3, channels=8, latent=4)


@pytest.fixture(scope="module")
def shapes() -> list[VoxelShape]:
    return [voxelise(shape.mesh, 16) for shape in (sphere(subdivisions=4), box())]


def test_names_are_xcube_s() -> None:
    names = set(SparseVAE(SparseConfig()).state_dict())
    for name in (
        "encoder.mix_fc.weight",
        "unet.pre_conv.weight",
        "unet.encoders.Enc0.SingleConv1.GroupNorm.weight",
        "unet.encoders.Enc2.SingleConv2.Conv.weight",
        "unet.pre_kl_bottleneck.pre_kl_bottleneck_1.SingleConv2.Conv.weight",
        "unet.post_kl_bottleneck.post_kl_bottleneck_0.SingleConv1.Conv.weight",
        "unet.struct_convs.Struct-1.SingleConv.Conv.weight",
        "unet.struct_convs.Struct-3.OutConv.bias",
        "unet.decoders.Dec-2.SingleConv1.Conv.weight",
        "unet.normal_head.OutConv.weight",
    ):
        assert name in names
    shapes = {k: tuple(v.shape) for k, v in SparseVAE(SparseConfig()).state_dict().items()}
    assert shapes["unet.encoders.Enc1.SingleConv1.Conv.weight"] == (32, 32, 3, 3, 3)
    assert shapes["unet.encoders.Enc1.SingleConv2.Conv.weight"] == (64, 32, 3, 3, 3)
    assert not any(name.endswith("Conv.bias") and "Single" in name for name in names)


def test_voxels_of_a_sphere(shapes: list[VoxelShape]) -> None:
    found = shapes[0]
    cell = 2.1 / 16
    centres = (found.coords + 0.5) * cell - 1.05
    radius = np.linalg.norm(centres, axis=1)
    assert (np.abs(radius - 1) < np.sqrt(3) / 2 * cell + 0.01).all()
    assert np.allclose(found.distances, (1 - radius) / cell, atol=0.05)
    cosine = (found.normals * centres).sum(1) / radius
    assert cosine.min() > 0.95
    through = np.abs(radius - 1) < 0.4 * cell  # the surface is deep inside these voxels
    every = np.stack(np.meshgrid(*[np.arange(16)] * 3, indexing="ij"), -1).reshape(-1, 3)
    distance = np.linalg.norm((every + 0.5) * cell - 1.05, axis=1) - 1
    assert through.sum() == (np.abs(distance) < 0.4 * cell).sum()


def test_turning_is_a_symmetry_of_the_cube(shapes: list[VoxelShape]) -> None:
    ball = shapes[0]
    seen = {row.tobytes() for row in ball.coords}
    for seed in range(5):
        found = turned(ball, 16, np.random.default_rng(seed))
        centres = (found.coords + 0.5) / 8 - 1
        assert ((found.normals * centres).sum(1) > 0).all()
        assert len({row.tobytes() for row in found.coords} & seen) > 0.9 * len(seen)


def test_items_of_a_batch_do_not_mix(shapes: list[VoxelShape]) -> None:
    torch.manual_seed(0)
    model = SparseVAE(CONFIG).eval()
    both = batch_of(shapes)
    grid, mean, _ = model.encode(both.grid, both.normals)
    decoded = model.decode(grid, mean, levels_of(both.grid, 3))
    for item, shape in enumerate(shapes):
        alone = batch_of([shape])
        own_grid, own_mean, _ = model.encode(alone.grid, alone.normals)
        assert torch.equal(grid.coords[grid.items == item], own_grid.coords)
        assert (mean[grid.items == item] - own_mean).abs().max() < 1e-5
        own = model.decode(own_grid, own_mean, levels_of(alone.grid, 3))
        for (level, logits), (own_level, own_logits) in zip(
            decoded.logits, own.logits, strict=True
        ):
            assert torch.equal(level.coords[level.items == item], own_level.coords)
            assert (logits[level.items == item] - own_logits).abs().max() < 1e-4


def test_a_few_steps_learn_a_shape(shapes: list[VoxelShape]) -> None:
    """The loss falls, and the decoder's own choice of voxels comes to be the true one."""
    torch.manual_seed(0)
    model = SparseVAE(SparseConfig(resolution=16, levels=2, channels=8, latent=4))
    batch = batch_of(shapes[1:])
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3, amsgrad=True)
    losses = []
    for _ in range(40):
        value = model(batch, LossWeights(kl=1e-3))
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < 0.5 * losses[0]
    with torch.no_grad():
        grid, mean, _ = model.encode(batch.grid, batch.normals)
        found = model.decode(grid, mean).voxels.grid
    common = int(batch.grid.has(found).sum())
    assert common / (len(found) + len(batch.grid) - common) > 0.7


def test_nothing_kept_is_no_voxels() -> None:
    model = SparseVAE(CONFIG)
    with torch.no_grad():
        for head in model.unet.struct_convs.values():
            head.OutConv.weight.zero_()
            head.OutConv.bias.copy_(torch.tensor([-1.0, 1.0]))
    grid, _ = Grid.of(torch.zeros(4, dtype=torch.long), torch.arange(12).reshape(4, 3))
    decoded = model.decode(grid, torch.zeros(4, 4))
    assert len(decoded.voxels.grid) == 0
    assert decoded.voxels.normals.shape == (0, 3)


def test_points_of_true_voxels_lie_on_the_surface(shapes: list[VoxelShape]) -> None:
    model = SparseVAE(CONFIG)
    points, normals = model.surface(batch_of(shapes[:1]))
    assert (points.norm(dim=1) - 1).abs().max() < 0.01
    assert (normals.norm(dim=1) - 1).abs().max() < 1e-6
