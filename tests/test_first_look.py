"""What cannot be written is told before work starts, by one line that names the place."""

import os
from pathlib import Path

import pytest

from preprocessing.console import UsageError
from preprocessing.first_look import check_out_file, check_out_folder
from preprocessing.stores.address import place


def test_a_place_that_can_be_made_is_left_as_it_was(tmp_path: Path) -> None:
    check_out_folder(tmp_path / "a/b")
    check_out_file(tmp_path / "c/d.ply", (".ply", ".obj"))
    check_out_folder(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for where in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(UsageError, match=f"{tmp_path}/file is a file"):
            check_out_folder(where)
    with pytest.raises(UsageError, match="is a file"):
        check_out_file(tmp_path / "file/below/a.ply")
    assert (tmp_path / "file").read_text() == "kept"


def test_a_folder_where_a_file_is_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        check_out_file(tmp_path)


def test_a_suffix_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.obj \.ply"):
        check_out_file(tmp_path / "a.docx", (".ply", ".obj"))
    check_out_file(tmp_path / "a.PLY", (".ply", ".obj"))


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a place nobody can write to")
def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """Root passes every permission; /proc refuses root too."""
    for where in ("/proc/self/out", "/proc/none/out"):
        with pytest.raises(UsageError, match=f"--to {where}: cannot write there"):
            check_out_folder(where, "--to")
    if os.geteuid():
        tmp_path.chmod(0o500)
        with pytest.raises(UsageError, match="Permission denied"):
            check_out_folder(tmp_path)


def test_an_output_is_never_its_own_input(tmp_path: Path) -> None:
    """By whatever name or link, also where the file that is asked for is in a store."""
    (tmp_path / "a.ply").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path)
    for out in (tmp_path / "a.ply", tmp_path / "link/a.ply", tmp_path / "b/../a.ply"):
        if "b" in out.parts:
            (tmp_path / "b").mkdir()
        with pytest.raises(UsageError, match="is the input; name another file"):
            check_out_file(out, (".ply",), source=tmp_path / "a.ply")
    with pytest.raises(UsageError, match="is the input"):
        check_out_file(place("s3://b/a.ply"), source=place("s3://b/a.ply"))
    check_out_file(place("s3://b/c.ply"), source=place("s3://b/a.ply"))
    check_out_file(place("s3://b/a.ply"), source=tmp_path / "a.ply")
    check_out_file(tmp_path / "c.ply", (".ply",), source=tmp_path / "a.ply")
