"""Which settings should Sharp Normal Error have? Ranking of known degradations under each choice.

    python -m benchmarks.sne_sweep [--items 003-l_bracket,001-gear,bone]

For each setting: Kendall's tau between its ranking of all degraded meshes and the ranking of the
default (sne-1), monotone degradations, how much worse "edges rounded" scores than the same error
spread evenly (the ratio must exceed 1), the share of pixels in the mask, and seconds per truth.
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
CHOICES = {
    "resolution": (128, 256, 1024),
    "views": (6, 12, 60),
    "sigma": (0.7, 2.0),
    "dilation": (1, 2, 5, 8),
    "thresholds": ((5.0, 10.0), (10.0, 20.0), (30.0, 60.0)),
}


def main() -> None:
    """Print one row a setting, means over the shapes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", default="003-l_bracket,001-gear,bone")
    names = parser.parse_args().items.split(",")
    suite = mini_suite()
    shapes = [degraded(load_mesh(suite.mesh_path(name))) for name in names]
    default = [errors(shape, SneSettings()) for shape in shapes]
    rows = {"sne-1": row(default, default)}
    for field, values in CHOICES.items():
        for value in values:
            settings = (
                replace(SneSettings(), low=value[0], high=value[1])
                if isinstance(value, tuple)
                else replace(SneSettings(), **{field: value})
            )
            rows[f"{field} {value}"] = row([errors(shape, settings) for shape in shapes], default)
    print(pd.DataFrame(rows).T.to_string(float_format=lambda v: f"{v:.3f}"))


def degraded(mesh: Mesh) -> dict[str, Mesh]:
    """The truth, its degradations by name, and rounded/spread twins."""
    made = {"truth": mesh}
    for kind, (i, strength) in itertools.chain.from_iterable(
        zip(itertools.repeat(k), enumerate(STRENGTHS[k])) for k in KINDS
    ):
        made[f"{kind} {i}"] = degrade(mesh, kind, strength)
    for rounds in (10, 40, 160):
        made[f"rounded {rounds}"] = round_edges(mesh, rounds)
        made[f"spread {rounds}"] = same_error_spread(mesh, made[f"rounded {rounds}"])
    return made


def errors(shape: dict[str, Mesh], settings: SneSettings) -> dict[str, float]:
    """SNE x 100 of every degraded mesh; `mask` the share of pixels; `seconds` of a truth."""
    started = time.perf_counter()
    truth = cast_normals(shape["truth"], settings)
    width = 2 * settings.dilation + 1
    mask = np.stack([ndimage.maximum_filter(canny(one, settings), width) for one in truth])
    seconds = time.perf_counter() - started
    found = {"mask": float(mask.mean()), "seconds": seconds}
    for name, mesh in shape.items():
        if name != "truth":
            difference = cast_normals(mesh, settings)[mask] - truth[mask]
            found[name] = float((difference**2).sum(axis=1).mean(dtype=np.float64) / 12 * 100)
    return found


def row(found: list[dict[str, float]], default: list[dict[str, float]]) -> dict[str, float]:
    """One line of the table."""
    names = [n for n in found[0] if n not in ("mask", "seconds")]
    taus = [
        kendalltau([f[n] for n in names], [d[n] for n in names]).statistic
        for f, d in zip(found, default, strict=True)
    ]
    climbs = [
        all(f[f"{kind} {i}"] < f[f"{kind} {i + 1}"] for i in range(4))
        for f in found
        for kind in KINDS
    ]
    ratios = [f[f"rounded {r}"] / f[f"spread {r}"] for f in found for r in (10, 40, 160)]
    return {
        "tau": float(np.mean(taus)),
        "least tau": float(np.min(taus)),
        "monotone": float(np.mean(climbs)),
        "rounded/spread": float(np.exp(np.mean(np.log(ratios)))),
        "least ratio": float(np.min(ratios)),
        "mask": float(np.mean([f["mask"] for f in found])),
        "seconds": float(np.mean([f["seconds"] for f in found])),
    }


if __name__ == "__main__":
    main()
