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

from preprocessing.bricks import BrickField, spacing
from preprocessing.isosurface import extract_isosurface
from preprocessing.mesh import Mesh
from preprocessing.samples import read_sample
from vae.data import find_samples
from vae.latents import encode_shape
from vae.model import DoraVAE
from vae.reconstruct import decoded_field
from vae.refine import Asker, Field, dense_level, read_field


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--resolutions", default="128,256")
    parser.add_argument("--limit", type=int, default=20)
    parser.add_argument("--no-dense", action="store_true", help="count queries only")
    options = parser.parse_args()
    model = DoraVAE.from_pretrained(options.model)
    unit = model.config.truncation if model.config.output == "tsdf" else None
    print("shape                R  queries    fewer      s  dense s  parts    Euler   cells")
    for resolution in (int(r) for r in options.resolutions.split(",")):
        for item_id, path in list(find_samples(options.data).items())[: options.limit]:
            latents = encode_shape(model, read_sample(path), options.tokens)
            field = decoded_field(model, latents)
            started = time.perf_counter()
            bricks, queries = read_field(field, resolution, unit=unit)
            seconds = time.perf_counter() - started
            line = f"{item_id[:18]:18}{resolution:5}{queries:9}"
            line += f"{(resolution + 1) ** 3 / queries:8.1f}x{seconds:7.1f}"
            if options.no_dense or not len(bricks.bricks):
                print(line, flush=True)
                continue
            started = time.perf_counter()
            full = extract_isosurface(dense_field(field, resolution))
            line += f"{time.perf_counter() - started:9.1f}"
            read = extract_isosurface(bricks)
            line += f"{components(read):4}/{components(full)}{euler(read):5}/{euler(full)}"
            print(f"{line}{distance(read, full) / spacing(resolution):8.4f}", flush=True)


def dense_field(field: Field, resolution: int) -> BrickField:
    """Every corner asked."""
    level = dense_level(Asker(field), resolution)
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
