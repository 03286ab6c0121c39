"""The CUDA paths, where there is a GPU: numbers of the CPU, precision, checkpointing, memory."""

from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from vae_samples import box_sample, write_boxes

from preprocessing.running.ledger import read_ledger
from preprocessing.seeds import generator
from preprocessing.settings import Limits
from preprocessing.shapes import sphere
from vae.bulk.many import encode_many, model_source
from vae.bulk.settings import EncodeSettings
from vae.config import TINY, VAEConfig, override
from vae.latents import LatentsError, check_tokens, encode_shape, read_latents
from vae.model import DoraVAE
from vae.reconstruction import decoded_field, read_surface
from vae.sparse.model import LossWeights, SparseConfig, SparseVAE, Voxels
from vae.sparse.voxelise import batch_of, voxelise
from vae.train import train
from vae.train_log import read_log

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

WEIGHTS = LossWeights()
SETTINGS = [
    *("coarse_points=256", "sharp_points=256", "coarse_near=128", "space=128", "sharp_near=64"),
    *("token_lengths=32,64", "token_weights=1,1", "steps=12", "warmup=2", "loaders=0"),
]


@pytest.fixture(scope="module")
def boxed() -> DoraVAE:
    return DoraVAE.from_pretrained("dora-tiny").requires_grad_(False)


@pytest.mark.parametrize("attention", ["full", "local:32"])
def test_encode_and_decode_are_those_of_the_cpu(boxed: DoraVAE, attention: str) -> None:
    sample = box_sample("box", (0.9, 0.5, 0.3), 2000)
    points = generator(0, "cuda", "test").uniform(-1, 1, (5000, 3)).astype(np.float32)
    fields = {}
    for device in ("cpu", "cuda"):
        model = boxed.to(device)
        latents = encode_shape(model, sample, 500, attention=attention, model_hash="m")
        fields[device] = (latents.mean, decoded_field(model, latents, attention)(points))
    assert torch.allclose(fields["cpu"][0], fields["cuda"][0], atol=2e-3, rtol=1e-3)
    assert np.abs(fields["cpu"][1] - fields["cuda"][1]).max() < 5e-3
    assert 0.1 < (fields["cuda"][1] > 0).mean() < 0.2  # the box fills 0.135 of the cube


def test_a_surface_is_read_on_the_gpu(boxed: DoraVAE) -> None:
    latents = encode_shape(boxed.to("cuda"), box_sample("box", (0.9, 0.5, 0.3), 2000), 500)
    mesh = read_surface(boxed, latents, 64)[0]
    assert np.allclose(np.abs(mesh.vertices).max(axis=0), (0.9, 0.5, 0.3), atol=0.05)


def test_more_tokens_than_the_gpu_holds_are_refused(boxed: DoraVAE) -> None:
    with pytest.raises(LatentsError, match="the GPU has"):
        check_tokens(boxed.to("cuda"), 20_000_000)


def test_batches_of_bulk_encoding_are_those_of_the_cpu(tmp_path: Path) -> None:
    """In children that share the GPU; one of five has no salient points, so is alone."""
    data = write_boxes(tmp_path / "in", 5, points=300)
    for device, batch in (("cpu", 1), ("cuda", 1), ("cuda", 4)):
        limits = Limits(executor="inline", workers=2, quiet=True)
        source, limits = model_source("dora-tiny", None, device, limits, 64)
        settings = EncodeSettings(model_sha256=source.sha256, tokens=64, eps=2 / 256)
        out = tmp_path / f"{device}-{batch}"
        encode_many([str(data)], out, settings, source, limits, batch=batch)
        assert read_ledger(out)["status"].to_pylist() == ["ok"] * 5
        for path in (tmp_path / "cpu-1").glob("box*.safetensors"):
            wanted, found = read_latents(path), read_latents(out / path.name)
            assert torch.equal(wanted.positions, found.positions)
            assert torch.allclose(wanted.mean, found.mean, atol=2e-3, rtol=1e-3)


def trained(tmp_path: Path, name: str, *settings: str) -> list[float]:
    AcceleratorState._reset_state()  # another precision in one process
    config: VAEConfig = override(TINY, [*SETTINGS, *settings])
    train(config, tmp_path / "data", tmp_path / name, quiet=True)
    return [row["loss"] for row in read_log(tmp_path / name / "log.csv")]


def test_training_checkpointing_and_precision(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_boxes(tmp_path / "data", points=300)
    plain = trained(tmp_path, "plain", "precision=no", "checkpointing=false")
    again = trained(tmp_path, "again", "precision=no", "checkpointing=true")
    half = trained(tmp_path, "half", "precision=bf16", "checkpointing=true")
    resident = trained(tmp_path, "resident", "precision=bf16", "resident=true")
    assert np.allclose(plain, again, rtol=1e-3)
    assert np.allclose(plain, half, rtol=0.1)
    assert np.isfinite(resident).all()
    assert plain[-1] < plain[0]


def test_checkpointing_saves_memory() -> None:
    peaks = []
    for checkpointing in (False, True):
        model = DoraVAE(override(TINY, ["decoder_layers=12"]).model).cuda()
        model.checkpointing = checkpointing
        cloud = torch.randn(4, 1024, 6, device="cuda")
        rows = torch.arange(1024, device="cuda").expand(4, -1)
        torch.cuda.reset_peak_memory_stats()
        logits, _ = model(cloud, cloud, rows, torch.rand(4, 4096, 3, device="cuda"))
        logits.square().mean().backward()
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[1] < 0.5 * peaks[0]


def test_the_sparse_vae_is_that_of_the_cpu() -> None:
    torch.manual_seed(0)
    # In float64: which voxels exist, and the sign of an L1 term, hang on the last bits.
    model = SparseVAE(SparseConfig(resolution=24, levels=2, channels=8, latent=4)).double()
    shape = voxelise(sphere(subdivisions=3).mesh, 24)
    losses, gradients = [], []
    for device in ("cpu", "cuda"):
        model = model.to(device)
        model.zero_grad()
        read = batch_of([shape], device)
        loss = model(Voxels(read.grid, read.normals.double(), read.distances.double()), WEIGHTS)
        loss.backward()
        losses.append(loss.item())
        gradients.append(model.encoder.mix_fc.weight.grad.cpu().clone())
    assert losses[0] == pytest.approx(losses[1], rel=1e-8)
    assert torch.allclose(*gradients, rtol=1e-6, atol=1e-6 * gradients[0].abs().max())
