"""run.json: the settings of a folder's outputs, and how far the run that writes it has come.

The settings are read again by `ledger --retry`, the progress by `status`.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from preprocessing.console import UsageError
from preprocessing.files import atomic_write
from preprocessing.running.tasks import Plan
from preprocessing.settings import Limits, SampleSettings, WatertightSettings
from preprocessing.stores.address import Place

EVERY = 5.0  # seconds between two notes of the progress


def run_path(out: Place) -> Place:
    """Where a run keeps its settings."""
    return out / "run.json"


def plan_told(plan: Plan) -> dict[str, Any]:
    """The settings of a plan's stages, as run.json keeps them."""
    return {
        "watertight": asdict(plan.watertight) if plan.watertight else None,
        "samples": asdict(plan.samples) if plan.samples else None,
    }


def settings_key(*settings: Any) -> str:
    """A short fingerprint of everything that decides an output's bytes besides its input.

    settings: dataclasses, or None for a stage that is not run.
    """
    told = [asdict(one) if one else None for one in settings]
    for one in told:
        if one is not None and one.get("remesh"):
            del one["remesh"]  # younger than the folders that were made so
    text = json.dumps(told, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class RunRecord:
    """Writes run.json: at the start, every few seconds, and when the run ends."""

    def __init__(self, out: Place, told: Mapping[str, Any], limits: Limits, total: int) -> None:
        """told: the settings of the outputs, by name."""
        self.out, self.total, self.noted = out, total, 0.0
        self.started = time.time()
        self.settings = {**told, "limits": asdict(limits), "version": version("dora-bench")}

    def note(self, counts: Mapping[str, int], state: str = "running") -> None:
        """Write now: how many items ended how. state: running, finished or stopped."""
        self.noted = time.monotonic()
        progress = {
            "state": state,
            "total": self.total,
            "counts": dict(sorted(counts.items())),
            "started": round(self.started, 3),
            "updated": round(time.time(), 3),
        }
        text = json.dumps({**self.settings, "progress": progress}, indent=1)
        atomic_write(run_path(self.out), text + "\n")

    @contextlib.contextmanager
    def kept(self, counts: Mapping[str, int]) -> Iterator[None]:
        """Write at the start of a run, and how it ended."""
        self.note(counts)
        try:
            yield
        except BaseException:
            self.note(counts, "stopped")
            raise
        self.note(counts, "finished")

    def note_sometimes(self, counts: Mapping[str, int]) -> None:
        """Write unless it was written a moment ago."""
        if time.monotonic() - self.noted > EVERY:
            self.note(counts)


def read_record(out: Place) -> dict[str, Any]:
    """What a folder's run.json says; empty where there is none."""
    path = run_path(out)
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return found


def recall(out: Place) -> tuple[Plan, Limits]:
    """The plan and limits of a folder's last run. Raises FileNotFoundError, and UsageError for a
    folder that another command wrote."""
    told = json.loads(run_path(out).read_text())
    if "samples" not in told:
        raise UsageError(
            f"{out} was not written by dora-prep: give the command that wrote it again"
        )
    watertight, samples = told["watertight"], told["samples"]
    plan = Plan(
        out=out,
        watertight=WatertightSettings(**watertight) if watertight else None,
        samples=SampleSettings(**samples) if samples else None,
    )
    return plan, Limits(**told["limits"])
