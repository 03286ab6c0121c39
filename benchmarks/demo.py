"""The whole chain in minutes: raw meshes in, a scored leaderboard out (what `make demo` runs).

Every stage is a command a user could type; each is printed before it runs. Inputs are the meshes
that the installed pymeshlab package ships and shapes from our own seeded generator. The VAE trains
on `train/` only; it is scored on those *and* on `held-out/`, and the table says which are which.
"""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from preprocessing.mesh import save_mesh
from preprocessing.shapes import gear, generate_shapes, l_bracket

OUT = Path("demo")
PACKAGED = ("airplane.obj", "bone.ply", "bunny10k_textured.obj", "cow.obj", "rangemaps/face000.ply")
TRAINED_ON = ("bone", "cow", "gear", "l_bracket")
GENERATED = 9


@dataclass(frozen=True)
class Stage:
    """One command of the demo and the seconds it took."""

    name: str
    seconds: float


def main() -> None:
    """Run the chain into demo/ and print the table, the stage times and where the page is."""
    shutil.rmtree(OUT, ignore_errors=True)
    stages = [timed("collect meshes", collect)]
    prep, suite, run = OUT / "prep", OUT / "suite", OUT / "tiny"
    results, page = OUT / "results", OUT / "leaderboard"
    commands = {
        "prepare": f"dora-prep run {OUT / 'meshes'} --out {prep} --eps 2/128 --points 16384",
        "train": f"dora-vae train --preset tiny --data {prep / 'samples/train'} --out {run}"
        " --set steps=1000",
        "build suite": f"dora-bench build {prep / 'watertight'} --out {suite}",
        "evaluate": f"dora-bench eval --model {run} --model identity --model voxel-64"
        f" --tokens 64,256,1024 --suite {suite} --resolution 64 --points 50000 --out {results}",
        "leaderboard": f"dora-bench leaderboard {results} --out {page}",
    }
    for name, command in commands.items():
        stages.append(timed(name, lambda command=command: run_command(command)))
    show(stages)


def collect() -> None:
    """Raw meshes of both kinds into demo/meshes/{train,held-out}/."""
    spec = find_spec("pymeshlab")
    if spec is None or spec.origin is None:
        raise SystemExit("pymeshlab is not installed; type: make setup")
    packaged = Path(spec.origin).parent / "tests/sample_meshes"
    for name in PACKAGED:
        source = packaged / name
        target = OUT / "meshes" / group(source.stem) / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for shape in (gear(), l_bracket(), *generate_shapes(GENERATED, seed=0)):
        save_mesh(shape.mesh, OUT / "meshes" / group(shape.id) / f"{shape.id}.glb")


def group(name: str) -> str:
    """Which half of the demo a shape belongs to."""
    return "train" if name in TRAINED_ON else "held-out"


def run_command(command: str) -> None:
    """Run one of our commands from the same environment as this script; stop on failure."""
    print(f"\n$ {command}", flush=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(command.split(), env={**os.environ, "PATH": path}, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the demo stopped: `{command}` ended with exit code {done.returncode}")


def timed(name: str, work) -> Stage:
    started = time.monotonic()
    work()
    return Stage(name, time.monotonic() - started)


def show(stages: list[Stage]) -> None:
    """The table, the time of each stage and the page's address."""
    page = OUT / "leaderboard"
    print("\n" + (page / "leaderboard.md").read_text())
    times = pd.DataFrame([(s.name, round(s.seconds, 1)) for s in stages], columns=["stage", "s"])
    print(times.to_string(index=False))
    print(f"in all {sum(s.seconds for s in stages):.0f} s")
    print(f"page: {(page / 'index.html').resolve().as_uri()}")


if __name__ == "__main__":
    main()
