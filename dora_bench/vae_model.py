"""A vecset VAE as a model of the benchmark: Dora's, and every published one that we load."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from dora_bench.protocol import Latent, ModelInfo, ShapeInput
from preprocessing.console import UsageError
from preprocessing.files import sha256_file
from preprocessing.mesh import Mesh
from vae.checkpoint import CheckpointError, weights_hash
from vae.latents import Draw, TokenSource, draw_points, encode_shape
from vae.model import DoraVAE
from vae.published.families import FAMILIES, family_name
from vae.published.files import find_weights
from vae.published.hub import BOXED, card_of, locate
from vae.reconstruction import CHUNK_BYTES, read_surface
from vae.variant import DORA

FILE_NAMES = ("model", "best", "last")  # say nothing; the folder's name does


class VAEModel:
    """Any name that `DoraVAE.from_pretrained` takes, with its posterior's mean or a sample.

    The points of a shape are drawn once for all its token counts. Of two clouds, every count takes
    a prefix of the same farthest point order; of one, farthest points of a random subset.
    """

    def __init__(self, source: str | Path, posterior: str = "mean") -> None:
        if posterior not in ("mean", "sample"):
            raise UsageError(f"--posterior {posterior}: use mean or sample")
        try:
            family, path = locate(source)
            model = DoraVAE.from_pretrained(source)
        except CheckpointError as error:
            said = str(error)
            named = said if said.startswith(str(source)) else f"{source}: {said}"
            raise UsageError(named) from error
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = model.requires_grad_(False).to(device)
        self.posterior: Draw = "sample" if posterior == "sample" else "mean"
        name = model_name(str(source), path)
        self.info = ModelInfo(
            name=name if posterior == "mean" else f"{name}+sample",
            kind="vae",
            weights_sha256=weights_hash(model),
            posterior=posterior,
            device=device,
            config=described(model, family, path),
            card=card_of(path),
        )
        self.source: tuple[str, int, TokenSource] | None = None
        self.spent: dict[tuple[int, int], float] = {}  # seconds that the points of a count took
        self.chunk_bytes = CHUNK_BYTES

    def prepare(self, shape: ShapeInput, tokens: int, seed: int) -> float:
        """Draw and order the points; the seconds of it, also where an earlier count drew them."""
        started = time.perf_counter()
        key = draw_points(self.model, self.source_of(shape, seed), tokens)
        return self.spent.setdefault(key, time.perf_counter() - started)

    def smaller(self) -> None:
        """Evaluate the field in pieces of an eighth from now on."""
        self.chunk_bytes //= 8

    def source_of(self, shape: ShapeInput, seed: int) -> TokenSource:
        """The points of a shape, kept until another shape comes."""
        if self.source is None or self.source[:2] != (shape.id, seed):
            self.source, self.spent = (shape.id, seed, self.points_of(shape, seed)), {}
        return self.source[2]

    def encode(self, shape: ShapeInput, tokens: int, seed: int) -> Latent:
        """The posterior at `tokens` tokens, kept as float32."""
        latents = encode_shape(
            self.model,
            self.source_of(shape, seed),
            tokens,
            seed=seed,
            posterior=self.posterior,
            model_hash=self.info.weights_sha256,
        )
        return Latent(latents, latents.mean.numel(), 4 * latents.mean.numel())

    def points_of(self, shape: ShapeInput, seed: int) -> TokenSource:
        """Where the model's points of a shape come from, as many as it was published with."""
        points = self.model.variant.points
        return TokenSource(shape.mesh, seed=seed, item_id=shape.id, points=points)

    def decode(self, latent: Latent, resolution: int) -> Mesh:
        """Read the surface back. Raises MeshError(empty-surface)."""
        return read_surface(self.model, latent.data, resolution, chunk_bytes=self.chunk_bytes)[0]


def described(model: DoraVAE, family: str | None, path: Path) -> dict[str, Any]:
    """What the results say of the network, and of a published one the sha256 of its file."""
    config = asdict(model.config)
    if family is None:
        return config
    differences = {k: v for k, v in asdict(model.variant).items() if v != asdict(DORA)[k]}
    file_sha256 = sha256_file(find_weights(path))
    return {**config, "family": family, "variant": differences, "file_sha256": file_sha256}


def model_name(source: str, path: Path) -> str:
    """What the tables call a model: its family, and the file where that is not the published."""
    if source in BOXED:
        return source
    stem = source.partition(":")[0]
    family = None if Path(source).exists() else family_name(stem)
    if family is None:
        return checkpoint_name(path)
    published = {Path(file).name for file in FAMILIES[family].files}
    if path.is_dir() or path.name in published or path.stem in FILE_NAMES:
        return stem
    return f"{stem}:{path.stem}"


def checkpoint_name(path: Path) -> str:
    """What the tables call a checkpoint: its folder's name, or the file's when that says more."""
    path = path.resolve()
    return path.parent.name if path.stem in FILE_NAMES and path.suffix else path.stem
