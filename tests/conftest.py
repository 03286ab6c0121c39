"""Where tests find real meshes and the published model's numbers, and how hypothesis runs."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the kernels once before several processes test, each of which would do it."""
    if getattr(session.config.option, "numprocesses", None):
        from preprocessing.running.tasks import Plan
        from preprocessing.running.warming import warm_kernels
        from preprocessing.settings import SampleSettings, WatertightSettings

        solid, samples = WatertightSettings(eps=2 / 64), SampleSettings()
        warm_kernels(Plan(out=Path("unused"), watertight=solid, samples=samples), quiet=False)


# CI machines are slow and shared: a deadline there tests the machine. Derandomised: same run twice.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")


def folder(variable: str, default: str) -> Path:
    """The folder an environment variable names, or the default beside the checkout; may skip."""
    path = Path(os.environ.get(variable) or ROOT / default)
    if not path.is_dir():
        pytest.skip(f"{path} is not there; set {variable} to run this test")
    return path


@pytest.fixture(scope="session")
def meshes_dir() -> Path:
    """Real meshes with MESHES.csv, and broken ones under broken/."""
    return folder("DORA_MESHES", "../shared/meshes")


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """A small checkpoint in the published layout and what the published model computes with it."""
    return folder("DORA_REFERENCE", "tests/data")
