"""Inputs become ids that depend on nothing but the input itself."""

import json
import os
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from preprocessing.console import UsageError
from preprocessing.running.manifest import Entry, find_inputs, kinds, mesh_suffixes

SUFFIXES = {".obj", ".glb", ".step"}


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def ids(inputs: list[str], **options) -> list[str]:
    return [entry.id for entry in find_inputs(inputs, SUFFIXES, **options)]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    touch(tmp_path, "in/a.obj", "in/b/c.GLB", "in/b/d.step", "in/b/skin.png", "in/.hidden/x.obj")
    touch(tmp_path, "in/notes.txt", "in/a.mtl", "other/a.obj")
    return tmp_path


def test_a_folder_gives_every_mesh_like_file_and_nothing_else(tree: Path) -> None:
    found = find_inputs([str(tree / "in")], SUFFIXES)
    assert [entry.id for entry in found] == ["a", "b/c", "b/d"]
    assert found[1] == Entry("b/c", str(tree / "in/b/c.GLB"))


def test_a_named_file_is_taken_whatever_its_suffix(tree: Path) -> None:
    assert ids([str(tree / "in/b/skin.png")]) == ["skin"]


def test_a_pattern_counts_from_its_fixed_part(tree: Path) -> None:
    assert ids([str(tree / "in" / "**" / "*.GLB")]) == ["b/c"]
    assert ids([str(tree / "in" / "*" / "[cd].*")]) == ["b/c", "b/d"]


def test_a_name_that_looks_like_a_pattern_but_exists_is_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "[1].obj")
    assert ids([str(tmp_path / "[1].obj")]) == ["[1]"]


@pytest.mark.parametrize("suffix", ["txt", "csv", "parquet", "json"])
def test_lists_are_relative_to_their_folder(tree: Path, suffix: str) -> None:
    paths = ["a.obj", "b/c.GLB", str(tree / "in/b/d.step"), "gone.obj", str(tree / "other/a.obj")]
    path = tree / "in" / f"list.{suffix}"
    if suffix == "txt":
        path.write_text("# a comment\n\n" + "\n".join(paths) + "\n")
    elif suffix == "json":
        path.write_text(json.dumps(paths))
    elif suffix == "csv":
        pd.DataFrame({"n": range(5), "path": paths}).to_csv(path, index=False)
    else:
        pd.DataFrame({"path": paths}).to_parquet(path)
    outside = str(tree / "other/a")[1:]
    assert ids([str(path)]) == sorted(["a", "b/c", "b/d", "gone", outside])


def test_a_list_may_name_its_ids(tree: Path) -> None:
    path = tree / "in/list.csv"
    path.write_text("id,path\nfirst,a.obj\n,b/c.GLB\n")
    assert ids([str(path)]) == ["b/c", "first"]


def test_the_same_file_twice_is_one_item(tree: Path) -> None:
    assert ids([str(tree / "in"), str(tree / "in/b/c.GLB")]) == ["a", "b/c", "b/d"]


def test_a_collision_names_both_files(tree: Path) -> None:
    with pytest.raises(UsageError) as error:
        ids([str(tree / "in"), str(tree / "other")])
    assert str(tree / "in/a.obj") in str(error.value)
    assert str(tree / "other/a.obj") in str(error.value)
    touch(tree, "in/a.glb")
    assert ids([str(tree / "in")]) == ["a.glb", "a.obj", "b/c", "b/d"]


def test_files_of_other_kinds_are_counted_and_companions_are_not(tree: Path) -> None:
    touch(tree, "in/x.drc", "in/b/y.DRC", "in/README", "in/ledger.parquet")
    passed_over: Counter[str] = Counter()
    find_inputs([str(tree / "in")], SUFFIXES, None, passed_over)
    assert passed_over == {".drc": 2, ".txt": 1, "": 1}
    assert kinds(passed_over).startswith("2 .drc, ")
    with pytest.raises(UsageError, match=r"holds no file .* it holds 2 \.drc"):
        find_inputs([str(tree / "in")], {".ply"})


def test_hidden_files_are_passed_over_and_counted(tmp_path: Path) -> None:
    for name in ("a.obj", "._a.obj", ".b.ply", ".DS_Store"):
        (tmp_path / name).write_bytes(b"v 0 0 0\n")
    (tmp_path / ".folder.obj").mkdir()
    others: Counter[str] = Counter()
    assert [e.id for e in find_inputs([str(tmp_path)], (".obj", ".ply"), None, others)] == ["a"]
    assert others == {"hidden .obj": 1, "hidden .ply": 1}


def test_a_name_of_any_bytes_is_one_item(tmp_path: Path) -> None:
    names = [b"chair\xff.obj", b"a|b.obj", b"n\n.obj", b"x" * 251 + b".obj", b"sp ace.obj"]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(b"")
    entries = find_inputs([str(tmp_path)], SUFFIXES)
    assert {os.path.basename(os.fsencode(entry.path)) for entry in entries} == set(names)
    assert {"chair\\xff", "a|b", "n\n", "sp ace"} < {entry.id for entry in entries}


def test_the_output_inside_an_input_is_no_input(tree: Path) -> None:
    touch(tree, "in/out/a.obj")
    assert ids([str(tree / "in")], exclude=tree / "in/out") == ["a", "b/c", "b/d"]


def test_a_link_in_a_circle_ends(tree: Path) -> None:
    (tree / "in/b/loop").symlink_to(tree / "in")
    assert ids([str(tree / "in")]) == ["a", "b/c", "b/d"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone", None, "no such file"),
        ("*.glb", None, "holds no file"),
        ("l.csv", "file\na.obj\n", "no column `path`"),
        ("l.json", '{"a": 1}', "JSON list"),
        ("l.json", "[1", "cannot be read"),
        ("l.parquet", "PAR1", "cannot be read"),
    ],
)
def test_wrong_inputs_say_what_is_wrong(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message):
        ids([str(tmp_path / name)])


def test_formats_without_a_reader_are_inputs_too() -> None:
    assert {".glb", ".obj", ".usda", ".step"} <= mesh_suffixes()
    assert not {".bin", ".mtl", ".png", ".csv", ".zip"} & mesh_suffixes()
