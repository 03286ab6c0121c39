"""The kernels that tell whether a run compiles first: they are there, and a run compiles them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from preprocessing.running.tasks import Plan
from preprocessing.running.warming import first_kernels
from preprocessing.settings import SampleSettings, WatertightSettings

ROOT = Path(__file__).parent.parent.parent
WATERTIGHT, SAMPLES = WatertightSettings(eps=2 / 64), SampleSettings()
CODE = """
from pathlib import Path
from preprocessing.compiling import kernels_are_cold
from preprocessing.running.tasks import Plan
from preprocessing.running.warming import first_kernels, warm_kernels
from preprocessing.settings import SampleSettings, WatertightSettings
plan = Plan(out=Path("out"), watertight=WatertightSettings(eps=2 / 64), samples=SampleSettings())
for quiet in (False, False):
    print(kernels_are_cold(*first_kernels(plan)), flush=True)
    warm_kernels(plan, quiet)
print(kernels_are_cold(*first_kernels(plan)))
"""

LOADED = """
import sys
from pathlib import Path
from preprocessing.running.tasks import Plan
from preprocessing.running.warming import warm
from preprocessing.settings import WatertightSettings
from preprocessing.shapes import box_in_box, gear, wheel_on_axle
from preprocessing.solid.watertight import solidify

def compiled():
    modules = {name: module for name, module in sys.modules.items() if name.endswith("_kernels")}
    return {
        (name, key, str(signature))
        for name, module in modules.items()
        for key, kernel in vars(module).items()
        if hasattr(kernel, "py_func")
        for signature in kernel.signatures
    }

settings = WatertightSettings(eps=2 / 64, **eval(sys.argv[1]))
warm(Plan(out=Path("out"), watertight=settings, samples=None))
before = compiled()
for shape in (gear(), wheel_on_axle(), box_in_box()):
    solidify(shape.mesh, settings)
assert compiled() == before, compiled() - before
"""


@pytest.mark.parametrize("plan", [(WATERTIGHT, SAMPLES), (WATERTIGHT, None), (None, SAMPLES)])
def test_each_is_a_module_that_is_there(plan: tuple) -> None:  # type: ignore[type-arg]
    names = first_kernels(Plan(out=Path("out"), watertight=plan[0], samples=plan[1]))
    assert names
    assert ("mend_kernels" in names) == (plan[0] is not None)
    for name in names:
        assert list((ROOT / "preprocessing").rglob(f"{name}.py")), name


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"remesh": False},
        {"keep_cavities": True},
        {"close_holes": 0.1},
        {"corners": "sharp", "mitre": 1.3},
        {"simplify": 0.1},
    ],
)
def test_all_kernels_that_a_mesh_needs_are_loaded_before_the_first(options: dict) -> None:  # type: ignore[type-arg]
    """What compiles later counts against a mesh's time limit."""
    subprocess.run([sys.executable, "-c", LOADED, repr(options)], cwd=ROOT, check=True)


@pytest.mark.slow
def test_a_cold_run_compiles_them_once_and_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={"PATH": "", "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "False", "False"]
    assert done.stderr.count("compiling kernels, once") == 1
    told = [int(n) for n in re.findall(r"^kernels (\d+) ", done.stderr, re.MULTILINE)]
    assert told == sorted(told)
    assert told[-1] > 50
