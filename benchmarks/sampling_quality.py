"""Are salient points where the true edges are? Parts with known edges, made watertight at 2/R.

For box, wedge (apex 20° to 160°), cylinder and gear in random poses: the share of the salient cloud
within eps + 2 cells of a true edge (precision), and the longest stretch of a true edge of 30° and
more without a salient point (gap, in cells). For sphere and torus: the number of salient edges,
in float64 and read back from float32 coordinates.

    python benchmarks/sampling_quality.py [--poses 5] [--resolution 256] [--angle 15] [--json FILE]
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from preprocessing import shapes
from preprocessing.mesh import Mesh
from preprocessing.points.edges import salient_edges
from preprocessing.points.sampling import salient_cloud
from preprocessing.seeds import generator
from preprocessing.solid.watertight import make_watertight

STEP = 0.25  # of a cell: distance of the places on a true edge that are asked for


def parts() -> dict[str, tuple]:
    """Name -> (constructor, arguments) of the sharp parts."""
    wedges = {f"wedge-{a}": (shapes.wedge, {"angle": float(a)}) for a in range(20, 161, 20)}
    return {
        "box": (shapes.box, {}),
        **wedges,
        "cylinder": (shapes.cylinder, {}),
        "gear": (shapes.gear, {}),
    }


def along(segments: np.ndarray, step: float) -> np.ndarray:
    """Points at most `step` apart along segments (E,2,3), ends included, (P,3)."""
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    counts = np.ceil(lengths / step).astype(int) + 1
    rows = np.repeat(np.arange(len(segments)), counts)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    share = (place / np.maximum(counts[rows] - 1, 1))[:, None]
    return segments[rows, 0] * (1 - share) + segments[rows, 1] * share


def longest_gap(true_edges: np.ndarray, salient: np.ndarray, cell: float) -> float:
    """Longest stretch of the true edges (K,2,3), in cells, that no salient segment faces."""
    places = along(true_edges, STEP * cell)
    hits = cKDTree(places).query(along(salient, 0.1 * cell))[1]
    # Where true edges meet, several places coincide: a hit on one is a hit on all.
    near = cKDTree(places[np.unique(hits)]).query(places)[0]
    missed = places[near > 1e-9]
    if len(missed) == 0:
        return 0.0
    pairs = cKDTree(missed).query_pairs(1.01 * STEP * cell, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(missed), len(missed)))
    labels = connected_components(graph, directed=False)[1]
    longest = 0.0
    for label in np.unique(labels):
        run = missed[labels == label]
        longest = max(longest, float(np.linalg.norm(np.ptp(run, axis=0))) / cell + 2 * STEP)
    return longest


def sharp_row(name: str, pose: np.ndarray, resolution: int, angle: float) -> dict[str, float]:
    """Precision and gap of one part in one pose."""
    make, arguments = parts()[name]
    shape = make(**arguments, pose=pose)
    eps, cell = 2 / resolution, 2.1 / resolution
    solid = make_watertight(shape.mesh, eps=eps, resolution=resolution)
    edges = salient_edges(solid.mesh, angle)
    cloud = salient_cloud(solid.mesh, edges, 32768, generator(0, name, "quality"))
    true = solid.transform.apply(shape.true_edges)
    distance = cKDTree(along(true, 0.05 * cell)).query(cloud[:, :3])[0]
    required = true[shape.true_angles >= 30]
    return {
        "salient": len(edges),
        "precision": float((distance <= eps + 2 * cell).mean()),
        "gap_cells": longest_gap(required, edges.segments, cell),
    }


def smooth_counts(name: str, pose: np.ndarray, resolution: int, angle: float) -> tuple[int, int]:
    """Salient edges of a smooth shape, from float64 and from float32 coordinates."""
    solid = make_watertight(
        getattr(shapes, name)(pose=pose).mesh, eps=2 / resolution, resolution=resolution
    ).mesh
    rounded = Mesh(solid.vertices.astype(np.float32), solid.faces)
    return len(salient_edges(solid, angle)), len(salient_edges(rounded, angle))


def main() -> None:
    """Print one row a shape, the worst over its poses, and whether the targets hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--poses", type=int, default=5)
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--angle", type=float, default=15.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    turns = generator(0, "quality", "poses")
    poses = [np.eye(3)] + [shapes.random_rotation(turns) for _ in range(options.poses)]
    rows: dict[str, dict[str, float]] = {}
    print(f"{'shape':12} {'precision':>9} {'gap/cell':>9} {'salient edges':>14}")
    for name in parts():
        found = [sharp_row(name, pose, options.resolution, options.angle) for pose in poses]
        rows[name] = {
            "precision": min(row["precision"] for row in found),
            "gap_cells": max(row["gap_cells"] for row in found),
            "salient": max(row["salient"] for row in found),
        }
        worst = rows[name]
        print(
            f"{name:12} {worst['precision']:9.4f} {worst['gap_cells']:9.2f} {worst['salient']:14}",
            flush=True,
        )
    held = all(row["precision"] >= 0.99 and row["gap_cells"] <= 3 for row in rows.values())
    for name in ("sphere", "torus"):
        counts = [smooth_counts(name, pose, options.resolution, options.angle) for pose in poses]
        worst64, worst32 = (max(column) for column in zip(*counts, strict=True))
        rows[name] = {"salient": worst64, "salient_float32": worst32}
        held &= worst64 == worst32 == 0
        print(f"{name:12} {'':9} {'':9} {worst64:14} (float32: {worst32})", flush=True)
    print("targets (precision >= 0.99, gap <= 3 cells, smooth 0):", "held" if held else "MISSED")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    sys.exit(not held)


if __name__ == "__main__":
    main()
