"""What happens to one mesh, in the child: load, make watertight, sample, write, prove.

The driver imports this module for its dataclasses alone, so the heavy imports stand inside the
functions; the fork server has them loaded before the first item.
"""

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocessing.files import sha256_file
from preprocessing.mesh_errors import MeshError

if TYPE_CHECKING:
    from preprocessing.mesh import Mesh
    from preprocessing.points.samples import Sample
    from preprocessing.solid.watertight import Watertight

HEAVY = (
    "preprocessing.solid.watertight",
    "preprocessing.points.sampling",
    "preprocessing.points.samples",
)


class OutputError(RuntimeError):
    """Our own result did not pass its checks: a failure of ours, not a fault of the input."""


@dataclass(frozen=True, kw_only=True)
class WatertightSettings:
    """What `make_watertight` is asked for, and the format of the file."""

    eps: float
    resolution: int
    method: str = "offset"
    format: str = "ply"
    keep_cavities: bool = False
    close_holes: float | None = None
    simplify: float | None = None


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """What `sample_shape` is asked for, and the layout of the file."""

    points: int = 65536
    angle: float = 15.0
    seed: int = 0
    edge_spread: str = "length"
    near: int = 400_000
    space: int = 200_000
    format: str = "safetensors"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The stages of a run and where their files go; None leaves a stage out."""

    watertight: WatertightSettings | None
    samples: SampleSettings | None
    watertight_folder: str = ""
    samples_folder: str = ""


@dataclass(frozen=True)
class Done:
    """What an earlier run left: sha256 of the input, and (folder, names, sha256) of each output."""

    input_sha256: str
    outputs: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Task:
    """One input. When all that `done` says still holds, there is nothing to do."""

    id: str
    path: str
    eps: float | None = None  # of the input, where it is known to be an offset surface
    done: Done | None = None


def prepare(plan: Plan, task: Task) -> dict[str, Any]:
    """Carry out the plan for one mesh and return the ledger's columns.

    Keys: `input` (columns about the input file), `unchanged` (True: nothing was done), and for each
    stage that ran, `watertight` and `samples` with its columns. Raises MeshError for an input that
    cannot be used and OutputError when our result fails its audit.
    """
    facts = input_facts(task.path)
    if task.done is not None and still_done(facts["input_sha256"], task.done):
        return {"input": facts, "unchanged": True}
    from preprocessing.mesh import load_mesh

    result: dict[str, Any] = {"input": facts, "unchanged": False}
    mesh = load_mesh(task.path)
    if plan.watertight is None:
        assert plan.samples is not None
        folder = Path(plan.samples_folder)
        try:
            result["samples"] = make_sample(plan.samples, mesh, folder, task.id, task.eps)
        except MeshError as error:  # the row says how open the mesh is, not only that it is
            told = {"status": "rejected", "reason": error.reason, "detail": error.message}
            result["samples"] = {**told, **odd_edges(mesh)}
        return result
    solid, result["watertight"] = make_solid(plan.watertight, mesh, plan.watertight_folder, task.id)
    if plan.samples is not None:
        folder = Path(plan.samples_folder)
        eps = plan.watertight.eps
        try:
            columns = make_sample(plan.samples, as_written(solid.mesh), folder, task.id, eps)
        except MeshError as error:  # the watertight mesh stands; its sample does not
            columns = {"status": "failed", "reason": error.reason, "detail": error.message}
        result["samples"] = columns
    return result


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


def make_solid(
    settings: WatertightSettings, mesh: "Mesh", folder: str, name: str
) -> tuple["Watertight", dict[str, Any]]:
    """The watertight mesh, written to `folder`, and its columns. Raises OutputError, MeshError."""
    from preprocessing.mesh import save_mesh
    from preprocessing.solid.watertight import WatertightError, make_watertight

    started = time.perf_counter()
    try:
        solid = make_watertight(
            mesh,
            eps=settings.eps,
            resolution=settings.resolution,
            method=settings.method,
            keep_cavities=settings.keep_cavities,
            close_holes=settings.close_holes,
            simplify=settings.simplify,
        )
    except WatertightError as error:
        raise OutputError(f"{error.reason}: {error.message}") from error
    path = Path(folder) / f"{name}.{settings.format}"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_mesh(solid.mesh, path)
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
        **output_facts([path], Path(folder)),
        "seconds": time.perf_counter() - started,
    }
    return solid, columns


def make_sample(
    settings: SampleSettings,
    mesh: "Mesh",
    folder: Path,
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
    )
    paths = write_format(sample, folder, name, settings.format)
    return {
        **sample_columns(sample),
        "angle": settings.angle,
        "eps": eps,
        "seed": settings.seed,
        **output_facts(paths, folder),
        "seconds": time.perf_counter() - started,
    }


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


def input_facts(path: str) -> dict[str, Any]:
    """Size, time and sha256 of the input. Raises MeshError(missing | unreadable)."""
    try:
        found = os.stat(path)
        digest = sha256_file(path)
    except FileNotFoundError as error:
        raise MeshError("missing", f"{path} is not there") from error
    except (IsADirectoryError, PermissionError) as error:
        raise MeshError("unreadable", f"{path}: {error.strerror}") from error
    return {
        "input_bytes": found.st_size,
        "input_mtime_ns": found.st_mtime_ns,
        "input_sha256": digest,
    }


def output_facts(paths: list[Path], folder: Path) -> dict[str, Any]:
    """What proves later that an output is whole: its name, size, time and sha256.

    Where a layout has two files, the names are joined by "|" and the figures speak for both.
    """
    names = "|".join(str(path.relative_to(folder)) for path in paths)
    size, changed = measure(folder, names)
    return {
        "output": names,
        "output_bytes": size,
        "output_mtime_ns": changed,
        "output_sha256": digest(folder, names),
    }


def measure(folder: Path, names: str) -> tuple[int, int]:
    """Size in all and latest change of an output. Raises FileNotFoundError."""
    found = [(folder / name).stat() for name in names.split("|")]
    return sum(one.st_size for one in found), max(one.st_mtime_ns for one in found)


def digest(folder: Path, names: str) -> str:
    """sha256 of an output; of the digests one after another where it is several files."""
    digests = [sha256_file(folder / name) for name in names.split("|")]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def still_done(input_sha256: str, done: Done) -> bool:
    """Whether the input and every output still have the bytes of the earlier run."""
    try:
        return done.input_sha256 == input_sha256 and all(
            digest(Path(folder), names) == sha256 for folder, names, sha256 in done.outputs
        )
    except FileNotFoundError:
        return False


def plain(value: Any) -> Any:
    """A NumPy scalar as a Python one."""
    return value.item() if hasattr(value, "item") else value
