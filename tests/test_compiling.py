"""The line about compiling: said with a cold cache, and only then."""

import subprocess
import sys
from pathlib import Path

CODE = """
from preprocessing.compiling import announce_compilation
from preprocessing.solid.audit_kernels import signed_volume
import numpy as np
announce_compilation(signed_volume)
signed_volume(np.eye(3), np.array([[0, 1, 2]]))
announce_compilation(signed_volume)
"""


def test_once_with_a_cold_cache_and_never_with_a_warm_one(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", CODE],
            cwd=root,
            env={"NUMBA_CACHE_DIR": str(tmp_path), "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        said.append(done.stderr.count("compiling kernels, once"))
    assert said == [1, 0]
