"""One model on one suite: what all its rows share, and the mark that they carry of it."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dora_bench.placing import Align
from dora_bench.protocol import ModelInfo
from dora_bench.rows.devices import Seat
from dora_bench.rows.files import read_row
from dora_bench.rows.item import Task
from dora_bench.score import ScoreSettings
from dora_bench.suite import Suite


@dataclass(frozen=True, kw_only=True)
class EvalSettings:
    """What a row depends on beside model, suite and tokens."""

    score: ScoreSettings = field(default_factory=ScoreSettings)
    resolution: int = 256
    posterior: str = "mean"
    align: Align = "none"
    gallery: bool = True

    def record(self) -> dict[str, Any]:
        """Plain values for results.json; `seed`, `points` and `sne` stand at the top."""
        values = {"resolution": self.resolution, "posterior": self.posterior, "align": self.align}
        return {**values, **self.score.record()}


@dataclass(frozen=True)
class Job:
    """One model on one suite: what all its tasks share. `info.device` is where it runs."""

    name: str
    info: ModelInfo
    suite: Suite
    counts: tuple[int, ...]
    settings: EvalSettings
    folder: Path
    seat: Seat

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """What rows must agree on to stand in one folder."""
        info = self.info
        model = {"name": info.name, "weights_sha256": info.weights_sha256, "config": info.config}
        return {"model": model, "suite": self.suite.hash, "settings": self.settings.record()}

    @cached_property
    def mark(self) -> str:
        """The fingerprint in sixteen letters, for each row."""
        text = json.dumps(self.fingerprint, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def task(self, item_id: str, tokens: int) -> Task:
        """The work item of one row."""
        settings = self.settings
        return Task(
            item_id=item_id,
            mesh_path=str(self.suite.mesh_path(item_id)),
            model=self.name,
            tokens=tokens,
            warm_tokens=self.counts[0],
            score=settings.score,
            resolution=settings.resolution,
            posterior=settings.posterior,
            align=settings.align,
            gallery=settings.gallery,
            folder=str(self.folder),
            mark=self.mark,
            seat=self.seat,
        )

    def row(self, task: Task) -> dict[str, Any] | None:
        """The row of a task that is there already. Raises UsageError for one of other settings."""
        return read_row(self.folder, task.item_id, task.tokens, task.mark)
