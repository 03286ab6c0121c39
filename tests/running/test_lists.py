"""Lists say which paths and ids, in any encoding an editor may have left them in."""

from pathlib import Path

import pandas as pd
import pytest

from preprocessing.console import UsageError
from preprocessing.running.lists import id_text, read_list

CASES = Path(__file__).parents[1] / "data/cases/lists"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("suffix", ["txt", "csv", "json"])
def test_a_byte_order_mark_and_any_line_end_change_nothing(
    tmp_path: Path, encoding: str, ending: str, suffix: str
) -> None:
    text = {
        "txt": "é.obj\nb.obj\n",
        "csv": "path\né.obj\nb.obj\n",
        "json": '["é.obj",\n"b.obj"]\n',
    }[suffix].replace("\n", ending)
    path = tmp_path / f"list.{suffix}"
    path.write_bytes(text.encode(encoding))
    assert [one.name for one in read_list(str(path))] == ["é.obj", "b.obj"]


def test_lines_end_where_lines_end(tmp_path: Path) -> None:
    """A file name may hold what Unicode calls a line separator."""
    (tmp_path / "list.txt").write_text("a\u2028b.obj\nc\x0bd.obj\n")
    assert [one.name for one in read_list(str(tmp_path / "list.txt"))] == [
        "a\u2028b.obj",
        "c\x0bd.obj",
    ]


def test_names_that_are_not_utf8_are_paths_too(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"chair\xff.obj\n")
    (one,) = read_list(str(tmp_path / "list.txt"))
    assert one.path == f"{tmp_path}/chair\udcff.obj"


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([1, 2], ["1", "2"]),
        ([1, None], ["1", "b.obj"]),
        (["x", ""], ["x", "b.obj"]),
        ([0, 10**12], ["0", "1000000000000"]),
    ],
)
def test_ids_may_be_whole_numbers(tmp_path: Path, ids: list, expected: list[str]) -> None:
    for suffix in ("parquet", "csv"):
        path = tmp_path / f"list.{suffix}"
        table = pd.DataFrame({"path": ["a.obj", "b.obj"], "id": ids})
        if suffix == "parquet":
            table.to_parquet(path)
        else:
            table["id"] = table["id"].astype("Int64") if ids[0] in (0, 1) else table["id"]
            table.to_csv(path, index=False)
        assert [one.name for one in read_list(str(path))] == expected


def test_numbers_as_text() -> None:
    assert [id_text(v) for v in (7, 7.0, float("nan"), None, "7", 2.5)] == [
        "7",
        "7",
        "",
        "",
        "7",
        "2.5",
    ]


def test_the_cases_that_were_reported() -> None:
    found = {one.name: Path(one.path).name for one in read_list(str(CASES / "i.parquet"))}
    assert found == {"1": "ok.obj", "2": "ok2.stl"}
    assert all(Path(one.path).is_file() for one in read_list(str(CASES / "bom.txt")))


def test_a_path_that_is_a_number_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"path": [1, 2]}).to_parquet(tmp_path / "l.parquet")
    with pytest.raises(UsageError, match="no path"):
        list(read_list(str(tmp_path / "l.parquet")))
