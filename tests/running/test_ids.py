"""Ids: safe as file names, one an item, never a way out of the output folder."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.console import UsageError
from preprocessing.running.ids import (
    LONGEST,
    Entry,
    Found,
    entries_of,
    fault_of_id,
    former_ids,
    id_of_file,
    original,
    readable,
)


def files(*names: str) -> list[Found]:
    return [Found(name, f"/in/{name}", given=False) for name in names]


def ids(found: list[Found]) -> list[str]:
    return [entry.id for entry in entries_of(found)]


@given(name=st.binary(min_size=1, max_size=255).filter(lambda b: not {0, 47} & set(b)))
def test_any_file_name_gives_an_id_that_is_a_file_name(name: bytes) -> None:
    made = id_of_file(os.fsdecode(name))
    assert len(made.encode()) <= LONGEST + 1  # strict UTF-8; an underscore may stand in front
    assert made == id_of_file(os.fsdecode(name))
    assert not made.startswith(".")
    assert "/" not in made
    assert readable(made) == made


def test_long_names_stay_apart_and_short_ones_as_they_are() -> None:
    long = ["x" * 250 + end for end in "ab"]
    assert len({id_of_file(name) for name in long}) == 2
    assert id_of_file("a" * LONGEST) == "a" * LONGEST
    assert id_of_file("é" * 120) != "é" * 120  # bytes count, not characters


def test_bytes_that_are_not_utf8_are_escaped_and_found_again(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"chair\xff.obj")
    Path(os.fsdecode(path)).write_bytes(b"")
    told = readable(os.fsdecode(path))
    assert told.endswith("chair\\xff.obj")
    assert original(told) == os.fsdecode(path)
    assert original("/nowhere/a\\xff") == "/nowhere/a\\xff"
    assert readable("from a file: \ud800") == "from a file: \\ud800"


def test_files_that_differ_in_the_suffix_keep_it_and_no_others() -> None:
    assert ids(files("chair.obj", "chair.stl", "b/lamp.glb")) == [
        "b/lamp",
        "chair.obj",
        "chair.stl",
    ]
    # A third file whose stem is one of those names keeps its own suffix too.
    assert ids(files("a.obj", "a.stl", "a.obj.ply")) == ["a.obj", "a.obj.ply", "a.stl"]
    assert ids(files("A.obj", "a.obj")) == ["A", "a"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "a.obj", "c/a"]), st.sampled_from(["", ".obj", ".x"])),
        unique=True,
    )
)
def test_ids_are_one_to_one_whatever_the_names(parts: list[tuple[str, str]]) -> None:
    names = sorted({stem + suffix for stem, suffix in parts})
    entries = entries_of(files(*names))
    assert sorted(entry.path for entry in entries) == sorted(f"/in/{name}" for name in names)
    assert len({entry.id for entry in entries}) == len(names)


def test_one_id_from_two_inputs_is_an_error_that_names_both() -> None:
    found = [Found("a.obj", f"/{root}/a.obj", given=False) for root in ("one", "two")]
    with pytest.raises(UsageError, match=r"(?s)/one/a\.obj.*/two/a\.obj.*folder above"):
        entries_of(found)


def test_an_id_that_a_list_gives_twice_is_refused_and_the_others_go_on() -> None:
    found = [Found("x", "/in/a.obj", True), Found("x", "/in/b.obj", True), *files("c.obj")]
    entries = entries_of(found)
    assert [(entry.id, bool(entry.refused)) for entry in entries] == [("c", False), ("x", True)]
    assert "/in/a.obj" in entries[1].refused
    assert "/in/b.obj" in entries[1].refused
    assert len(entries_of([found[0], found[0]])) == 1  # the same row twice is one item


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "../../x",
        "/abs",
        "a/../../b",
        "a/..",
        ".",
        "./a",
        "a//b",
        "a/",
        ".a",
        "a\0b",
        "y" * 201,
    ],
)
def test_ids_that_lead_out_or_hide_are_refused(name: str) -> None:
    assert fault_of_id(name)
    (entry,) = entries_of([Found(name, "/in/a.obj", given=True)])
    assert entry.refused


@pytest.mark.parametrize("name", ["a", "a/b", "7", "ä ö", "a|b", "..a..b"[2:], "x\ny"])
def test_other_ids_are_fine(name: str) -> None:
    assert not fault_of_id(name)


def test_the_id_that_a_file_had_before() -> None:
    assert list(former_ids(Entry("chair.obj", "/in/chair.obj"))) == ["chair"]
    assert list(former_ids(Entry("chair", "/in/chair.obj"))) == ["chair.obj"]
    assert list(former_ids(Entry("chair", "/in/chair"))) == []
