"""Speed and memory of the watertight engine beside OpenVDB 10 and dense point-cloud-utils.

    python -m benchmarks.watertight_speed [--mesh FILE] [--repeats 5] [--skip-dense] [--cpu]

The engine's time is all of make_watertight, remeshing and audit included, kernels warm, the best
of `repeats`, each beside one run of the peer, and once more without remeshing, for the peer does
not remesh either; with --cpu seconds of the processors, for a machine that is not quiet; OpenVDB's
is meshToUnsignedDistanceField and volumeToMesh without any shell selection or projection. The dense
peer is the distance of point-cloud-utils on a 257^3 grid alone, timed on 4 of its 257 slices and
scaled up. Memory is the peak of a fresh process that runs make_watertight with its audit. Run it on
a quiet machine.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from math import log
from pathlib import Path

import numpy as np

from preprocessing.frame import HALF_WIDTH
from preprocessing.mesh import Mesh, load_mesh, normalise
from preprocessing.seeds import generator
from preprocessing.shapes import box
from preprocessing.solid.bricks import spacing
from preprocessing.solid.watertight import make_watertight

PEER = Path(__file__).with_name("openvdb_peer.cpp")
DEBIAN = "apt-get install g++ libopenvdb-dev libtbb-dev libboost-dev libboost-iostreams-dev"


def main() -> None:
    """Print the table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    folder = Path(os.environ.get("DORA_MESHES", "../shared/meshes")) / "objaverse"
    parser.add_argument("--mesh", default=str(folder / "dora_objaverse_3d8d49.glb"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--skip-dense", action="store_true", help="leave point-cloud-utils out")
    parser.add_argument("--cpu", action="store_true", help="processor seconds, not the clock")
    parser.add_argument("--peak", nargs=2, metavar=("MESH", "R"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        name = arguments.peak[0]
        given = crowded_cube() if name == "crowded" else load_mesh(name)
        start = time.perf_counter()
        make_watertight(given, 2 / int(arguments.peak[1]))
        print(f"{time.perf_counter() - start:.1f} s", file=sys.stderr)
        # Not getrusage: its peak is inherited from the process that started this one.
        status = Path("/proc/self/status").read_text()
        print(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 2**20)  # type: ignore[index]
        return
    mesh, _ = normalise(load_mesh(arguments.mesh))
    print(f"{Path(arguments.mesh).name}: {len(mesh.faces)} faces, {os.cpu_count()} cores\n")
    print("| what | ours | peer | ratio | asked |\n|---|---|---|---|---|")
    make_watertight(mesh, 2 / 64)
    with tempfile.TemporaryDirectory() as scratch:
        ours = {256: min(engine_time(mesh, 256, arguments.cpu) for _ in range(arguments.repeats))}
        peer = build_peer(Path(scratch))
        for resolution in (512, 1024):
            ours[resolution], theirs = side_by_side(
                mesh, resolution, arguments, peer, Path(scratch) / "mesh.bin"
            )
            row(f"against OpenVDB 10 at {resolution}", ours[resolution], theirs, "<= 0.45")
            plain = min(
                engine_time(mesh, resolution, arguments.cpu, remesh=False)
                for _ in range(arguments.repeats)
            )
            row(f"the same with --no-remesh at {resolution}", plain, theirs, "<= 0.45")
    if not arguments.skip_dense:
        row("against dense point-cloud-utils at 256", ours[256], dense_time(mesh, 256), "<= 0.005")
    exponent = log(ours[1024] / ours[256]) / log(4)
    print(f"| growth of time, 256 to 1024 | exponent {exponent:.2f} | | | <= 2.2 |")
    for path in sorted(folder.glob("*.glb")):
        for resolution, asked in ((512, 1.0), (1024, 3.5)):
            gb = peak_memory(path, resolution)
            print(f"| peak memory, {path.stem} at {resolution} | {gb:.2f} GB | | | <= {asked} GB |")
    gb = peak_memory(Path("crowded"), 512)
    print(f"| peak memory, cube full of 40,000 inner faces at 512 | {gb:.2f} GB | | | <= 1.5 GB |")


def crowded_cube() -> Mesh:
    """A cube with 40,000 random faces inside, of which nothing shall be left."""
    draw = generator(0, "crowded cube", "faces")
    hull = box((2.0, 2.0, 2.0)).mesh
    middle = draw.uniform(-0.9, 0.9, (40_000, 1, 3))
    inner = np.clip(middle + draw.normal(0, 0.05, (40_000, 3, 3)), -0.95, 0.95).reshape(-1, 3)
    faces = np.arange(len(inner)).reshape(-1, 3) + len(hull.vertices)
    return Mesh(np.vstack([hull.vertices, inner]), np.vstack([hull.faces, faces]))


def row(what: str, ours: float, theirs: float, asked: str) -> None:
    """One line of the table."""
    ratio = f"{ours / theirs:.4f}" if theirs == theirs else ""
    print(f"| {what} | {ours:.3f} s | {theirs:.3f} s | {ratio} | {asked} |", flush=True)


def engine_time(mesh: Mesh, resolution: int, cpu: bool, remesh: bool = True) -> float:
    """Seconds of one run of the engine."""
    clock = time.process_time if cpu else time.perf_counter
    start = clock()
    make_watertight(mesh, 2 / resolution, remesh=remesh)
    return clock() - start


def build_peer(scratch: Path) -> Path | None:
    """The compiled peer, or None with the command that installs what it needs."""
    if shutil.which("g++"):
        program = scratch / "openvdb_peer"
        command = ["g++", "-O3", "-DNDEBUG", "-march=native", "-std=c++17", "-w", str(PEER)]
        command += ["-o", str(program), "-lopenvdb", "-ltbb"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return program
        print(done.stderr.splitlines()[0], file=sys.stderr)
    print(f"the OpenVDB peer does not compile here; {DEBIAN}", file=sys.stderr)
    return None


def side_by_side(
    mesh: Mesh, resolution: int, arguments: argparse.Namespace, peer: Path | None, binary: Path
) -> tuple[float, float]:
    """Best seconds of the engine and of the peer, in turns; the peer's is nan without one."""
    with open(binary, "wb") as handle:
        np.array([len(mesh.vertices), len(mesh.faces)], np.int64).tofile(handle)
        mesh.vertices.astype(np.float32).tofile(handle)
        mesh.faces.astype(np.uint32).tofile(handle)
    ours, theirs = [], [float("nan")] if peer is None else []
    for _ in range(arguments.repeats):
        ours.append(engine_time(mesh, resolution, arguments.cpu))
        if peer is not None:
            command = [str(peer), str(binary), str(resolution), repr(2 / resolution), "1"]
            before = os.times()
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            after = os.times()
            spent = after.children_user + after.children_system
            spent -= before.children_user + before.children_system  # reading the file included
            clock = sum(map(float, done.stdout.split()[:2]))
            theirs.append(spent if arguments.cpu else clock)
    return min(ours), min(theirs)


def dense_time(mesh: Mesh, resolution: int) -> float:
    """Seconds of point-cloud-utils for the distance on every corner of a dense grid."""
    import point_cloud_utils

    axis = -HALF_WIDTH + spacing(resolution) * np.arange(resolution + 1)
    chosen = axis[np.linspace(0, resolution, 6).astype(int)[1:-1]]
    points = np.stack(np.meshgrid(chosen, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    faces = mesh.faces.astype(np.int32)
    start = time.perf_counter()
    point_cloud_utils.signed_distance_to_mesh(points, mesh.vertices, faces)
    return (time.perf_counter() - start) * len(axis) / len(chosen)


def peak_memory(path: Path, resolution: int) -> float:
    """GB (2^30) resident at the peak of a fresh process."""
    command = [sys.executable, "-m", "benchmarks.watertight_speed", "--peak"]
    command += [str(path), str(resolution)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
