"""Every item gets exactly the outcome it earned, whatever its neighbours do, on both executors."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from crashers import (
    KilledAtStart,
    SlowStart,
    double,
    environment_of,
    kill_actor,
    misbehave,
    pid_of,
    touch_and_sleep,
    work_in_a_crowd,
)

from preprocessing.running.runner import Item, RunnerError, run, started_ahead
from preprocessing.running.supervisor import installed, require_same
from preprocessing.running.system import waited_seconds

ROOT = Path(__file__).parents[2]
EXECUTORS = ("inline", "ray")
EXPECTED = {
    "segfault": ("crashed", "SIGSEGV"),
    "abort": ("crashed", "SIGABRT"),
    "exit": ("crashed", "exit code 7"),
    "sigkill": ("crashed", "SIGKILL"),
    "hang": ("timeout", "no result within 3 s"),
    "flood": ("memory", "more than 0.15 GB"),
    "allocate": ("memory", "MemoryError"),
    "raise": ("failed", "ValueError: as asked"),
    "reject": ("rejected", "empty"),
    "fine": ("ok", ""),
}


def mixed(kinds: dict[str, int], total: int) -> list[Item]:
    """`total` items in seeded random order: so many of each kind, the rest fine."""
    names = [kind for kind, count in kinds.items() for _ in range(count)]
    names += ["fine"] * (total - len(names))
    order = np.random.default_rng(0).permutation(len(names))
    return [Item(f"{names[i]}-{i}", names[i]) for i in order]


def check_table(kinds: dict[str, int], total: int, executor: str) -> None:
    """Run the mix and compare every single outcome."""
    items = mixed(kinds, total)
    outcomes = list(run(misbehave, items, executor=executor, workers=2, timeout=3, memory=0.15))
    assert sorted(o.id for o in outcomes) == sorted(item.id for item in items)
    for outcome in outcomes:
        assert (outcome.status, outcome.reason) == EXPECTED[outcome.id.split("-")[0]], outcome


@pytest.mark.parametrize("executor", EXECUTORS)
def test_every_kind_of_fault_gets_its_name(executor: str) -> None:
    check_table(dict.fromkeys(EXPECTED, 1), 30, executor)


@pytest.mark.slow
@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_fault_table(executor: str) -> None:
    """200 items: 8 segfault, 8 hang with the lock held, 8 exceed memory, 8 raise, 168 are ok."""
    check_table({"segfault": 8, "hang": 8, "flood": 8, "raise": 8}, 200, executor)


def test_details_say_where() -> None:
    kinds = ("raise", "segfault", "reject")
    detail = {
        o.id: o.detail for o in run(misbehave, [Item(k, k) for k in kinds], executor="inline")
    }
    assert "crashers.py" in detail["raise"]
    assert "in misbehave" in detail["segfault"]
    assert detail["reject"] == "the mesh has no faces"


def test_children_are_reused_and_replaced_only_after_a_kill() -> None:
    items = [Item(str(i), None) for i in range(20)]
    assert len({o.value for o in run(pid_of, items, executor="inline", workers=1)}) == 1


def test_results_come_back_and_seconds_and_memory_are_measured() -> None:
    started = time.monotonic()
    (outcome,) = run("crashers:misbehave", [Item("a", "sleep0.3")], executor="inline")
    assert outcome.value == "sleep0.3"
    assert 0.3 <= outcome.seconds < time.monotonic() - started
    assert 5 < outcome.peak_memory_mb < 500


def test_items_are_read_as_workers_become_free() -> None:
    read = []

    def endless():
        for i in range(10**9):
            read.append(i)
            yield Item(str(i), i)

    outcomes = run(double, endless(), executor="inline", workers=2)
    values = {next(outcomes).value for _ in range(10)}
    outcomes.close()
    assert len(values) == 10
    assert values <= {2 * i for i in read}
    assert len(read) < 60


def test_no_items_no_outcomes() -> None:
    assert list(run(double, [], executor="inline")) == []


def test_cores_are_shared_out_as_threads() -> None:
    cores = len(os.sched_getaffinity(0))
    (alone,) = run(environment_of, [Item("a", "NUMBA_NUM_THREADS")], executor="inline")
    assert alone.value == str(cores)
    items = [Item(str(i), "OMP_NUM_THREADS") for i in range(2 * cores)]
    assert {o.value for o in run(environment_of, items, executor="inline")} == {"1"}


def test_what_an_item_prints_stays_out_of_our_output(capfd: pytest.CaptureFixture[str]) -> None:
    list(run(misbehave, [Item("a", "print"), Item("b", "segfault")], executor="inline"))
    assert capfd.readouterr() == ("", "")


def test_a_function_that_cannot_be_imported_is_one_clear_error() -> None:
    with pytest.raises(RunnerError, match="no_such_module"):
        list(run("no_such_module:f", [Item("a", 1)], executor="inline"))
    with pytest.raises(RunnerError, match="no_such_function"):
        list(run("crashers:no_such_function", [Item("a", 1)], executor="inline"))
    with pytest.raises(ValueError, match="executor 'thread'"):
        list(run(double, [], executor="thread"))


def test_retries_are_counted(tmp_path: Path) -> None:
    counter = tmp_path / "tries"
    items = [Item("a", str(counter))]
    (outcome,) = run("crashers:fail_twice", items, executor="inline", retries=1)
    assert outcome.status == "failed"
    counter.unlink()
    (outcome,) = run("crashers:fail_twice", items, executor="inline", retries=2)
    assert (outcome.status, outcome.value) == ("ok", 3)


def test_a_child_killed_from_outside_costs_nothing(tmp_path: Path) -> None:
    items = [Item(str(i), (str(tmp_path / str(i)), 0.5)) for i in range(3)]
    outcomes = run(touch_and_sleep, items, executor="inline", workers=1)
    killed = 0

    def kill_once() -> None:
        nonlocal killed
        while not (tmp_path / "1").exists():
            time.sleep(0.01)
        os.kill(int((tmp_path / "1").read_text()), signal.SIGKILL)
        killed += 1

    thread = threading.Thread(target=kill_once)
    thread.start()
    results = list(outcomes)
    thread.join()
    assert killed == 1
    assert Counter(o.status for o in results) == {"ok": 3}


def test_children_killed_as_they_start_are_replaced_up_to_three_times(tmp_path: Path) -> None:
    items = [Item("a", 4)]
    for kills in (3, 4):
        (tmp_path / "left").write_text(str(kills))
        outcomes = run(KilledAtStart(str(tmp_path / "left")), items, executor="inline")
        if kills == 3:
            assert [o.status for o in outcomes] == ["ok"]
        else:
            with pytest.raises(RunnerError, match="4 children were killed as they started"):
                list(outcomes)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_getting_ready_takes_none_of_the_first_items_time(executor: str, tmp_path: Path) -> None:
    items = [Item(str(i), i) for i in range(3)]
    function = SlowStart(str(tmp_path / "warmed"), seconds=1.5)
    outcomes = list(run(function, items, executor=executor, workers=1, timeout=1.0))
    assert {o.status for o in outcomes} == {"ok"}
    assert {o.value for o in outcomes} == {0, 2, 4}
    assert (tmp_path / "warmed").read_text() == "bx"


def test_a_fork_server_that_has_begun_already_is_taken_and_closed() -> None:
    items = [Item(str(i), i) for i in range(3)]
    with started_ahead("colorsys") as server:
        outcomes = list(run(double, items, executor="inline", workers=2, preload=server))
        assert server.process.poll() is not None
    assert sorted(o.value for o in outcomes) == [0, 2, 4]
    with started_ahead() as server:  # made for one thread, where a lone item has two
        outcomes = list(
            run(
                environment_of,
                [Item("a", "OMP_NUM_THREADS")],
                executor="inline",
                workers=2,
                preload=server,
            )
        )
        assert server.process.poll() is not None
    assert outcomes[0].value == "2"


def test_a_fork_server_that_cannot_start_says_why() -> None:
    with started_ahead("no_such_module") as server:
        server.process.wait(60)
        with pytest.raises(RunnerError, match="no_such_module"):
            list(run(double, [Item("a", 1)], executor="inline", workers=1, preload=server))


@pytest.mark.skipif(not waited_seconds(os.getpid()), reason="the system does not tell")
def test_what_others_take_of_the_processor_is_none_of_an_items_time() -> None:
    (outcome,) = run(work_in_a_crowd, [Item("a", 0.6)], executor="inline", timeout=1.5)
    assert outcome.status == "ok", outcome
    assert outcome.value > 1.5


def test_a_machine_with_other_packages_is_refused_by_name() -> None:
    require_same(installed(), "here")
    other = tuple((name, "0.1" if name == "numba" else found) for name, found in installed())
    with pytest.raises(RunnerError, match=r"machine there has numba .* in place of 0\.1"):
        require_same(other, "there")


def test_a_killed_actor_costs_nothing(tmp_path: Path) -> None:
    items = [Item(str(i), (str(tmp_path / str(i)), 0.4)) for i in range(6)]
    outcomes = run(touch_and_sleep, items, executor="ray", workers=2)
    results = [next(outcomes)]
    actors = [
        process
        for process in psutil.Process().children(recursive=True)
        if process.name().startswith("ray::Slot")
    ]
    assert len(actors) == 2
    actors[0].kill()
    results += list(outcomes)
    assert sorted(o.id for o in results) == [str(i) for i in range(6)]
    assert {o.status for o in results} == {"ok"}


def test_an_item_that_ends_its_worker_every_time_is_given_up_after_four(tmp_path: Path) -> None:
    """The others, whose batches went down with it, are all done."""
    items = [Item(str(i), str(tmp_path / str(i))) for i in range(4)]
    items.insert(1, Item("killer", str(tmp_path / "killer")))
    outcomes = {o.id: o for o in run(kill_actor, items, executor="ray", workers=1)}
    assert outcomes["killer"].status == "crashed"
    assert outcomes["killer"].reason == "its worker was lost 4 times"
    assert (tmp_path / "killer").read_text() == "xxxx"
    assert {outcomes[str(i)].status for i in range(4)} == {"ok"}


@pytest.mark.parametrize("executor", EXECUTORS)
def test_no_child_outlives_a_killed_driver(executor: str, tmp_path: Path) -> None:
    """Not even one that hangs in native code with the interpreter lock held."""
    code = (
        "from preprocessing.running.runner import run, Item\n"
        "from crashers import hang_with_pid\n"
        f"items = [Item(str(i), r'{tmp_path}/' + str(i)) for i in range(2)]\n"
        f"list(run(hang_with_pid, items, executor='{executor}', workers=2))\n"
    )
    here = os.pathsep.join([str(ROOT / "tests/helpers"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": here}
    driver = subprocess.Popen([sys.executable, "-c", code], env=environment)
    files = [tmp_path / "0", tmp_path / "1"]
    wait_until(lambda: all(f.exists() and f.read_text() for f in files), 60)
    children = [int(f.read_text()) for f in files]
    assert all(psutil.pid_exists(child) for child in children)
    driver.kill()
    driver.wait()
    wait_until(lambda: not any(alive(child) for child in children), 15)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(true, seconds: float) -> None:
    """Wait for a condition, or fail."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_closing_the_generator_kills_a_hanging_child() -> None:
    """Or it would wait for it for ever."""
    outcomes = run(misbehave, [Item("a", "fine"), Item("b", "hang")], executor="inline", workers=2)
    assert next(outcomes).id == "a"
    outcomes.close()
