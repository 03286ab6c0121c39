"""What the start that keeps place is worth: variants of it, trained and measured on unseen shapes.

And what else was said to help. Each --variant is one run of `tiny` (1,024 + 1,024 points, 64 to
512 tokens) on the same samples, of as many shapes (benchmarks/boxed/variants.py says what it
changes):

    python -m benchmarks.boxed.starts --data DIR --out RUNS --seed 1 --variant place

`--measure` then prints a row for every finished run in RUNS: of the last 60 steps the loss, its
near term and the IoU of signs, and the mean volume IoU on held-out scenes (`figures`) at each token
count, with its difference to `place` of the lowest seed: mean and standard error over the scenes.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.boxed import figures
from benchmarks.boxed.figures import Shape
from benchmarks.boxed.variants import VARIANTS, changed, settings_of, training
from vae.latents import BASE, encode_shape
from vae.model import DoraVAE
from vae.train_log import read_log

LAST = 60  # steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variant", action="append", default=[], choices=list(VARIANTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--set", action="append", default=[], help="key=value of all variants")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--count", type=int, default=24, help="held-out scenes")
    parser.add_argument("--tokens", default="64,256,1024")
    parser.add_argument("--cloud", type=int, default=BASE, help="points of each held-out cloud")
    options = parser.parse_args()
    for name in options.variant:
        config = settings_of(name, options.steps, options.seed, options.set)
        run = options.out / f"{name}-{options.seed}"
        with changed(name):
            training.train(config, options.data, run, device=options.device, quiet=True)
    if options.measure:
        torch.set_num_threads(1)
        device = "cpu" if options.device == "auto" else options.device
        counts = [int(t) for t in options.tokens.split(",")]
        runs = sorted(p.parent for p in options.out.glob("*/model.safetensors"))
        names = figures.names("generated")[: options.count]
        found = []
        for name in names:
            shape = figures.held_out("generated", name, options.cloud)
            found.append(measured(runs, counts, shape, device))
        report(runs, counts, np.stack(found, axis=2))


def measured(runs: list[Path], counts: list[int], shape: Shape, device: str) -> np.ndarray:
    """Volume IoU of every run at every token count (R,T) on one shape."""
    found = np.zeros((len(runs), len(counts)))
    for row, run in enumerate(runs):
        model = DoraVAE.from_pretrained(run).to(device)
        with changed(variant_of(run)):
            for column, tokens in enumerate(counts):
                latents = encode_shape(model, shape.source, tokens, model_hash="-")
                found[row, column] = figures.volume_iou(model, latents, shape)
    return found


def variant_of(run: Path) -> str:
    """The variant that a run's folder, NAME-SEED, is named after."""
    return run.name.rpartition("-")[0]


def report(runs: list[Path], counts: list[int], ious: np.ndarray) -> None:
    """One line a run."""
    base = next((ious[at] for at, run in enumerate(runs) if variant_of(run) == "place"), None)
    columns = "".join(f"{f'IoU at {tokens}':>12}  {'against place':16}" for tokens in counts)
    print(f"{'run':22} steps   loss   near  signs{columns}")
    for run, of_run in zip(runs, ious, strict=True):
        rows = read_log(run / "log.csv")
        tail = [np.mean([row[name] for row in rows[-LAST:]]) for name in ("loss", "near", "iou")]
        line = f"{run.name:22} {len(rows):5}" + "".join(f"  {value:.3f}" for value in tail)
        for at, each in enumerate(of_run):
            line += f"{each.mean():12.3f}  "
            if base is not None:
                apart = each - base[at]
                error = apart.std(ddof=1) / len(apart) ** 0.5 if len(apart) > 1 else np.nan
                line += f"{apart.mean():+.3f} ± {error:.3f}  "
        print(line)


if __name__ == "__main__":
    main()
