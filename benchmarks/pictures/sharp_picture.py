"""Draws a gear with round and with sharp corners, whole and a tooth of it (docs/sharp.png).

    python -m benchmarks.pictures.sharp_picture [--out FILE]

Edges that turn by more than 15 degrees, those that Dora samples, are drawn on both. What it prints
is their length.
"""

import argparse
from pathlib import Path

import numpy as np

from preprocessing.files import atomic_write
from preprocessing.looking.render import png_bytes, render_mesh, side_by_side
from preprocessing.mesh import Mesh, normalise
from preprocessing.points.edges import salient_edges
from preprocessing.shapes import gear
from preprocessing.solid.watertight import make_watertight

EPS = 2 / 84
INK = (0.75, 0.15, 0.1)


def main() -> None:
    """Make both solids, draw each whole and near, write one picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/sharp.png"))
    out = parser.parse_args().out
    mesh = gear(teeth=9).mesh
    frame = normalise(mesh)[1]
    whole, tooth = [], []
    for corners in ("round", "sharp"):
        solid = make_watertight(mesh, EPS, 160, corners=corners).mesh
        edges = salient_edges(solid, 15.0)
        print(f"{corners}: {edges.total_length:.2f}")
        name = f"--corners {corners}"
        lines = [(edges.segments, INK)]
        whole.append((name, render_mesh(solid, 560, 420, 25, 35, frame=frame, lines=lines)))
        near = Mesh(solid.vertices, solid.faces[at_tooth(solid.triangles).all(axis=1)])
        lines = [(edges.segments[at_tooth(edges.segments).all(axis=1)], INK)]
        tooth.append(("a tooth", render_mesh(near, 560, 420, 60, 30, lines=lines)))
    atomic_write(out, png_bytes(side_by_side(whole + tooth, columns=2)))
    print(out)


def at_tooth(points: np.ndarray) -> np.ndarray:
    """Which of points (...,3) are round the tooth that points along x."""
    found: np.ndarray = (points[..., 0] > 0.72) & (np.abs(points[..., 1]) < 0.2)
    return found


if __name__ == "__main__":
    main()
