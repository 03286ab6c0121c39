"""What runs on the far side of the fence: the fork server and the child that runs the items.

A fork server of our own, not multiprocessing's, because three things must hold that it lacks: the
thread counts are set before any library loads, a child dies with its fork server even while native
code holds the interpreter lock (PR_SET_PDEATHSIG), and the supervisor learns the exact exit status.

Processes: supervisor (driver or Ray actor) -> fork server -> children. The fork server imports what
the items need, loads the function (and its kernels, where it has a method `before_fork`), and ends
when the supervisor's socket closes. A child's standard output and error go to a file in memory that
the supervisor reads when the child dies.
"""

import faulthandler
import gc
import importlib
import multiprocessing.spawn
import os
import pickle
import resource
import select
import signal
import socket
import struct
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from preprocessing.console import without_collecting
from preprocessing.mesh_errors import MeshError
from preprocessing.running.system import (
    die_with_parent,
    limit_data,
    peak_memory_mb,
    reset_peak_memory,
    resident_mb,
)

STATUS = struct.Struct("=i")  # fork server -> supervisor: the child's pid, later its wait status


@dataclass(frozen=True)
class Setup:
    """What the fork server needs to know once, before its first child."""

    preload: tuple[str, ...]  # modules to import, but for what was named at the start
    function: bytes  # pickled callable, or pickled "module:attribute"
    main: dict[str, Any] | None  # how to find the driver's __main__, when the function lives there
    data_limit: int | None  # RLIMIT_DATA of a child in bytes above what is in use at its start


@dataclass(frozen=True)
class Reply:
    """What a child says about one item it survived."""

    status: str
    reason: str
    detail: str
    seconds: float
    peak_memory_mb: float
    resident_mb: float
    value: Any


def serve(control_fd: str, ahead: str) -> None:
    """Be the fork server: load what children need, then fork on request until EOF.

    ahead: modules to import before all else, comma-separated. The first message is a byte with the
    descriptor of a file with a pickled Setup; a request is one byte with three descriptors: the
    child's connection, its status pipe, its log.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=int(control_fd))
    with without_collecting():
        import_all(filter(None, ahead.split(",")))
    message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
    if not message:
        os._exit(0)
    function, data_limit = load_setup(descriptors[0])
    gc.freeze()  # no child looks through what is there now, which would copy it page by page
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    status_of: dict[int, int] = {}  # child pid -> its status pipe
    while True:
        sources: list[Any] = [control, wake_read]
        ready, _, _ = select.select(sources, [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
            report_dead(status_of)
        if control not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(control, 1, 3)
        if not message:
            os._exit(0)  # the supervisor is gone; the kernel kills the children with us
        connection, status, log = descriptors
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for descriptor in (
                control.fileno(),
                wake_read,
                wake_write,
                status,
                *status_of.values(),
            ):
                os.close(descriptor)
            become_child(parent, connection, log, function, data_limit)
        status_of[pid] = status
        os.write(status, STATUS.pack(pid))
        os.close(connection)
        os.close(log)


def import_all(names: Iterable[str]) -> None:
    """Import modules by name."""
    for name in names:
        importlib.import_module(name)


def report_dead(status_of: dict[int, int]) -> None:
    """Collect every child that has ended and write its wait status to its pipe."""
    while status_of:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        pipe = status_of.pop(pid)
        try:
            os.write(pipe, STATUS.pack(status))
        except BrokenPipeError:
            continue  # the supervisor has given this child up and closed its end
        finally:
            os.close(pipe)


def load_setup(descriptor: int) -> tuple[Callable[[Any], Any], int | None]:
    """The function, ready to be forked with, and a child's RLIMIT_DATA."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        setup: Setup = pickle.load(file)
    with without_collecting():
        import_all(setup.preload)
    if setup.main is not None:
        multiprocessing.spawn.prepare(setup.main)
    function = load_function(setup.function)
    before_fork = getattr(function, "before_fork", None)
    if before_fork is not None:
        before_fork()
    return function, setup.data_limit


def become_child(
    parent: int,
    connection: int,
    log: int,
    function: Callable[[Any], Any],
    data_limit: int | None,
) -> None:
    """Set up the forked process and run items until the supervisor hangs up; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)  # the fork server died before the line above
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    faulthandler.enable(file=2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump of gigabytes per crash helps nobody
    if data_limit is not None:
        limit_data(data_limit)
    try:
        run_items(Connection(connection), function)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the supervisor hung up: nothing more to do


def run_items(connection: Connection, function: Callable[[Any], Any]) -> None:
    """Warm the function if it can be, say so; then answer one reply per payload until EOFError."""
    warm = getattr(function, "warm", None)
    if warm is not None:
        warm()
    connection.send_bytes(b"ready")
    while True:
        payload = connection.recv_bytes()
        os.ftruncate(2, 0)
        reply = run_item(function, payload)
        try:
            answer = pickle.dumps(reply)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            answer = pickle.dumps(
                Reply("failed", f"the result cannot be pickled: {error}", "", 0.0, 0.0, 0.0, None)
            )
        connection.send_bytes(answer)


def load_function(pickled: bytes) -> Callable[[Any], Any]:
    """The callable itself, from its pickle or from its pickled "module:attribute" name."""
    function = pickle.loads(pickled)
    if isinstance(function, str):
        module, _, attribute = function.partition(":")
        function = getattr(importlib.import_module(module), attribute)
    return function


def run_item(function: Callable[[Any], Any], payload: bytes) -> Reply:
    """One item, every error of it turned into a status and a reason."""
    return attempt(lambda: function(pickle.loads(payload)))


def attempt(call: Callable[[], Any]) -> Reply:
    """What calling says or returns, every error of it turned into a status and a reason."""
    reset_peak_memory()
    started = time.perf_counter()
    status, reason, detail, value = "ok", "", "", None
    try:
        value = call()
    except MeshError as error:
        status, reason, detail = "rejected", error.reason, error.message
    except MemoryError as error:
        status, reason, detail = "memory", f"MemoryError: {error}".rstrip(": "), where(error)
    except BaseException as error:  # noqa: BLE001 - the fence itself: an item's error is its outcome
        status, detail = "failed", where(error)
        reason = "".join(traceback.format_exception_only(error)).strip().replace("\n", " ")
    seconds = time.perf_counter() - started
    resident = resident_mb(os.getpid())
    return Reply(status, reason, detail, seconds, peak_memory_mb(resident), resident, value)


def where(error: BaseException) -> str:
    """The last frames of a traceback on one line, innermost last."""
    frames = traceback.extract_tb(error.__traceback__)[1:][-4:]
    return " > ".join(f"{os.path.basename(f.filename)}:{f.lineno} {f.name}" for f in frames)
