"""What cannot be written is told before work starts, by one line that names the place."""

import os
from pathlib import Path

import pytest

from preprocessing.console import UsageError
from preprocessing.first_look import check_out_file, check_out_folder


def test_a_place_that_can_be_made_is_left_as_it_was(tmp_path: Path) -> None:
    check_out_folder(tmp_path / "a/b")
    check_out_file(tmp_path / "c/d.ply", (".ply", ".obj"))
    check_out_folder(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    for place in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(UsageError, match=f"{tmp_path}/file is a file"):
            check_out_folder(place)
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
    for place in ("/proc/self/out", "/proc/none/out"):
        with pytest.raises(UsageError, match=f"--to {place}: cannot write there"):
            check_out_folder(place, "--to")
    if os.geteuid():
        tmp_path.chmod(0o500)
        with pytest.raises(UsageError, match="Permission denied"):
            check_out_folder(tmp_path)
