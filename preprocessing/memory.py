"""How much memory this process may still take, so that a job that cannot fit is refused at once."""

import resource
from pathlib import Path

import psutil

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
