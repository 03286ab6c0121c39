"""What runs, and what is said, where a package is missing: imports of it fail in a child process.

The way out of what needs pymeshlab is named; scoring needs neither torch nor Ray.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from preprocessing.mesh import save_mesh
from preprocessing.shapes import gear

BLOCK = """
import importlib.util, os, sys
hidden = set(os.environ["HIDDEN"].split(","))
class Hider:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hider())
looked = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in hidden else looked(name, *rest)
"""


def command(
    module: str, *arguments: object, without: str, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run one of the commands where `without` cannot be imported, in its child processes too."""
    (folder / "hide").mkdir(exist_ok=True)
    # Python imports sitecustomize by itself wherever it starts: the fork server is covered.
    (folder / "hide/sitecustomize.py").write_text(BLOCK)
    path = os.pathsep.join([str(folder / "hide"), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", f"from {module} import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path, "HIDDEN": without},
    )


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mesh") / "gear.ply"
    save_mesh(gear().mesh, path)
    return path


def test_everything_else_runs_without_pymeshlab_and_point_cloud_utils(
    mesh: Path, tmp_path: Path
) -> None:
    few = ("--eps", "2/64", "--simplify", "0.1", "--points", 2048, "--near", 4096, "--space", 1024)
    done = command(
        *("preprocessing.cli", "run", mesh, "--out", tmp_path / "out", *few),
        without="pymeshlab,point_cloud_utils,torch",
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/samples/gear.safetensors").is_file()


@pytest.mark.parametrize(
    ("options", "package"),
    [
        (("--method", "alpha-wrap"), "pip install pymeshlab"),
        (("--method", "manifold"), "pip install point-cloud-utils"),
    ],
)
def test_what_needs_a_missing_package_is_refused_before_work(
    mesh: Path, tmp_path: Path, options: tuple[str, ...], package: str
) -> None:
    done = command(
        *("preprocessing.cli", "watertight", mesh, "--out", tmp_path / "out", *options),
        without="pymeshlab,point_cloud_utils",
        folder=tmp_path,
    )
    assert done.returncode == 2, done.stderr
    assert package in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_rare_format_is_a_row_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "part.ctm").write_bytes(b"MM" + bytes(64))
    done = command(
        *("preprocessing.cli", "inspect", tmp_path / "part.ctm"),
        without="pymeshlab",
        folder=tmp_path,
    )
    assert done.returncode == 3, done.stderr
    assert "missing-package" in done.stderr
    assert "convert the file to GLB" in done.stderr


def test_scores_need_neither_torch_nor_ray(mesh: Path, tmp_path: Path) -> None:
    done = command(
        *("dora_bench.cli", "score", mesh, mesh, "--points", 2000, "--json"),
        without="torch,ray,accelerate,tensorboard,huggingface_hub,pymeshlab,trimesh,DracoPy",
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert '"iou": 1.0' in done.stdout


def test_ray_that_is_not_there_is_told(mesh: Path, tmp_path: Path) -> None:
    done = command(
        *("dora_bench.cli", "score", mesh, mesh, "--points", 2000, "--executor", "ray"),
        without="ray",
        folder=tmp_path,
    )
    assert done.returncode == 2, done.stderr
    assert "--executor inline" in done.stderr
    assert "Traceback" not in done.stderr
