"""One supervised child: give it an item, get exactly what became of it.

The supervisor never runs an item itself. It polls the child's resident memory and the clock, and
kills the child with SIGKILL when a limit is passed, so neither a held interpreter lock nor a
blocked signal can stop it. Seconds that the child was ready while others had the processors do not
count against its limit: a crowded machine slows a run and fails nothing. A killed child is
replaced; the fork server that makes the next one has the heavy libraries, the function and its
kernels loaded already, so a replacement takes milliseconds.
"""

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection, wait
from signal import SIGKILL
from typing import Any

from preprocessing.running.runner_child import STATUS, Reply, Setup
from preprocessing.running.system import memory_file, oom_kills, resident_mb, waited_seconds

LOST_RETRIES = 3  # a worker that was taken away (node lost, killed from outside) is no verdict
POLL_SECONDS = 0.02
LOG_LIMIT = 1 << 20
LOOK_SECONDS = 1.0  # between two looks whether a fork server that starts still lives


class RunnerError(RuntimeError):
    """The runner itself cannot work (the function cannot be imported, for one)."""


class KilledAtStartError(RuntimeError):
    """Somebody else killed a child before its first item: no verdict on anything."""


@dataclass(frozen=True)
class Item:
    """One unit of work: a stable id and what the function is called with."""

    id: str
    payload: Any


@dataclass(frozen=True)
class Outcome:
    """What became of one item.

    status: ok, skipped, rejected, failed, crashed, timeout or memory. reason: a code or one line
    (a MeshError's reason, the exception, the signal's name, the limit). detail: message or last
    lines. seconds and peak_memory_mb (resident) are the child's. value: what the function returned.
    node: the machine; on Ray with the start of the node's id.
    """

    id: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    value: Any = None
    detail: str = ""
    node: str = ""


@dataclass(frozen=True)
class Job:
    """What every worker of a run must know; plain data, sent to other machines as it is."""

    function: bytes  # pickled callable, or pickled "module:attribute"
    preload: tuple[str, ...]  # modules that the fork server imports
    main: dict[str, Any] | None
    timeout: float | None  # seconds an item
    memory: float | None  # GB an item, resident
    shared_memory: bool  # in place of `memory`: each slot takes its share of its machine
    retries: int
    threads: int  # of native libraries, per child
    sys_path: tuple[str, ...]
    packages: tuple[tuple[str, str], ...]  # name, version of what decides results, on the driver


class ForkServer:
    """The process that children are forked from; it lives as long as this object's socket.

    It can start before the job is known and import meanwhile; `give` it the job before the first
    child.
    """

    def __init__(self, threads: int, path: Iterable[str], ahead: Iterable[str] = ()) -> None:
        """threads: of native libraries, per child; path: as sys.path; ahead: modules to import."""
        self.threads, self.ahead = threads, tuple(ahead)
        self.lock, self.log = threading.Lock(), memory_file()
        self.control, theirs = socket.socketpair()
        code = (
            "import sys; from preprocessing.running.runner_child import serve; serve(*sys.argv[1:])"
        )
        given = [str(theirs.fileno()), ",".join(self.ahead)]
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-u", "-c", code, *given],
                env=environment(threads, path),
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=self.log,
                pass_fds=[theirs.fileno()],
            )

    @classmethod
    def of(cls, job: Job) -> "ForkServer":
        """One that has its job."""
        server = cls(job.threads, job.sys_path)
        server.give(job)
        return server

    def serves(self, threads: int) -> bool:
        """Whether a job of so many threads a child can be given to it."""
        return self.threads == threads and self.control.fileno() >= 0

    def give(self, job: Job) -> None:
        """Tell what the children will run."""
        limit = None if job.memory is None else int(job.memory * 2**30)
        # The resident size is what the limit means. RLIMIT_DATA counts untouched memory too, so it
        # stands at twice that: it only stops one huge allocation before the first poll sees it.
        told = Setup(job.preload, job.function, job.main, limit and 2 * limit + 2**30)
        setup = memory_file()
        with os.fdopen(setup, "wb") as file:
            pickle.dump(told, file)
            file.flush()
            with contextlib.suppress(OSError):  # it has ended: the first child will say why
                socket.send_fds(self.control, [b"s"], [setup])

    def fork(self, connection: int, status: int, log: int) -> None:
        """Ask for one child that uses these descriptors."""
        with self.lock:
            socket.send_fds(self.control, [b"f"], [connection, status, log])

    def close(self) -> None:
        """End the fork server, and with it every child; once is enough."""
        if self.control.fileno() < 0:
            return
        self.control.close()
        self.process.kill()
        self.process.wait()
        os.close(self.log)


class Child:
    """A forked process with the function loaded. Raises RunnerError when it cannot be had."""

    def __init__(self, server: ForkServer) -> None:
        self.log = memory_file()
        ours, theirs = socket.socketpair()
        self.status, status_write = os.pipe()
        try:
            server.fork(theirs.fileno(), status_write, self.log)
        except OSError as error:
            ours.close()
            os.close(self.status)
            os.close(self.log)
            raise RunnerError(f"the fork server has ended\n{tail(server.log)}") from error
        finally:
            theirs.close()
            os.close(status_write)
        self.connection = Connection(ours.detach())
        self.oom_kills = oom_kills()
        # However long it takes: imports on a cold network file system, kernels to compile.
        while not wait([self.status], LOOK_SECONDS) and server.process.poll() is None:
            continue
        first = os.read(self.status, STATUS.size)
        if not first:
            raise RunnerError(f"the fork server cannot start\n{tail(server.log)}")
        self.pid: int = STATUS.unpack(first)[0]
        try:
            self.connection.recv_bytes()
        except (EOFError, OSError) as error:
            status, told = self.exit_status(), tail(self.log)
            self.close()
            if status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == SIGKILL:
                raise KilledAtStartError from error
            raise RunnerError(f"the child cannot get ready\n{told}") from error

    def exit_status(self) -> int | None:
        """Wait status of the ended child; None when its fork server was killed with it."""
        data = os.read(self.status, STATUS.size) if wait([self.status], 10.0) else b""
        return STATUS.unpack(data)[0] if data else None

    def kill(self) -> None:
        """End the child now, whatever it is doing, and close what belongs to it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.exit_status()
        self.close()

    def close(self) -> None:
        """Close the descriptors of a child that has ended."""
        self.connection.close()
        os.close(self.status)
        os.close(self.log)


class Supervisor:
    """Runs items one after another in a child, with limits; not for use by two threads at once."""

    def __init__(self, job: Job, server: ForkServer | None = None, node: str = "") -> None:
        self.job, self.node = job, node or socket.gethostname()
        self.server, self.owns_server = server, server is None
        self.child: Child | None = None
        self.stopping = threading.Event()

    def start(self) -> Child:
        """The living child, or a new one. Raises RunnerError."""
        tries = 0
        while self.child is None:
            if self.server is None:
                self.server = ForkServer.of(self.job)
            try:
                self.child = Child(self.server)
            except KilledAtStartError as error:
                tries += 1
                if tries > LOST_RETRIES:
                    raise RunnerError(f"{tries} children were killed as they started") from error
        return self.child

    def close(self) -> None:
        """End the child and the fork server, if it is ours."""
        self.discard()
        if self.owns_server and self.server is not None:
            self.server.close()
            self.server = None

    def discard(self) -> None:
        """Kill the child; the next item gets a new one."""
        if self.child is not None:
            self.child.kill()
            self.child = None

    def call(self, item: Item) -> Outcome:
        """What became of the item, after at most `retries` more tries if it was not ok."""
        lost = tries = 0
        while True:
            outcome = self.attempt(item)
            if outcome is None:  # killed from outside: no verdict on the item
                lost += 1
                if lost <= LOST_RETRIES and not self.stopping.is_set():
                    continue
                outcome = Outcome(item.id, "crashed", "SIGKILL", detail="killed from outside")
            if outcome.status in ("ok", "skipped", "rejected") or tries >= self.job.retries:
                return replace(outcome, node=self.node)
            tries += 1

    def attempt(self, item: Item) -> Outcome | None:
        """One try; None when the child was killed by somebody else."""
        child = self.start()
        started, waited = time.monotonic(), waited_seconds(child.pid)
        peak = 0.0
        try:
            child.connection.send_bytes(pickle.dumps(item.payload))
        except OSError:
            return self.died(item, child, 0.0, 0.0)
        while True:
            ready = wait([child.connection, child.status], POLL_SECONDS)
            seconds = time.monotonic() - started
            if child.connection in ready:
                try:
                    reply: Reply = pickle.loads(child.connection.recv_bytes())
                except (EOFError, OSError):
                    return self.died(item, child, seconds, peak)
                return self.accept(item, reply)
            if child.status in ready:
                return self.died(item, child, seconds, peak)
            resident = resident_mb(child.pid)
            peak = max(peak, resident)
            if self.stopping.is_set():
                self.discard()
                return None
            # Before the time: what takes too much memory slows down, too.
            if self.job.memory is not None and resident > self.job.memory * 1024:
                last = tail(child.log)
                self.discard()
                reason = f"more than {self.job.memory:g} GB"
                return Outcome(item.id, "memory", reason, seconds, peak, detail=last)
            own = seconds - (waited_seconds(child.pid) - waited)
            if self.job.timeout is not None and own > self.job.timeout:
                last = tail(child.log)
                self.discard()
                reason = f"no result within {self.job.timeout:g} s"
                return Outcome(item.id, "timeout", reason, seconds, peak, detail=last)
            if os.fstat(child.log).st_size > LOG_LIMIT:
                os.ftruncate(child.log, 0)

    def accept(self, item: Item, reply: Reply) -> Outcome:
        """An answered item. A child that has grown fat is replaced: no later item pays for it."""
        limit = self.job.memory
        if reply.status == "memory" or (limit and reply.resident_mb > limit * 1024 / 2):
            self.discard()
        return Outcome(
            item.id,
            reply.status,
            reply.reason,
            reply.seconds,
            reply.peak_memory_mb,
            reply.value,
            reply.detail,
        )

    def died(self, item: Item, child: Child, seconds: float, peak: float) -> Outcome | None:
        """The outcome of an item whose child died by itself; None for a kill from outside."""
        status = child.exit_status()
        last = tail(child.log)
        killed_by_kernel = oom_kills() > child.oom_kills
        child.close()
        self.child = None
        if status is None:  # the fork server is gone; the child went with it
            if self.owns_server and self.server is not None:
                self.server.close()
                self.server = None
            return None
        if not os.WIFSIGNALED(status):
            reason = f"exit code {os.waitstatus_to_exitcode(status)}"
            return Outcome(item.id, "crashed", reason, seconds, peak, detail=last)
        name = signal.Signals(os.WTERMSIG(status)).name
        if name == "SIGKILL" and killed_by_kernel:
            reason = "killed by the kernel: the machine ran out of memory"
            return Outcome(item.id, "memory", reason, seconds, peak, detail=last)
        if name == "SIGKILL":
            return None
        if name == "SIGABRT" and "bad_alloc" in last:
            return Outcome(item.id, "memory", "std::bad_alloc", seconds, peak, detail=last)
        return Outcome(item.id, "crashed", name, seconds, peak, detail=last)


def installed() -> tuple[tuple[str, str], ...]:
    """Versions of Python, this package and those whose results go into ours; "" where missing."""
    found = [("python", f"{sys.version_info.major}.{sys.version_info.minor}")]
    for name in ("dora-bench", "numpy", "numba", "scipy"):
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, ""))
    return tuple(found)


def require_same(packages: tuple[tuple[str, str], ...], node: str) -> None:
    """Raise RunnerError, naming them, when this machine has other versions than the driver."""
    here = dict(installed())
    differing = [
        f"{name} {here.get(name) or 'missing'} in place of {wanted or 'none'}"
        for name, wanted in packages
        if here.get(name, "") != wanted
    ]
    if differing:
        raise RunnerError(
            f"the machine {node} has {', '.join(differing)}: install there what the driver has"
        )


def environment(threads: int, path: Iterable[str]) -> dict[str, str]:
    """The fork server's environment: the driver's import path and one thread budget for all."""
    names = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    return {
        **os.environ,
        **dict.fromkeys(names, str(threads)),
        # OpenBLAS starts its threads on import, and no process with threads may fork. numba's own
        # threads are made anew in a child, OpenMP's are not.
        "OPENBLAS_NUM_THREADS": "1",
        "NUMBA_THREADING_LAYER": "workqueue",
        "PYTHONPATH": os.pathsep.join(folder for folder in path if os.path.isdir(folder)),
    }


def tail(log: int) -> str:
    """The last lines of a log, on one line, without the frames that are always the same."""
    size = os.fstat(log).st_size
    text = os.pread(log, 4096, max(0, size - 4096)).decode(errors="replace")
    kept = [line.strip() for line in text.splitlines() if not line.startswith("Extension modules")]
    return " | ".join(line for line in kept if line and "runner_child.py" not in line)
