"""Bulk encoding against a loop over `encode_shape`: seconds, processor seconds, the same bytes.

The loop is what a user would write: one process, the weights hashed a shape; with torch's own
number of threads, and with one, as each worker has. The bytes of all three are compared. Bulk
encoding is the command `dora-vae encode`; start and end of every process count, and of the command
its workers', ledger and statistics. Shapes are samples below DATA, taken again under other names up
to --count.

    python -m benchmarks.bulk.encode DATA [--count 200] [--tokens 64] [--workers 2]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from preprocessing.points.samples import read_sample, sample_files
from vae.latents import encode_shape, write_latents
from vae.model import DoraVAE

WANTED = 1.8


def loop(model: str, data: Path, tokens: int, out: Path, one_thread: bool) -> None:
    """The loop."""
    if one_thread:
        torch.set_num_threads(1)
    net = DoraVAE.from_pretrained(model)
    for name, path in sample_files(data).items():
        latents = encode_shape(net, read_sample(path), tokens)
        write_latents(latents, out / f"{name}.safetensors")


def bulk(model: str, data: Path, tokens: int, out: Path, workers: int) -> list[str]:
    """The command that encodes the same shapes."""
    code = "from vae.cli import main; main()"
    options = f"--model {model} --tokens {tokens} --workers {workers} --device cpu --quiet"
    return [sys.executable, "-c", code, "encode", str(data), "--out", str(out), *options.split()]


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds by the clock and of the processor that a command takes."""
    before, started = os.times(), time.perf_counter()
    subprocess.run(command, check=True)
    seconds, after = time.perf_counter() - started, os.times()
    spent = (after.children_user + after.children_system) - (
        before.children_user + before.children_system
    )
    return seconds, spent


def main() -> None:
    """Print the figures and whether the target holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="dora-tiny")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=("loop", "one-thread"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        loop(given.model, given.data, given.tokens, given.out, given.only == "one-thread")
        return
    with tempfile.TemporaryDirectory(dir=given.data.parent) as folder:
        shapes, found = Path(folder) / "shapes", list(sample_files(given.data).values())
        shapes.mkdir()
        for number in range(given.count):
            os.link(found[number % len(found)], shapes / f"{number:04d}.safetensors")
        asked = [str(shapes), "--model", given.model, "--tokens", str(given.tokens)]
        script = [sys.executable, "-m", "benchmarks.bulk.encode", *asked]
        outs = {name: Path(folder) / name for name in ("loop", "one-thread", "bulk")}
        commands = {
            only: [*script, "--only", only, "--out", str(outs[only])]
            for only in ("loop", "one-thread")
        }
        commands["bulk"] = bulk(given.model, shapes, given.tokens, outs["bulk"], given.workers)
        seconds = {}
        for name, command in commands.items():
            seconds[name], spent = timed(command)
            print(f"{name:10} {seconds[name]:8.1f} s   {spent:8.1f} s of processor", flush=True)
        names = [f"{number:04d}.safetensors" for number in range(given.count)]
        same = all(len({(out / name).read_bytes() for out in outs.values()}) == 1 for name in names)
    ratio, single = (seconds[only] / seconds["bulk"] for only in ("loop", "one-thread"))
    print(
        f"{len(names)} shapes, {given.tokens} tokens: {ratio:.2f} x, beside one thread "
        f"{single:.2f} x; same bytes: {same}"
    )
    print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    sys.exit(not (same and ratio >= WANTED))


if __name__ == "__main__":
    main()
