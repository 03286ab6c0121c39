"""The whole chain in minutes: raw meshes in, a scored leaderboard out (what `make demo` runs).

Every stage is a command a user could type; each is printed before it runs. Inputs are meshes that
the installed pymeshlab package ships and generated scenes, none of which the model in the box,
`dora-tiny`, has seen. It reads them back at 64 to 4,096 tokens, beside `voxel-N` and `decimate-N`
of about the bytes of 256 tokens. `make taste` then trains a model on the same shapes for a minute.
"""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dora_bench.mini_suite import packaged_meshes
from preprocessing.mesh import save_mesh
from preprocessing.scenes import scene

OUT = Path("demo")
PACKAGED = ("airplane", "bone", "bunny10k_textured", "cow")
SCENES = (0, 5, 7, 14)  # of a seed that dora-tiny was not trained on: what a page shows well
SEED = 99
TOKENS = "64,256,1024,4096"
SAME_BYTES = ("voxel-23", "decimate-2700")  # 256 tokens x 48 x 4 = 49,152 bytes


@dataclass(frozen=True)
class Stage:
    """One command of the demo and the seconds it took."""

    name: str
    seconds: float


def main() -> None:
    """Run the chain into demo/ and print the table, the stage times and where the page is."""
    shutil.rmtree(OUT, ignore_errors=True)
    stages = [timed("collect meshes", collect)]
    prep, suite = OUT / "prep", OUT / "suite"
    results, page = OUT / "results", OUT / "leaderboard"
    models = " ".join(f"--model {name}" for name in ("dora-tiny", *SAME_BYTES))
    commands = {
        "prepare": f"dora-prep run {OUT / 'meshes'} --out {prep} --eps 2/128 --points 16384",
        "build suite": f"dora-bench build {prep / 'watertight'} --out {suite}",
        "evaluate": f"dora-bench eval {models} --tokens {TOKENS} --suite {suite}"
        f" --resolution 96 --points 50000 --out {results}",
        "leaderboard": f"dora-bench leaderboard {results} --out {page}",
    }
    for name, command in commands.items():
        stages.append(timed(name, lambda command=command: run_command(command)))
    show(stages)


def collect() -> None:
    """Raw meshes into demo/meshes/."""
    (OUT / "meshes").mkdir(parents=True)
    for source in packaged_meshes():
        if source.stem in PACKAGED:
            shutil.copyfile(source, OUT / "meshes" / source.name)
    for index in SCENES:
        save_mesh(scene(SEED, index), OUT / "meshes" / f"scene-{index:02d}.glb")


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
    print("to train a model on these shapes for a minute: make taste")


if __name__ == "__main__":
    main()
