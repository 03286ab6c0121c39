"""Rows gathered into items.parquet and results.json, which say that an evaluation is complete."""

import json
import platform
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from dora_bench.metrics import FLOORS, METRICS
from dora_bench.report import aggregate
from dora_bench.rows.devices import machine
from dora_bench.rows.job import Job
from dora_bench.score import SCORER_VERSION
from preprocessing.files import atomic_path, atomic_write

SCHEMA = 1
PACKAGES = ("dora-bench", "numpy", "scipy", "open3d", "numba", "torch", "trimesh")


def safe_name(name: str) -> str:
    """A name as one folder name."""
    return "".join(c if c.isalnum() or c in "-_.+" else "_" for c in name) or "_"


COLUMNS = (
    *("model", "tokens", "id", "level", "split", "salient_edges", "posterior", "status", "reason"),
    *("latent_floats", "latent_bytes"),
    *METRICS,
    *("pred_watertight", "pred_components", "notes"),
    *FLOORS.values(),
    *("sample_s", "encode_s", "decode_s", "peak_memory_mb", "cuda_peak_mb", "scorer_version"),
)


def collect_rows(job: Job) -> pd.DataFrame:
    """All rows as a table, items in the suite's order, columns as COLUMNS."""
    rows = []
    for item in job.suite.items.itertuples():
        for tokens in job.counts:
            row = job.row(job.task(str(item.id), tokens))
            assert row is not None
            known = {
                "model": job.info.name,
                "tokens": tokens,
                "id": item.id,
                "level": item.level,
                "split": item.split,
                "salient_edges": item.salient_edges,
                "posterior": job.info.posterior,
                "notes": "",
            }
            rows.append({**known, **row})
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    sizes = ["latent_floats", "latent_bytes", "pred_components"]
    table[sizes] = table[sizes].astype("Int64")  # whole numbers that a failure may lack
    times = ["sample_s", "encode_s", "decode_s", "peak_memory_mb", "cuda_peak_mb"]
    table[times] = table[times].astype("float64")
    return table


def write_results(job: Job, items: pd.DataFrame, by: str) -> None:
    """items.parquet, then results.json, which says that the evaluation is complete.

    `by`: who ran it, or "".
    """
    with atomic_path(job.folder / "items.parquet") as temporary:
        items.to_parquet(temporary, index=False)
    info, suite = job.info, job.suite
    record = {
        "schema": SCHEMA,
        "model": {k: v for k, v in asdict(info).items() if k not in ("device", "card")},
        "suite": {
            "name": suite.name,
            "version": suite.record["version"],
            "hash": suite.hash,
            "items": len(suite.items),
            "angle": suite.record["angle"],
            "thresholds": suite.record["thresholds"],
        },
        "settings": {"tokens": list(job.counts), **job.settings.record()},
        "scorer_version": SCORER_VERSION,
        "versions": {
            **{name: version(name) for name in PACKAGES},
            "python": platform.python_version(),
        },
        "device": "cpu" if job.seat.device == "cpu" else info.device,
        "card": {**info.card, **run_card(job.folder, by)},
        "aggregates": aggregate(items, seed=job.settings.score.seed),
    }
    atomic_write(job.folder / "results.json", json.dumps(record, indent=1) + "\n")


def run_card(folder: Path, by: str) -> dict[str, str]:
    """Who ran it, when (the day of the last row), on what: for the model's card."""
    last = max(path.stat().st_mtime for path in (folder / "rows").rglob("*.json"))
    day = time.strftime("%Y-%m-%d", time.gmtime(last))
    return {**({"run by": by} if by else {}), "run on": day, "hardware": machine()}
