"""What the start that keeps place is worth: variants of it, trained and measured on unseen shapes.

And what else was said to help. Each --variant is one run of `tiny` (1,024 + 1,024 points, 64 to
512 tokens) on the same samples:

    python -m benchmarks.boxed.starts --data DIR --out RUNS --seed 1 --variant place

`--measure` then prints the volume IoU of all runs in RUNS on held-out scenes, by `figures`.
"""

import argparse
import sys
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.boxed import figures
from vae import start
from vae.config import VAEConfig, override, preset
from vae.model import DoraVAE

training = import_module("vae.train")  # `vae.train` is the function

SETTINGS = [
    "eps=2/128,2/256",
    "lr=1e-3",
    "resident=true",
    "rotate=true",
    "mirror_probability=0.5",
    "coarse_points=1024",
    "sharp_points=1024",
    "token_lengths=64,128,256,512",
    "token_weights=1,1,1,1",
    "keep_last=1",
]
# Name -> settings; what no setting does is in CHANGES.
VARIANTS: dict[str, list[str]] = {
    "place": [],
    "gaussian": ["start=gaussian"],
    "octaves-2": ["start_octaves=2"],
    "octaves-3": ["start_octaves=3"],
    "octaves-4": ["start_octaves=4"],
    "alpha-0.5": ["start_alpha=0.5"],
    "alpha-2": ["start_alpha=2"],
    "alpha-3": ["start_alpha=3"],
    "equal-heads": [],
    "random-attention": [],
    "random-bottleneck": [],
    "zero-output": [],
    "near-weighted-l1": [],
    "no-kl": ["kl_weight=0"],
    "no-mean-share": ["mean_share=0"],
    "half-rate": ["lr=5e-4"],
    "twice-rate": ["lr=2e-3"],
    "batch-16": ["batch=16", "steps=250"],
    "batch-2": ["batch=2", "steps=2000"],
}


def nothing(*_: object) -> None:
    """A part of the start that is left out: the weights stay random."""


def place_start_silent(model: DoraVAE, *arguments: float) -> None:
    """The start, and an output layer that says zero everywhere."""
    start.place_start(model, *arguments)  # type: ignore[arg-type]
    with torch.no_grad():
        model.decoder.output_proj.weight.zero_()


def near_weighted(logits: Tensor, target: Tensor) -> Tensor:
    """Squared plus absolute error, doubled where the distance is not cut off."""
    apart = logits - target
    return (apart.square() + apart.abs()) * (1 + (target.abs() < 1))


# Name -> (module, name there, what stands in its place while training).
CHANGES: dict[str, tuple[ModuleType, str, Callable[..., object]]] = {
    "equal-heads": (start, "head_octaves", lambda most, heads, head: most),
    "random-attention": (start, "attend_near", nothing),
    "random-bottleneck": (start, "pass_through", nothing),
    "zero-output": (training, "place_start", place_start_silent),
    "near-weighted-l1": (training, "tsdf_error", near_weighted),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variant", action="append", default=[], choices=list(VARIANTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--count", type=int, default=24, help="held-out scenes")
    options = parser.parse_args()
    for name in options.variant:
        given = [f"steps={options.steps}", f"seed={options.seed}"]
        config = override(preset("tiny"), [*SETTINGS, *given, *VARIANTS[name]])
        run = options.out / f"{name}-{options.seed}"
        with_start(name, config, options.data, run, options.device)
    if options.measure:
        runs = [str(p.parent) for p in sorted(options.out.glob("*/model.safetensors"))]
        models = [word for run in runs for word in ("--model", run)]
        rest = ["--kinds", "generated", "--count", str(options.count), "--tokens", "64,256,1024"]
        device = "cpu" if options.device == "auto" else options.device
        sys.argv = ["figures", *models, *rest, "--device", device, "--out", str(options.out)]
        figures.main()


def with_start(name: str, config: VAEConfig, data: Path, run: Path, device: str) -> None:
    """Train one variant."""
    with patch.object(*CHANGES[name]) if name in CHANGES else nullcontext():
        training.train(config, data, run, device=device, quiet=True)


if __name__ == "__main__":
    main()
