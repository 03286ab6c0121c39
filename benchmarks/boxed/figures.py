"""The figures on the card of `dora-tiny`: shapes it has not seen, over token counts.

Volume IoU: signs of the decoded field at 20,000 random points of [-1.05, 1.05]^3 against the signed
distance of the watertight shape (eps 2/128). Generated shapes are scenes of a seed that training
never used; real ones are the collection's meshes that were left out (`held_out` on the card) and
those of the mini-suite. With --surface K the first K items are also read back at 128^3 and scored:
surface F(0.01). Rows go to OUT/items.csv one by one, and a run that was stopped goes on.
"""

import argparse
import csv
import itertools
import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numba
import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest

from dora_bench.mini_suite import packaged_meshes
from dora_bench.score import ScoreSettings, Surface, surface_metrics
from dora_bench.score import measure as measured
from preprocessing.console import Progress
from preprocessing.distance.queries import SignedDistance
from preprocessing.files import atomic_write
from preprocessing.mesh import Mesh, MeshError, load_mesh, normalise
from preprocessing.scenes import scene
from preprocessing.seeds import generator
from preprocessing.shapes import generate_shapes
from preprocessing.solid.watertight import make_watertight
from vae.latents import BASE, Latents, TokenSource, encode_shape
from vae.model import DoraVAE
from vae.published.hub import ASSETS
from vae.reconstruction import decoded_field, read_surface

COUNTS = (64, 256, 1024, 4096)
RESOLUTION = 128
POINTS = 20_000
HELD_OUT_SEED = 99
SETTINGS = ScoreSettings(points=100_000)
MODELS: dict[str, DoraVAE] = {}  # of a worker


def main() -> None:
    """Measure what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append", default=[], help="[default: dora-tiny]")
    parser.add_argument("--kinds", default="generated,real,mini")
    parser.add_argument("--count", type=int, default=100, help="most items of a kind")
    parser.add_argument("--surface", type=int, default=0, help="items of a kind read back too")
    parser.add_argument("--tokens", default=",".join(map(str, COUNTS)))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    counts = [int(t) for t in options.tokens.split(",")]
    table = options.out / "items.csv"
    rows = pd.read_csv(table).to_dict("records") if table.exists() else []
    models = options.model or ["dora-tiny"]
    done = {(row["kind"], str(row["id"]), row["model"], row["tokens"]) for row in rows}
    wanted = list(itertools.product(models, counts))
    jobs = [
        (kind, name, place < options.surface)
        for kind in options.kinds.split(",")
        for place, name in enumerate(names(kind)[: options.count])
        if not all((kind, name, *pair) in done for pair in wanted)
    ]
    if not jobs:
        report(pd.DataFrame(rows))
        return
    started = (models, options.device)
    context = get_context("forkserver")
    with (
        ProcessPoolExecutor(options.workers, context, start, started) as pool,
        Progress(len(jobs), "items") as progress,
    ):
        for found in pool.map(in_worker, *zip(*jobs, strict=True), [counts] * len(jobs)):
            rows = [r for r in rows if not any(same_row(r, new) for new in found)] + found
            atomic_write(table, as_csv(rows))
            progress.update()
    report(pd.DataFrame(rows))


def same_row(one: dict[str, object], other: dict[str, object]) -> bool:
    """Whether two rows measure the same thing."""
    return all(str(one[key]) == str(other[key]) for key in ("model", "kind", "id", "tokens"))


def start(models: list[str], device: str) -> None:
    """Load the models in a worker, which keeps to one core."""
    numba.set_num_threads(1)
    torch.set_num_threads(1)
    MODELS.update({name: DoraVAE.from_pretrained(name).to(device) for name in models})


def names(kind: str) -> list[str]:
    """The ids of the held-out shapes of a kind: generated, real or mini."""
    if kind == "generated":
        return [f"{HELD_OUT_SEED}-{index:03d}" for index in range(1000)]
    if kind == "real":
        return json.loads((ASSETS / "dora-tiny/card.json").read_text())["held_out"]
    return [p.stem for p in packaged_meshes()] + [s.id for s in generate_shapes(10, 0)]


def raw_mesh(kind: str, name: str) -> Mesh:
    """The raw mesh of an id."""
    if kind == "generated":
        return scene(HELD_OUT_SEED, int(name.rpartition("-")[2]))
    if kind == "real":
        return load_mesh(Path(os.environ.get("DORA_MESHES") or "../shared/meshes") / name)
    for path in packaged_meshes():
        if path.stem == name:
            return load_mesh(path)
    return next(s.mesh for s in generate_shapes(10, 0) if s.id == name)


def in_worker(kind: str, name: str, read: bool, counts: list[int]) -> list[dict[str, object]]:
    """`measure` with the models that the worker has loaded."""
    return measure(MODELS, kind, name, counts, read)


@dataclass(frozen=True)
class Shape:
    """A held-out shape: watertight mesh, clouds, random points, and which of those are inside."""

    solid: Mesh
    source: TokenSource
    points: np.ndarray
    inside: np.ndarray


def held_out(kind: str, name: str, cloud: int = BASE) -> Shape:
    """The shape of an id, made watertight, with POINTS random points. cloud: points of each."""
    solid = make_watertight(raw_mesh(kind, name), eps=2 / RESOLUTION, resolution=RESOLUTION).mesh
    solid = normalise(solid)[0]
    draw = generator(0, name, "iou")
    points = draw.uniform(-1.05, 1.05, (POINTS, 3)).astype(np.float32)
    inside = SignedDistance(solid)(points) > 0
    return Shape(solid, TokenSource(solid, item_id=name, points=cloud), points, inside)


def volume_iou(model: DoraVAE, latents: Latents, shape: Shape) -> float:
    """IoU of the decoded inside and the true one over the shape's random points."""
    found = decoded_field(model, latents)(shape.points) > 0
    return float((found & shape.inside).sum() / max(1, (found | shape.inside).sum()))


@torch.inference_mode()
def measure(
    models: dict[str, DoraVAE], kind: str, name: str, counts: list[int], read: bool = False
) -> list[dict[str, object]]:
    """One row a model and token count: volume IoU and, where `read`, surface F(0.01)."""
    shape = held_out(kind, name)
    truth = measured(shape.solid, SETTINGS, name, "truth") if read else None
    rows = []
    for (model_name, model), tokens in itertools.product(models.items(), counts):
        latents = encode_shape(model, shape.source, tokens, model_hash="-")
        row = {"model": model_name, "kind": kind, "id": name, "tokens": tokens}
        row["iou"] = round(volume_iou(model, latents, shape), 5)
        if truth is not None:
            row["surface_f_0.01"] = surface_f(model, latents, truth)
        rows.append(row)
    return rows


def surface_f(model: DoraVAE, latents: Latents, truth: Surface) -> float:
    """Surface F(0.01) of the mesh that is read back; 0 where there is none."""
    try:
        back = read_surface(model, latents, RESOLUTION)[0]
    except MeshError:
        return 0.0
    scores = surface_metrics(truth, measured(back, SETTINGS, latents.item_id, "prediction"))
    return round(scores["surface_f_0.01"], 6)


def as_csv(rows: list[dict[str, object]]) -> str:
    """All rows as CSV text."""
    return pd.DataFrame(rows).to_csv(index=False, quoting=csv.QUOTE_MINIMAL)


def report(rows: pd.DataFrame) -> None:
    """Means a model, kind and count; whether each count beats the one before, item by item."""
    values = [name for name in ("iou", "surface_f_0.01") if name in rows]
    groups = rows.groupby(["model", "kind", "tokens"])
    print(groups[values].agg(["mean", "median", "count"]).round(4).to_string())
    for model, value in itertools.product(rows["model"].unique(), values):
        part = rows[rows["model"] == model]
        wide = part.pivot(index=["kind", "id"], columns="tokens", values=value).dropna()
        for low, high in zip(wide.columns, wide.columns[1:], strict=False):
            better, worse = int((wide[high] > wide[low]).sum()), int((wide[high] < wide[low]).sum())
            chance = binomtest(better, better + worse).pvalue if better + worse else 1.0
            print(
                f"{model} {value}: {high} over {low}: better {better}, worse {worse}, "
                f"p {chance:.2g}"
            )


if __name__ == "__main__":
    main()
