"""The README's commands, run as written, in order, on small meshes (see CHEAPER)."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from preprocessing.mesh import save_mesh
from preprocessing.shapes import cylinder, gear

ROOT = Path(__file__).parent.parent
# The same commands with less work: options appended, none taken away.
CHEAPER = {
    "dora-prep run": "--near 20000 --space 2000 --points 8192",
    "dora-vae train": "--steps 2 --set batch=1",
    "dora-vae reconstruct": "--resolution 32",
    "dora-bench eval": "--resolution 32 --points 2000",
    "dora-bench score": "--points 2000",
}


def readme_commands() -> list[str]:
    """Every line of the README's bash blocks."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [line.split()[1] for line in readme_commands() if line.startswith("make ")]
    assert {"demo", "test"} <= set(named) <= targets


def test_the_readme_commands_run(tmp_path: Path) -> None:
    for folder in ("meshes", "truth", "prediction"):
        save_mesh(gear().mesh, tmp_path / folder / "car.glb")
        save_mesh(cylinder().mesh, tmp_path / folder / "wheel.glb")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = 0
    for line in readme_commands():
        if not line.startswith("dora-"):
            continue
        words = shlex.split(line, comments=True)
        extra = shlex.split(CHEAPER.get(" ".join(words[:2]), ""))
        done = subprocess.run(
            words + extra,
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        ran += 1
    assert ran >= 8
    assert (tmp_path / "site/index.html").stat().st_size > 10_000
    assert (tmp_path / "scores.csv").is_file()
    assert (tmp_path / "car.png").is_file()
