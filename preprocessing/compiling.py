"""The cache of compiled kernels: where it lies, whether it is warm, what is said about it.

numba keeps a compiled function beside the source of that function and looks at that source alone:
after a change in a kernel that others call, the others go on with what they were compiled with. So
the cache here is a folder named by a hash of *all* kernel sources (and of where they lie, of
Python's and numba's versions; processors numba tells apart itself): any change compiles all anew,
and an old kernel can neither give old results nor hide a broken one. The package calls
`choose_cache` before anything imports numba.
"""

import hashlib
import os
import re
import shutil
import sys
import time
import warnings
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from preprocessing.caches import cache_folder, writable

PACKAGES = ("preprocessing", "vae", "dora_bench")
CONSTANTS = "preprocessing/frame.py"  # what kernels import that is no kernel; tested
VARIABLE = "NUMBA_CACHE_DIR"
KEPT, KEPT_DAYS = 4, 7  # old versions that stay: the last few, and what was used within a week


def kernel_sources() -> list[Path]:
    """Every file that a compiled kernel is made from, sorted."""
    root = Path(__file__).parent.parent
    found = [path for package in PACKAGES for path in (root / package).rglob("*_kernels.py")]
    return sorted([*found, root / CONSTANTS])


@cache
def cache_name() -> str:
    """The name of the cache folder that belongs to the kernels as this process found them."""
    try:
        numba = version("numba")
    except PackageNotFoundError:  # nothing compiles then, but `doctor` has to run
        numba = "none"
    digest = hashlib.sha256(f"{numba} {sys.implementation.cache_tag}".encode())
    for path in kernel_sources():
        digest.update(f"\0{path}\0".encode() + path.read_bytes())
    return f"kernels-{digest.hexdigest()[:16]}"


def chosen_base() -> Path:
    """The folder that the cache lies in: NUMBA_CACHE_DIR if it is set, else the user's cache.

    Raises FileNotFoundError where there is no place to write to at all.
    """
    given = os.environ.get(VARIABLE)
    if not given:
        return cache_folder()
    # A child inherits the variable with this module's own folder in it.
    ours = re.fullmatch(r"kernels-[0-9a-f]{16}", Path(given).name)
    return Path(given).parent if ours else Path(given)


def choose_cache() -> None:
    """Tell numba where to keep compiled kernels, in this process and its children.

    A NUMBA_CACHE_DIR that cannot be written gives way, with a warning, to the user's cache folder.
    Where nothing at all can be written numba is left to itself.
    """
    name = cache_name()
    try:
        folder = chosen_base() / name
        known = folder.is_dir()
        if not writable(folder):
            refused, folder = folder.parent, cache_folder() / name
            folder.mkdir(parents=True, exist_ok=True)
            warnings.warn(
                f"{VARIABLE}={refused} cannot be written; kernels are kept in {folder}",
                RuntimeWarning,
                stacklevel=2,
            )
    except OSError:
        return
    os.environ[VARIABLE] = str(folder)
    if "numba" in sys.modules:  # it has read the variable already
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    if not known:
        prune(folder)
    try:
        os.utime(folder)  # the time it was last used
    except OSError:
        return  # another user's, who shares it with us


def prune(current: Path) -> None:
    """Remove caches of other versions beside `current` that nobody has used for a while."""
    others = [path for path in current.parent.glob("kernels-*") if path != current]
    used = sorted(((path.stat().st_mtime, path) for path in others), reverse=True)
    for when, path in used[KEPT - 1 :]:
        if time.time() - when > KEPT_DAYS * 86_400:
            shutil.rmtree(path, ignore_errors=True)


def current_cache() -> Path | None:
    """The folder in use, or None where numba was left to itself."""
    given = Path(os.environ.get(VARIABLE) or "")
    return given if given.name == cache_name() else None


def kernels_are_cold(*modules: str) -> bool:
    """Whether one of these kernel modules (`brick_kernels`) has nothing compiled in the cache."""
    folder = current_cache()
    return folder is None or any(not any(folder.glob(f"*/{module}.*.nbi")) for module in modules)


def compiled_kernels() -> int:
    """How many kernels are in the cache."""
    folder = current_cache()
    return 0 if folder is None else sum(1 for _ in folder.glob("*/*.nbi"))


def announce_compilation(kernel: Any) -> None:
    """One line on stderr when a kernel's module is neither loaded nor in the cache.

    `kernel` stands for all kernels of a stage: choose the one that compiles first.
    """
    module = kernel.py_func.__module__.rsplit(".", 1)[-1]
    if not kernel.signatures and kernels_are_cold(module):
        print(announcement(), file=sys.stderr, flush=True)


def announcement() -> str:
    """What a user who waits is told."""
    folder = current_cache()
    kept = f"they are kept in {folder}" if folder else "no folder to keep them in can be written"
    return f"compiling kernels, once for this version: a few minutes ({kept})"
