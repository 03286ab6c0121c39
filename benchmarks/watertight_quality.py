"""Quality of the watertight engine over real meshes: exactness, topology, nothing lost, no bias.

    python -m benchmarks.watertight_quality [--eps 2/256,2/512] [--only PART] [--csv FILE]

Meshes come from the folder in DORA_MESHES (default ../shared/meshes); files that load_mesh refuses
are counted and left out. A point of the input is externally visible when two of 32 rays from it
reach infinity (one alone slips through the seam between two triangles). Lost: the share of visible
points, drawn by area, farther than eps + one cell from the output; more points, the same number on
every face, look for small parts. Lost in the open: those of them that a ball of radius
eps + CLEARANCE cells can touch and leave along such a ray: along its way a corner of the grid lies
within reach of every centre and outside the offset, so the engine must have followed it. The others
lie in or behind crevices that are narrower (a finer --resolution opens those wider than 2 eps).
A part is lost when all its visible points are lost and in the open.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from preprocessing.mesh import SUFFIXES, Mesh, MeshError, load_mesh, normalise
from preprocessing.settings import default_resolution, parse_eps
from preprocessing.solid.bricks import spacing
from preprocessing.solid.lost import Seen, is_lost, scene_of, visible_points
from preprocessing.solid.watertight import make_watertight

CLEARANCE = 0.87  # cells, half the diagonal of one
SOUPS = ("soup",)


def main() -> None:
    """Measure every mesh and print the worst of each figure beside what is asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--eps", default="2/256,2/512", help="offsets, comma-separated")
    parser.add_argument("--only", default="", help="part of the file names to measure")
    parser.add_argument("--csv", default="", help="write every row here")
    arguments = parser.parse_args()
    root = Path(os.environ.get("DORA_MESHES", "../shared/meshes"))
    rows, refused = [], []
    for path in mesh_files(root):
        if arguments.only not in str(path):
            continue
        try:
            mesh = load_mesh(path)
        except MeshError as error:
            refused.append(f"{path.relative_to(root)} ({error.reason})")
            continue
        given, _ = normalise(mesh)
        seen = visible_points(given)
        for eps in arguments.eps.split(","):
            row = measure(given, parse_eps(eps), seen)
            rows.append({"mesh": str(path.relative_to(root)), "eps": eps} | row)
            line = ", ".join(f"{k} {v:.3g}" for k, v in row.items() if not isinstance(v, str))
            print(f"{rows[-1]['mesh']} {eps}: {row['status']}, {line}", flush=True)
    table = pd.DataFrame(rows)
    if arguments.csv:
        table.to_csv(arguments.csv, index=False)
    print(f"\n{table['mesh'].nunique()} meshes, {len(refused)} refused: {', '.join(refused)}\n")
    report(table)


def mesh_files(root: Path) -> list[Path]:
    """Every readable file but those that are there to be broken."""
    files = [path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES]
    return sorted(path for path in files if "broken" not in path.relative_to(root).parts)


def measure(given: Mesh, eps: float, seen: Seen) -> dict[str, float | str]:
    """Audit columns, seconds, share of visible points lost, parts lost, bias in cells."""
    start = time.perf_counter()
    try:
        solid = make_watertight(given, eps=eps)
    except MeshError as error:
        return {"status": error.reason}
    seconds = time.perf_counter() - start
    step = spacing(default_resolution(eps))
    lost = is_lost(seen, solid.mesh, eps + step)
    parts = part_of_face(given)[seen.faces]
    chosen = np.flatnonzero(lost)
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(500, len(chosen))).astype(int)]
    free = in_the_open(given, seen, chosen, eps + CLEARANCE * step)
    reached = np.union1d(parts[~lost], parts[np.setdiff1d(np.flatnonzero(lost), chosen[free])])
    audit: dict[str, float | str] = {key: float(value) for key, value in solid.audit.items()}
    return audit | {
        "status": "ok",
        "seconds": seconds,
        "lost": float(lost[: seen.by_area].mean()),
        "lost_in_the_open": float(lost.mean() * free.mean()) if len(chosen) else 0.0,
        "parts": float(len(np.unique(parts))),
        "parts_lost": float(len(np.setdiff1d(parts, reached))),
        "bias": bias(given, solid.mesh, eps) / step,
    }


def in_the_open(given: Mesh, seen: Seen, lost: np.ndarray, radius: float) -> np.ndarray:
    """Which of the chosen points (K,) a ball of this radius can touch, and leave along the ray.

    The ball sits on the point, on the side the ray leaves to: from there on its centre must be
    that far from the input, to 1 %.
    """
    along = np.arange(0, 3.5, radius / 4)
    scene, free = scene_of(given), np.zeros(len(lost), bool)
    for row, index in enumerate(lost):
        centre = seen.points[index] + radius * seen.normals[index]
        way = centre + along[:, None] * seen.rays[index]
        distance = scene.compute_distance(way.astype(np.float32)).numpy()
        free[row] = distance.min() >= 0.99 * radius
    return free


def part_of_face(mesh: Mesh) -> np.ndarray:
    """Connected part of every face; vertices in one place are one vertex."""
    _, place = np.unique(mesh.vertices, axis=0, return_inverse=True)
    faces = place.reshape(-1)[mesh.faces]
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    count = int(faces.max()) + 1
    graph = coo_matrix((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), (count, count))
    return connected_components(graph, directed=False)[1][faces[:, 0]]


def bias(given: Mesh, solid: Mesh, eps: float) -> float:
    """Largest axis of the mean of (vertex - nearest input point - eps * direction)."""
    near = scene_of(given).compute_closest_points(solid.vertices.astype(np.float32))
    offset = solid.vertices - near["points"].numpy().astype(np.float64)
    length = np.linalg.norm(offset, axis=1, keepdims=True)
    return float(np.abs((offset - eps * offset / length).mean(axis=0)).max())


def report(table: pd.DataFrame) -> None:
    """The worst of each figure over all rows, the mesh it comes from, and what is asked."""
    fine = table[table["status"] == "ok"]
    soup = fine["mesh"].str.contains("|".join(SOUPS))
    faults = fine[["watertight", "edge_manifold", "vertex_manifold"]].min(axis=1) < 1
    print("| what | worst | on | asked |\n|---|---|---|---|")
    print(f"| outputs that are not ok | {len(table) - len(fine)} of {len(table)} | | 0 |")
    print(
        f"| not closed or not manifold, or volume <= 0 | "
        f"{int((faults | (fine['volume'] <= 0)).sum())} | | 0 |"
    )
    for name, column, rows, scale, asked in (
        ("offset error, RMS, % of eps", "offset_rms", fine, 100, "<= 0.1"),
        ("offset error, worst, % of eps", "offset_max", fine[~soup], 100, "<= 10"),
        ("the same on random soups", "offset_max", fine[soup], 100, "<= 25"),
        ("visible points lost, %", "lost", fine, 100, "<= 1"),
        ("of all, lost in the open (no crevice)", "lost_in_the_open", fine, 100, "0"),
        ("visible parts lost", "parts_lost", fine, 1, "0"),
        ("bias, cells", "bias", fine, 1, "<= 0.01"),
        ("seconds", "seconds", fine, 1, ""),
    ):
        if len(rows):
            worst = rows.loc[rows[column].idxmax()]
            figure = f"{scale * worst[column]:.3g}"
            print(f"| {name} | {figure} | {worst['mesh']} {worst['eps']} | {asked} |")


if __name__ == "__main__":
    main()
