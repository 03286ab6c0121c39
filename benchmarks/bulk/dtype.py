"""What float16 samples cost: bytes, errors of points and distances, IoU of a model on them.

Every watertight mesh of a folder is sampled in both types with the same draws. Errors are against
the float32 sample (points) and the exact distance at the stored point (sdf). IoU: signs of the
decoded field at the float32 sample's space points.

    python -m benchmarks.bulk.dtype MESHES [--count 4] [--tokens 256,1024]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from preprocessing.distance.queries import SignedDistance, unsigned_distance
from preprocessing.mesh import load_mesh
from preprocessing.points.samples import ARRAYS, Sample, read_sample, write_sample
from preprocessing.points.sampling import sample_shape
from vae.latents import encode_shape
from vae.model import DoraVAE
from vae.validation import sign_iou


def errors(whole: Sample, half: Sample, exact: SignedDistance) -> tuple[float, float, float]:
    """Largest error of a coordinate, and of a stored sdf: everywhere, and within 0.05 of 0."""
    moved = max(
        float(np.abs(getattr(whole, name)[:, :3] - getattr(half, name)[:, :3]).max())
        for name in ARRAYS
        if len(getattr(whole, name))
    )
    rows = np.concatenate([half.sharp_near, half.coarse_near, half.space])[::20]
    truth = exact(rows[:, :3])
    off = np.abs(rows[:, 3] - truth)
    return moved, float(off.max()), float(off[np.abs(truth) < 0.05].max())


def main() -> None:
    """A line a mesh, then the worst and the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("meshes", type=Path)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--tokens", default="256,1024")
    parser.add_argument("--model", default="dora-tiny")
    given = parser.parse_args()
    model = DoraVAE.from_pretrained(given.model)
    counts = [int(text) for text in given.tokens.split(",")]
    ious: list[list[float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(given.meshes.glob("*.ply"))[: given.count]:
            mesh, pair, sizes = load_mesh(path), [], []
            for dtype in ("float32", "float16"):
                file = Path(folder) / f"{dtype}.safetensors"
                write_sample(sample_shape(mesh, item_id=path.stem, dtype=dtype), file)
                pair.append(read_sample(file))
                sizes.append(file.stat().st_size / 1e6)
            whole, half = pair
            moved, sdf, near = errors(whole, half, SignedDistance(mesh))
            off = float(unsigned_distance(mesh, half.coarse_surface[:, :3].astype(float)).max())
            ious.append(
                [
                    sign_iou(model, encode_shape(model, one, t, model_hash="-").mean, whole.space)
                    for t in counts
                    for one in pair
                ]
            )
            print(
                f"{path.stem:12} {sizes[0]:.2f} -> {sizes[1]:.2f} MB  coordinate {moved:.2e}  off "
                f"the surface {off:.2e}  sdf {sdf:.2e}, near {near:.2e}  IoU "
                + " ".join(f"{value:.4f}" for value in ious[-1]),
                flush=True,
            )
    for column, tokens in enumerate(counts):
        a, b = (np.array([row[2 * column + k] for row in ious]) for k in (0, 1))
        told = f"{a.mean():.5f} float32, {b.mean():.5f} float16; worst {(b - a).min():+.5f}"
        print(f"{tokens} tokens: IoU {told}")


if __name__ == "__main__":
    main()
