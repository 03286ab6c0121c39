"""What training settings are worth: train, then IoU and surface F at several token counts.

Each --try is one run of `dora-vae train` settings over the preset; the row names the settings, the
steps made, processor seconds (a fair clock on a shared machine), and per token count the mean IoU
on the samples' space points. --meshes (watertight, by sample id) adds F(0.02) of the read surface.
"""

import argparse
import shutil
import time
from pathlib import Path

import numpy as np
import torch

from preprocessing.mesh import Mesh, MeshError, load_mesh
from preprocessing.points.samples import Sample, read_sample
from preprocessing.points.sampling import sample_surface
from preprocessing.seeds import generator
from vae.config import override, preset
from vae.data import find_samples
from vae.latents import TokenSource, encode_shape
from vae.model import DoraVAE
from vae.reconstruction import decoded_field, reconstruct
from vae.train import train
from vae.train_log import read_log


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="samples")
    parser.add_argument("--meshes", type=Path, help="watertight meshes <id>.ply")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--try", dest="tries", action="append", default=[], help='"a=1 b=2"')
    parser.add_argument("--tokens", default="64,256,1024")
    parser.add_argument("--out", type=Path, default=Path("runs/convergence"))
    parser.add_argument("--run", type=Path, help="score this finished run instead of training")
    parser.add_argument("--resolution", type=int, default=128)
    options = parser.parse_args()
    counts = [int(t) for t in options.tokens.split(",")]
    if options.run:
        show(options.run, options, counts)
        return
    for number, settings in enumerate(options.tries or [""]):
        run = options.out / str(number)
        shutil.rmtree(run, ignore_errors=True)
        started = time.process_time()
        train(override(preset(options.preset), settings.split()), options.data, run, quiet=True)
        spent = time.process_time() - started
        print(f"{settings or options.preset}: {spent:.0f} processor seconds")
        show(run, options, counts)


def show(run: Path, options: argparse.Namespace, counts: list[int]) -> None:
    """One line per token count: mean and each shape's score."""
    model = DoraVAE.from_pretrained(run)
    rows = read_log(run / "log.csv")
    print(f"  {len(rows)} steps, {rows[-1]['seconds']:.0f} s, loss {rows[-1]['loss']:.4f}")
    for tokens in counts:
        ious, scores = [], []
        for item_id, path in find_samples(options.data).items():
            sample = read_sample(path)
            source = TokenSource(sample)
            ious.append(space_iou(model, sample, source, tokens))
            if options.meshes:
                truth = load_mesh(options.meshes / f"{item_id}.ply")
                scores.append(f_score(model, truth, source, tokens, options.resolution))
        line = f"  {tokens:6} tokens  IoU {np.mean(ious):.3f} {np.round(ious, 2)}"
        if scores:
            line += f"  F(0.02) {np.mean(scores):.3f} {np.round(scores, 2)}"
        print(line, flush=True)


def space_iou(model: DoraVAE, sample: Sample, source: TokenSource, tokens: int) -> float:
    """IoU of inside over the sample's uniform points."""
    field = decoded_field(model, encode_shape(model, source, tokens))
    inside = field(np.ascontiguousarray(sample.space[:, :3])) > 0
    truth = sample.space[:, 3] > 0
    return float((inside & truth).sum() / max(1, (inside | truth).sum()))


def f_score(
    model: DoraVAE, truth: Mesh, source: TokenSource, tokens: int, resolution: int
) -> float:
    """F(0.02) from 30,000 random points of each mesh to the other's 30,000; 0 without a surface."""
    from scipy.spatial import cKDTree

    try:
        mesh = reconstruct(model, source, tokens, resolution).mesh
    except MeshError:
        return 0.0
    one, other = (
        sample_surface(m, 30_000, generator(0, name, "f"))[0]
        for m, name in ((truth, "truth"), (mesh, "read"))
    )
    recall = (cKDTree(other).query(one)[0] < 0.02).mean()
    precision = (cKDTree(one).query(other)[0] < 0.02).mean()
    return float(2 * recall * precision / max(recall + precision, 1e-12))


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
