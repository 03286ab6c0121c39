"""Edges of the offsets of smooth shapes that are no edges: above 15 degrees, in random poses.

    python -m benchmarks.solid.false_edges [--poses 100] [--eps 2/256]

A torus (tube of 0.3, 96 x 48), an ellipsoid and a capsule are turned at random and made watertight.
Edges are counted by the plain angle between the normals of their two faces, as trimesh has it; a
line a shape says how many there are over all poses, the steepest of them, and the smallest angle
that 1 in 10,000 faces is below, in the worst pose.
"""

import argparse
import sys

import numpy as np
import trimesh

from benchmarks.watertight_sweep import smallest_angles
from preprocessing.mesh import Mesh
from preprocessing.seeds import generator
from preprocessing.settings import parse_eps
from preprocessing.shapes import capsule, random_rotation, sphere, torus
from preprocessing.solid.watertight import make_watertight

STEEP = 15.0


def main() -> None:
    """Print the three lines; exit with 1 where there is a false edge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--poses", type=int, default=100)
    parser.add_argument("--eps", default="2/256")
    given = parser.parse_args()
    ball = sphere().mesh
    shapes = {
        "torus": torus(0.7, 0.3, 96, 48).mesh,
        "ellipsoid": Mesh(ball.vertices * (1.0, 0.7, 0.45), ball.faces),
        "capsule": capsule().mesh,
    }
    total = 0
    for name, mesh in shapes.items():
        rows = np.array([measure(mesh, name, pose, given.eps) for pose in range(given.poses)])
        steep = int(rows[:, 0].sum())
        total += steep
        print(
            f"{name}: {steep} edges above {STEEP:g} degrees in {given.poses} poses, the steepest "
            f"{rows[:, 1].max():.1f}; angle {rows[:, 2].min():.1f}, surface RMS "
            f"{100 * rows[:, 3].max():.2f} % of eps, worst {100 * rows[:, 4].max():.1f} %",
            flush=True,
        )
    sys.exit(total > 0)


def measure(mesh: Mesh, name: str, pose: int, eps: str) -> tuple[float, ...]:
    """Steep edges, the steepest, the angle, and the surface's RMS and worst error, of one pose."""
    turn = random_rotation(generator(pose, "false edges", name))
    solid = make_watertight(Mesh(mesh.vertices @ turn.T, mesh.faces), parse_eps(eps))
    plain = trimesh.Trimesh(solid.mesh.vertices, solid.mesh.faces, process=False)
    angles = np.degrees(plain.face_adjacency_angles)
    return (
        float((angles > STEEP).sum()),
        float(angles.max()),
        float(np.quantile(smallest_angles(solid.mesh), 1e-4)),
        float(solid.audit["surface_rms"]),
        float(solid.audit["surface_max"]),
    )


if __name__ == "__main__":
    main()
