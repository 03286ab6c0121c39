"""What fewer supervision points cost a trained model: the same training on samples cut short.

Every sample below DATA is copied with the first 1/4, 1/16, ... of its supervision rows, and `tiny`
is trained on each set with the same seed and steps; `starts --measure` then prints the volume IoU
on held-out scenes, beside that of the whole samples. Steps, points and tokens are few: a laptop's.

    python -m benchmarks.boxed.samples --scenes 75 --out DATA
    python -m benchmarks.bulk.fewer DATA --out RUNS [--steps 600] [--shares 4,16,64]
"""

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from preprocessing.points.samples import read_sample, sample_files, write_sample

SMALL = ["coarse_points=256", "sharp_points=256", "token_lengths=64,128", "token_weights=1,1"]
POOLS = ("sharp_near", "coarse_near", "space")


def main() -> None:
    """Cut, train, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--shares", default="4,16,64", help="one part in so many is kept")
    parser.add_argument("--count", type=int, default=10, help="held-out scenes")
    given = parser.parse_args()
    for number, share in enumerate([1, *map(int, given.shares.split(","))]):
        data = given.out / f"data-{share}"
        cut(given.data, data, share)
        run = given.out / f"run-{share}"
        train = ["--variant", "place", "--data", str(data), "--steps", str(given.steps)]
        small = [word for setting in SMALL for word in ("--set", setting)]
        starts("--out", str(run), "--seed", "0", *train, *small)
        # `--measure` takes the lowest seed for the base: the whole samples.
        (run / "place-0").rename(given.out / f"place-{number}")
    rest = ["--tokens", "64,256", "--cloud", "2048", "--count", str(given.count)]
    starts("--out", str(given.out), "--measure", *rest)
    print("place-0: whole samples; place-1, 2, ...: one part in " + given.shares)


def cut(data: Path, out: Path, share: int) -> None:
    """The samples with the first 1/share of their supervision rows."""
    out.mkdir(parents=True, exist_ok=True)
    for name, path in sample_files(data).items():
        sample = read_sample(path)
        kept = {pool: getattr(sample, pool) for pool in POOLS}
        short = {pool: rows[: max(1, len(rows) // share)] for pool, rows in kept.items()}
        write_sample(replace(sample, **short), out / f"{name}.safetensors")


def starts(*words: str) -> None:
    """Run benchmarks.boxed.starts."""
    subprocess.run([sys.executable, "-m", "benchmarks.boxed.starts", *words], check=True)


if __name__ == "__main__":
    main()
