"""Any token count: encode, decode and read back at 128 for growing T; seconds and peak memory.

Each count runs in a process of its own. Without --model a seeded, untrained `tiny` is used: time
and memory do not depend on the weights except through the surface that is read. --attention
local:K takes the quicker attention; with --compare the field is evaluated by full attention too:
the share of 20,000 points within the truncation of the surface whose sign differs.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from preprocessing.mesh import load_mesh, normalise
from preprocessing.seeds import generator
from preprocessing.shapes import gear
from vae.checkpoint import weights_hash
from vae.config import preset
from vae.latents import TokenSource, encode_shape
from vae.model import DoraVAE
from vae.reconstruction import decoded_field
from vae.refine import Field, read_field


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", default="1,255,4096,20000,100000")
    parser.add_argument("--model", type=Path, help="a run, .safetensors or .ckpt")
    parser.add_argument("--mesh", type=Path, help="a watertight mesh; default: a gear")
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--attention", default="full", help="full or local:K")
    parser.add_argument("--compare", action="store_true", help="with full attention, slow")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options)))
        return
    print("  tokens  points s  encode s  decode s   read s  queries  peak MB  signs changed")
    for tokens in options.tokens.split(","):
        command = [sys.executable, "-m", "benchmarks.vae_tokens", *sys.argv[1:]]
        command += ["--tokens", tokens, "--one"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        row = json.loads(done.stdout)
        print(
            f"{tokens:>8}{row['points']:10.1f}{row['encode']:10.1f}{row['decode']:10.1f}"
            f"{row['read']:9.1f}{row['queries']:9}{row['megabytes']:9.0f}"
            f"{row.get('changed', float('nan')):15.4%}",
            flush=True,
        )


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of each part and the process's peak memory for one token count."""
    if options.model:
        model = DoraVAE.from_pretrained(options.model)
    else:
        torch.manual_seed(0)
        model = DoraVAE(preset("tiny").model).eval()
    mesh = load_mesh(options.mesh) if options.mesh else gear().mesh
    tokens = int(options.tokens)
    clock = [time.perf_counter()]

    def lap() -> float:
        clock.append(time.perf_counter())
        return clock[-1] - clock[-2]

    source = TokenSource(normalise(mesh)[0])
    source.clouds(tokens)
    row = {"points": lap()}
    hashed = weights_hash(model)
    lap()
    latents = encode_shape(model, source, tokens, model_hash=hashed, attention=options.attention)
    row["encode"] = lap()
    field = decoded_field(model, latents, options.attention)
    row["decode"] = lap()
    bricks, row["queries"] = read_field(field, options.resolution, unit=model.config.truncation)
    row["read"] = lap()
    if not np.isfinite(bricks.values).all():
        raise SystemExit("the field is not finite")
    if options.compare:
        points = near_zero(field, model.config.truncation)
        full = decoded_field(model, encode_shape(model, source, tokens, model_hash=hashed))
        row["changed"] = float(((field(points) > 0) != (full(points) > 0)).mean())
    row["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return row


def near_zero(field: Field, truncation: float) -> np.ndarray:
    """Random points float32 (20000,3) of the cube where the field's distance is not cut off."""
    draw, kept = generator(0, "tokens", "near"), np.zeros((0, 3), np.float32)
    while len(kept) < 20_000:
        points = draw.uniform(-1, 1, (50_000, 3)).astype(np.float32)
        kept = np.concatenate([kept, points[np.abs(field(points)) < 0.9]])
    return kept[:20_000]


if __name__ == "__main__":
    main()
