"""What a model must offer to be scored: `info`, `encode` and `decode`, without a base class."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from preprocessing.mesh import Mesh


@dataclass(frozen=True)
class ShapeInput:
    """What a model encodes: a watertight mesh in the normalised frame, and the item's id."""

    id: str
    mesh: Mesh


@dataclass(frozen=True)
class Latent:
    """What a model keeps of a shape: `data` for its own decoder, and what it costs to store.

    `floats` counts stored numbers of any kind; `bytes` is their size as stored.
    """

    data: Any
    floats: int
    bytes: int


@dataclass(frozen=True)
class ModelInfo:
    """What the results say about a model. Without tokens it is evaluated once, as tokens 0.

    `card`: what a reader should know and no file tells: licence, data, paper, url, by any name.
    """

    name: str
    kind: str
    uses_tokens: bool = True
    weights_sha256: str = ""
    posterior: str = ""
    device: str = "cpu"
    config: dict[str, Any] = field(default_factory=dict)
    card: dict[str, str] = field(default_factory=dict)


class ShapeModel(Protocol):
    """Shape -> latent -> shape, at a token count chosen by the caller.

    Two more methods are used where a model has them. `prepare(shape, tokens, seed)` draws and
    orders the points that `encode` will take, and is timed apart as `sample_s`; it may return the
    seconds that this took when it kept them from an earlier count. `smaller()` is called when a GPU
    ran out of memory, before the item is tried again: work in smaller pieces from then on.
    """

    info: ModelInfo

    def encode(self, shape: ShapeInput, tokens: int, seed: int) -> Latent:
        """The latent of a shape at `tokens` tokens; every random draw from `seed` and shape.id."""

    def decode(self, latent: Latent, resolution: int) -> Mesh:
        """The mesh of a latent, read on a grid of `resolution` cells per axis where one is used.

        Raises MeshError when there is no surface; the item then counts as failed.
        """
