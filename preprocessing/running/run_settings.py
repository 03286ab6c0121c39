"""The settings of a folder's outputs: written beside them, read again for `ledger --retry`."""

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from preprocessing.files import atomic_write
from preprocessing.running.tasks import Plan
from preprocessing.settings import Limits, SampleSettings, WatertightSettings


def settings_key(*settings: WatertightSettings | SampleSettings | None) -> str:
    """A short fingerprint of everything that decides an output's bytes besides its input."""
    text = json.dumps([asdict(one) if one else None for one in settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def remember(plan: Plan, limits: Limits) -> None:
    """Write the settings to run.json, from which `dora-prep ledger --retry` goes on."""
    told = {
        "watertight": asdict(plan.watertight) if plan.watertight else None,
        "samples": asdict(plan.samples) if plan.samples else None,
        "limits": asdict(limits),
        "version": version("dora-bench"),
    }
    atomic_write(plan.out / "run.json", json.dumps(told, indent=1) + "\n")


def recall(out: Path) -> tuple[Plan, Limits]:
    """What `remember` wrote. Raises FileNotFoundError."""
    told = json.loads((out / "run.json").read_text())
    watertight, samples = told["watertight"], told["samples"]
    plan = Plan(
        out=out,
        watertight=WatertightSettings(**watertight) if watertight else None,
        samples=SampleSettings(**samples) if samples else None,
    )
    return plan, Limits(**told["limits"])
