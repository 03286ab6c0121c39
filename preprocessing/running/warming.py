"""Compiling the kernels before the first mesh, whose time limit they would count against.

The driver does it once for its own machine, and says so. Each fork server loads them before its
first child, on another machine of a cluster after compiling them there.
"""

import sys
from collections.abc import Callable
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
    """Compile the kernels of the plan's stages in children, unless they are kept from before."""
    if not kernels_are_cold(*first_kernels(plan)):
        return
    if not quiet:
        print(announcement(), file=sys.stderr, flush=True)
    parts = [Item(part.__name__, (part, plan)) for part in PARTS]
    for outcome in run(warm_part, parts, executor="inline", preload=HEAVY):
        if outcome.status != "ok":
            raise RuntimeError(f"the kernels cannot be compiled: {outcome.reason} {outcome.detail}")


def warm_solid(plan: Plan) -> None:
    """Make a solid of a box, so that its kernels are compiled and kept on disk."""
    from preprocessing.shapes import box
    from preprocessing.solid.watertight import make_watertight

    if plan.watertight is not None:
        make_watertight(box().mesh, eps=2 / 64, resolution=64)


def warm_rest(plan: Plan) -> None:
    """The same for what a solid needs last, its audit, and for sampling."""
    from preprocessing.points.sampling import Supervision, sample_shape
    from preprocessing.shapes import cylinder
    from preprocessing.solid.audit import contacts, topology

    mesh = cylinder().mesh  # it has salient edges, and faces for a tree of several levels
    if plan.watertight is not None:
        contacts(mesh, topology(mesh).watertight)
    if plan.samples is not None:
        sample_shape(mesh, points=64, supervision=Supervision(dense=100, space=100))


# Two cores compile them side by side in two thirds of the time.
PARTS = (warm_rest, warm_solid)


def warm_part(given: tuple[Callable[[Plan], None], Plan]) -> None:
    """One part, as the runner calls it."""
    part, plan = given
    part(plan)


def warm(plan: Plan) -> None:
    """Load all kernels of the plan's stages, compiled where that is missing."""
    for part in PARTS:
        part(plan)


def first_kernels(plan: Plan) -> list[str]:
    """The kernel modules that tell whether the plan's stages have been compiled."""
    names = ["brick_kernels", "isosurface_kernels", "crossing_kernels"] if plan.watertight else []
    return [*names, "distance_kernels", "fps_kernels"] if plan.samples else names
