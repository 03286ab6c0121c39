"""One CSV row for every mesh of the collection made watertight, and for random soups.

    python -m benchmarks.watertight_sweep --out sweep.csv [--eps 2/256] [--soups 500] [--workers 16]

Meshes come from the folder in DORA_MESHES (default ../shared/meshes), each in a process of its own
with one thread, a time limit and its peak memory; the times are those of warm kernels. Columns:
what the audit found; `merged_closed` and `merged_manifold` once vertices in one place (as float32)
are one; the `angle` (degrees) that 1 in 10,000 faces is below; `faces_ratio` to marching cubes of
the same grid. Where they can be imported, trimesh and Open3D load the result as ply, obj, stl and
glb with their defaults (`<loader>_<format>`: closed and manifold), and `pymeshlab_crossing` counts
what its filter selects. Rows already in the file are kept and not measured again.
"""

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.solid.peer_crossings import selected
from benchmarks.watertight_quality import mesh_files
from preprocessing.mesh import Mesh, MeshError, load_mesh, normalise, save_mesh
from preprocessing.mesh_joining import drop_degenerate, join_positions
from preprocessing.seeds import generator
from preprocessing.settings import WatertightSettings, parse_eps
from preprocessing.shapes import wheel_on_axle
from preprocessing.solid.audit import topology
from preprocessing.solid.offset_surface import marching_surface
from preprocessing.solid.watertight import solidify

FORMATS = ("ply", "obj", "stl", "glb")
AUDIT = (
    "vertices", "faces", "components", "watertight", "edge_manifold", "vertex_manifold", "volume",
    "coincident", "self_intersections", "offset_rms", "offset_max", "surface_rms", "surface_max",
)  # fmt: skip
LOADED = [f"{loader}_{suffix}" for loader in ("trimesh", "open3d") for suffix in FORMATS]
COLUMNS = [
    "mesh", "eps", "status", "seconds", "cpu_seconds", "peak_gb", "faces_in", *AUDIT,
    "merged_closed", "merged_manifold", "angle", "faces_ratio", *LOADED, "pymeshlab_crossing",
    "message",
]  # fmt: skip


def main() -> None:
    """Measure what is not in the file yet, and print what is at fault."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, help="the CSV file")
    parser.add_argument("--eps", default="2/256", help="offsets, comma-separated")
    parser.add_argument("--only", default="", help="part of the names to measure")
    parser.add_argument("--soups", type=int, default=0, help="random soups beside the meshes")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--limit", type=float, default=900, help="seconds for one mesh")
    parser.add_argument("--item", nargs=2, metavar=("MESH", "EPS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.item:
        print(json.dumps(measure(*arguments.item)))
        return
    root = Path(os.environ.get("DORA_MESHES", "../shared/meshes"))
    files = sorted(mesh_files(root), key=lambda path: -path.stat().st_size)
    names = [str(path) for path in files] + [f"soup:{seed}" for seed in range(arguments.soups)]
    out = Path(arguments.out)
    known = read_rows(out)
    asked = [
        (name, eps)
        for eps in arguments.eps.split(",")
        for name in names
        if arguments.only in name and (shown(name, root), eps) not in known
    ]
    print(f"{len(asked)} to measure, {len(known)} known", flush=True)
    if asked:
        run_item("soup:0", asked[0][1], arguments.limit)  # the kernels compile once, not in each
    with ThreadPoolExecutor(arguments.workers) as pool:
        pending = {pool.submit(run_item, *one, arguments.limit): one for one in asked}
        for done, future in enumerate(as_completed(pending), 1):
            name, eps = pending[future]
            row = {"mesh": shown(name, root), "eps": eps} | future.result()
            known[row["mesh"], eps] = row
            write_rows(out, known)
            print(f"{done}/{len(asked)} {row['mesh']} {eps}: {summary(row)}", flush=True)
    report(list(known.values()))


def shown(name: str, root: Path) -> str:
    """What a mesh is called in the file."""
    return name if name.startswith("soup:") else str(Path(name).relative_to(root))


def read_rows(out: Path) -> dict[tuple[str, str], dict]:
    """Rows of an earlier run, by mesh and eps."""
    if not out.exists():
        return {}
    with out.open(newline="") as handle:
        return {(row["mesh"], row["eps"]): row for row in csv.DictReader(handle)}


def write_rows(out: Path, rows: dict[tuple[str, str], dict]) -> None:
    """All rows, in order, in place of the file."""
    partial = out.with_name(f".{out.name}.partial")
    with partial.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS)
        writer.writeheader()
        writer.writerows(rows[key] for key in sorted(rows))
    partial.replace(out)


def run_item(name: str, eps: str, limit: float) -> dict:
    """The row of one mesh, measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.watertight_sweep", "--out", "-"]
    one_thread = {f"{name}_NUM_THREADS": "1" for name in ("NUMBA", "OMP", "OPENBLAS", "MKL")}
    try:
        done = subprocess.run(
            [*command, "--item", name, eps],
            capture_output=True, text=True, timeout=limit, env=os.environ | one_thread, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"status": "timeout", "seconds": limit}
    if done.returncode:
        return {"status": f"exit {done.returncode}", "message": done.stderr[-300:]}
    found: dict = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(name: str, eps: str) -> dict:
    """One mesh: its row without the names."""
    try:
        mesh = soup(int(name.split(":")[1])) if name.startswith("soup:") else load_mesh(name)
    except MeshError as error:
        return {"status": "unreadable", "message": str(error)}
    settings = WatertightSettings(eps=parse_eps(eps))
    row: dict = {"faces_in": len(mesh.faces)}
    solidify(wheel_on_axle().mesh, WatertightSettings(eps=2 / 48))  # the kernels load, all of them
    start, before = time.perf_counter(), time.process_time()
    try:
        solid = solidify(mesh, settings)
    except MeshError as error:
        return row | {"status": error.reason, "message": str(error)}
    row["seconds"] = round(time.perf_counter() - start, 2)
    row["cpu_seconds"] = round(time.process_time() - before, 2)
    # Not getrusage: its peak is inherited from the process that started this one.
    status = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    row |= {"status": "ok", "peak_gb": round(int(status[1]) / 2**20, 3) if status else ""}
    row |= {key: solid.audit[key] for key in AUDIT}
    merged, place = join_positions(solid.mesh.vertices.astype(np.float32).astype(np.float64))
    seen = topology(Mesh(merged, drop_degenerate(place[solid.mesh.faces])))
    row |= {"merged_closed": seen.watertight, "merged_manifold": seen.vertex_manifold}
    row["angle"] = float(np.quantile(smallest_angles(solid.mesh), 1e-4))
    plain = marching_surface(normalise(mesh)[0], replace(settings, remesh=False)).surface
    row["faces_ratio"] = round(len(solid.mesh.faces) / len(plain.faces), 3)
    return row | loaders(solid.mesh)


def soup(seed: int) -> Mesh:
    """Random triangles of random size, some doubled, turned or degenerate."""
    draw = generator(seed, "watertight sweep", "soup")
    count = int(draw.integers(1, 60))
    size = draw.uniform(0.01, 1.0, (count, 1, 1))
    corners = draw.uniform(-1, 1, (count, 1, 3)) + size * draw.normal(size=(count, 3, 3))
    corners[::7, 2] = corners[::7, 1]
    faces = np.arange(3 * count).reshape(-1, 3)
    return Mesh(corners.reshape(-1, 3), np.vstack([faces, faces[::4, ::-1], faces[::5]]))


def smallest_angles(mesh: Mesh) -> np.ndarray:
    """The smallest angle of each face, degrees (F,)."""
    corners = mesh.triangles
    found = np.full(len(corners), np.inf)
    for k in range(3):
        one = corners[:, (k + 1) % 3] - corners[:, k]
        two = corners[:, (k + 2) % 3] - corners[:, k]
        across = np.linalg.norm(np.cross(one, two), axis=1)
        found = np.minimum(found, np.arctan2(across, (one * two).sum(axis=1)))
    return np.degrees(found)


def loaders(mesh: Mesh) -> dict:
    """What other tools say of the mesh, those of them that can be imported."""
    found: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = {suffix: Path(folder) / f"mesh.{suffix}" for suffix in FORMATS}
        for path in paths.values():
            save_mesh(mesh, path)
        if find_spec("trimesh"):
            import trimesh

            for suffix, path in paths.items():
                loaded = trimesh.load(path, force="mesh")
                closed = loaded.is_watertight and loaded.is_winding_consistent
                found[f"trimesh_{suffix}"] = bool(closed)
        if find_spec("open3d"):
            import open3d

            for suffix, path in paths.items():
                loaded = open3d.io.read_triangle_mesh(str(path))
                if suffix == "stl":  # a corner each; the other formats have indices
                    loaded.remove_duplicated_vertices()
                manifold = loaded.is_edge_manifold(False) and loaded.is_vertex_manifold()
                found[f"open3d_{suffix}"] = bool(manifold)
        if find_spec("pymeshlab"):
            found["pymeshlab_crossing"] = len(selected(mesh))
    return found


def summary(row: dict) -> str:
    """What the line on the screen says of a row."""
    if row["status"] != "ok":
        return f"{row['status']} {row.get('message', '')[:80]}"
    return (
        f"{row['seconds']} s ({row['cpu_seconds']} of CPU), {row['peak_gb']} GB, "
        f"faces {row['faces']} x {row['faces_ratio']}, "
        f"angle {row['angle']:.1f}, surface {100 * row['surface_rms']:.2f} % "
        f"{100 * row['surface_max']:.0f} %, crossing {row['self_intersections']}"
    )


def report(rows: list[dict]) -> None:
    """How many rows miss each figure asked for."""
    fine = [row for row in rows if row["status"] == "ok"]
    print(f"\n{len(rows)} rows, {len(fine)} ok")
    for what, fails in (
        ("not closed or manifold after merging", lambda r: not (
            truth(r["merged_closed"]) and truth(r["merged_manifold"]))),
        ("coincident or crossing", lambda r: float(r["coincident"]) + float(
            r["self_intersections"]) > 0),
        ("angle below 10 degrees", lambda r: float(r["angle"]) < 10),
        ("surface RMS above 1 %", lambda r: float(r["surface_rms"]) > 0.01),
        ("surface worst above 10 %", lambda r: float(r["surface_max"]) > 0.1),
        ("more than 1.5 x the faces", lambda r: float(r["faces_ratio"]) > 1.5),
        ("not closed for a loader", lambda r: any(
            r.get(name) not in (None, "") and not truth(r[name]) for name in LOADED)),
        ("pymeshlab finds crossings", lambda r: float(r.get("pymeshlab_crossing") or 0) > 0),
    ):  # fmt: skip
        bad = [row["mesh"] for row in fine if fails(row)]
        print(f"{what}: {len(bad)}{', ' if bad else ''}{', '.join(bad[:12])}")
    for row in rows:
        if row["status"] not in ("ok", "unreadable"):
            print(f"{row['mesh']} {row['eps']}: {row['status']} {row.get('message', '')[:200]}")


def truth(value: object) -> bool:
    """A flag as a row of this run or of the file has it."""
    return str(value) == "True"


if __name__ == "__main__":
    main()
