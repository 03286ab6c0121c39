"""One shape to latents in a child of the runner: read, encode, check, write."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from preprocessing.frame import HALF_WIDTH
from preprocessing.mesh import MeshError
from preprocessing.points.sample_at import SampleAt
from preprocessing.points.samples import read_clouds
from preprocessing.running.proof import output_facts
from preprocessing.running.stages import OutputError
from preprocessing.running.tasks import Plan
from preprocessing.running.warming import warm
from preprocessing.stores.address import Place
from vae.bulk.settings import EncodeSettings, ModelSource
from vae.bulk.worker import ModelWorker
from vae.inputs import Input, read_input
from vae.latents import Latents, LatentsError, TokenSource, check_draw, encode_shape, write_latents
from vae.model import DoraVAE


class Encoder(ModelWorker[EncodeSettings]):
    """Encodes one shape a task."""

    key = "latents"

    def __init__(
        self, settings: EncodeSettings, source: ModelSource, out: Place, kernels: Plan | None
    ) -> None:
        """kernels: the stages whose kernels raw meshes take; None for none."""
        super().__init__(settings, source, out)
        self.kernels = kernels

    def before_fork(self) -> None:
        """Load the kernels, compiled if this machine has none."""
        if self.kernels is not None:
            warm(self.kernels)

    def make(self, source: Path | SampleAt, item_id: str, folder: Path) -> dict[str, Any]:
        """Latents as item_id.safetensors. Raises MeshError for a shape that cannot be encoded."""
        assert self.model is not None
        given = read_shape(source, self.settings)
        # So that no byte depends on how many workers share the cores. Here, because libraries that
        # make solids set OpenMP's count in a forked process.
        torch.set_num_threads(1)
        latents = encode_one(self.model, given, self.settings, item_id)
        path = folder / f"{item_id}.safetensors"
        write_latents(latents, path)
        return {
            "tokens": len(latents.mean),
            "salient_tokens": latents.salient,
            "channels": latents.mean.shape[1],
            **place_of(given),
            **output_facts([path], folder),
        }


def read_shape(source: Path | SampleAt, settings: EncodeSettings) -> Input:
    """The clouds of a sample, or a mesh made watertight. Raises MeshError."""
    if isinstance(source, Path) and source.suffix.lower() != ".safetensors":
        return read_input(source, settings.eps, raw=settings.raw)
    return Input(read_clouds(source), None, None)


def encode_one(model: DoraVAE, given: Input, settings: EncodeSettings, item_id: str) -> Latents:
    """Checked latents of one shape. Raises MeshError(no-tokens), OutputError."""
    source = TokenSource(
        given.shape, seed=settings.seed, item_id=item_id, points=model.variant.points
    )
    try:
        latents = encode_shape(
            model,
            source,
            settings.tokens,
            seed=settings.seed,
            posterior=check_draw(settings.posterior),
            model_hash=settings.model_sha256,
            attention=settings.attention,
        )
    except LatentsError as error:
        raise MeshError("no-tokens", str(error)) from error
    check_latents(latents, settings.tokens, model.config.embed)
    return latents


def check_latents(latents: Latents, tokens: int, channels: int) -> None:
    """Raise OutputError unless every number is finite and there are as many as asked for."""
    wanted = {
        "mean": (latents.mean, (tokens, channels)),
        "logvar": (latents.logvar, (tokens, channels)),
        "positions": (latents.positions, (tokens, 3)),
    }
    for name, (values, shape) in wanted.items():
        if tuple(values.shape) != shape:
            raise OutputError(f"wrong-count: {name} is {tuple(values.shape)}, not {shape}")
        if not torch.isfinite(values).all():
            raise OutputError(f"not-finite: {name} holds a value that is not finite")
    if latents.positions.abs().max() > np.float32(HALF_WIDTH):
        raise OutputError("outside-cube: a token lies outside [-1.05, 1.05]^3")


def place_of(given: Input) -> dict[str, float | None]:
    """How a mesh came into the normalised frame, and the eps of the solid that was encoded."""
    told = given.shape.metadata.get("eps") if hasattr(given.shape, "metadata") else None
    columns: dict[str, float | None] = {"eps": float(told) if told else given.eps}
    if given.transform is not None:
        x, y, z = given.transform.center
        columns |= {"scale": given.transform.scale, "center_x": x, "center_y": y, "center_z": z}
    return columns
