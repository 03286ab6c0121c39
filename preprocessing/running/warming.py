"""Compiling the kernels before the first mesh, whose time limit they would count against.

The driver does it once for its own machine, and says so. Each fork server loads them before its
first child, on another machine of a cluster after compiling them there.
"""

import sys
from dataclasses import dataclass
from typing import Any

from preprocessing.compiling import announcement, kernels_are_cold
from preprocessing.running.runner import Item, run
from preprocessing.running.stages import HEAVY, prepare
from preprocessing.running.tasks import Plan, Task


@dataclass(frozen=True)
class Prepare:
    """`prepare` of one plan, as the runner calls it, with its kernels loaded in the fork server."""

    plan: Plan

    def __call__(self, task: Task) -> dict[str, Any]:
        return prepare(self.plan, task)

    def before_fork(self) -> None:
        """Load the kernels, which takes about a second, after compiling those that are missing."""
        warm(self.plan)


def warm_kernels(plan: Plan, quiet: bool) -> None:
    """Compile the kernels of the plan's stages in a child, unless they are kept from before."""
    if not kernels_are_cold(*first_kernels(plan)):
        return
    if not quiet:
        print(announcement(), file=sys.stderr, flush=True)
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


def first_kernels(plan: Plan) -> list[str]:
    """The kernel modules that tell whether the plan's stages have been compiled."""
    names = ["brick_kernels", "isosurface_kernels", "crossing_kernels"] if plan.watertight else []
    return [*names, "distance_kernels", "fps_kernels"] if plan.samples else names
