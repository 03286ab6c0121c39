"""A training item's rows: window of the sample file against reading the published npz.

Both hold the same published-size sample. A window is what one training step takes (21,384 salient +
10,000 near + 10,000 space rows, and both clouds whole); the npz must be read whole, as the
published loader does, and cut afterwards. Files are warm in the page cache.

    python benchmarks/window_read.py [--repeats 30]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from preprocessing import shapes
from preprocessing.points.layouts import write_npz
from preprocessing.points.samples import read_window, write_sample
from preprocessing.points.sampling import sample_shape
from preprocessing.points.shards import find_packed, pack_samples
from preprocessing.seeds import generator
from vae.config import override, preset
from vae.data import StepData

SUPERVISION = {"sharp_near": 21384, "coarse_near": 10000, "space": 10000}
ITEMS = 8  # of a batch of `tiny`
CLOUDS = {"coarse_surface": 32768, "sharp_surface": 32768}


def npz_item(path: Path, generator: np.random.Generator) -> list[np.ndarray]:
    """What the published loader does: every array, then a random choice of rows."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file}
    near, space = arrays["rand_points"][:400_000], arrays["rand_points"][400_000:]
    chosen = [
        rows[generator.choice(len(rows), count, replace=False)]
        for rows, count in (
            (arrays["sharp_near_surface"], 21384),
            (near, 10000),
            (space, 10000),
        )
    ]
    return [arrays["fps_coarse_surface"], arrays["fps_sharp_surface"], *chosen]


def npz_read_only(path: Path) -> None:
    """The arrays alone, nothing chosen."""
    with np.load(path) as file:
        for name in file:
            file[name]


def median_ms(action: Callable[[], object], repeats: int) -> float:
    """Median milliseconds of `repeats` calls after two that do not count."""
    times = []
    for _ in range(repeats + 2):
        started = time.perf_counter()
        action()
        times.append(1e3 * (time.perf_counter() - started))
    return float(np.median(times[2:]))


def main() -> None:
    """Print the figures and whether the targets hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    sample = sample_shape(shapes.box().mesh)
    draw = generator(0, "", "window-read")
    with tempfile.TemporaryDirectory() as folder:
        ours, npz = Path(folder) / "box.safetensors", Path(folder) / "box.npz"
        write_sample(sample, ours)
        write_npz(sample, npz)
        window = median_ms(lambda: read_window(ours, SUPERVISION | CLOUDS, draw), repeats)
        pack_samples({"box": ours}, Path(folder) / "shards", 2**31, quiet=True)
        part = find_packed(Path(folder) / "shards")["box"]
        packed = median_ms(lambda: read_window(part, SUPERVISION | CLOUDS, draw), repeats)
        config = override(preset("tiny"), [f"batch={ITEMS}"])
        loose, shards = (StepData({"box": source}, config) for source in (ours, part))
        step_loose = median_ms(lambda: loose[0], repeats)
        step_packed = median_ms(lambda: shards[0], repeats)
        supervision = median_ms(lambda: read_window(ours, SUPERVISION, draw), repeats)
        whole = median_ms(lambda: npz_read_only(npz), repeats)
        item = median_ms(lambda: npz_item(npz, draw), repeats)
    print(f"window, supervision and clouds   {window:8.2f} ms")
    print(f"the same, from a shard           {packed:8.2f} ms")
    print(f"window, supervision alone        {supervision:8.2f} ms")
    print(f"training items a second, files   {1e3 * ITEMS / step_loose:8.0f}")
    print(f"the same, from shards            {1e3 * ITEMS / step_packed:8.0f}")
    print(f"npz, arrays read                 {whole:8.2f} ms   {whole / window:6.1f} x")
    print(f"npz, read and rows chosen        {item:8.2f} ms   {item / window:6.1f} x")
    held = window <= 2 and whole >= 10 * window
    print("targets (window <= 2 ms, npz >= 10 x):", "held" if held else "MISSED")
    sys.exit(not held)


if __name__ == "__main__":
    main()
