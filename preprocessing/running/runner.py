"""Run a function over many items, each fenced off: a crash, a hang or a flood costs one item.

`inline` supervises the children from threads of this process; `ray` puts one supervisor in each
Ray actor, on this machine or a cluster. Both give the same outcomes, because both use the same
Supervisor. Results come in completion order.
"""

import contextlib
import itertools
import multiprocessing.spawn
import os
import pickle
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from importlib.util import find_spec
from typing import Any

from preprocessing.console import UsageError
from preprocessing.running.runner_child import Reply
from preprocessing.running.supervisor import (
    ForkServer,
    Item,
    Job,
    Outcome,
    RunnerError,
    Supervisor,
    installed,
)
from preprocessing.running.system import available_cores
from preprocessing.settings import EXECUTORS, SHARE

__all__ = ["Item", "Outcome", "RunnerError", "run"]

Runs = Callable[[Iterator[Item]], Generator[Outcome, None, None]]
FEW_ITEMS = 256  # up to here the six seconds that Ray takes to start and stop are not worth it


def run(
    function: Callable[[Any], Any] | str,
    items: Iterable[Item],
    *,
    executor: str = "auto",
    workers: int = 0,
    timeout: float | None = None,
    memory: float | str | None = None,
    retries: int = 0,
    ray_address: str | None = None,
    preload: Iterable[str] | ForkServer = (),
    gpus: float = 0.0,
) -> Generator[Outcome, None, None]:
    """Call `function(item.payload)` for each item in a child process; yield outcomes as they come.

    function: "module:attribute" or anything picklable; it is loaded once, in the fork server. If it
    has a method `before_fork`, that is called there, for what all children can share (kernels, but
    no library that starts threads), and if it has `warm`, each child calls that before its first
    item; both are outside of every item's limits. items may be a generator: it is read as workers
    become free. workers: cores to use, 0 for all (on a cluster: also of machines that join while
    the run goes on); with fewer items than cores, an item gets several threads. timeout: seconds an
    item, without those in which others had the processors (Linux); memory: GB (resident) an item,
    or SHARE: with Ray, of the machine that a worker is on, nine tenths over the workers that fit
    it. retries: more tries for an item that was not ok; an item whose worker was lost (node gone,
    killed from outside) is tried again up to 3 times in any case. executor: "inline", "ray", or
    "auto": Ray, where it is installed, for more than 256 items on several cores or when
    `ray_address` is given. preload: more modules for the fork server, or one that is importing them
    already (`started_ahead`): taken where it fits, closed in any case. gpus: that Ray gives each
    worker, as a fraction where several share one.

    Closing the generator (or an exception in its consumer) kills the children at once. Raises
    ValueError for an unknown executor, UsageError for Ray where it is not installed, RunnerError
    when the function cannot be imported.
    """
    if executor not in EXECUTORS:
        raise ValueError(f"executor {executor!r} is none of {', '.join(EXECUTORS)}")
    cores = workers or (0 if ray_address else available_cores())
    iterator = iter(items)
    if executor == "auto":
        peeked = list(itertools.islice(iterator, FEW_ITEMS + 1))
        few = len(peeked) <= FEW_ITEMS
        alone = few or cores == 1 or find_spec("ray") is None
        executor = "inline" if ray_address is None and alone else "ray"
    else:
        peeked = list(itertools.islice(iterator, cores or 1))
    iterator = itertools.chain(peeked, iterator)
    if not peeked:
        return
    slots = max(1, min(cores or len(peeked), len(peeked)))
    threads = max(1, cores // slots)
    server = preload if isinstance(preload, ForkServer) else None
    modules = preload.ahead if isinstance(preload, ForkServer) else preload
    job = make_job(function, timeout, memory, retries, threads, modules)
    if server is not None and not (executor == "inline" and server.serves(threads)):
        server.close()
        server = None
    if executor == "inline":
        yield from run_inline(job, iterator, slots, server)
    else:
        if find_spec("ray") is None:
            raise UsageError("Ray is not installed; pip install ray, or give --executor inline")
        from preprocessing.running.runner_ray import run_ray

        yield from run_ray(job, iterator, slots if cores else 0, ray_address, gpus)


def run_batches(call: Runs, items: Iterator[Item], size: int) -> Generator[Outcome, None, None]:
    """Outcomes of items that go through `call` up to `size` at a time.

    `call` calls its function with a tuple of payloads, which returns a Reply for each; seconds of
    an outcome are the batch's over its tasks.
    """
    members: dict[str, tuple[Item, ...]] = {}

    def grouped(some: Iterator[Item], size: int) -> Iterator[Item]:
        while batch := tuple(itertools.islice(some, size)):
            members[batch[0].id] = batch
            yield Item(batch[0].id, tuple(item.payload for item in batch))

    alone: list[Item] = []
    for some, together in ((items, size), (iter(alone), 1)):
        with contextlib.closing(call(grouped(some, together))) as outcomes:
            for outcome in outcomes:
                batch = members.pop(outcome.id)
                if outcome.status != "ok" and len(batch) > 1:
                    alone.extend(batch)
                else:
                    yield from split(outcome, batch)


def split(outcome: Outcome, batch: tuple[Item, ...]) -> Iterator[Outcome]:
    """The outcomes of a batch's items; a batch of one that failed as a whole is its item's."""
    if outcome.status != "ok":
        yield outcome
        return
    seconds, peak, replies = outcome.seconds / len(batch), outcome.peak_memory_mb, outcome.value
    reply: Reply
    for item, reply in zip(batch, replies, strict=True):
        yield Outcome(
            item.id,
            reply.status,
            reply.reason,
            seconds,
            peak,
            reply.value,
            reply.detail,
            outcome.node,
        )


def make_job(
    function: Callable[[Any], Any] | str,
    timeout: float | None,
    memory: float | str | None,
    retries: int,
    threads: int,
    preload: Iterable[str],
) -> Job:
    """Pack what the workers need; a function of the driver's own script takes the script along."""
    pickled = pickle.dumps(function)
    in_main = b"__main__" in pickled
    if isinstance(function, str):
        home = function.partition(":")[0]
    else:
        home = getattr(getattr(function, "func", function), "__module__", "__main__")
    modules = dict.fromkeys([*preload, *([] if in_main else [home])])
    main = multiprocessing.spawn.get_preparation_data("item") if in_main else None
    if main is not None:
        main.pop("authkey", None)
    packages = installed()
    return Job(
        function=pickled,
        preload=tuple(modules),
        main=main,
        timeout=timeout,
        memory=None if isinstance(memory, str) else memory,
        shared_memory=memory == SHARE,
        retries=retries,
        threads=threads,
        sys_path=import_path(),
        packages=packages,
    )


def import_path() -> tuple[str, ...]:
    """Where this process imports from, for those it starts."""
    return tuple(os.path.abspath(entry) for entry in sys.path)


@contextlib.contextmanager
def started_ahead(*modules: str) -> Iterator[ForkServer]:
    """A fork server of one thread a child that imports these modules while this process does other
    work; for `run`'s `preload`."""
    server = ForkServer(1, import_path(), modules)
    try:
        yield server
    finally:
        server.close()


def run_inline(
    job: Job, items: Iterator[Item], slots: int, server: ForkServer | None = None
) -> Generator[Outcome, None, None]:
    """Supervise `slots` children from as many threads; items are read in the caller's thread."""
    tasks: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
    results: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
    stopping = threading.Event()
    if server is None:
        server = ForkServer.of(job)
    else:
        server.give(job)

    def work() -> None:
        supervisor = Supervisor(job, server)
        supervisor.stopping = stopping
        try:
            while (item := tasks.get()) is not None and not stopping.is_set():
                results.put(supervisor.call(item))
        except BaseException as error:  # noqa: BLE001 - carried to the consumer, who raises it
            results.put(error)
        finally:
            supervisor.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(slots)]
    waiting = 0
    try:
        for thread in threads:
            thread.start()
        while True:
            for item in itertools.islice(items, 2 * slots - waiting):
                tasks.put(item)
                waiting += 1
            if not waiting:
                return
            result = results.get()
            waiting -= 1
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        stopping.set()
        for _ in threads:
            tasks.put(None)
        for thread in threads:
            thread.join()
        server.close()
