"""Train the sparse-voxel VAE for some minutes; the run is a model of `eval`.

--data: what `dora-prep watertight` wrote, or the voxels of `benchmarks.boxed.samples --voxels`.

`--ceiling` scores instead what a perfect decoder would: the true voxels read back by screened
Poisson, as IoU over the meshes of --data.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from dora_bench.baselines import poisson_mesh
from dora_bench.score import score_meshes
from preprocessing.mesh import load_mesh
from vae.sparse.model import TINY, SparseConfig, SparseVAE
from vae.sparse.training import SparseTraining, train
from vae.sparse.voxelise import batch_of, voxelise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/sparse"))
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("no", "bf16"), default="no")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resolution", type=int, default=TINY.resolution)
    parser.add_argument("--channels", type=int, default=TINY.channels)
    parser.add_argument("--ceiling", action="store_true")
    options = parser.parse_args()
    config = replace(TINY, resolution=options.resolution, channels=options.channels)
    if options.ceiling:
        print(json.dumps(ceiling(options.data, config)))
        return
    settings = SparseTraining(
        minutes=options.minutes,
        batch=options.batch,
        threads=options.threads,
        lr=options.lr,
        precision=options.precision,
        seed=options.seed,
    )
    torch.set_float32_matmul_precision("high")  # TF32, where a GPU has it
    print(json.dumps(train(options.data, options.out, config, settings, options.device)))


def ceiling(data: Path, config: SparseConfig) -> dict[str, float]:
    """Mean IoU and voxels of the meshes of a folder when no voxel is lost or moved."""
    model, rows = SparseVAE(config), []
    for path in sorted(data.glob("*.ply")):
        mesh = load_mesh(path)
        voxels = batch_of([voxelise(mesh, config.resolution, 0, path.stem)])
        points, normals = model.surface(voxels)
        read = poisson_mesh(points.numpy(), normals.numpy(), 256)
        scores = score_meshes(mesh, read, points=20_000)
        rows.append((scores["iou"], len(voxels.grid)))
    iou, count = (sum(column) / len(rows) for column in zip(*rows, strict=True))
    return {"shapes": len(rows), "iou": iou, "voxels": count}


if __name__ == "__main__":
    main()
