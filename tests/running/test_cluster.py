"""Several machines, as Ray's own test cluster plays them: one is lost, one joins."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from crashers import touch_and_sleep
from ray.cluster_utils import Cluster

from preprocessing.running import runner_ray
from preprocessing.running.runner import Item, run
from preprocessing.settings import SHARE, Limits


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
