"""Several machines, as Ray's own test cluster plays them: one is lost, one joins."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import ray
from crashers import touch_and_sleep
from ray.cluster_utils import Cluster
from small_runs import write_box

from preprocessing.running import runner_ray
from preprocessing.running.ledger import read_ledger
from preprocessing.running.runner import Item, run
from preprocessing.settings import SHARE, Limits

OPEN = {**os.environ, "RAY_AUTH_MODE": "disabled"}  # a head that asks for no token


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield found
    ray.shutdown()
    found.shutdown()


class Work:
    """Items until `enough` is set: how long a machine takes to join depends on how busy it is."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.enough, self.given = folder, False, 0

    def __iter__(self) -> Iterator[Item]:
        while not self.enough and self.given < 600:
            self.given += 1
            yield Item(str(self.given), (str(self.folder / str(self.given)), 0.3))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own, of sockets that its killed node leaves
def test_a_node_killed_costs_nothing_and_one_that_joins_does_work(
    cluster: Cluster, tmp_path: Path
) -> None:
    second = cluster.add_node(num_cpus=1)
    work, outcomes, nodes = Work(tmp_path), [], set()
    for outcome in run(touch_and_sleep, work, executor="ray", ray_address=cluster.address):
        outcomes.append(outcome)
        nodes.add(outcome.node)
        if len(nodes) == 2 and second is not None:
            cluster.remove_node(second)
            second = None
            cluster.add_node(num_cpus=2)
        work.enough = len(nodes) == 3
    assert len(nodes) == 3
    assert Counter(o.status for o in outcomes) == {"ok": work.given}
    assert sorted(int(o.id) for o in outcomes) == list(range(1, work.given + 1))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_node_that_joins_is_used_without_any_loss(cluster: Cluster, tmp_path: Path) -> None:
    work, outcomes, nodes = Work(tmp_path), [], set()
    for outcome in run(touch_and_sleep, work, executor="ray", ray_address=cluster.address):
        if not outcomes:
            cluster.add_node(num_cpus=1)
        outcomes.append(outcome)
        nodes.add(outcome.node)
        work.enough = len(nodes) == 2
    assert len(nodes) == 2
    assert len(outcomes) == work.given


def test_an_item_may_take_its_share_of_the_machine_that_its_slot_is_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = [
        {"NodeID": "small", "Resources": {"CPU": 4.0}},
        {"NodeID": "large", "Resources": {"CPU": 16.0, "GPU": 2.0}},
    ]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    monkeypatch.setattr(runner_ray, "memory_limit", lambda: 8 * 2**30)
    assert runner_ray.share_of("small", None, 0.0) == 1.8
    assert runner_ray.share_of("small", 2, 0.0) == 3.6
    assert runner_ray.share_of("large", None, 0.0) == 0.45
    assert runner_ray.share_of("large", None, 0.5) == 1.8
    assert Limits(ray_address="auto").for_runner()["memory"] == SHARE
    assert Limits(ray_address="auto", memory=3.0).for_runner()["memory"] == 3.0
    assert Limits().for_runner()["memory"] is None


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def started_head() -> Iterator[tuple[str, str, str]]:
    """`ray start --head`: addresses of the cluster, of its dashboard and of its metrics."""
    cluster, dashboard, metrics = (free_port() for _ in range(3))
    line = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    line += [f"--port={cluster}", f"--dashboard-port={dashboard}", "--num-cpus=2"]
    line += [f"--metrics-export-port={metrics}", "--disable-usage-stats"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(line, env=OPEN, **quiet) as head:
        try:
            address = f"http://127.0.0.1:{dashboard}"
            assert answers(f"{address}/api/version")
            yield f"127.0.0.1:{cluster}", address, f"http://127.0.0.1:{metrics}/metrics"
        finally:
            head.terminate()


def answers(address: str, wanted: str = "") -> bool:
    """Whether a page comes, with a text in it, within three minutes."""
    for _ in range(180):
        try:
            if wanted in urllib.request.urlopen(address, timeout=10).read().decode():
                return True
        except urllib.error.HTTPError:  # it is there, and wants Ray's token
            return not wanted
        except OSError:
            pass
        time.sleep(1)
    return False


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(find_spec("aiohttp") is None, reason="ray job submit needs ray[default]")
def test_a_submitted_job_does_its_items_and_ray_counts_them(tmp_path: Path) -> None:
    for name in ("a.ply", "b.ply"):
        write_box(tmp_path / "meshes" / name)
    (tmp_path / "meshes/c.obj").write_text("v 0 0 0\n")
    with started_head() as (_, dashboard, metrics):
        line = [
            sys.executable,
            "-m",
            "ray.scripts.scripts",
            "job",
            "submit",
            "--address",
            dashboard,
        ]
        line += ["--", sys.executable, "-m", "preprocessing.cli", "watertight"]
        line += [str(tmp_path / "meshes"), "--out", str(tmp_path / "out"), "--eps", "2/48"]
        with subprocess.Popen(
            [*line, "--ray-address", "auto"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=OPEN,
        ) as job:
            counted = answers(metrics, "ray_dora_items_total{")
            told, _ = job.communicate(timeout=600)
        assert b"2 ok, 1 rejected" in told, told.decode()
        assert counted
    rows = read_ledger(tmp_path / "out").to_pylist()
    assert [row["status"] for row in rows] == ["ok", "ok", "rejected"]
    assert all(" " in row["node"] for row in rows)  # the machine, and Ray's name of it
