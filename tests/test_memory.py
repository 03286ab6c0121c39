"""Free memory: never more than the machine has, and the process's own limit counts."""

import resource

import psutil
import pytest

from preprocessing.memory import available_memory


def test_within_the_machine() -> None:
    assert 0 < available_memory() <= psutil.virtual_memory().total


def test_the_data_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    used = psutil.Process().memory_info().data
    monkeypatch.setattr(resource, "getrlimit", lambda _: (used + 1_000_000, used + 1_000_000))
    assert available_memory() <= 1_000_000 + 50_000_000
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000, 1000))
    assert available_memory() == 0
