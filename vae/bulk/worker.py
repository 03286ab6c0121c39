"""What encoding and decoding in a child of the runner share: the model, loaded once a child."""

from pathlib import Path
from typing import Generic, TypeVar

from preprocessing.running.tasks import Plan
from preprocessing.running.warming import Prepare
from vae.bulk.settings import DecodeSettings, EncodeSettings, ModelSource
from vae.model import DoraVAE

Settings = TypeVar("Settings", EncodeSettings, DecodeSettings)


class ModelWorker(Generic[Settings]):
    """Called by the runner with a task; `warm` loads the model once a child."""

    def __init__(
        self, settings: Settings, source: ModelSource, out: Path, kernels: Plan | None
    ) -> None:
        """kernels: the stages whose kernels the work takes; None for none."""
        self.settings: Settings = settings
        self.source, self.out, self.kernels = source, out, kernels
        self.model: DoraVAE | None = None

    def warm(self) -> None:
        """Compile the kernels where this machine has none, and load the model."""
        if self.kernels is not None:
            Prepare(self.kernels).warm()
        self.model = self.source.load()
