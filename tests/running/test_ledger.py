"""Rows survive whatever happens between and inside writes."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from disks import tiny_disk
from hypothesis import given
from hypothesis import strategies as st

from preprocessing.console import UsageError
from preprocessing.running.ledger import Ledger, journal_path, read_ledger
from preprocessing.running.ledger_columns import SAMPLES, STAGES, WATERTIGHT

DESIGN = (
    "id, path, status, reason, seconds, peak_memory_mb, vertices, faces, components, watertight, "
    "edge_manifold, vertex_manifold, volume, euler, offset_rms, offset_max, eps, resolution, "
    "method, scale, center_x, center_y, center_z, input_sha256, version"
)


def row(name: str, **columns) -> dict:
    return {"id": name, "path": f"/in/{name}.obj", "status": "ok", "reason": "", **columns}


def test_columns_begin_as_designed() -> None:
    assert ", ".join(WATERTIGHT.names).startswith(DESIGN)
    assert SAMPLES.names[:6] == WATERTIGHT.names[:6]


def test_the_guide_has_every_column() -> None:
    guide = (Path(__file__).parents[2] / "docs/ledger.md").read_text()
    told = set(re.findall(r"`([a-z_0-9]+)`", guide))
    assert not {name for schema in STAGES.values() for name in schema.names} - told


def test_rows_come_back_sorted_and_the_last_of_an_id_counts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, WATERTIGHT)
    for name, faces in (("b", 1), ("a", 2), ("b", 3)):
        ledger.record(row(name, faces=faces, volume=0.5, watertight=True))
    assert read_ledger(tmp_path)["faces"].to_pylist() == [2, 3]  # before it is folded
    ledger.close()
    again = Ledger(tmp_path, WATERTIGHT)
    again.record(row("a", faces=7))
    again.close()
    for table in (
        read_ledger(tmp_path).to_pandas(),
        pd.read_parquet(tmp_path / "ledger.parquet"),
        pd.read_csv(tmp_path / "ledger.csv"),
    ):
        assert list(table["id"]) == ["a", "b"]
        assert list(table["faces"]) == [7, 3]
    assert not journal_path(tmp_path).exists()


@given(cut=st.integers(0, 2000))
def test_a_journal_cut_anywhere_loses_only_what_was_cut(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    ledger = Ledger(folder, SAMPLES)
    for i in range(4):
        ledger.record(row(str(i)))
    ledger.close(fold=False)
    data = journal_path(folder).read_bytes()
    kept = data[: cut % (len(data) + 1)]
    journal_path(folder).write_bytes(kept)
    whole = kept.count(b"\n")
    assert read_ledger(folder, SAMPLES)["id"].to_pylist() == [str(i) for i in range(whole)]
    resumed = Ledger(folder, SAMPLES)
    resumed.record(row("new"))
    resumed.close()
    assert len(read_ledger(folder)) == whole + 1


def test_a_torn_line_in_the_middle_is_left_out(tmp_path: Path) -> None:
    lines = [json.dumps(row("a")), '{"id": "b", "pa', "\0\0\0", json.dumps(row("c"))]
    journal_path(tmp_path).write_text("\n".join(lines) + "\n")
    assert read_ledger(tmp_path)["id"].to_pylist() == ["a", "c"]


def test_two_runs_cannot_write_one_folder(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, WATERTIGHT)
    with pytest.raises(UsageError, match="another run"):
        Ledger(tmp_path, WATERTIGHT)
    ledger.close()
    Ledger(tmp_path, WATERTIGHT).close()


def test_an_unknown_column_is_an_error(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, WATERTIGHT)
    with pytest.raises(KeyError, match="colour"):
        ledger.record(row("a", colour="red"))
    ledger.close()


def test_a_ledger_of_an_older_version_gains_columns(tmp_path: Path) -> None:
    pd.DataFrame([row("a", offset_rms=0.1)]).to_parquet(tmp_path / "ledger.parquet")
    assert read_ledger(tmp_path, WATERTIGHT)["faces"].to_pylist() == [None]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with tiny_disk(tmp_path / "disk", 2) as folder:
        yield folder


def cleared(whole: bytes) -> bytes:
    return whole[:0]


def half(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def blotted(whole: bytes) -> bytes:
    """Zeros where rows were; what says where they are is whole."""
    return whole[:4] + bytes(400) + whole[404:]


@pytest.mark.parametrize("damage", [cleared, half, blotted])
def test_a_damaged_ledger_is_named_and_one_put_back_is_read(tmp_path: Path, damage) -> None:
    ledger = Ledger(tmp_path, WATERTIGHT)
    ledger.record(row("a"))
    ledger.close()
    path = tmp_path / "ledger.parquet"
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    with pytest.raises(UsageError, match=r"ledger\.parquet is damaged"):
        read_ledger(tmp_path)
    with pytest.raises(UsageError, match=r"ledger\.parquet is damaged") as held:
        Ledger(tmp_path, WATERTIGHT)
    path.write_bytes(whole)
    again = Ledger(tmp_path, WATERTIGHT)  # although the error still holds what was open
    assert held is not None
    assert again.known("a") is not None
    again.close()


@pytest.mark.parametrize("columns", [{"euros": [1.0]}, {"id": ["a"], "status": ["paid"]}])
def test_a_file_of_that_name_that_is_no_ledger_is_refused(tmp_path: Path, columns) -> None:
    pq.write_table(pa.table(columns), tmp_path / "ledger.parquet")
    for ask in (read_ledger, lambda folder: Ledger(folder, WATERTIGHT)):
        with pytest.raises(UsageError, match="is no ledger of dora-prep"):
            ask(tmp_path)


def test_a_full_disk_leaves_a_readable_ledger(small_disk: Path) -> None:
    ledger = Ledger(small_disk, WATERTIGHT)
    written = 0
    with pytest.raises(OSError, match="No space left"):
        for written in range(100_000):
            ledger.record(row(str(written), detail="x" * 1000))
    with pytest.raises(OSError, match="No space left"):
        ledger.close()
    assert len(read_ledger(small_disk, WATERTIGHT)) == written
    assert not (small_disk / "ledger.parquet").exists()


def test_many_rows_are_known(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, WATERTIGHT)
    for i in range(20_000):
        ledger.record(row(str(i), input_sha256="0" * 64, output_sha256="1" * 64))
    ledger.close()
    ledger = Ledger(tmp_path, WATERTIGHT)
    assert all(ledger.known(str(i)) for i in range(20_000))
    ledger.close()
    assert os.listdir(tmp_path).count("ledger.parquet") == 1


@pytest.mark.parametrize(("first", "second"), [(WATERTIGHT, SAMPLES), (SAMPLES, WATERTIGHT)])
def test_one_stage_does_not_overwrite_the_ledger_of_the_other(tmp_path: Path, first, second):
    ledger = Ledger(tmp_path, first)
    ledger.record(row("a"))
    ledger.close()
    before = (tmp_path / "ledger.parquet").read_bytes()
    with pytest.raises(UsageError, match="other stage"):
        Ledger(tmp_path, second)
    assert (tmp_path / "ledger.parquet").read_bytes() == before
    Ledger(tmp_path, first).close()
