"""The figures on the card of `dora-tiny`: shapes it has not seen, over token counts.

Volume IoU: signs of the decoded field at 20,000 random points of [-1.05, 1.05]^3 against the signed
distance of the watertight shape (eps 2/128). Generated shapes are scenes of a seed that training
never used; real ones are the collection's meshes that were left out (`held_out` on the card) and
those of the mini-suite. With --surface K the first K items are also read back at 128^3 and scored:
surface F(0.01). Rows go to OUT/items.csv one by one, and a run that was stopped goes on.
"""

import argparse
import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest

from dora_bench.mini_suite import packaged_meshes
from dora_bench.score import ScoreSettings, prepare_truth, score
from preprocessing.console import Progress
from preprocessing.distance.queries import SignedDistance
from preprocessing.files import atomic_write
from preprocessing.mesh import Mesh, load_mesh, normalise
from preprocessing.scenes import scene
from preprocessing.seeds import generator
from preprocessing.shapes import generate_shapes
from preprocessing.solid.watertight import make_watertight
from vae.latents import TokenSource, encode_shape
from vae.model import DoraVAE
from vae.published.hub import ASSETS
from vae.reconstruction import read_surface

COUNTS = (64, 256, 1024, 4096)
RESOLUTION = 128
POINTS = 20_000
HELD_OUT_SEED = 99


def main() -> None:
    """Measure what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="dora-tiny")
    parser.add_argument("--kinds", default="generated,real,mini")
    parser.add_argument("--count", type=int, default=100, help="most items of a kind")
    parser.add_argument("--surface", type=int, default=0, help="items of a kind read back too")
    parser.add_argument("--tokens", default=",".join(map(str, COUNTS)))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    model = DoraVAE.from_pretrained(options.model)
    counts = [int(t) for t in options.tokens.split(",")]
    table = options.out / "items.csv"
    rows = pd.read_csv(table).to_dict("records") if table.exists() else []
    done = {(row["kind"], str(row["id"])) for row in rows}
    for kind in options.kinds.split(","):
        with Progress(options.count, kind) as progress:
            for place, (item_id, mesh) in enumerate(shapes(kind)):
                if place >= options.count:
                    break
                if (kind, item_id) not in done:
                    rows += measure(model, kind, item_id, mesh, counts, place < options.surface)
                    atomic_write(table, as_csv(rows))
                progress.update()
    report(pd.DataFrame(rows))


def shapes(kind: str) -> Iterator[tuple[str, Mesh]]:
    """(id, raw mesh) of every held-out shape of a kind: generated, real or mini."""
    if kind == "generated":
        for index in range(1000):
            yield f"{HELD_OUT_SEED}-{index:03d}", scene(HELD_OUT_SEED, index)
    elif kind == "real":
        root = Path(os.environ.get("DORA_MESHES") or "../shared/meshes")
        for name in json.loads((ASSETS / "dora-tiny/card.json").read_text())["held_out"]:
            yield name, load_mesh(root / name)
    else:
        for path in packaged_meshes():
            yield path.stem, load_mesh(path)
        for shape in generate_shapes(10, 0):
            yield shape.id, shape.mesh


@torch.inference_mode()
def measure(
    model: DoraVAE, kind: str, item_id: str, mesh: Mesh, counts: list[int], read: bool
) -> list[dict[str, object]]:
    """One row a token count: volume IoU and, where `read`, surface F(0.01)."""
    solid = make_watertight(mesh, eps=2 / RESOLUTION, resolution=RESOLUTION).mesh
    solid = normalise(solid)[0]
    source = TokenSource(solid, item_id=item_id)
    draw = generator(0, item_id, "iou")
    points = draw.uniform(-1.05, 1.05, (POINTS, 3)).astype(np.float32)
    inside = SignedDistance(solid)(points) > 0
    truth = prepare_truth(solid, ScoreSettings(points=100_000), item_id) if read else None
    rows = []
    for tokens in counts:
        latents = encode_shape(model, source, tokens, model_hash="-")
        keys = model.keys(model.decode(latents.mean[None]))
        found = model.query(keys, torch.tensor(points)[None])[0].numpy() > 0
        iou = (found & inside).sum() / max(1, (found | inside).sum())
        row = {"kind": kind, "id": item_id, "tokens": tokens, "iou": round(float(iou), 5)}
        if truth is not None:
            back = read_surface(model, latents, RESOLUTION)[0]
            row["surface_f_0.01"] = round(score(truth, back)["surface_f_0.01"], 5)
        rows.append(row)
    return rows


def as_csv(rows: list[dict[str, object]]) -> str:
    """All rows as CSV text."""
    return pd.DataFrame(rows).to_csv(index=False, quoting=csv.QUOTE_MINIMAL)


def report(rows: pd.DataFrame) -> None:
    """Means a kind and count; whether each count beats the one before, item by item."""
    values = [name for name in ("iou", "surface_f_0.01") if name in rows]
    print(rows.groupby(["kind", "tokens"])[values].agg(["mean", "median", "count"]).round(4))
    for value in values:
        wide = rows.pivot(index=["kind", "id"], columns="tokens", values=value).dropna()
        for low, high in zip(wide.columns, wide.columns[1:], strict=False):
            better, worse = int((wide[high] > wide[low]).sum()), int((wide[high] < wide[low]).sum())
            chance = binomtest(better, better + worse).pvalue if better + worse else 1.0
            print(f"{value}: {high} over {low}: better {better}, worse {worse}, p {chance:.2g}")


if __name__ == "__main__":
    main()
