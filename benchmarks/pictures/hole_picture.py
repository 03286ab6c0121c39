"""Draws what --close-holes does to the scanned bunny that pymeshlab ships (docs/close-holes.png).

    python -m benchmarks.pictures.hole_picture [--out FILE]

From below and cut open: the scan with its two holes in the base, the offset of that (a thin shell),
and the solid at tau 0.15. What it prints is the enclosed volume of each.
"""

import argparse
from pathlib import Path

from dora_bench.mini_suite import packaged_meshes
from preprocessing.files import atomic_write
from preprocessing.looking.render import png_bytes, render_mesh, side_by_side
from preprocessing.mesh import Mesh, load_mesh, normalise
from preprocessing.solid.watertight import make_watertight

EPS, TAU = 2 / 256, 0.15
BUNNY = "bunny10k_textured.obj"


def main() -> None:
    """Make the three meshes, draw each from below and cut, write one picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/close-holes.png"))
    out = parser.parse_args().out
    bunny = next(path for path in packaged_meshes() if path.name == BUNNY)
    scan, _ = normalise(load_mesh(bunny))
    frame = normalise(scan)[1]
    thin = make_watertight(scan, EPS)
    solid = make_watertight(scan, EPS, close_holes=TAU)
    print(f"volume: offset {thin.audit['volume']:.3f}, closed {solid.audit['volume']:.3f}")
    below, inside = [], []
    for name, mesh in (
        ("the scan, open below", scan),
        ("offset: a thin shell", thin.mesh),
        (f"--close-holes {TAU}: a solid", solid.mesh),
    ):
        below.append((name, render_mesh(mesh, 480, 400, 20, -50, frame=frame)))
        inside.append(("cut open", render_mesh(half(mesh), 480, 400, 10, 8, frame=frame)))
    atomic_write(out, png_bytes(side_by_side(below + inside, columns=3)))
    print(out)


def half(mesh: Mesh) -> Mesh:
    """The faces behind the middle of the frame."""
    return Mesh(mesh.vertices, mesh.faces[mesh.triangles[:, :, 2].mean(axis=1) < 0.02])


if __name__ == "__main__":
    main()
