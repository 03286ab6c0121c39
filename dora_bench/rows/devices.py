"""Which processor a worker's model runs on: chosen by what the worker's process may see.

A model puts itself on a GPU when it sees one, whatever library it uses; so `cpu` hides them all,
and each worker on a machine with several sees one of its own. Ray does the latter by itself.
"""

import fcntl
import os
import platform
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

from preprocessing.console import UsageError

DEVICES = ("auto", "cuda", "cpu")


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What models run on, and how many GPUs a worker takes: 0.5 lets two workers share one."""

    device: str = "auto"
    gpus: float = 1.0

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise UsageError(f"--device {self.device}: use one of {', '.join(DEVICES)}")
        if not (0 < self.gpus <= 1 or (self.gpus >= 1 and self.gpus == int(self.gpus))):
            raise UsageError(f"--gpus {self.gpus:g}: a fraction of one GPU, or a whole number")


@dataclass(frozen=True)
class Seat:
    """How a worker finds its GPU: `slots` to choose from, locked by files in `folder`.

    gpus: that a slot takes. No slots: Ray has chosen already, or there is nothing to choose.
    """

    device: str
    folder: str = ""
    slots: int = 0
    gpus: float = 1.0


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; needs no torch."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [part for part in named.split(",") if part.strip() not in ("", "-1")]
    return [str(index) for index in range(len(gpu_names()))]


@lru_cache(maxsize=1)
def gpu_names() -> tuple[str, ...]:
    """The machine's NVIDIA GPUs by name, as the driver tells; none without a driver."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip())


@lru_cache(maxsize=1)
def take(seat: Seat) -> None:
    """Make this process see what its seat gives it; before any library looks for GPUs."""
    if seat.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif seat.slots:
        first = int(free_slot(Path(seat.folder), seat.slots) * seat.gpus)
        chosen = visible_gpus()[first : first + max(1, int(seat.gpus))]
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(chosen)


def free_slot(folder: Path, slots: int) -> int:
    """The lowest slot that no living process holds; this one holds it until it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    for slot in range(slots):
        handle = os.open(folder / f"slot-{slot}", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        return slot  # the lock goes with the process
    return os.getpid() % slots


def machine() -> str:
    """This machine in one line: processor, cores, memory, GPUs."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(
            (x.partition(":")[2].strip() for x in lines if x.startswith("model name")), name
        )
    except OSError:
        pass  # not Linux: the shorter name serves
    memory = psutil.virtual_memory().total / 2**30
    gpus = "".join(f", {gpu}" for gpu in gpu_names())
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GB{gpus}"
