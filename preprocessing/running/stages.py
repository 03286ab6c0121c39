"""What happens to one mesh, in the child: load, make watertight, sample, write, prove.

The driver only names `prepare` to the runner, so the heavy imports stand inside the functions; the
fork server has them loaded before the first item.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocessing.mesh_errors import MeshError
from preprocessing.running.proof import (
    input_facts,
    measure,
    output_facts,
    output_paths,
    still_done,
)
from preprocessing.running.tasks import Plan, Task
from preprocessing.settings import SampleSettings, WatertightSettings
from preprocessing.stores import systems
from preprocessing.stores.address import Place, StorePath
from preprocessing.stores.scratch import at_hand, scratch_folder

if TYPE_CHECKING:
    from preprocessing.mesh import Mesh
    from preprocessing.points.samples import Sample
    from preprocessing.solid.watertight import Watertight

HEAVY = (
    "preprocessing.solid.watertight",
    "preprocessing.points.sampling",
    "preprocessing.points.samples",
)

SAMPLE_ENDINGS = {
    "safetensors": (".safetensors",),
    "npz": (".npz",),
    "vecset": (".npz",),
    "hunyuan": ("_surface.npz", "_sdf.npz"),
}
"""What follows the id in the names of a sample's files, by layout."""


class OutputError(RuntimeError):
    """Our own result did not pass its checks: a failure of ours, not a fault of the input."""


def prepare(plan: Plan, task: Task) -> dict[str, Any]:
    """Carry out the plan for one mesh and return the ledger's columns.

    Keys: `input` (columns about the input file), `unchanged` (True: nothing was done), and for each
    stage that ran, `watertight` and `samples` with its columns; of an input that cannot be used
    they say so. Raises MeshError(missing | unreadable), OutputError when our result fails its
    audit, and StoreError.
    """
    with fetched(task.path) as path:
        facts = input_facts(path)
        if task.done is not None and still_done(facts["input_sha256"], task.done):
            return {"input": facts, "unchanged": True}
        try:
            return {"input": facts, "unchanged": False, **worked(plan, task, path)}
        except MeshError as error:
            told = {"reason": error.reason, "detail": error.message.replace(path, task.path)}
            stages = {"watertight": plan.watertight, "samples": plan.samples}
            bad = {name: {"status": "rejected", **told} for name, on in stages.items() if on}
            return {"input": facts, "unchanged": False, **bad}


def worked(plan: Plan, task: Task, path: str) -> dict[str, dict[str, Any]]:
    """The columns of each stage, from a file of this machine. Raises MeshError, OutputError."""
    from preprocessing.mesh import load_mesh_report

    loaded = load_mesh_report(path)
    result: dict[str, dict[str, Any]] = {}
    mesh = loaded.mesh
    if plan.watertight is None:
        assert plan.samples is not None
        try:
            result["samples"] = make_sample(
                plan.samples, mesh, plan.samples_folder, task.id, task.eps
            )
        except MeshError as error:  # the row says how open the mesh is, not only that it is
            told = {"status": "rejected", "reason": error.reason, "detail": error.message}
            result["samples"] = {**told, **odd_edges(mesh)}
        return result
    solid, result["watertight"] = make_solid(plan.watertight, mesh, plan.watertight_folder, task.id)
    result["watertight"] |= loaded.columns
    if plan.samples is not None:
        folder, seen = plan.samples_folder, as_written(solid.mesh)
        try:
            columns = make_sample(plan.samples, seen, folder, task.id, plan.watertight.eps)
        except MeshError as error:  # the watertight mesh stands; its sample does not
            columns = {"status": "failed", "reason": error.reason, "detail": error.message}
        result["samples"] = columns
    return result


@contextlib.contextmanager
def fetched(source: str) -> Iterator[str]:
    """The input's file, brought here if it is in a store. Raises MeshError(missing)."""
    with contextlib.ExitStack() as stack:
        try:
            path = stack.enter_context(at_hand(source))
        except FileNotFoundError as error:
            raise MeshError("missing", f"{source} is not there") from error
        yield path


@contextlib.contextmanager
def delivered(folder: Place, columns: dict[str, Any]) -> Iterator[Path]:
    """Where to write an output that belongs into `folder`, and its columns meanwhile.

    Into a store it goes from there, whole, and the columns get the time that it has in it.
    """
    if not isinstance(folder, StorePath):
        yield folder
        return
    with scratch_folder() as local:
        yield local
        for path in output_paths(local, columns["output"]):
            systems.put(path, f"{folder}/{path.relative_to(local)}")
    columns["output_mtime_ns"] = measure(folder, columns["output"])[1]


def make_solid(
    settings: WatertightSettings, mesh: "Mesh", folder: Place, name: str
) -> tuple["Watertight", dict[str, Any]]:
    """The watertight mesh, written to `folder`, and its columns. Raises OutputError, MeshError."""
    from preprocessing.mesh import save_mesh
    from preprocessing.solid.watertight import WatertightError, solidify

    started = time.perf_counter()
    try:
        solid = solidify(mesh, settings)
    except WatertightError as error:
        raise OutputError(f"{error.reason}: {error.message}") from error
    center = solid.transform.center
    columns = {
        **{name: plain(value) for name, value in solid.audit.items()},
        "eps": settings.eps,
        "resolution": settings.resolution,
        "method": settings.method,
        "scale": solid.transform.scale,
        "center_x": center[0],
        "center_y": center[1],
        "center_z": center[2],
    }
    with delivered(folder, columns) as local:
        path = local / f"{name}.{settings.format}"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_mesh(solid.mesh, path)
        columns |= output_facts([path], local)
    return solid, {**columns, "seconds": time.perf_counter() - started}


def make_sample(
    settings: SampleSettings,
    mesh: "Mesh",
    folder: Place,
    name: str,
    eps: float | None,
) -> dict[str, Any]:
    """Sample a watertight mesh, write the file, return its columns. Raises MeshError."""
    from preprocessing.points.sampling import Supervision, sample_shape

    started = time.perf_counter()
    published = Supervision()
    supervision = Supervision(
        dense=settings.near // len(published.near_sigmas), space=settings.space
    )
    sample = sample_shape(
        mesh,
        points=settings.points,
        angle=settings.angle,
        seed=settings.seed,
        item_id=name,
        eps=eps,
        edge_spread=settings.edge_spread,
        supervision=supervision,
        dtype=settings.dtype,
    )
    columns = {
        **sample_columns(sample),
        "angle": settings.angle,
        "eps": eps,
        "seed": settings.seed,
    }
    with delivered(folder, columns) as local:
        paths = write_format(sample, local, name, settings.format)
        columns |= output_facts(paths, local)
    return {**columns, "seconds": time.perf_counter() - started}


def odd_edges(mesh: "Mesh") -> dict[str, int]:
    """The ledger's counts of edges with one face and with more than two."""
    from preprocessing.half_edges import edge_faults

    faults = edge_faults(mesh.faces)
    return {"boundary_edges": faults.open_edges, "nonmanifold_edges": faults.nonmanifold_edges}


def write_format(sample: "Sample", folder: Path, name: str, format: str) -> list[Path]:
    """Write a sample in one of the layouts; the files written. Raises SampleError."""
    from preprocessing.points.layouts import write_hunyuan, write_npz, write_vecset
    from preprocessing.points.samples import write_sample

    if format == "hunyuan":
        return list(write_hunyuan(sample, folder / name))
    write = {"safetensors": write_sample, "npz": write_npz, "vecset": write_vecset}[format]
    path = folder / f"{name}.{'safetensors' if format == 'safetensors' else 'npz'}"
    write(sample, path)
    return [path]


def sample_columns(sample: "Sample") -> dict[str, Any]:
    """The ledger's columns about a sample."""
    facts = sample.metadata
    whole = ("salient_edges", "boundary_edges", "nonmanifold_edges", "level")
    return {
        **{name: int(facts[name]) for name in whole if name in facts},
        "salient_length": float(facts["salient_length"]) if "salient_length" in facts else None,
        "coarse_points": len(sample.coarse_surface),
        "sharp_points": len(sample.sharp_surface),
        "near_points": len(sample.coarse_near) + len(sample.sharp_near),
        "space_points": len(sample.space),
    }


def as_written(mesh: "Mesh") -> "Mesh":
    """The mesh with float32 vertices, as a reader of its file sees it: `run` then samples what
    `sample` would."""
    from preprocessing.mesh import Mesh

    return Mesh(mesh.vertices.astype("float32"), mesh.faces)


def plain(value: Any) -> Any:
    """A NumPy scalar as a Python one."""
    return value.item() if hasattr(value, "item") else value
