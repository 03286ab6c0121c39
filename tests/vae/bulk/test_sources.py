"""What counts as several inputs, and which files and parts they are."""

from pathlib import Path

import pytest
from vae_samples import write_boxes

from preprocessing.console import UsageError
from preprocessing.points.samples import sample_files
from preprocessing.points.shards import pack_samples
from preprocessing.running.tasks import Task
from vae.bulk.sources import find_entries, is_bulk
from vae.bulk.worker import facts_of_input, input_of

SUFFIXES = {".safetensors", ".ply"}


def test_one_file_is_no_bulk(tmp_path: Path) -> None:
    (tmp_path / "a[1].ply").write_bytes(b"")
    assert not is_bulk([str(tmp_path / "a[1].ply")])
    assert not is_bulk(["nowhere.ply"])
    assert is_bulk([str(tmp_path)])
    assert is_bulk(["list.txt"])
    assert is_bulk(["shapes/*.ply"])
    assert is_bulk(["a.ply", "b.ply"])


def test_a_run_stands_for_its_samples_and_shards_for_what_they_hold(tmp_path: Path) -> None:
    write_boxes(tmp_path / "run/samples")
    (tmp_path / "run/watertight").mkdir()
    (tmp_path / "run/watertight/box0.ply").write_bytes(b"")
    loose = find_entries([str(tmp_path / "run")], SUFFIXES, tmp_path / "out")
    assert [entry.id for entry in loose] == ["box0", "box1", "box2"]
    pack_samples(sample_files(tmp_path / "run"), tmp_path / "shards", 20_000, quiet=True)
    packed = find_entries([str(tmp_path / "shards")], SUFFIXES, tmp_path / "out")
    assert [entry.id for entry in packed] == ["box0", "box1", "box2"]
    with pytest.raises(UsageError, match="'box0'"):
        find_entries([str(tmp_path / "run"), str(tmp_path / "shards")], SUFFIXES, tmp_path / "out")


def test_the_digest_of_a_part_is_that_of_its_file(tmp_path: Path) -> None:
    files = sample_files(write_boxes(tmp_path / "in"))
    pack_samples(files, tmp_path / "shards", 2**30, quiet=True)
    for entry in find_entries([str(tmp_path / "shards")], SUFFIXES, tmp_path / "out"):
        found = []
        for task in (
            Task(entry.id, entry.path, part=entry.part),
            Task(entry.id, str(files[entry.id])),
        ):
            with input_of(task) as source:
                found.append(facts_of_input(task, source)["input_sha256"])
        assert found[0] == found[1]
