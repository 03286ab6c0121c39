"""Seconds to score one pair with every metric at 1,000,000 points, beside what peers take.

    python -m benchmarks.metrics_speed [TRUTH] [--points 1000000]

The pair is a mesh (default: the mini-suite's cow, watertight at 2/128) and the same with noise of
0.002. Peers: a plain scipy k-d tree on the unsorted clouds, and Open3D's point cloud distance and
closest points on the mesh. Kernels are compiled before the clock starts.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open3d as o3d
import pandas as pd
from scipy.spatial import cKDTree

from benchmarks.degradations import noise
from dora_bench import score as scoring
from dora_bench.mini_suite import mini_suite
from dora_bench.normal_error import sharp_normal_error, truth_maps
from preprocessing.mesh import Mesh, load_mesh, normalise
from preprocessing.seeds import generator

rows: list[tuple[str, float]] = []


def timed(name: str, work: Callable, *arguments: object):  # type: ignore[no-untyped-def]
    """Run, note the seconds, return what came back."""
    started = time.perf_counter()
    result = work(*arguments)
    rows.append((name, time.perf_counter() - started))
    return result


def ours(truth: Mesh, prediction: Mesh, settings: scoring.ScoreSettings) -> None:
    """Every part of a score, timed."""
    one = timed("sample truth, its trees and edges", scoring.measure, truth, settings, "", "truth")
    other = timed("the same of the prediction", scoring.measure, prediction, settings, "", "other")
    clouds = (one.cloud, one.point_tree, other.cloud, other.point_tree)
    timed("Chamfer L1, L2 and F, point to point", scoring.point_metrics, *clouds)
    timed("surface Chamfer and F, normals", scoring.surface_metrics, one, other)
    timed("edges", lambda: (scoring.edge_scores(one, other), scoring.true_edge_scores(one, other)))
    maps = timed("SNE, the truth's maps", truth_maps, one.mesh)
    timed("SNE, the prediction's maps", sharp_normal_error, maps, other.mesh)
    timed("IoU", scoring.iou, scoring.Truth(settings, "", one, maps, {}), other)


def peers(one: np.ndarray, other: np.ndarray, mesh: Mesh) -> None:
    """What others would use for the same clouds."""
    timed(
        "peer: scipy k-d tree, unsorted, both ways",
        lambda: (
            cKDTree(one).query(other, workers=-1),
            cKDTree(other).query(one, workers=-1),
        ),
    )
    clouds = [o3d.geometry.PointCloud(o3d.utility.Vector3dVector(c)) for c in (one, other)]
    timed(
        "peer: Open3D point cloud distance, both ways",
        lambda: (
            clouds[0].compute_point_cloud_distance(clouds[1]),
            clouds[1].compute_point_cloud_distance(clouds[0]),
        ),
    )
    scene = o3d.t.geometry.RaycastingScene()
    tensor = o3d.core.Tensor.from_numpy
    scene.add_triangles(
        tensor(mesh.vertices.astype(np.float32)), tensor(mesh.faces.astype(np.uint32))
    )
    timed(
        "peer: Open3D closest points on the mesh, one way",
        lambda: scene.compute_closest_points(tensor(other.astype(np.float32))),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("truth", nargs="?", type=Path)
    parser.add_argument("--points", type=int, default=1_000_000)
    options = parser.parse_args()
    truth = normalise(load_mesh(options.truth or mini_suite(quiet=True).mesh_path("cow")))[0]
    prediction = noise(truth, 0.002)
    scoring.score_meshes(truth, prediction, points=1000)  # compile
    settings = scoring.ScoreSettings(points=options.points)
    ours(truth, prediction, settings)
    total = sum(seconds for _, seconds in rows)
    chamfer = rows[2][1]
    shuffle = generator(0, "", "metrics-speed").permutation
    clouds = [scoring.draw_cloud(m, settings, "", "peer")[0] for m in (truth, prediction)]
    peers(shuffle(clouds[0]), shuffle(clouds[1]), truth)
    print(f"{len(truth.faces)} faces, {options.points} points a side")
    print(pd.DataFrame(rows, columns=["step", "s"]).to_string(index=False, float_format="%.2f"))
    print(f"every metric {total:.2f} s; Chamfer and F from sampled clouds {chamfer:.2f} s")


if __name__ == "__main__":
    main()
