"""The Ray side of the runner: actors that supervise, and the driver's loop that feeds them.

Items go out in batches sized so that a batch takes about a tenth of a second: a slow item travels
alone, tiny ones by the hundred, and the cost of a message is shared. Ray itself retries nothing
here. When an actor is lost, its items go out again one by one, at most 3 times each. An actor
hands back what it could not start in time, so no batch can hold up the end of a run.
"""

import itertools
import logging
import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayError

from preprocessing.doctor import memory_limit
from preprocessing.running.supervisor import (
    LOST_RETRIES,
    Item,
    Job,
    Outcome,
    RunnerError,
    Supervisor,
    require_same,
)

BATCH_SECONDS = 0.1
BATCH_ITEMS = 256
LOOK_SECONDS = 2.0  # between two looks whether machines have joined
OBJECT_STORE_BYTES = 100 * 2**20  # rows of a ledger are all that travels


def actor_class(gpus: float) -> Any:
    """The actor: a `Slot` behind a class of no module, which Ray takes to its workers as it is.

    Ray puts the driver's working directory before all else that a worker imports. A folder of the
    user's own that is named like a package of ours would be taken for it, so that directory is
    taken out again before anything of ours is imported, unless the driver imports from it too.
    """
    here = os.path.abspath(os.curdir)
    banned = here if here not in map(os.path.abspath, sys.path) else None

    class Slot:
        def __init__(self, job: bytes, slots: int | None, gpus: float) -> None:
            import pickle
            import sys

            sys.path[:] = [path for path in sys.path if path != banned]
            from preprocessing.running.runner_ray import Seat

            self.seat = Seat(pickle.loads(job), slots, gpus)

        def ready(self) -> None:
            self.seat.ready()

        def work(self, batch: list[Any]) -> tuple[float, list[Any]]:
            return self.seat.work(batch)

    Slot.__module__ = "__main__"  # of no module
    return ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, scheduling_strategy="SPREAD")(Slot)


class Seat:
    """One worker slot: a supervisor and its child, on whatever machine Ray put it."""

    def __init__(self, job: Job, slots: int | None, gpus: float) -> None:
        """slots: of the run, where their number is fixed."""
        node = ray.get_runtime_context().get_node_id()
        if job.shared_memory:
            job = replace(job, memory=share_of(node, slots, gpus))
        self.supervisor = Supervisor(job, node=f"{socket.gethostname()} {node[:8]}")

    def ready(self) -> None:
        """Start the child. Raises RunnerError when the function cannot be had, or this machine's
        packages are not the driver's."""
        require_same(self.supervisor.job.packages, self.supervisor.node)
        self.supervisor.start()

    def work(self, batch: list[Item]) -> tuple[float, list[Outcome]]:
        """Seconds taken and outcomes of the first items; the rest goes back when they are slow."""
        started = time.monotonic()
        outcomes = []
        for item in batch:
            outcomes.append(self.supervisor.call(item))
            if time.monotonic() - started > 2 * BATCH_SECONDS:
                break
        return time.monotonic() - started, outcomes


def run_ray(
    job: Job, items: Iterator[Item], slots: int, address: str | None, gpus: float = 0.0
) -> Generator[Outcome, None, None]:
    """Feed `slots` actors and yield outcomes as they come.

    slots: 0 for as many as fit the cluster, also on machines that join while the run goes on. An
    actor takes one CPU and `gpus` of a GPU. Raises RunnerError where none would ever fit.
    """
    ours = start_ray(slots, address)
    growing, looked = not slots, time.monotonic()
    fitting = room(ray.cluster_resources(), gpus)
    slots = min(slots, fitting) if slots else fitting
    actors = actor_class(gpus)
    idle: list[Any] = []
    starting: dict[Any, Any] = {}  # reference -> actor; on a busy cluster some never start
    running: dict[Any, tuple[Any, list[Item]]] = {}  # reference -> actor, batch
    back: deque[Item] = deque()  # handed back unstarted
    suspects: list[Item] = []  # were with an actor that was lost: sent out alone
    losses: Counter[str] = Counter()
    failed_starts = 0
    size = 1

    def add_actor() -> None:
        actor: Any = actors.remote(pickle.dumps(job), None if growing else slots, gpus)
        starting[actor.ready.remote()] = actor

    def next_batch() -> list[Item]:
        if suspects:
            return [suspects.pop()]
        if back:
            return [back.popleft() for _ in range(min(size, len(back)))]
        return list(itertools.islice(items, size))

    try:
        for _ in range(slots):
            add_actor()
        while True:
            while idle and (batch := next_batch()):
                actor = idle.pop()
                running[actor.work.remote(batch)] = actor, batch
            if idle and not running:
                return
            ended, _ = ray.wait([*running, *starting], num_returns=1, timeout=LOOK_SECONDS)
            if growing and time.monotonic() - looked > LOOK_SECONDS:
                looked, resources = time.monotonic(), ray.cluster_resources()
                left = resources.get("GPU", 0.0) >= gpus  # a machine that has gone may come back
                for _ in range(room(resources, gpus) - slots if left else 0):
                    slots += 1
                    add_actor()
            if not ended:
                continue
            (reference,) = ended
            if reference in starting:
                actor = starting.pop(reference)
                try:
                    ray.get(reference)
                except RayActorError as error:
                    failed_starts += 1
                    if failed_starts > LOST_RETRIES * slots:
                        raise RunnerError(f"Ray cannot start its actors: {error}") from error
                    add_actor()
                else:
                    idle.append(actor)
                continue
            actor, batch = running.pop(reference)
            try:
                seconds, outcomes = ray.get(reference)
            except (RayActorError, OutOfMemoryError) as error:
                add_actor()
                for item in batch:
                    losses[item.id] += 1
                    if losses[item.id] <= LOST_RETRIES:
                        suspects.append(item)
                    else:
                        yield lost(item, error)
                continue
            idle.append(actor)
            back.extend(batch[len(outcomes) :])
            size = next_size(size, seconds / len(outcomes))
            yield from outcomes
    finally:
        for actor in [*idle, *starting.values(), *(actor for actor, _ in running.values())]:
            ray.kill(actor)
        if ours:
            ray.shutdown()


def share_of(node: str, slots: int | None, gpus: float) -> float:
    """GB an item may take on this machine: nine tenths of it over the slots that fit it, which are
    at most those of the run."""
    (resources,) = (one["Resources"] for one in ray.nodes() if one["NodeID"] == node)
    fitting = room(resources, gpus)
    return round(0.9 * memory_limit() / 2**30 / min(fitting, slots or fitting), 2)


def room(resources: dict[str, float], gpus: float) -> int:
    """How many actors of one CPU and `gpus` GPUs a cluster holds. Raises RunnerError for none."""
    cpus = max(1, int(resources.get("CPU", 1)))
    if gpus <= 0:
        return cpus
    found = resources.get("GPU", 0.0)
    if found < gpus:
        raise RunnerError(f"a worker takes {gpus:g} GPUs and Ray's cluster has {found:g}")
    per_gpu = int(1 / gpus) * int(found) if gpus < 1 else int(found / gpus)
    return max(1, min(cpus, per_gpu))


def next_size(size: int, seconds: float) -> int:
    """Items in the next batch, from the seconds an item just took; it grows at most twofold."""
    fitting = int(BATCH_SECONDS / max(seconds, 1e-6))
    return max(1, min(fitting, 2 * size, BATCH_ITEMS))


def lost(item: Item, error: RayError) -> Outcome:
    """The outcome of an item whose worker was lost too often."""
    status = "memory" if isinstance(error, OutOfMemoryError) else "crashed"
    reason = f"its worker was lost {LOST_RETRIES + 1} times"
    return Outcome(item.id, status, reason, detail=str(error).strip().splitlines()[0])


def start_ray(slots: int, address: str | None) -> bool:
    """Join the cluster at `address`, or start Ray on this machine; True when it is ours to stop."""
    if ray.is_initialized():
        return False
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    local: dict[str, Any] = {
        "num_cpus": slots,
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
    }
    try:
        if address is not None:
            ray.init(address=address, **common)
        else:
            ray.init(address="local", **local, **common)
    except SystemExit as stop:  # how Ray's own SIGTERM handler ends us while it starts
        raise KeyboardInterrupt from stop
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # ray.init puts its own in place: exit code 15
    return True
