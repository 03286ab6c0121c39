"""Damaged files of every format: a mesh or a MeshError each, in ten seconds and two gigabytes.

The slow suite damages 10,000 files a format. A reader that ends the process fails its format.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SUFFIXES = (".obj", ".off", ".ply", ".stl", ".glb", ".gltf", ".drc")
"""The scene formats have a test of their own, in scenes/test_fuzz.py."""


def fuzz(suffixes: tuple[str, ...], count: int, seed: int) -> dict:
    """What became of `count` damaged files a format, read in a process of their own."""
    arguments = [",".join(suffixes), str(count), str(seed)]
    done = subprocess.run(
        [sys.executable, "tests/helpers/fuzzing.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60 + count * len(suffixes),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def assert_held(told: dict, count: int) -> None:
    assert told["wrong"] == []
    assert sum(told["outcomes"].values()) == count
    assert told["outcomes"]["ok"] > 0  # damage that is too heavy would test the first check alone
    assert len(told["outcomes"]) >= 3


def test_damaged_files() -> None:
    for told in fuzz(SUFFIXES, 200, 0).values():
        assert_held(told, 200)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ten_thousand_damaged_files(suffix: str) -> None:
    assert_held(fuzz((suffix,), 10_000, 1)[suffix], 10_000)
