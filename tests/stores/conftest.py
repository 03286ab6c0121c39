"""One S3 server for all tests of stores, and a bucket for each."""

import itertools
from collections.abc import Iterator

import pytest
from s3_server import ask, environment, s3_server

from preprocessing.stores import systems

COUNTER = itertools.count()


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    with s3_server() as found:
        yield found


@pytest.fixture
def bucket(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address of a bucket of the test's own; the environment leads there."""
    use(port, monkeypatch)
    name = f"bucket{next(COUNTER)}"
    assert ask(port, "PUT", f"/{name}") == 200
    yield f"s3://{name}"
    systems.file_system.cache_clear()


@pytest.fixture
def use_port(monkeypatch: pytest.MonkeyPatch):
    return lambda port: use(port, monkeypatch)


def use(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process and its children ask the server, or a proxy, at a port."""
    for name, value in environment(port).items():
        monkeypatch.setenv(name, value)
    systems.file_system.cache_clear()
