"""What training settings are worth: train, then IoU and surface F at several token counts.

Each --try is one run of `dora-vae train` settings over the preset; the row names the settings, the
steps made, processor seconds (a fair clock on a shared machine), and per token count the mean IoU
on the samples' space points. --meshes (watertight, by sample id) adds F(0.02) of the read surface.
--curve N: the mean IoU of every checkpoint too, at the middle count, one each N steps, and from
which of them on it is 0.9. --until N: stop there; the schedules end where they would have.
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
from vae.checkpoint import read_tensors
from vae.config import override, preset
from vae.data import find_samples
from vae.latents import TokenSource, encode_shape
from vae.model import DoraVAE
from vae.reconstruction import decoded_field, reconstruct
from vae.run_folder import saved_steps
from vae.train import train
from vae.train_log import read_log

GOOD = 0.9  # the IoU whose first step --curve tells


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
    parser.add_argument("--curve", type=int, default=0)
    parser.add_argument("--until", type=int)
    parser.add_argument("--points", type=int, help="space points of each that IoU takes [all]")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    counts = [int(t) for t in options.tokens.split(",")]
    if options.run:
        show(options.run, options, counts)
        return
    for number, settings in enumerate(options.tries or [""]):
        run = options.out / str(number)
        shutil.rmtree(run, ignore_errors=True)
        started = time.process_time()
        config = override(preset(options.preset), settings.split())
        if options.curve:
            kept = [f"save_every={options.curve}", "keep_last=100000"]
            config = override(config, kept)
        until, device = options.until, options.device
        train(config, options.data, run, quiet=True, until=until, device=device)
        spent = time.process_time() - started
        print(f"{settings or options.preset}: {spent:.0f} processor seconds")
        show(run, options, counts)


def show(run: Path, options: argparse.Namespace, counts: list[int]) -> None:
    """One line per token count: mean and each shape's score."""
    device = "cuda" if options.device != "cpu" and torch.cuda.is_available() else "cpu"
    model = DoraVAE.from_pretrained(run).to(device)
    rows = read_log(run / "log.csv")
    print(f"  {len(rows)} steps, {rows[-1]['seconds']:.0f} s, loss {rows[-1]['loss']:.4f}")
    if options.curve:
        show_curve(model, run, options.data, counts[len(counts) // 2], options.points)
    for tokens in counts:
        ious, scores = [], []
        for item_id, path in find_samples(options.data).items():
            sample = read_sample(path)
            source = TokenSource(sample)
            ious.append(space_iou(model, sample, source, tokens, options.points))
            if options.meshes:
                truth = load_mesh(options.meshes / f"{item_id}.ply")
                scores.append(f_score(model, truth, source, tokens, options.resolution))
        line = f"  {tokens:6} tokens  IoU {np.mean(ious):.3f} {np.round(ious, 2)}"
        if scores:
            line += f"  F(0.02) {np.mean(scores):.3f} {np.round(scores, 2)}"
        print(line, flush=True)


def show_curve(model: DoraVAE, run: Path, data: Path, tokens: int, points: int | None) -> None:
    """One line per checkpoint, of its averaged weights: steps and the mean IoU; then the first that
    is GOOD."""
    shapes = [read_sample(path) for path in find_samples(data).values()]
    final = {k: v.clone() for k, v in model.state_dict().items()}
    means: dict[str, float] = {}
    for saved in saved_steps(run):
        model.load_state_dict(read_tensors(saved / "ema.safetensors"))
        found = [space_iou(model, shape, TokenSource(shape), tokens, points) for shape in shapes]
        means[saved.name] = float(np.mean(found))
        print(f"  {saved.name}: {tokens} tokens, mean IoU {means[saved.name]:.3f}", flush=True)
    first = next((name for name, mean in means.items() if mean >= GOOD), "none of these")
    print(f"  IoU {GOOD} from {first} on")
    model.load_state_dict(final)


def space_iou(
    model: DoraVAE, sample: Sample, source: TokenSource, tokens: int, points: int | None
) -> float:
    """IoU of inside over the sample's uniform points, or the first `points` of them."""
    field = decoded_field(model, encode_shape(model, source, tokens))
    space = sample.space[:points]
    inside = field(np.ascontiguousarray(space[:, :3])) > 0
    truth = space[:, 3] > 0
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
