"""The installed commands beside folders of the user's own that are named like our packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from preprocessing.mesh import save_mesh
from preprocessing.shapes import gear

BIN = Path(sys.executable).parent


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A working directory with packages `preprocessing`, `vae`, `dora_bench` that are not ours."""
    for name in ("preprocessing", "vae", "dora_bench"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('the wrong package')")
    save_mesh(gear().mesh, tmp_path / "gear.ply")
    return tmp_path


def call(folder: Path, *words: object) -> None:
    """Run a command there; it must end well."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_commands_and_their_children_import_the_installed_packages(hostile: Path) -> None:
    call(hostile, BIN / "dora-prep", "watertight", "gear.ply", "--out", "solid", "--eps", "2/64")
    assert (hostile / "solid/gear.ply").is_file()
    call(hostile, BIN / "dora-bench", "score", "solid/gear.ply", "solid/gear.ply", "--points", 1000)
    call(hostile, BIN / "dora-vae", "--help")


def test_rays_workers_do_too(hostile: Path) -> None:
    code = (
        "from preprocessing.running.runner import Item, run\n"
        "(done,) = run('math:sqrt', [Item('a', 4.0)], executor='ray', workers=1)\n"
        "assert done.value == 2.0, done"
    )
    call(hostile, sys.executable, "-P", "-c", code)


@pytest.mark.slow
def test_ray_and_accelerate_do_too(hostile: Path) -> None:
    few = ("--points", 2048, "--near", 4096, "--space", 1024)
    call(
        *(hostile, BIN / "dora-prep", "run", "gear.ply", "--out", "o", "--eps", "2/64", *few),
        *("--executor", "ray"),
    )
    call(
        *(hostile, BIN / "accelerate", "launch", "--cpu", "--num_processes", 1),
        *(BIN / "dora-vae", "train", "--preset", "tiny", "--data", "o/samples", "--out", "r"),
        *("--steps", 1, "--set", "batch=1"),
    )
    assert (hostile / "r/config.json").is_file()
