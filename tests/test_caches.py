"""The cache folder can be written wherever the house runs."""

import os
import tempfile
from pathlib import Path

import pytest

from preprocessing import caches


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp"


def test_the_users_own_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert caches.cache_folder() == tmp_path / "home/.cache/dora-bench"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert caches.cache_folder() == tmp_path / "xdg/dora-bench"
    assert (tmp_path / "xdg/dora-bench").is_dir()


def test_a_home_that_cannot_be_written(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands where the folder would be: no permission lets anyone make it, root included."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    folder = caches.cache_folder()
    assert folder == temporary / f"dora-bench-{os.getuid()}"
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o077 == 0


def test_no_home_at_all(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    assert caches.cache_folder().parent == temporary


def test_a_name_held_by_another_user_is_not_trusted(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    (temporary / "dora-bench-12345").mkdir()
    folder = caches.temporary_folder()
    assert folder.name != "dora-bench-12345"
    assert folder.is_dir()


def test_a_folder_that_others_can_write_is_not_trusted(temporary: Path) -> None:
    own = caches.temporary_folder()
    assert own == caches.temporary_folder()
    own.chmod(0o777)
    assert caches.temporary_folder() != own
