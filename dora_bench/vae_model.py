"""A Dora-VAE checkpoint as a model of the benchmark."""

from dataclasses import asdict
from pathlib import Path

import torch

from dora_bench.protocol import Latent, ModelInfo, ShapeInput
from preprocessing.console import UsageError
from preprocessing.mesh import Mesh
from vae.checkpoint import CheckpointError, weights_hash
from vae.latents import Draw, TokenSource, encode_shape
from vae.model import DoraVAE
from vae.reconstruction import read_surface

FILE_NAMES = ("model", "best", "last")  # say nothing; the folder's name does


class VAEModel:
    """A run folder, a .safetensors or a published .ckpt, with its posterior's mean or a sample.

    The points of a shape are drawn and ordered once for all its token counts; every count takes a
    prefix of the same farthest-point order.
    """

    def __init__(self, path: Path, posterior: str = "mean") -> None:
        if posterior not in ("mean", "sample"):
            raise UsageError(f"--posterior {posterior}: use mean or sample")
        try:
            model = DoraVAE.from_pretrained(path)
        except CheckpointError as error:
            raise UsageError(f"{path}: {error}") from error
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = model.requires_grad_(False).to(device)
        self.posterior: Draw = "sample" if posterior == "sample" else "mean"
        name = checkpoint_name(path)
        self.info = ModelInfo(
            name=name if posterior == "mean" else f"{name}+sample",
            kind="vae",
            weights_sha256=weights_hash(model),
            posterior=posterior,
            device=device,
            config=asdict(model.config),
        )
        self.source: tuple[str, int, TokenSource] | None = None

    def encode(self, shape: ShapeInput, tokens: int, seed: int) -> Latent:
        """The posterior at `tokens` tokens, kept as float32."""
        if self.source is None or self.source[:2] != (shape.id, seed):
            self.source = (shape.id, seed, TokenSource(shape.mesh, seed=seed, item_id=shape.id))
        latents = encode_shape(
            self.model,
            self.source[2],
            tokens,
            seed=seed,
            posterior=self.posterior,
            model_hash=self.info.weights_sha256,
        )
        return Latent(latents, latents.mean.numel(), 4 * latents.mean.numel())

    def decode(self, latent: Latent, resolution: int) -> Mesh:
        """Read the surface back. Raises MeshError(empty-surface)."""
        return read_surface(self.model, latent.data, resolution)[0]


def checkpoint_name(path: Path) -> str:
    """What the tables call a checkpoint: its folder's name, or the file's when that says more."""
    path = path.resolve()
    return path.parent.name if path.stem in FILE_NAMES and path.suffix else path.stem
