"""What this machine has and lacks for the three commands, and the command that mends each lack."""

import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from preprocessing.compiling import cache_name, chosen_base

GIB = 1 << 30

SHARED_LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libX11.so.6": "libx11-6",
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libudev.so.1": "libudev1",
    "libidn2.so.0": "libidn2-0",
    "libgomp.so.1": "libgomp1",
}
"""What Open3D's and pymeshlab's wheels expect from the system -> the Debian or Ubuntu package."""


WITHOUT = {
    "pymeshlab": ".ctm files, no --method alpha-wrap, no mini-suite",
    "point-cloud-utils": "--method manifold",
    "ray": "--executor ray",
    "torch": "dora-vae, and no checkpoint in dora-bench eval",
}
"""What is lost without a package that not everything needs."""


@dataclass(frozen=True)
class Check:
    """One thing looked at. `mend` is the command or step that puts it right; empty when ok."""

    name: str
    ok: bool
    detail: str
    mend: str = ""


def checks(start_ray: bool = False) -> list[Check]:
    """Look at everything. `start_ray` also starts and stops a local Ray, which takes seconds."""
    found = [
        check_system(),
        check_python(),
        *check_packages(),
        check_cores(),
        check_memory(),
        check_shared_memory(),
        *(check_shared_library(name, package) for name, package in SHARED_LIBRARIES.items()),
        *(check_import(name) for name in ("open3d", "pymeshlab")),
        check_cuda(),
        check_numba_cache(),
        check_disk(Path.cwd()),
    ]
    if start_ray:
        found.append(check_ray())
    return found


def check_system() -> Check:
    """Linux is what this is made and tested for; elsewhere the inline executor does what it can."""
    if sys.platform == "linux":
        return Check("system", True, platform.platform())
    lost = (
        "made for Linux. Here --executor inline works with limits by polling alone, a hung child "
        "outlives a killed driver, and peak memory is the child's, not the item's"
    )
    return Check("system", False, f"{platform.platform()}: {lost}", "use Linux, or a container")


def check_python() -> Check:
    """Python 3.11 to 3.14, which pyproject.toml allows; tested up to 3.13."""
    version = sys.version_info
    ok = (3, 11) <= version[:2] <= (3, 14)
    mend = "" if ok else "create the environment anew: python3.11 -m venv .venv"
    return Check("python", ok, ".".join(str(part) for part in version[:3]), mend)


def check_packages() -> list[Check]:
    """The installed version of each package that this one requires, against its limits."""
    from packaging.requirements import Requirement

    try:
        lines = importlib.metadata.requires("dora-bench") or []
    except importlib.metadata.PackageNotFoundError:
        return [Check("dora-bench", False, "not installed", "pip install -e .")]
    found = []
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        mend = f"pip install '{requirement.name}{requirement.specifier}'"
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            lost = WITHOUT.get(requirement.name, "")
            detail = f"not installed: without it no {lost}" if lost else "not installed"
            found.append(Check(requirement.name, False, detail, mend))
            continue
        ok = requirement.specifier.contains(version, prereleases=True)
        detail = version if ok else f"{version}, but {requirement.specifier} is needed"
        found.append(Check(requirement.name, ok, detail, "" if ok else mend))
    return found


def check_cores() -> Check:
    """Cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Check("cores", True, f"{cores} usable")


def memory_limit() -> int:
    """Bytes this process may use: the machine's memory, or a container's smaller limit."""
    import psutil

    limit = int(psutil.virtual_memory().total)
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        path = Path("/sys/fs/cgroup") / name
        if path.is_file() and (text := path.read_text().strip()).isdigit():
            limit = min(limit, int(text))
    return limit


def check_memory() -> Check:
    """4 GiB hold a 1024^3 watertight run of an ordinary mesh (about 3.5 GB)."""
    import psutil

    limit, free = memory_limit(), psutil.virtual_memory().available
    ok = limit >= 4 * GIB
    detail = f"{limit / GIB:.1f} GiB, {min(free, limit) / GIB:.1f} free"
    return Check("memory", ok, detail, "" if ok else "keep to --resolution 512 and --workers 1")


def check_shared_memory() -> Check:
    """Ray keeps objects in /dev/shm; containers give it 64 MB, and Ray then works on disk."""
    path = Path("/dev/shm")
    if not path.is_dir():
        return Check("/dev/shm", True, "this system has none; Ray does without")
    size = shutil.disk_usage(path).total
    ok = size >= GIB
    mend = "" if ok else "start the container with --shm-size=2g"
    return Check("/dev/shm", ok, f"{size / GIB:.2f} GiB", mend)


def check_shared_library(name: str, package: str) -> Check:
    """Whether the loader finds a system library; it is opened, nothing of it is run."""
    if sys.platform != "linux":
        return Check(name, True, "needed on Linux alone")
    try:
        ctypes.CDLL(name)
    except OSError as error:
        return Check(name, False, str(error), f"sudo apt-get install -y {package}")
    return Check(name, True, "found")


def check_import(name: str) -> Check:
    """Import a package with native code in a process of its own: a crash there is an answer."""
    if importlib.util.find_spec(name) is None:
        return Check(f"import {name}", False, "not installed", f"pip install {name}")
    started = time.monotonic()
    try:
        done = run_python(f"import {name}", timeout=120)
    except subprocess.TimeoutExpired:
        return Check(f"import {name}", False, "no answer in 120 s", "look at the machine's load")
    if done.returncode == 0:
        return Check(f"import {name}", True, f"{time.monotonic() - started:.1f} s")
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    missing = re.search(r"(lib[\w.+-]+\.so[.\d]*): cannot open", last)
    package = SHARED_LIBRARIES.get(missing[1]) if missing else None
    mend = f"sudo apt-get install -y {package}" if package else f"pip install -U {name}"
    return Check(f"import {name}", False, last, mend)


def check_numba_cache() -> Check:
    """Where compiled kernels are kept (compiling.py): it must be writable, and better stay."""
    mend = "export NUMBA_CACHE_DIR=FOLDER, one that can be written and stays"
    try:
        folder = chosen_base() / cache_name()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check("numba cache", False, f"{error.filename}: {error.strerror}", mend)
    kernels = len(list(folder.glob("*/*.nbi")))
    state = f"{kernels} kernels compiled" if kernels else "empty: the first run compiles"
    return Check("numba cache", True, f"{folder} ({state})")


def check_disk(folder: Path) -> Check:
    """5 GiB hold the demo with its environment; a mesh at 512^3 takes some 30 MB."""
    free = shutil.disk_usage(folder).free
    ok = free >= 5 * GIB
    mend = "" if ok else "free some space, or point --out to another disk"
    return Check("disk", ok, f"{free / GIB:.1f} GiB free at {folder}", mend)


def check_cuda() -> Check:
    """Which devices torch can use; a driver whose devices it cannot use is a lack."""
    if importlib.util.find_spec("torch") is None:
        return Check("cuda", True, "torch is not installed")
    code = (
        "import torch\n"
        "names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]\n"
        "print(torch.__version__, torch.version.cuda or 'none', *names, sep='\\n')"
    )
    try:
        done = run_python(code, timeout=120)
    except subprocess.TimeoutExpired:
        return Check("cuda", False, "torch gave no answer in 120 s", "look at the driver's state")
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return Check("cuda", False, last, "pip install --force-reinstall torch")
    version, build, *devices = done.stdout.splitlines()
    if devices:
        return Check("cuda", True, f"{', '.join(devices)}; torch {version}, CUDA {build}")
    driver = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    if not driver:
        return Check("cuda", True, f"no NVIDIA driver; torch {version} computes on the CPU")
    if build == "none":
        mend = "pip install --force-reinstall torch (the plain index has the build with CUDA)"
        detail = f"there is an NVIDIA driver, but torch {version} is a build without CUDA"
        return Check("cuda", False, detail, mend)
    detail = f"there is an NVIDIA driver, but torch {version}, CUDA {build}, finds no device"
    return Check("cuda", False, detail, "compare with what nvidia-smi says of driver and devices")


def check_ray() -> Check:
    """Start a Ray of our own with one worker, run a task, stop it; other clusters are let be."""
    if importlib.util.find_spec("ray") is None:
        return Check("ray", False, "not installed: without it no --executor ray", "pip install ray")
    code = (
        "import ray\n"
        "ray.init('local', num_cpus=1, include_dashboard=False, log_to_driver=False,"
        f" object_store_memory={100 * 2**20})\n"
        "assert ray.get(ray.remote(lambda: 7).remote()) == 7\n"
        "ray.shutdown()"
    )
    other, started = other_ray(), time.monotonic()
    try:
        done = run_python(code, timeout=180)
    except subprocess.TimeoutExpired:
        return Check("ray", False, "did not start in 180 s", "run with --executor inline")
    seconds = time.monotonic() - started
    if done.returncode == 0:
        return Check("ray", True, f"starts, runs a task and stops in {seconds:.1f} s{other}")
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return Check("ray", False, last, "run with --executor inline")


def other_ray() -> str:
    """Words on a cluster that commands would join, or one that runs here beside; else nothing."""
    address = os.environ.get("RAY_ADDRESS")
    if address:
        return f"; RAY_ADDRESS is set, so commands join the cluster at {address}"
    current = Path(tempfile.gettempdir()) / "ray/ray_current_cluster"
    if current.is_file():
        return f"; another cluster runs at {current.read_text().strip()} (--ray-address joins it)"
    return ""


def run_python(code: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter, RAY_ADDRESS unset; raises subprocess.TimeoutExpired."""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=environment,
    )


def format_checks(found: list[Check]) -> str:
    """One line a check; what lacks is marked and followed by the command that mends it."""
    width = max(len(check.name) for check in found)
    lines = []
    for check in found:
        lines.append(f"{'ok  ' if check.ok else 'LACK'}  {check.name:<{width}}  {check.detail}")
        if check.mend:
            lines.append(f"{'':{width + 8}}mend: {check.mend}")
    return "\n".join(lines)
