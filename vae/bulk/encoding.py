"""Shapes to latents in a child of the runner: read, encode, check, write."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from preprocessing.frame import HALF_WIDTH
from preprocessing.mesh import MeshError
from preprocessing.points.sample_at import SampleAt
from preprocessing.points.samples import read_clouds
from preprocessing.running.proof import output_facts, still_done
from preprocessing.running.runner_child import Reply, attempt
from preprocessing.running.stages import OutputError, delivered
from preprocessing.running.tasks import Plan, Task
from preprocessing.running.warming import warm
from preprocessing.stores.address import Place
from vae.bulk.settings import EncodeSettings, ModelSource
from vae.bulk.together import encode_together
from vae.bulk.worker import ModelWorker, facts_of_input, input_of
from vae.inputs import Input, read_input
from vae.latents import (
    Latents,
    LatentsError,
    TokenSource,
    check_draw,
    draw_points,
    write_latents,
)
from vae.model import DoraVAE


class Encoder(ModelWorker[EncodeSettings]):
    """Encodes one shape a task, several tasks in one pass."""

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

    def __call__(self, given: Task | tuple[Task, ...]) -> Any:
        """As `ModelWorker` for a task; of several, which go through the model together, a Reply
        each."""
        return super().__call__(given) if isinstance(given, Task) else self.batch(given)

    def make(self, source: Path | SampleAt, item_id: str, folder: Path) -> dict[str, Any]:
        """Latents as item_id.safetensors. Raises MeshError for a shape that cannot be encoded."""
        assert self.model is not None
        given = read_shape(source, self.settings)
        one_torch_thread()
        shape = token_source(self.model, given, self.settings, item_id)
        (latents,) = encode_all(self.model, [shape], self.settings)
        check_latents(latents, self.settings.tokens, self.model.config.embed)
        return written(latents, given, item_id, folder)

    def batch(self, tasks: tuple[Task, ...]) -> list[Reply]:
        """Read each, encode those that can be together, write each; what one of them is not good
        for is in its own Reply."""
        assert self.model is not None
        replies = [attempt(partial(self.read, task)) for task in tasks]
        ready = [reply for reply in replies if isinstance(reply.value, Ready)]
        one_torch_thread()
        latents = iter(
            encode_all(self.model, [reply.value.source for reply in ready], self.settings)
        )
        return [
            attempt(partial(self.write, task, reply.value, next(latents)))
            if isinstance(reply.value, Ready)
            else reply
            for task, reply in zip(tasks, replies, strict=True)
        ]

    def read(self, task: Task) -> "Ready | dict[str, Any]":
        """A shape ready to be encoded, or what `__call__` says of one that is done."""
        assert self.model is not None
        with input_of(task) as source:
            facts = facts_of_input(task, source)
            if task.done is not None and still_done(facts["input_sha256"], task.done):
                return {"input": facts, "unchanged": True}
            given = read_shape(source, self.settings)
            shape = token_source(self.model, given, self.settings, task.id)
        return Ready(facts, given, shape)

    def write(self, task: Task, ready: "Ready", latents: Latents) -> dict[str, Any]:
        """As `__call__` returns it, with the latents of a shape that was read."""
        assert self.model is not None
        check_latents(latents, self.settings.tokens, self.model.config.embed)
        columns: dict[str, Any] = {}
        with delivered(self.out, columns) as folder:
            columns |= written(latents, ready.given, task.id, folder)
        return {"input": ready.facts, "unchanged": False, self.key: columns}


@dataclass(frozen=True)
class Ready:
    """A shape that has been read: its columns about the input, itself, and its points."""

    facts: dict[str, Any]
    given: Input
    source: TokenSource


def one_torch_thread() -> None:
    """So that no byte depends on how many workers share the cores. Called for every shape, because
    libraries that make solids set OpenMP's count in a forked process."""
    torch.set_num_threads(1)


def read_shape(source: Path | SampleAt, settings: EncodeSettings) -> Input:
    """The clouds of a sample, or a mesh made watertight. Raises MeshError."""
    if isinstance(source, Path) and source.suffix.lower() != ".safetensors":
        return read_input(source, settings.eps, raw=settings.raw)
    return Input(read_clouds(source), None, None)


def token_source(
    model: DoraVAE, given: Input, settings: EncodeSettings, item_id: str
) -> TokenSource:
    """The points of a shape, drawn. Raises MeshError(no-tokens) where they do not suffice."""
    source = TokenSource(
        given.shape, seed=settings.seed, item_id=item_id, points=model.variant.points
    )
    try:
        draw_points(model, source, settings.tokens)
    except LatentsError as error:
        raise MeshError("no-tokens", str(error)) from error
    return source


def encode_all(
    model: DoraVAE, sources: Sequence[TokenSource], settings: EncodeSettings
) -> list[Latents]:
    """Latents of each, of equal sizes in one pass."""
    try:
        return encode_together(
            model,
            sources,
            settings.tokens,
            seed=settings.seed,
            posterior=check_draw(settings.posterior),
            model_hash=settings.model_sha256,
            attention=settings.attention,
        )
    except LatentsError as error:
        raise MeshError("no-tokens", str(error)) from error


def written(latents: Latents, given: Input, item_id: str, folder: Path) -> dict[str, Any]:
    """Write latents as item_id.safetensors; the ledger's columns."""
    path = folder / f"{item_id}.safetensors"
    write_latents(latents, path)
    return {
        "tokens": len(latents.mean),
        "salient_tokens": latents.salient,
        "channels": latents.mean.shape[1],
        **place_of(given),
        **output_facts([path], folder),
    }


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
