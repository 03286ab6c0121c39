"""What bulk encoding and decoding are asked for, and how a child gets the model."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from preprocessing.console import UsageError
from preprocessing.running.system import keep_freed_memory
from preprocessing.settings import MESH_FORMATS, one_of

if TYPE_CHECKING:
    from vae.model import DoraVAE


@dataclass(frozen=True, kw_only=True)
class EncodeSettings:
    """What decides the bytes of latents besides the shape.

    eps: of the solid made of a raw mesh; raw: none is made. seed: of the clouds drawn from meshes
    and of the posterior's sample. attention: full, or local:K.
    """

    model_sha256: str
    tokens: int
    eps: float
    raw: bool = False
    posterior: str = "mean"
    seed: int = 0
    attention: str = "full"


@dataclass(frozen=True, kw_only=True)
class DecodeSettings:
    """What decides the bytes of a mesh besides its latents. Raises SettingsError.

    posterior, seed: None for as encoded. attention: full, or local:K.
    """

    model_sha256: str
    resolution: int = 256
    posterior: str | None = None
    seed: int | None = None
    attention: str = "full"
    format: str = "ply"

    def __post_init__(self) -> None:
        one_of("format", self.format, MESH_FORMATS)


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A model as every child loads it. device: auto, cpu or cuda; sha256: of its weights."""

    name: str
    heads: int | None
    device: str
    sha256: str

    def load(self) -> "DoraVAE":
        """The model, once a child. Freed memory is kept from here on: a shape's tensors would be
        fetched from the kernel anew, a third of the time at 64 tokens.

        Raises UsageError where this machine's file holds other weights than the driver's.
        """
        import torch

        from vae.checkpoint import weights_hash
        from vae.model import DoraVAE

        keep_freed_memory()
        model = DoraVAE.from_pretrained(self.name, heads=self.heads)
        if weights_hash(model) != self.sha256:
            raise UsageError(f"{self.name} holds other weights here than where the run began")
        device = self.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        return model.requires_grad_(False).to(device)
