"""COD-VAE (the PyPI package `cod-vae`, MIT): one cloud, a fixed number of tokens, occupancy."""

from pathlib import Path

import numpy as np

from dora_bench.protocol import Latent, ModelInfo, ShapeInput
from preprocessing.console import UsageError
from preprocessing.files import sha256_file
from preprocessing.mesh import Mesh, MeshError
from preprocessing.points.sampling import sample_surface
from preprocessing.seeds import generator
from preprocessing.solid.isosurface import extract_isosurface
from vae.refine import read_field

PUBLISHED = "TimSchneider42/cod-vae-32x32"
POINTS = 2048
SCALE = 0.9  # its cube is +-1 with the shape in +-0.9; our shapes reach +-1


class CodVae:
    """weights: an npz file, a folder of the official release, or a repository of the hub."""

    def __init__(self, weights: str = PUBLISHED) -> None:
        try:
            from cod_vae import CODVAE
        except ImportError as error:
            raise UsageError("cod-vae is not installed: pip install 'cod-vae[torch]'") from error
        try:
            self.model = CODVAE.from_pretrained(weights, backend="torch")
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise UsageError(f"cod-vae:{weights} cannot be loaded: {error}") from error
        config = self.model.config
        self.info = ModelInfo(
            name=f"cod-vae-{config.num_latents}x{config.latent_dim}",
            kind="vae",
            uses_tokens=False,  # the count is part of the weights
            weights_sha256=sha256_file(weights) if Path(weights).is_file() else "",
            posterior="mean",
            config={"weights": Path(weights).name, "points": POINTS, "scale": SCALE},
        )

    def encode(self, shape: ShapeInput, tokens: int, seed: int) -> Latent:
        """The posterior's mean; `tokens` is the model's own."""
        points, _, _ = sample_surface(shape.mesh, POINTS, generator(seed, shape.id, "cod-vae"))
        latents = self.model.encode((SCALE * points).astype(np.float32))
        return Latent(latents, latents.size, latents.nbytes)

    def decode(self, latent: Latent, resolution: int) -> Mesh:
        """The zero surface of the decoded occupancy. Raises MeshError(empty-surface)."""
        bricks, _ = read_field(lambda p: self.model.decode(latent.data, SCALE * p), resolution)
        if not len(bricks.bricks):
            raise MeshError("empty-surface", "the decoded field is nowhere inside: no surface")
        return extract_isosurface(bricks)
