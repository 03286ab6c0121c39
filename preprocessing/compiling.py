"""Telling a user who waits that kernels are being compiled, which happens once per machine."""

import sys
from pathlib import Path
from typing import Any


def announce_compilation(kernel: Any) -> None:
    """One line on stderr when a cached numba kernel is neither loaded nor in the disk cache.

    `kernel` stands for all kernels of a stage: choose the one that compiles first.
    """
    if kernel.signatures:
        return
    module = kernel.py_func.__module__.rsplit(".", 1)[-1]
    index = f"{module}.{kernel.py_func.__qualname__}-*.nbi"
    if not any(Path(kernel.stats.cache_path).glob(index)):
        print("compiling kernels, once (up to a minute)", file=sys.stderr, flush=True)
