"""What supervision asks of the operating system: exactly on Linux, as near as can be elsewhere.

Linux tells a process's memory in /proc, ends a child with its parent, keeps a log in memory. Where
it is not Linux (macOS), memory comes from psutil, a log is a temporary file, the peak of an item is
that of its child, no allocation is cut off before the poll sees it, and a child that hangs in
native code outlives a driver that was killed. `dora-prep doctor` says so.
"""

import ctypes
import fcntl
import os
import resource
import signal
import sys
import tempfile

import psutil

LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG = 1
MB = 2**20


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if LINUX else os.cpu_count() or 1


def memory_file() -> int:
    """A descriptor of a file without a name, appended to, so that truncating it is safe."""
    if LINUX:
        file = os.memfd_create("item-log")
    else:
        with tempfile.TemporaryFile() as named:
            file = os.dup(named.fileno())
    fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
    return file


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, whatever it is doing (Linux)."""
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def limit_data(extra: int) -> None:
    """Let this process allocate at most `extra` bytes more than it has (Linux)."""
    if LINUX:
        limit = status_kb("VmData:") * 1024 + extra
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def keep_freed_memory() -> None:
    """Let this process keep the memory it frees, up to 2 GB, for its next arrays (glibc).

    Otherwise every large array is mapped anew, page by page. The peak of an item then counts what
    earlier ones left.
    """
    libc = ctypes.CDLL(None)
    if LINUX and hasattr(libc, "mallopt"):
        m_mmap_max, m_trim_threshold = -4, -1  # of malloc.h
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)


def resident_mb(pid: int) -> float:
    """Resident size of a process in MB; 0 when it has ended."""
    try:
        if not LINUX:
            return psutil.Process(pid).memory_info().rss / MB
        with open(f"/proc/{pid}/statm") as handle:
            return int(handle.read().split()[1]) * resource.getpagesize() / MB
    except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
        return 0.0


def waited_seconds(pid: int) -> float:
    """Seconds so far that a process's main thread was ready while others had the processors.

    0 where the system does not tell (no Linux, a kernel without schedstats), or it has ended.
    """
    try:
        with open(f"/proc/{pid}/schedstat") as handle:
            return int(handle.read().split()[1]) / 1e9
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0.0


def reset_peak_memory() -> None:
    """Make the kernel's peak resident size start again from now (Linux: clear_refs 5)."""
    try:
        with open("/proc/self/clear_refs", "w") as handle:
            handle.write("5")
    except (FileNotFoundError, PermissionError):
        return  # not Linux, or a sandbox that forbids it: the peak is the child's, not the item's


def peak_memory_mb(resident: float) -> float:
    """Peak resident size of this process in MB: since the last reset, or of all its life."""
    if LINUX:
        return max(resident, status_kb("VmHWM:") / 1024)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, kB elsewhere
    return max(resident, peak / (MB if sys.platform == "darwin" else 1024))


def status_kb(field: str) -> int:
    """One kB figure of /proc/self/status."""
    with open("/proc/self/status") as handle:
        for line in handle:
            if line.startswith(field):
                return int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {field}")


def oom_kills() -> int:
    """How many processes the kernel has killed for memory since it started; 0 where unknown."""
    try:
        with open("/proc/vmstat") as handle:
            return next((int(x.split()[1]) for x in handle if x.startswith("oom_kill ")), 0)
    except OSError:
        return 0
