"""Samples of generated scenes (and variants of real meshes) for training, on all cores.

The model in the box was trained on what this writes, while it was writing:

    python -m benchmarks.boxed.samples --scenes 12000 --meshes RAW --out DIR &
    dora-vae train --preset dora-tiny --data DIR --out RUN --set growing=true --set minutes=9

Each scene (`dora-prep shapes --seed 1`) is made watertight at eps 2/128, every fourth at 2/256, and
sampled more thinly than the published recipe: 8,192 + 8,192 points and 80,000 distances, 1.5 MB.
RAW holds meshes to train on beside the scenes, each in several poses and proportions.
--voxels DIR takes what the sparse VAE trains on, of the same solids; without --out, that alone.
--marched leaves the solids as marching cubes meshes them, not remeshed, which is quicker.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from preprocessing.console import Progress
from preprocessing.mesh import Mesh, MeshError, load_mesh, normalise
from preprocessing.points.samples import write_sample
from preprocessing.points.sampling import Supervision, sample_shape
from preprocessing.scenes import scene
from preprocessing.seeds import generator
from preprocessing.settings import WatertightSettings
from preprocessing.shapes import random_rotation
from preprocessing.solid.watertight import solidify
from vae.sparse.model import SparseConfig
from vae.sparse.training import voxel_file
from vae.sparse.voxelise import voxelise, write_shape

SEED = 1
VARIANTS = 12  # poses and proportions of each real mesh
SUPERVISION = Supervision(
    dense=16384, near_sigmas=(0.003, 0.02), salient_sigmas=(0.003, 0.02), space=16384
)


def main() -> None:
    """Write what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=12000)
    parser.add_argument("--meshes", type=Path, help="folder of raw meshes to train on too")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--voxels", type=Path, help="folder for voxels of the same solids")
    parser.add_argument("--voxel-resolution", type=int, default=SparseConfig().resolution)
    parser.add_argument("--marched", action="store_true")
    options = parser.parse_args()
    if options.out is None and options.voxels is None:
        parser.error("--out or --voxels")
    jobs = work_list(options.scenes, options.meshes)
    do = partial(
        prepare,
        out=options.out,
        voxels=options.voxels,
        resolution=options.voxel_resolution,
        marched=options.marched,
    )
    do(jobs[0])  # compiles the kernels once, for all workers
    context = get_context("forkserver")
    with (
        ProcessPoolExecutor(options.workers, context, initializer=one_thread) as pool,
        Progress(len(jobs), "samples") as progress,
    ):
        for _ in pool.map(do, jobs):
            progress.update()


def one_thread() -> None:
    """Workers are many; each keeps to one core."""
    import numba

    numba.set_num_threads(1)


def work_list(scenes: int, meshes: Path | None) -> list[tuple[str, str]]:
    """(id, source) of every sample: real variants spread evenly among the scenes."""
    made = [(f"scene-{i:06d}", "") for i in range(scenes)]
    if meshes is None:
        return made
    files = sorted(p for p in meshes.rglob("*") if p.is_file())
    real = [(f"{p.stem}-{k:02d}", str(p)) for k in range(VARIANTS) for p in files]
    places = np.linspace(0, len(made), len(real)).astype(int)
    order = np.argsort(np.concatenate([np.arange(len(made)), places]), kind="stable")
    both = made + real
    return [both[i] for i in order]


def prepare(
    job: tuple[str, str], out: Path | None, voxels: Path | None, resolution: int, marched: bool
) -> None:
    """The files of one item, voxels first; a mesh that cannot be used is named and left out."""
    item_id, source = job
    sample_file = out / f"{item_id}.safetensors" if out else None
    voxel_path = voxel_file(voxels, item_id, resolution) if voxels else None
    if all(path is None or path.exists() for path in (sample_file, voxel_path)):
        return
    number = int(item_id.rpartition("-")[2])
    grid = 256 if number % 4 == 3 else 128
    try:
        mesh = scene(SEED, number) if not source else variant(Path(source), item_id, number)
        solid = solid_of(mesh, grid, marched)
        if voxel_path:
            write_shape(voxelise(solid, resolution, SEED, item_id), voxel_path)
        if sample_file:
            sample = sample_shape(
                solid,
                points=16384,
                seed=SEED,
                item_id=item_id,
                eps=2 / grid,
                supervision=SUPERVISION,
            )
            write_sample(sample, sample_file)
    except MeshError as error:
        print(f"{item_id}: {error.reason}: {error}", flush=True)


def solid_of(mesh: Mesh, grid: int, marched: bool) -> Mesh:
    """The watertight solid at eps one cell; `marched`: before it is remeshed."""
    settings = WatertightSettings(eps=2 / grid, resolution=grid, remesh=not marched)
    return solidify(mesh, settings).mesh


def variant(path: Path, item_id: str, number: int) -> Mesh:
    """A real mesh as it is (number 0), or turned, with sides of its own lengths."""
    mesh = normalise(load_mesh(path))[0]
    if number == 0:
        return mesh
    draw = generator(SEED, item_id, "variant")
    sides = draw.uniform(0.6, 1.0, 3) if number > 2 else np.ones(3)
    return Mesh(mesh.vertices * sides @ random_rotation(draw).T, mesh.faces)


if __name__ == "__main__":
    main()
