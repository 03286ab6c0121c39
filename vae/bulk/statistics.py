"""What a diffusion trainer must know of a set of latents: mean and spread of every channel.

Sums are float64 within a shape and exact over shapes (math.fsum), so no figure depends on the
order of items, on workers, or on where a run was interrupted.
"""

import itertools
import json
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from preprocessing.console import Progress
from preprocessing.files import atomic_write
from preprocessing.points.sample_at import SampleSource
from preprocessing.stores.address import Place
from vae.latents import read_latents

LATENTS_JSON = "latents.json"
FORMAT = "dora-latents-set-1"
READERS = 16  # at a time: a store answers each after a while


@dataclass(frozen=True)
class Sums:
    """Of one shape, each float64 (channels,): of means, their squares and variances; extremes."""

    count: int
    mean: np.ndarray
    squares: np.ndarray
    variance: np.ndarray
    low: np.ndarray
    high: np.ndarray


def sums_of(mean: np.ndarray, logvar: np.ndarray) -> Sums:
    """The sums over tokens of one posterior: mean, logvar float32 (T,channels)."""
    values = mean.astype(np.float64)
    return Sums(
        len(values),
        values.sum(axis=0),
        (values * values).sum(axis=0),
        np.exp(logvar.astype(np.float64)).sum(axis=0),
        values.min(axis=0),
        values.max(axis=0),
    )


def sums_of_file(path: SampleSource) -> Sums:
    """The sums of one file of latents. Raises LatentsError for a file that is none."""
    found = read_latents(path)
    return sums_of(found.mean.numpy(), found.logvar.numpy())


def statistics(sums: list[Sums]) -> dict[str, Any]:
    """Per channel over all tokens of all shapes: mean, std, min, max of the posterior means, and
    sampled_std, the std of draws from the posteriors. Also count (shapes) and tokens (vectors).

    std is of the population: sqrt(E[x^2] - E[x]^2).
    """
    vectors = sum(one.count for one in sums)

    def total(name: str) -> np.ndarray:
        columns = np.stack([getattr(one, name) for one in sums], axis=1)
        return np.array([math.fsum(column) for column in columns])

    mean = total("mean") / vectors
    variance = np.maximum(total("squares") / vectors - mean * mean, 0.0)
    return {
        "count": len(sums),
        "vectors": vectors,
        "mean": mean.tolist(),
        "std": np.sqrt(variance).tolist(),
        "sampled_std": np.sqrt(variance + total("variance") / vectors).tolist(),
        "min": np.min([one.low for one in sums], axis=0).tolist(),
        "max": np.max([one.high for one in sums], axis=0).tolist(),
    }


def write_statistics(
    latents: Mapping[str, SampleSource], told: Mapping[str, Any], out: Place, quiet: bool = False
) -> dict[str, Any]:
    """Read every file of latents, write out/latents.json and return what it holds.

    told: what else it shall say (model, tokens). Raises LatentsError for a file that is none.
    """
    sums = []
    with (
        Progress(len(latents), "statistics", quiet) as progress,
        ThreadPoolExecutor(READERS) as pool,
    ):
        paths = iter(latents.values())
        while some := list(itertools.islice(paths, 64 * READERS)):
            for found in pool.map(sums_of_file, some):
                sums.append(found)
                progress.update()
    figures = {"format": FORMAT, **told, **statistics(sums)}
    atomic_write(out / LATENTS_JSON, json.dumps(figures, indent=1) + "\n")
    return figures
