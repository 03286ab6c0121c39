"""Signed distance against brute force: the sign by solid angles, the size over all triangles.

Twenty watertight meshes (the real ones that DORA_MESHES names, filled up with generated shapes) at
2/R; points in the cube and within 0.001 and 0.005 of the surface. Brute force is O(points x
triangles) in float64; 100,000 points in all take about two minutes on 2 cores at R = 64.

    python benchmarks/distance_quality.py [--points 100000] [--resolution 64]
"""

import argparse
import os
import sys
from pathlib import Path

import numba
import numpy as np

from preprocessing import shapes
from preprocessing.distance.queries import signed_distance
from preprocessing.distance.triangle_kernels import closest_on_sliver
from preprocessing.mesh import Mesh, load_mesh
from preprocessing.points.sampling import sample_surface
from preprocessing.seeds import generator
from preprocessing.solid.watertight import make_watertight

COUNT = 20


@numba.njit(parallel=True)
def brute_force(triangles, points):  # type: ignore[no-untyped-def]
    """Winding number (Van Oosterom and Strackee 1983) and distance of every point, (Q,) each."""
    winding, distance = np.empty(len(points)), np.empty(len(points))
    for i in numba.prange(len(points)):
        x, y, z = points[i]
        turns, best = 0.0, np.inf
        for t in range(len(triangles)):
            ax, ay, az = triangles[t, 0, 0] - x, triangles[t, 0, 1] - y, triangles[t, 0, 2] - z
            bx, by, bz = triangles[t, 1, 0] - x, triangles[t, 1, 1] - y, triangles[t, 1, 2] - z
            cx, cy, cz = triangles[t, 2, 0] - x, triangles[t, 2, 1] - y, triangles[t, 2, 2] - z
            a = np.sqrt(ax * ax + ay * ay + az * az)
            b = np.sqrt(bx * bx + by * by + bz * bz)
            c = np.sqrt(cx * cx + cy * cy + cz * cz)
            up = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
            down = a * b * c + (ax * bx + ay * by + az * bz) * c
            down += (bx * cx + by * cy + bz * cz) * a + (cx * ax + cy * ay + cz * az) * b
            turns += np.arctan2(up, down)
            # No triangle with all corners beyond best + its longest side can be the nearest.
            if min(a, b, c) < best + 0.5:
                best = min(best, np.sqrt(closest_on_sliver(triangles[t], x, y, z)[0]))
        winding[i], distance[i] = turns / (2 * np.pi), best
    return winding, distance


def watertight_meshes(resolution: int) -> list[tuple[str, Mesh]]:
    """Twenty solids: up to ten real ones, the rest generated."""
    folder = Path(os.environ.get("DORA_MESHES", "../shared/meshes"))
    paths = [
        path
        for kind in ("objaverse", "organic", "cad", "messy")
        for path in sorted((folder / kind).glob("*"))[:3]
        if path.suffix in (".glb", ".obj", ".ply", ".stl", ".off")
    ][:10]
    raw = [(path.name, load_mesh(path)) for path in paths]
    raw += [(s.id, s.mesh) for s in shapes.generate_shapes(COUNT - len(raw), seed=5)]
    eps = 2 / resolution
    return [(n, make_watertight(m, eps=eps, resolution=resolution).mesh) for n, m in raw]


def main() -> None:
    """Print disagreements a mesh and whether the targets hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--resolution", type=int, default=64)
    options = parser.parse_args()
    wrong, worst = 0, 0.0
    for number, (name, mesh) in enumerate(watertight_meshes(options.resolution)):
        draw, share = generator(number, "pool", "distance"), options.points // COUNT // 4
        surface = sample_surface(mesh, 3 * share, draw)[0]
        sigma = np.repeat([0.001, 0.005, 0.0001], share)[:, None]
        near = surface + sigma * draw.standard_normal(surface.shape)
        points = np.concatenate([draw.uniform(-1.05, 1.05, (share, 3)), near])
        sdf = signed_distance(mesh, points)
        winding, distance = brute_force(mesh.triangles, points)
        signs = int(((sdf > 0) != (winding > 0.5)).sum())
        error = float(np.abs(np.abs(sdf) - distance).max())
        wrong, worst = wrong + signs, max(worst, error)
        print(f"{name:32} {len(mesh.faces):8,} faces  {signs} signs  {error:.1e}", flush=True)
    print(f"{wrong} disagreements in sign, |sdf| within {worst:.1e} (targets: 0, 1e-5)")
    sys.exit(wrong > 0 or worst > 1e-5)


if __name__ == "__main__":
    main()
