"""Files are whole or absent."""

import os
from pathlib import Path

import pytest

from preprocessing.files import atomic_path, atomic_write, sha256_file


def test_the_suffix_survives_and_nothing_else_is_left(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "deep" / "mesh.ply") as temporary:
        assert temporary.suffix == ".ply"
        assert temporary.parent == tmp_path / "deep"
        temporary.write_bytes(b"data")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["mesh.ply"]


def test_an_error_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    atomic_write(target, "old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_sha256_of_a_file(tmp_path: Path) -> None:
    atomic_write(tmp_path / "x", b"abc")
    assert sha256_file(tmp_path / "x").startswith("ba7816bf8f01cfea")
