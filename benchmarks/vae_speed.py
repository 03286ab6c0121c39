"""Dora-VAE forward + backward against a plain transcription with the same torch: time and memory.

Each measurement runs in a process of its own (peak memory is the process's high-water mark above
what it held before the first step); the two sides alternate, the figures are medians.
"""

import argparse
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import torch

from vae.config import ModelConfig
from vae.model import DoraVAE, choose_queries

ROOT = Path(__file__).parent.parent
SIZES = {
    "tiny": (ModelConfig(width=128, heads=4, encoder_layers=1, decoder_layers=3, embed=16), 4),
    "small": (ModelConfig(width=384, heads=6, encoder_layers=4, decoder_layers=8, embed=32), 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=sorted(SIZES), default="tiny")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--points", type=int, default=2048, help="of each cloud")
    parser.add_argument("--queries", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("ours", "ours-checkpointing", "plain"))
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options)))
        return
    results: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for side in ("plain", "ours", "ours-checkpointing"):
            command = [sys.executable, "-m", "benchmarks.vae_speed", *sys.argv[1:], "--only", side]
            done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
            results.setdefault(side, []).append(json.loads(done.stdout))
    plain = {k: statistics.median(r[k] for r in results["plain"]) for k in results["plain"][0]}
    print(f"{'':20}{'s / step':>10}{'MB':>8}{'time':>8}{'memory':>8}   (ratios to plain)")
    for side, rounds in results.items():
        seconds = statistics.median(r["seconds"] for r in rounds)
        megabytes = statistics.median(r["megabytes"] for r in rounds)
        ratios = f"{seconds / plain['seconds']:8.2f}{megabytes / plain['megabytes']:8.2f}"
        print(f"{side:20}{seconds:10.3f}{megabytes:8.0f}{ratios}")


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Seconds a step (median of five after one) and peak megabytes of one side."""
    config, batch = SIZES[options.size]
    torch.manual_seed(0)
    model = DoraVAE(config)
    model.checkpointing = options.only == "ours-checkpointing"
    coarse, sharp = torch.rand(batch, options.points, 6), torch.rand(batch, options.points, 6)
    xyz = torch.rand(batch, options.queries, 3)
    index = choose_queries(coarse, sharp, options.tokens)
    rows = torch.cat([index[0], index[1] + options.points], dim=1)
    twin = plain_twin() if options.only == "plain" else None
    state = dict(model.named_parameters())

    def step() -> None:
        model.zero_grad()
        if twin is None:
            logits, posterior = model(coarse, sharp, rows, xyz)
            kl = posterior.kl().mean()
        else:
            _, mean, logvar = twin.encode(state, config.heads, coarse, sharp, index)
            latents = twin.decode(state, config.heads, mean)
            logits = twin.query(state, config.heads, latents, xyz)
            kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        (logits.square().mean() + 1e-3 * kl).backward()

    before = resident_megabytes()
    times = []
    for _ in range(6):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": statistics.median(times[1:]), "megabytes": peak - before}


def plain_twin() -> ModuleType:
    """tests/helpers/plain_vae.py: the architecture written plainly, attention as a matrix."""
    spec = importlib.util.spec_from_file_location("plain_vae", ROOT / "tests/helpers/plain_vae.py")
    if spec is None or spec.loader is None:
        raise SystemExit("tests/helpers/plain_vae.py is not there: run from a checkout")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def resident_megabytes() -> float:
    """Memory this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
