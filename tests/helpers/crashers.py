"""Functions that misbehave in every way a native library can; run in children only."""

import ctypes
import os
import signal
import subprocess
import sys
import time

import psutil

from preprocessing.mesh_errors import MeshError


def misbehave(kind: str) -> str:
    """Do what `kind` says and, for those who survive it, return `kind`."""
    if kind == "segfault":
        ctypes.string_at(0)
    elif kind == "abort":
        os.abort()
    elif kind == "hang":
        ctypes.PyDLL(None).sleep(1000)  # PyDLL keeps the interpreter lock
    elif kind == "flood":
        kept = []
        while True:
            kept.append(b"x" * (1 << 24))
    elif kind == "allocate":
        bytearray(1 << 45)
    elif kind == "raise":
        raise ValueError("as asked")
    elif kind == "reject":
        raise MeshError("empty", "the mesh has no faces")
    elif kind == "print":
        print("from Python")
        os.write(1, b"from native code\n")
    elif kind == "exit":
        os._exit(7)
    elif kind == "sigkill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind.startswith("sleep"):
        time.sleep(float(kind.removeprefix("sleep")))
    return kind


def double(value: int) -> int:
    """Twice the value."""
    return 2 * value


def work_in_a_crowd(seconds: float) -> float:
    """Take so many seconds of one processor that four others are after, too; by the clock."""
    started = time.monotonic()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    loop = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
    others = [subprocess.Popen([sys.executable, "-S", "-c", loop]) for _ in range(4)]
    while time.process_time() < seconds:
        continue
    for other in others:
        other.kill()
    return time.monotonic() - started


def pid_of(_: None) -> int:
    """Which process runs this item."""
    return os.getpid()


def environment_of(name: str) -> str:
    """An environment variable as the child sees it."""
    return os.environ[name]


def fail_twice(counter: str) -> int:
    """Raise on the first two calls; the file counts them."""
    with open(counter, "a+") as handle:
        handle.write("x")
        handle.seek(0)
        tries = len(handle.read())
    if tries < 3:
        raise OSError("not yet")
    return tries


def touch_and_sleep(payload: tuple[str, float]) -> None:
    """Write our pid to a file, then sleep."""
    path, seconds = payload
    with open(path, "w") as handle:
        handle.write(str(os.getpid()))
    time.sleep(seconds)


def hang_with_pid(path: str) -> None:
    """Write our pid, then hang in native code that keeps the interpreter lock."""
    touch_and_sleep((path, 0))
    ctypes.PyDLL(None).sleep(1000)


def kill_actor(path: str) -> None:
    """Count the try in a file; where it is called "killer", take the supervisor down with us."""
    with open(path, "a") as handle:
        handle.write("x")
    if path.endswith("killer"):
        server = psutil.Process().parent()
        assert server is not None
        supervisor = server.parent()
        assert supervisor is not None
        supervisor.kill()
        time.sleep(10)


class KilledAtStart:
    """`double`, but that children are killed as they get ready, as often as a file says."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, value: int) -> int:
        return double(value)

    def warm(self) -> None:
        """Count one down, and kill this process."""
        with open(self.path) as left:
            count = int(left.read())
        if count > 0:
            with open(self.path, "w") as left:
                left.write(str(count - 1))
            os.kill(os.getpid(), signal.SIGKILL)


class SlowStart:
    """`double` with a start that takes so many seconds, and is counted in a file."""

    def __init__(self, path: str, seconds: float) -> None:
        self.path, self.seconds = path, seconds

    def __call__(self, value: int) -> int:
        return double(value)

    def warm(self) -> None:
        """Take a while, in a child."""
        with open(self.path, "a") as handle:
            handle.write("x")
        time.sleep(self.seconds)

    def before_fork(self) -> None:
        """Take a while, in the fork server."""
        with open(self.path, "a") as handle:
            handle.write("b")
        time.sleep(self.seconds)
