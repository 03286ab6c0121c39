"""Runs over a few small meshes, quick enough for a test each."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from preprocessing.mesh import save_mesh
from preprocessing.running.manifest import find_inputs, mesh_suffixes
from preprocessing.running.pipeline import run_plan
from preprocessing.running.summary import Summary
from preprocessing.running.tasks import Plan
from preprocessing.settings import Limits, WatertightSettings
from preprocessing.shapes import box

SOLID = WatertightSettings(eps=2 / 48)
INLINE = Limits(executor="inline", workers=2, quiet=True, timeout=300)


def write_box(path: Path, size: tuple[float, float, float] = (1, 1, 1)) -> Path:
    """A box in a file; the directory is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.with_name(f"plain{path.suffix}")
    save_mesh(box(size).mesh, plain)
    plain.rename(path)  # the writer's temporary name would not fit beside a name of 255 bytes
    return path


def write_gltf(path: Path, size: float = 1.0) -> Path:
    """A box as .gltf with its buffer in a .bin file beside it."""
    mesh = box((size, 1, 1)).mesh
    vertices, faces = mesh.vertices.astype("<f4"), mesh.faces.astype("<u4")
    data = vertices.tobytes() + faces.tobytes()
    path.with_suffix(".bin").write_bytes(data)
    views = [
        {"buffer": 0, "byteLength": vertices.nbytes},
        {"buffer": 0, "byteOffset": vertices.nbytes, "byteLength": faces.nbytes},
    ]
    low, high = (np.round(f(vertices, axis=0), 6).tolist() for f in (np.min, np.max))
    position = {"bufferView": 0, "componentType": 5126, "count": len(vertices), "type": "VEC3"}
    document = {
        "asset": {"version": "2.0"},
        "buffers": [{"uri": path.with_suffix(".bin").name, "byteLength": len(data)}],
        "bufferViews": views,
        "accessors": [
            position | {"min": low, "max": high},
            {"bufferView": 1, "componentType": 5125, "count": faces.size, "type": "SCALAR"},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        "scene": 0,
    }
    path.write_text(json.dumps(document))
    return path


def run_watertight(
    source: Path, out: Path, settings: WatertightSettings = SOLID, overwrite: bool = False
) -> Summary:
    """`dora-prep watertight` without the command."""
    entries = find_inputs([str(source)], mesh_suffixes(), exclude=out)
    plan = Plan(out=out, watertight=settings, samples=None)
    return run_plan(entries, plan, INLINE, again=None if overwrite else ())


def rows(out: Path) -> dict[str, dict[str, Any]]:
    """The ledger's rows by id."""
    return {row["id"]: row for row in pq.read_table(out / "ledger.parquet").to_pylist()}


def below(folder: Path) -> set[str]:
    """Every file below a folder, ledgers apart."""
    ours = {"ledger.parquet", "ledger.csv", ".ledger.lock", "run.json"}
    found = (path for path in folder.rglob("*") if path.is_file() and path.name not in ours)
    return {str(path.relative_to(folder)) for path in found}
