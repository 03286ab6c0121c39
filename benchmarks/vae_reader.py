"""Coarse-to-fine reading against the dense grid: queries, seconds, components, Euler, distance.

Reads every shape of a folder of samples through a trained model at one or more resolutions. The
dense grid is read with the same field and the same extractor.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from preprocessing.mesh import Mesh
from preprocessing.points.samples import read_sample
from preprocessing.solid.bricks import BRICK, BrickField, spacing
from preprocessing.solid.isosurface import extract_isosurface
from vae.data import find_samples
from vae.latents import encode_shape
from vae.model import DoraVAE
from vae.reconstruction import decoded_field
from vae.refine import Evaluator, Field, Level, close, dense_level, evaluate, read_field, upsampled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--resolutions", default="128,256")
    parser.add_argument("--limit", type=int, default=20)
    reference = parser.add_mutually_exclusive_group()
    reference.add_argument("--no-dense", action="store_true", help="count queries only")
    reference.add_argument(
        "--band",
        type=float,
        help="compare with a dense grid of half the resolution and, of the new corners, all that "
        "interpolate to values this near zero (0.35 at 512: a sixth of the dense queries)",
    )
    options = parser.parse_args()
    model = DoraVAE.from_pretrained(options.model)
    unit = model.config.truncation if model.config.output == "tsdf" else None
    print("shape                R  queries    fewer      s   full s  parts    Euler   cells")
    for resolution in (int(r) for r in options.resolutions.split(",")):
        every = []
        for item_id, path in list(find_samples(options.data).items())[: options.limit]:
            latents = encode_shape(model, read_sample(path), options.tokens)
            field = decoded_field(model, latents)
            started = time.perf_counter()
            bricks, queries = read_field(field, resolution, unit=unit)
            seconds = time.perf_counter() - started
            every.append(queries)
            line = f"{item_id[:18]:18}{resolution:5}{queries:9}"
            line += f"{(resolution + 1) ** 3 / queries:8.1f}x{seconds:7.1f}"
            if options.no_dense or not len(bricks.bricks):
                print(line, flush=True)
                continue
            started = time.perf_counter()
            if options.band is None:
                reference_field = dense_field(field, resolution)
            else:
                reference_field = band_field(field, resolution, options.band)
            full = extract_isosurface(reference_field)
            line += f"{time.perf_counter() - started:9.1f}"
            read = extract_isosurface(bricks)
            line += f"{components(read):4}/{components(full)}{euler(read):5}/{euler(full)}"
            print(f"{line}{distance(read, full) / spacing(resolution):8.4f}", flush=True)
        fewer = (resolution + 1) ** 3 * len(every) / sum(every)
        print(f"all {len(every)} shapes at {resolution}: {fewer:.1f} times fewer")


def dense_field(field: Field, resolution: int) -> BrickField:
    """Every corner asked."""
    level = dense_level(Evaluator(field), resolution)
    return BrickField(resolution, level.bricks, level.values)


def band_field(field: Field, resolution: int, band: float) -> BrickField:
    """Every corner at half the resolution, and every new one that interpolates to below `band`."""
    evaluator = Evaluator(field)
    half = dense_level(evaluator, resolution // 2)
    bricks, values = [], []
    for octant in np.ndindex(2, 2, 2):
        corners = tuple(slice(BRICK // 2 * o, BRICK // 2 * (o + 1) + 1) for o in octant)
        bricks.append(2 * half.bricks + octant)
        values.append(upsampled(half.values[:, *corners]))
    level = Level(resolution, np.concatenate(bricks), np.concatenate(values), np.empty(0))
    level.known = np.zeros(level.values.shape, bool)
    level.known[:, ::2, ::2, ::2] = True
    evaluate(evaluator, level, np.abs(level.values) < band)
    close(evaluator, level)
    return BrickField(resolution, level.bricks, level.values)


def components(mesh: Mesh) -> int:
    """Connected components by shared vertices."""
    count = len(mesh.vertices)
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]]])
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return int(connected_components(graph, directed=False)[0])


def euler(mesh: Mesh) -> int:
    """V - E + F of a closed mesh."""
    return len(mesh.vertices) - len(mesh.faces) // 2


def distance(one: Mesh, other: Mesh) -> float:
    """Largest distance from a vertex of either mesh to the nearest vertex of the other."""
    there = cKDTree(other.vertices).query(one.vertices)[0].max()
    return float(max(there, cKDTree(one.vertices).query(other.vertices)[0].max()))


if __name__ == "__main__":
    main()
