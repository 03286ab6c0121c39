"""A short training run, its files, and the model of the benchmark that reads them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dora_bench.baselines import poisson_mesh
from dora_bench.models import resolve_model
from dora_bench.protocol import ShapeInput
from preprocessing.console import UsageError
from preprocessing.mesh import MeshError, save_mesh
from preprocessing.shapes import box, sphere
from vae.sparse.model import SparseConfig, SparseVAE
from vae.sparse.run import load_sparse, write_sparse
from vae.sparse.training import (
    SparseTraining,
    ahead,
    batches,
    one_step,
    rate,
    train,
    voxel_folder,
)
from vae.sparse.voxelise import batch_of, voxelise

SMALL = SparseConfig(resolution=12, levels=2, channels=8, latent=2)


def test_a_run_is_written_and_read(tmp_path: Path) -> None:
    save_mesh(box().mesh, tmp_path / "data/box.ply")
    figures = train(tmp_path / "data", tmp_path / "run", SMALL, SparseTraining(minutes=0.02))
    assert figures["steps"] >= 1
    assert np.isfinite(figures["loss"])
    assert json.loads((tmp_path / "run/config.json").read_text())["steps"] == figures["steps"]
    model = resolve_model(str(tmp_path / "run"))
    assert (model.info.name, model.info.uses_tokens) == ("run", False)
    latent = model.encode(ShapeInput("box", box().mesh), 0, 0)
    voxels = latent.floats // 2
    assert latent.bytes == 8 * voxels + 3 * voxels
    with pytest.raises(UsageError, match=r"no \.ply"):
        train(tmp_path / "run", tmp_path / "other", SMALL)


def test_a_step_in_bfloat16_is_near_the_full_one() -> None:
    shapes = [voxelise(sphere(subdivisions=3).mesh, 16), voxelise(box().mesh, 16)]
    losses = {}
    for precision in ("no", "bf16"):
        torch.manual_seed(0)
        model = SparseVAE(SparseConfig(resolution=16, channels=16))
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3, amsgrad=True)
        settings = SparseTraining(precision=precision)
        losses[precision] = one_step(model, optimizer, shapes, settings, "cpu")
        assert all(p.dtype == p.grad.dtype == torch.float32 for p in model.parameters())
    assert losses["bf16"] == pytest.approx(losses["no"], rel=0.02)


def test_weights_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    write_sparse(SparseVAE(SMALL), tmp_path, 1)
    state = load_file(tmp_path / "model.safetensors")
    state.pop("encoder.mix_fc.bias")
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match=r"missing: encoder\.mix_fc\.bias"):
        resolve_model(str(tmp_path))


def test_nothing_decoded_is_an_empty_surface(tmp_path: Path) -> None:
    model = SparseVAE(SMALL)
    with torch.no_grad():
        for head in model.unet.struct_convs.values():
            head.OutConv.weight.zero_()
            head.OutConv.bias.copy_(torch.tensor([-1.0, 1.0]))
    write_sparse(model, tmp_path, 1)
    assert torch.equal(load_sparse(tmp_path).encoder.mix_fc.bias, model.encoder.mix_fc.bias)
    found = resolve_model(str(tmp_path))
    with pytest.raises(MeshError, match="0 voxels are left"):
        found.decode(found.encode(ShapeInput("box", box().mesh), 0, 0), 32)


def test_every_mesh_once_a_pass_and_the_same_order_again(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.ply" for i in range(4)]
    for i, path in enumerate(paths):
        save_mesh((box() if i % 2 else sphere(subdivisions=2)).mesh, path)
    settings = SparseTraining(batch=2)
    runs = []
    for _ in range(2):
        folder = voxel_folder(tmp_path, tmp_path / "voxels", SMALL.resolution)
        stream = ahead(batches(folder, SMALL, settings))
        runs.append([next(stream) for _ in range(4)])
    assert len(list((tmp_path / "voxels").iterdir())) == 4
    for one, two in zip(*runs, strict=True):
        assert all(np.array_equal(a.coords, b.coords) for a, b in zip(one, two, strict=True))
    assert voxel_folder(folder, tmp_path / "unused", SMALL.resolution) == folder
    with pytest.raises(UsageError, match="no voxels at 32"):
        voxel_folder(tmp_path / "voxels", tmp_path / "unused", 32)
    assert rate(0, 0.0, settings) < rate(19, 0.0, settings) == 1
    assert rate(500, 1.0, settings) == pytest.approx(0.05)


def test_poisson_of_true_voxels_is_the_shape() -> None:
    """What a perfect decoder would score: a sphere within a hundredth of its radius."""
    model = SparseVAE(SparseConfig(resolution=32))
    points, normals = model.surface(batch_of([voxelise(sphere(subdivisions=4).mesh, 32)]))
    mesh = poisson_mesh(points.numpy(), normals.numpy(), 64)
    assert np.abs(np.linalg.norm(mesh.vertices, axis=1) - 1).max() < 0.01
