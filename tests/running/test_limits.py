"""What an item may take when nobody says, and what is refused before any work."""

from pathlib import Path

import pytest

from preprocessing.console import UsageError
from preprocessing.running import pipeline
from preprocessing.running.tasks import Plan
from preprocessing.settings import FINEST, Limits, SettingsError, WatertightSettings, parse_eps

GB = 2**30


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 20 GB and 4 cores."""
    monkeypatch.setattr(pipeline, "memory_limit", lambda: 20 * GB)
    monkeypatch.setattr(pipeline, "available_cores", lambda: 4)


@pytest.mark.parametrize(
    ("workers", "items", "expected"),
    [
        (0, 100, 4.5),  # nine tenths of 20 GB over 4 cores
        (2, 100, 9.0),
        (64, 1, 18.0),  # a lone mesh has the machine for itself, whatever is allowed
        (64, 6, 3.0),
        (0, 3, 6.0),
        (0, 0, 18.0),
    ],
)
def test_memory_is_shared_by_the_slots_that_work(workers: int, items: int, expected: float) -> None:
    assert pipeline.default_memory(Limits(workers=workers), items) == expected


def test_a_cluster_has_other_machines() -> None:
    assert pipeline.default_memory(Limits(ray_address="auto"), 10) is None


def test_a_grid_whose_tables_do_not_fit_is_refused_with_one_that_does() -> None:
    settings = WatertightSettings(eps=2 / 8192)
    plan = Plan(out=Path("nowhere"), watertight=settings, samples=None)
    with pytest.raises(UsageError, match=r"--resolution 8192: .* at most (\d+) fits") as error:
        pipeline.require_fit(plan, 4.0)
    fits = int(str(error.value).split("at most ")[1].split()[0])
    WatertightSettings(eps=2 / fits).check_memory(4.0)
    with pytest.raises(SettingsError):
        WatertightSettings(eps=2 / (fits + 8)).check_memory(4.0)
    pipeline.require_fit(plan, None)
    pipeline.require_fit(Plan(out=Path("nowhere"), watertight=None, samples=None), 0.1)


def test_a_grid_that_cannot_be_numbered_is_refused() -> None:
    assert (FINEST // 8) ** 3 < 2**31 <= (FINEST // 8 + 1) ** 3
    WatertightSettings(eps=2 / FINEST)
    with pytest.raises(SettingsError, match="10320"):
        WatertightSettings(eps=parse_eps("2/5120000"))
