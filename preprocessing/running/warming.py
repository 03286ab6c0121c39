"""Compiling the kernels before the first mesh, whose time limit they would count against.

The driver does it once for its own machine, and says so. Each fork server loads them before its
first child, on another machine of a cluster after compiling them there.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from preprocessing.compiling import announcement, compiled_kernels, kernels_are_cold
from preprocessing.console import Progress
from preprocessing.running.runner import Item, run
from preprocessing.running.stages import HEAVY, prepare
from preprocessing.running.tasks import Plan, Task
from preprocessing.seeds import generator
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
    """Make small surfaces with the plan's options, but for remeshing, so that their kernels are
    compiled and kept on disk."""
    from preprocessing.mesh import normalise
    from preprocessing.shapes import box, box_in_box, wheel_on_axle
    from preprocessing.solid.offset_surface import marching_surface
    from preprocessing.solid.watertight import solidify

    given = plan.watertight
    if given is None:
        return
    holes = 0.1 if given.close_holes else None
    small = WatertightSettings(
        eps=2 / 48, keep_cavities=given.keep_cavities, close_holes=holes, remesh=False
    )
    solidify(box().mesh, small)
    # Its sheets come so close that there are crevices and that faces cross on the way; as small as
    # does, since every run waits for it.
    wheel, _ = normalise(wheel_on_axle(0.3, width=0.06, axle=0.05).mesh)
    marching_surface(wheel, replace(small, remesh=given.remesh))
    if given.keep_cavities:
        solidify(box_in_box().mesh, small)
    if given.corners == "sharp":
        solidify(box().mesh, replace(small, corners="sharp", mitre=1.1))


def warm_remeshing(plan: Plan) -> None:
    """Remesh a ball whose vertices lie in disorder: these kernels are half of all, and need no grid
    to have run before."""
    from preprocessing.mesh import Mesh
    from preprocessing.shapes import sphere
    from preprocessing.solid.bricks import spacing
    from preprocessing.solid.offset_field import triangle_bricks
    from preprocessing.solid.remesh.remeshing import remesh_apart

    if plan.watertight is None or not plan.watertight.remesh:
        return
    radius, eps, step = 0.2, 2 / 48, spacing(48)
    near = triangle_bricks(sphere(radius, 2).mesh, 48, eps + 3 * step).near(eps)
    even = sphere(radius + eps, 3).mesh
    moved = generator(0, "warming", "remeshing").normal(even.vertices, 0.008)
    normals = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    start = Mesh((radius + eps) * normals, even.faces)
    some = np.arange(len(moved)) % 3 == 0  # of finer cells; frozen ones leave slivers to be rescued
    owner = np.zeros(len(even.faces), np.int32)
    remesh_apart(start, normals, owner, some, some, near, tolerance=0.025)


def warm_rest(plan: Plan) -> None:
    """The same for what a solid needs last, its audit, and for sampling."""
    from preprocessing.distance.queries import unsigned_distance
    from preprocessing.points.sampling import Supervision, sample_shape
    from preprocessing.shapes import cylinder
    from preprocessing.solid.audit import contacts, topology

    mesh = cylinder().mesh  # it has salient edges, and faces for a tree of several levels
    if plan.watertight is not None:
        contacts(mesh, topology(mesh).watertight)
        if plan.watertight.measures_distance:
            unsigned_distance(mesh, mesh.vertices)
    if plan.samples is not None:
        sample_shape(mesh, points=64, supervision=Supervision(dense=100, space=100))


# Two cores compile them side by side.
PARTS = (warm_solid, warm_remeshing, warm_rest)


def warm(plan: Plan) -> None:
    """Load all kernels of the plan's stages, compiled where that is missing."""
    for part in PARTS:
        part(plan)


def first_kernels(plan: Plan) -> list[str]:
    """The kernel modules that tell whether the plan's stages have been compiled."""
    names, given = [], plan.watertight
    if given is not None:
        names = ["brick_kernels", "isosurface_kernels", "crossing_kernels"]
        names += ["mend_kernels"] if given.remesh else []  # of these, what compiles last
        names += ["shell_kernels"] if given.keep_cavities else []
        names += ["hole_kernels"] if given.close_holes else []
        names += ["mitre_feature_kernels"] if given.corners == "sharp" else []
        names += ["distance_kernels"] if given.measures_distance else []
    names += ["distance_kernels", "fps_kernels"] if plan.samples else []
    return list(dict.fromkeys(names))
