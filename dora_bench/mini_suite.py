"""The suite that needs no download: pymeshlab's packaged meshes and our seeded shapes at 2/128."""

import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from dora_bench.suite import Suite, SuiteSettings, build_suite, load_suite
from preprocessing.caches import cache_folder
from preprocessing.console import Progress, UsageError
from preprocessing.mesh import Mesh, load_mesh, save_mesh
from preprocessing.running.manifest import Entry
from preprocessing.shapes import generate_shapes
from preprocessing.solid.watertight import make_watertight

VERSION = 9  # of the builder: what it writes changed with the engine of watertight.py
EPS = 2 / 128
SEED = 0
GENERATED = 10
PACKAGED = (
    "airplane.obj",
    "bone.ply",
    "bunny10k_textured.obj",
    "bunny.obj",
    "cow.obj",
    "rangemaps/face000.ply",
)


def mini_suite(quiet: bool = False) -> Suite:
    """The mini-suite, built into the cache when it is not there (about half a minute)."""
    folder = cache_folder() / f"mini-{VERSION}"
    if not (folder / "suite.json").is_file():
        if not quiet:
            print(f"building the mini-suite into {folder} (once)", file=sys.stderr)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            build_mini(Path(work), quiet)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(Path(work) / "mini", folder)
    return load_suite(folder)


def build_mini(work: Path, quiet: bool) -> None:
    """Make the meshes watertight below `work` and build the suite work/mini from them."""
    shapes = generate_shapes(GENERATED, SEED)
    packaged = packaged_meshes()
    entries, sources = [], {}
    with Progress(len(shapes) + len(packaged), "watertight", quiet) as progress:
        for path in packaged:
            name = path.stem
            entries.append(solid(name, load_mesh(path), work))
            sources[name] = (f"pymeshlab package, tests/sample_meshes/{path.name}", "see pymeshlab")
            progress.update()
        for shape in shapes:
            entries.append(solid(shape.id, shape.mesh, work))
            sources[shape.id] = (f"preprocessing/shapes.py, seed {SEED}", "Apache-2.0")
            progress.update()
    settings = SuiteSettings(name="mini", sources=sources)
    build_suite(entries, work / "mini", settings, workers=1, quiet=True)


def solid(name: str, mesh: Mesh, work: Path) -> Entry:
    """Write the offset surface of one mesh and name it as an input of the suite."""
    path = work / "solid" / f"{name}.ply"
    path.parent.mkdir(exist_ok=True)
    save_mesh(make_watertight(mesh, eps=EPS).mesh, path)
    return Entry(name, str(path))


def packaged_meshes() -> list[Path]:
    """The meshes that the installed pymeshlab ships. Raises UsageError when they are not there."""
    spec = find_spec("pymeshlab")
    if spec is None or spec.origin is None:
        raise UsageError("the mini-suite needs pymeshlab; install it or give --suite")
    folder = Path(spec.origin).parent / "tests/sample_meshes"
    paths = [folder / name for name in PACKAGED]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise UsageError(f"{folder} lacks {', '.join(missing)}; give --suite")
    return paths
