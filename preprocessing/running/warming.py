"""Compiling the kernels before the first mesh, whose time limit they would count against.

The driver does it once for its own machine, and says so. Each fork server loads them before its
first child, on another machine of a cluster after compiling them there.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from preprocessing.compiling import announcement, compiled_kernels, kernels_are_cold
from preprocessing.console import Progress
from preprocessing.running.runner import Item, run
from preprocessing.running.stages import HEAVY, prepare
from preprocessing.running.tasks import Plan, Task
from preprocessing.settings import WatertightSettings


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
    compile_cold(first_kernels(plan), [partial(part, plan) for part in PARTS], quiet)


def compile_cold(first: Sequence[str], parts: Sequence[Callable[[], None]], quiet: bool) -> None:
    """Call each part in a child of its own, side by side, if a kernel module of `first` has nothing
    compiled; say so, and how many there are so far, unless `quiet`."""
    if not kernels_are_cold(*first):
        return
    if not quiet:
        print(announcement(), file=sys.stderr, flush=True)
    items = [Item(str(number), part) for number, part in enumerate(parts)]
    with Progress(None, "kernels", quiet, count=compiled_kernels):
        for outcome in run(called, items, executor="inline", preload=HEAVY):
            if outcome.status != "ok":
                told = f"{outcome.reason} {outcome.detail}"
                raise RuntimeError(f"the kernels cannot be compiled: {told}")


def called(part: Callable[[], None]) -> None:
    """One part, as the runner calls it."""
    part()


def warm_solid(plan: Plan) -> None:
    """Make small solids with the plan's options, so that their kernels are compiled and kept on
    disk."""
    from preprocessing.shapes import box, box_in_box, wheel_on_axle
    from preprocessing.solid.watertight import solidify

    given = plan.watertight
    if given is None:
        return
    holes = 0.1 if given.close_holes else None
    small = WatertightSettings(
        eps=2 / 48, keep_cavities=given.keep_cavities, close_holes=holes, remesh=given.remesh
    )
    solidify(box().mesh, small)
    # Its sheets come so close that there are crevices and that faces cross on the way; as small as
    # does, and with few new vertices, since every run waits for it.
    wheel = wheel_on_axle(0.3, width=0.06, axle=0.05)
    solidify(wheel.mesh, replace(small, tolerance=1.0) if given.remesh else small)
    if given.keep_cavities:
        solidify(box_in_box().mesh, small)
    if given.corners == "sharp":
        sharp = WatertightSettings(eps=2 / 48, corners="sharp", mitre=1.1, remesh=given.remesh)
        solidify(box().mesh, sharp)


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


def warm(plan: Plan) -> None:
    """Load all kernels of the plan's stages, compiled where that is missing."""
    for part in PARTS:
        part(plan)


def first_kernels(plan: Plan) -> list[str]:
    """The kernel modules that tell whether the plan's stages have been compiled."""
    names, given = [], plan.watertight
    if given is not None:
        names = ["brick_kernels", "isosurface_kernels", "crossing_kernels"]
        names += ["tidy_kernels"] if given.remesh else []
        names += ["shell_kernels"] if given.keep_cavities else []
        names += ["hole_kernels"] if given.close_holes else []
        names += ["mitre_feature_kernels"] if given.corners == "sharp" else []
    return [*names, "distance_kernels", "fps_kernels"] if plan.samples else names
