"""How much memory this process may still take, so that a job that cannot fit is refused at once."""

import resource
from collections.abc import Callable
from pathlib import Path

import psutil

from preprocessing.mesh_errors import MeshError

CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Bytes free for this process: of the machine, of its container, of its own data limit."""
    free = psutil.virtual_memory().available
    limit, used, parts = (CGROUP / f"memory.{name}" for name in ("max", "current", "stat"))
    if limit.exists() and (text := limit.read_text().strip()) != "max":
        stat = dict(line.split() for line in parts.read_text().splitlines())
        # The kernel takes back file pages before it refuses memory.
        free = min(free, int(text) - int(used.read_text()) + int(stat["inactive_file"]))
    own, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if own != resource.RLIM_INFINITY:
        free = min(free, own - psutil.Process().memory_info().data)
    return max(0, free)


def require_memory(need: int, what: str, advice: Callable[[float], str]) -> None:
    """Raise MeshError(memory) when `need` bytes are more than this process may still take.

    `what` would need them, and `advice(free / need)` says what to do about it.
    """
    free = available_memory()
    if need > free:
        raise MeshError(
            "memory",
            f"{what} would need about {need / 2**30:.1f} GB and {free / 2**30:.1f} GB are free; "
            f"{advice(free / need)}",
        )
