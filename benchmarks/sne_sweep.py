"""Which settings should Sharp Normal Error have? Ranking of known degradations under each choice.

    python -m benchmarks.sne_sweep [--items 003-l_bracket,bone]

For each setting: Kendall's tau between its ranking of all degraded meshes and the ranking of the
default (sne-1), the share of steps to a stronger degradation that score worse, how many times worse
"edges rounded" scores than the same error spread evenly (must exceed 1), the share of pixels in the
mask, and seconds for the mask.
"""

import argparse
import itertools
import time
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.stats import kendalltau

from benchmarks.degradations import STRENGTHS, degrade, round_edges, same_error_spread
from dora_bench.mini_suite import mini_suite
from dora_bench.normal_error import SneSettings, canny, cast_normals
from preprocessing.mesh import Mesh, load_mesh

KINDS = ("noise", "decimation", "smoothing", "shift")
STEPS = (0, 2, 4)  # of the five strengths
ROUNDS = (10, 40)
# Settings that share views and pixels stand together: their normal maps are cast once.
CHOICES = (
    {"sigma": 0.7},
    {"sigma": 2.0},
    {"dilation": 1},
    {"dilation": 2},
    {"dilation": 6},
    {"low": 5.0, "high": 10.0},
    {"low": 10.0, "high": 20.0},
    {"low": 30.0, "high": 60.0},
    {"resolution": 128},
    {"resolution": 256},
    {"views": 6},
    {"views": 12},
    {"views": 44},
)


def main() -> None:
    """Print one table a shape, one row a setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", default="003-l_bracket,bone")
    suite = mini_suite()
    for name in parser.parse_args().items.split(","):
        print(f"\n### {name}\n")
        print(sweep(load_mesh(suite.mesh_path(name))).to_string(float_format=lambda v: f"{v:.3f}"))


def sweep(mesh: Mesh) -> pd.DataFrame:
    """The table of one shape."""
    shapes = degraded(mesh)
    cast: dict[str, np.ndarray] = {}
    frame: tuple[int, int] | None = None
    rows = {}
    for changes in ({}, *CHOICES):
        settings = replace(SneSettings(), **changes)  # type: ignore[arg-type]
        if frame != (settings.views, settings.resolution):
            frame = (settings.views, settings.resolution)
            cast = {name: cast_normals(one, settings) for name, one in shapes.items()}
        found, mask, seconds = errors(cast, settings)
        title = ", ".join(f"{k} {v:g}" for k, v in changes.items()) or "sne-1"
        if not changes:
            default = found
        rows[title] = row(found, default) | {"mask": mask, "canny s": seconds}
    return pd.DataFrame(rows).T


def degraded(mesh: Mesh) -> dict[str, Mesh]:
    """The truth, its degradations by name, and rounded/spread twins."""
    made = {"truth": mesh}
    for kind in KINDS:
        made.update({f"{kind} {i}": degrade(mesh, kind, STRENGTHS[kind][i]) for i in STEPS})
    for rounds in ROUNDS:
        made[f"rounded {rounds}"] = round_edges(mesh, rounds)
        made[f"spread {rounds}"] = same_error_spread(mesh, made[f"rounded {rounds}"])
    return made


def errors(
    cast: dict[str, np.ndarray], settings: SneSettings
) -> tuple[dict[str, float], float, float]:
    """SNE x 100 of every degraded mesh, the share of pixels in the mask, seconds for the mask."""
    started = time.perf_counter()
    truth, width = cast["truth"], 2 * settings.dilation + 1
    mask = np.stack([ndimage.maximum_filter(canny(one, settings), width) for one in truth])
    seconds = time.perf_counter() - started
    found = {}
    for name, maps in cast.items():
        if name != "truth":
            difference = maps[mask] - truth[mask]
            found[name] = float((difference**2).sum(axis=1).mean(dtype=np.float64) / 12 * 100)
    return found, float(mask.mean()), seconds


def row(found: dict[str, float], default: dict[str, float]) -> dict[str, float]:
    """One line of the table."""
    climbs = [
        found[f"{kind} {low}"] < found[f"{kind} {high}"]
        for kind in KINDS
        for low, high in itertools.pairwise(STEPS)
    ]
    return {
        "tau": float(kendalltau(list(found.values()), list(default.values())).statistic),
        "monotone": float(np.mean(climbs)),
        **{f"rounded/spread {r}": found[f"rounded {r}"] / found[f"spread {r}"] for r in ROUNDS},
    }


if __name__ == "__main__":
    main()
