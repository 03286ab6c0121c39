"""What the operating system tells: Linux's figures, and the ways that do without them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from preprocessing.running import system

HELPERS = Path(__file__).parents[1] / "helpers"
# Another system as far as our code can tell: no memfd, no affinity, no name `linux`. What asks for
# the platform while it loads, and is not ours, is loaded before.
ELSEWHERE = """
import ctypes, multiprocessing, os, psutil, sys
del os.memfd_create, os.sched_getaffinity
sys.platform = "darwin"
"""
DRIVER = """
import json
from preprocessing.running import system
from preprocessing.running.runner import Item, run
kinds = ("segfault", "abort", "exit", "hang", "flood", "raise", "reject", "print", "fine")
items = [Item(kind, kind) for kind in kinds]
outcomes = run("crashers:misbehave", items, executor="inline", workers=2, timeout=3, memory=0.15)
print(json.dumps({"linux": system.LINUX, **{o.id: [o.status, o.reason] for o in outcomes}}))
"""


def test_the_inline_executor_names_every_fault_where_it_is_not_linux(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(ELSEWHERE)
    path = os.pathsep.join([str(tmp_path), str(HELPERS), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "linux": False,
        "segfault": ["crashed", "SIGSEGV"],
        "abort": ["crashed", "SIGABRT"],
        "exit": ["crashed", "exit code 7"],
        "hang": ["timeout", "no result within 3 s"],
        "flood": ["memory", "more than 0.15 GB"],
        "raise": ["failed", "ValueError: as asked"],
        "reject": ["rejected", "empty"],
        "print": ["ok", ""],
        "fine": ["ok", ""],
    }


def test_memory_is_measured_both_ways(monkeypatch) -> None:
    kept = np.ones(10**7)
    here = system.resident_mb(os.getpid())
    assert here > kept.nbytes / 2**20
    assert system.peak_memory_mb(here) >= here
    monkeypatch.setattr(system, "LINUX", False)
    assert abs(system.resident_mb(os.getpid()) - here) < 0.1 * here
    assert system.resident_mb(2**30) == 0


def test_a_log_is_appended_to_after_it_was_cut(monkeypatch) -> None:
    for linux in (True, False):
        monkeypatch.setattr(system, "LINUX", linux)
        log = system.memory_file()
        os.write(log, b"first")
        os.ftruncate(log, 0)
        os.write(log, b"next")
        assert os.pread(log, 100, 0) == b"next"
        os.close(log)
