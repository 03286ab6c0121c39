"""Compiling the kernels before the first mesh, whose time limit they would count against."""

import os
import sys
from pathlib import Path

from preprocessing.running.runner import Item, run
from preprocessing.running.stages import HEAVY
from preprocessing.running.tasks import Plan


def warm_kernels(plan: Plan, quiet: bool) -> None:
    """Compile the kernels of the plan's stages in a child, unless they are kept from before."""
    if not kernels_are_cold(plan):
        return
    if not quiet:
        print("compiling kernels, once for this version: up to a minute", file=sys.stderr)
    for outcome in run(warm, [Item("kernels", plan)], executor="inline", preload=HEAVY):
        if outcome.status != "ok":
            raise RuntimeError(f"the kernels cannot be compiled: {outcome.reason} {outcome.detail}")


def warm(plan: Plan) -> None:
    """Run both stages on a tetrahedron, so that the kernels are compiled and kept on disk."""
    import numpy as np

    from preprocessing.mesh import Mesh
    from preprocessing.points.sampling import Supervision, sample_shape
    from preprocessing.solid.watertight import make_watertight

    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    mesh = Mesh(corners, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
    solid = make_watertight(mesh, eps=2 / 64, resolution=64).mesh
    if plan.samples is not None:
        sample_shape(solid, points=64, supervision=Supervision(dense=100, space=100))


def kernels_are_cold(plan: Plan) -> bool:
    """Whether a run will compile kernels first: nothing kept, or older than the source."""
    names = ["solid/brick_kernels", "solid/isosurface_kernels"] if plan.watertight else []
    names += ["distance/distance_kernels", "points/fps_kernels"] if plan.samples else []
    package = Path(__file__).parent.parent
    elsewhere = os.environ.get("NUMBA_CACHE_DIR")
    for name in names:
        source = package / f"{name}.py"
        kept = (
            Path(elsewhere).rglob(f"{source.stem}.*.nbi")
            if elsewhere
            else (source.parent / "__pycache__").glob(f"{source.stem}.*.nbi")
        )
        changed = source.stat().st_mtime
        if not any(one.stat().st_mtime > changed for one in kept):
            return True
    return False
