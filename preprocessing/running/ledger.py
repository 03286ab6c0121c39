"""The ledger: one row an item, readable whatever was killed.

A row is one JSON line appended to `ledger.journal.jsonl` after its file is complete. From time to
time, and at the end, the journal is folded into `ledger.parquet` and `ledger.csv`, which are
replaced whole. Reading takes both; the last row of an id counts; a torn line counts as not written.

A row with the status "removed" takes the id out: its file has another id now, or its output was of
other settings and has been replaced.

In an object store it is kept by stores/ledger_copy.py.

Rows stay in Arrow tables, so a ledger of 200,000 rows costs about 200 MB and not a gigabyte.
"""

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from preprocessing.console import UsageError
from preprocessing.files import atomic_path
from preprocessing.running.ids import readable
from preprocessing.running.ledger_columns import OWN, PROOF, STAGES, WATERTIGHT, stage_of
from preprocessing.stores.address import Place, StorePath
from preprocessing.stores.ledger_copy import (
    CSV,
    JOURNAL,
    PARQUET,
    has_stored_ledger,
    lease_holder,
    pulled,
)

PROOF_NAMES = tuple(
    name
    for name in ("path", "status", "reason", "version", "eps", "input_sha256", *PROOF)
    if name != "node"
)
REMOVED = "removed"
LONG = ("path", "output", "input_sha256", "output_sha256")
FSYNC_SECONDS = 1.0
FOLD_SECONDS = 120.0
CHUNK = 10_000  # rows handled at a time where a whole table would cost memory


def parquet_path(folder: Path) -> Path:
    """Where a folder's ledger is."""
    return folder / PARQUET


def parquet_file(folder: Path) -> pq.ParquetFile:
    """A folder's ledger, opened. Raises UsageError for a file that is damaged or no ledger."""
    path = parquet_path(folder)
    with damage_named(path):
        file = pq.ParquetFile(path)
    names = set(file.schema_arrow.names)
    if not {"id", "status"} <= names or names.isdisjoint(OWN.values()):
        file.close()
        raise UsageError(f"{path} is no ledger of dora-prep; move or rename it")
    return file


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Say which ledger is damaged where pyarrow finds that it is; the system's errors stay."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None) or isinstance(error, MemoryError):
            raise
        raise UsageError(
            f"{path} is damaged ({error}); put a copy back, or move it away: what it lists is "
            "made anew"
        ) from None


def journal_path(folder: Path) -> Path:
    """Where rows go that are not in the parquet file yet."""
    return folder / JOURNAL


def has_ledger(folder: Place) -> bool:
    """Whether a run has written a ledger there."""
    if isinstance(folder, StorePath):
        return has_stored_ledger(folder)
    return parquet_path(folder).exists() or journal_path(folder).exists()


def read_ledger(folder: str | Place, schema: pa.Schema | None = None) -> pa.Table:
    """The rows of a folder, one an id, sorted by id; an empty table where there is no ledger.

    A folder is one of this machine, as text or path, or a StorePath.

    Without `schema` it is the one the parquet file or the journal's first row shows.
    """
    if isinstance(folder, StorePath):
        with pulled(folder) as copy:
            return read_ledger(copy, schema)
    folder = Path(folder)
    table = all_rows(folder, schema or ledger_schema(folder))
    return table.take(pa.array(last_of_each(table), pa.int64())).combine_chunks()


def all_rows(folder: Path, schema: pa.Schema) -> pa.Table:
    """The rows of the parquet file, then those of the journal."""
    tables = [schema.empty_table()]
    if parquet_path(folder).exists():
        with parquet_file(folder) as file, damage_named(parquet_path(folder)):
            tables.append(conform(file.read(), schema))
    if journal_path(folder).exists():
        tables.append(read_journal(journal_path(folder), schema))
    return pa.concat_tables(tables)


def ledger_schema(folder: Path) -> pa.Schema:
    """The columns of a stage's ledger, by what the folder's holds."""
    if parquet_path(folder).exists():
        with parquet_file(folder) as file:
            return STAGES[stage_of(file.schema_arrow.names)]
    if journal_path(folder).exists():
        with open(journal_path(folder), "rb") as lines:
            first = parse(lines.readline()) or {}
            return STAGES[first.get("stage", "watertight")]
    return WATERTIGHT


def refuse_others(folder: Path, stage: str) -> None:
    """Raise UsageError where a folder's ledger is not of the stage, or cannot be read."""
    if not parquet_path(folder).exists():
        return
    with parquet_file(folder) as file:
        other = stage_of(file.schema_arrow.names)
    if other != stage:
        raise UsageError(
            f"{folder} holds the ledger of another stage ({other}), which this would "
            "overwrite: give another folder as --out"
        )


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table with exactly the schema's columns; those an older version lacked are null."""
    columns = [
        table[field.name].cast(field.type)
        if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def read_journal(path: Path, schema: pa.Schema) -> pa.Table:
    """Rows of a journal; a torn line is left out."""
    rows: list[dict[str, Any]] = []
    tables = [schema.empty_table()]
    with open(path, "rb") as lines:
        for line in lines:
            if line.endswith(b"\n") and (row := parse(line)) is not None:
                rows.append(row)
            if len(rows) == CHUNK:
                tables.append(pa.Table.from_pylist(rows, schema=schema))
                rows = []
    tables.append(pa.Table.from_pylist(rows, schema=schema))
    return pa.concat_tables(tables)


def parse(line: bytes) -> dict[str, Any] | None:
    """One journal line, or None when it is torn."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and "id" in row else None


def is_locked(folder: Place) -> bool:
    """Whether a run is writing a folder's ledger now."""
    if isinstance(folder, StorePath):
        return lease_holder(folder) is not None
    path = lock_path(folder)
    if not path.exists():
        return False
    with open(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def take(lock: IO[str]) -> bool:
    """Lock a file for ourselves; False where a run holds it. `is_locked` holds it for an instant,
    so once is not enough."""
    for _ in range(5):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def lock_path(folder: Path) -> Path:
    """The file that a run holds locked while it writes the ledger."""
    return folder / ".ledger.lock"


def last_of_each(table: pa.Table) -> list[int]:
    """Row numbers of the last row of every id, sorted by id; without those that are removed."""
    last = {name: row for row, name in enumerate(table["id"].to_pylist())}
    status = table["status"].to_pylist()
    return [last[name] for name in sorted(last) if status[last[name]] != REMOVED]


class Ledger:
    """A folder's ledger, open for writing by one process.

    `known` looks up the row an earlier run left; `record` appends one; `close` folds the journal
    into the tables. Raises UsageError when another run is writing the folder, OSError(ENOSPC) when
    the disk is full (what is on disk stays readable).
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.folder, self.schema = folder, schema
        self.folding, self.folds = threading.Lock(), 0
        stage = stage_of(schema.names)
        self.mark = {"stage": stage}
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:  # what is open goes with whatever goes wrong
            self.lock = stack.enter_context(open(lock_path(folder), "w"))
            if not take(self.lock):
                raise UsageError(f"another run is writing {folder}; wait for it or stop it")
            refuse_others(folder, stage)
            drop_torn_line(journal_path(folder))
            self.journal = stack.enter_context(open(journal_path(folder), "ab", buffering=0))
            self.synced = self.folded = time.monotonic()
            if os.fstat(self.journal.fileno()).st_size:
                self.fold()  # an earlier run was killed; now the parquet file has all its rows
            names = [name for name in PROOF_NAMES if name in schema.names]
            wanted = pa.schema([schema.field(name) for name in ("id", *names)])
            table = wanted.empty_table()
            self.file: pq.ParquetFile | None = None  # stays the old one when a fold replaces it
            if parquet_path(folder).exists():
                self.file = stack.enter_context(parquet_file(folder))
                columns = [name for name in wanted.names if name in self.file.schema_arrow.names]
                with damage_named(parquet_path(folder)):
                    table = conform(self.file.read(columns=columns), wanted)
            stack.pop_all()
        self.row = {name: row for row, name in enumerate(table["id"].to_pylist())}
        self.proof = {
            name: table[name].combine_chunks() if name in LONG else encode(table[name])
            for name in names
        }
        self.group: tuple[int, pa.Table] = (-1, table)

    def known(self, name: str) -> dict[str, Any] | None:
        """What decides whether an item is done: the PROOF columns of its row, or None."""
        row = self.row.get(name)
        if row is None:
            return None
        return {column: values[row].as_py() for column, values in self.proof.items()}

    def others(self, column: str, value: Any) -> list[str]:
        """Ids of items that were ok when the ledger was opened, with another value there."""
        status, values = (
            one.dictionary_decode() if pa.types.is_dictionary(one.type) else one
            for one in (self.proof["status"], self.proof[column])
        )
        other = pc.and_(pc.equal(status, "ok"), pc.not_equal(values, value))
        rows = set(pc.indices_nonzero(pc.fill_null(other, False)).to_pylist())
        return [name for name, row in self.row.items() if row in rows]

    def row_of(self, name: str) -> dict[str, Any]:
        """Everything an earlier run wrote about an item; quick for ids in sorted order."""
        row, group = self.row[name], 0
        assert self.file is not None
        while row >= self.file.metadata.row_group(group).num_rows:
            row -= self.file.metadata.row_group(group).num_rows
            group += 1
        if self.group[0] != group:
            with damage_named(parquet_path(self.folder)):
                self.group = group, conform(self.file.read_row_group(group), self.schema)
        found: list[dict[str, Any]] = self.group[1].slice(row, 1).to_pylist()
        return found[0]

    def record(self, row: Mapping[str, Any]) -> None:
        """Append one row; it is on disk within a second."""
        unknown = row.keys() - set(self.schema.names)
        if unknown:
            raise KeyError(f"the ledger has no column {', '.join(sorted(unknown))}")
        known = {name: value for name, value in row.items() if value is not None}
        line = json.dumps(self.mark | known, allow_nan=False, separators=(",", ":"))
        if "\\ud" in line:  # perhaps bytes of a file name that are not UTF-8; no table holds them
            told = {k: readable(v) if isinstance(v, str) else v for k, v in known.items()}
            line = json.dumps(self.mark | told, allow_nan=False, separators=(",", ":"))
        write_all(self.journal.fileno(), line.encode() + b"\n")
        now = time.monotonic()
        if now - self.synced > FSYNC_SECONDS:
            os.fsync(self.journal.fileno())
            self.synced = now
        if now - self.folded > FOLD_SECONDS:
            self.fold()
            # A table of many rows takes a while to write: never spend over a twentieth on it.
            self.folded = time.monotonic() + 20 * (time.monotonic() - now)

    def fold(self) -> None:
        """Write parquet and CSV with all rows so far, then empty the journal."""
        if not os.fstat(self.journal.fileno()).st_size and parquet_path(self.folder).exists():
            return
        with self.folding:
            self.write_tables()
            self.folds += 1

    def write_tables(self) -> None:
        """Replace the tables by ones with the journal's rows, which then leave it."""
        os.fsync(self.journal.fileno())
        table = all_rows(self.folder, self.schema)
        order = pa.array(last_of_each(table), pa.int64())
        with (
            atomic_path(parquet_path(self.folder)) as parquet,
            atomic_path(self.folder / CSV) as text,
            pq.ParquetWriter(parquet, self.schema) as binary_rows,
            pyarrow.csv.CSVWriter(text, self.schema) as text_rows,
        ):
            # In pieces: a sorted copy of the whole table would double the driver's memory.
            for start in range(0, max(len(order), 1), CHUNK):
                piece = table.take(order[start : start + CHUNK])
                binary_rows.write_table(piece)
                text_rows.write_table(piece)
        del table, order
        pa.default_memory_pool().release_unused()
        self.journal.truncate(0)
        os.fsync(self.journal.fileno())

    def close(self, fold: bool = True) -> None:
        """Fold unless told not to, and let go of the folder. A failed fold keeps the journal."""
        try:
            if fold:
                self.row, self.proof = {}, {}
                self.fold()
                journal_path(self.folder).unlink()
        finally:
            self.journal.close()
            self.lock.close()
            if self.file is not None:
                self.file.close()


def encode(column: pa.ChunkedArray) -> pa.Array:
    """A column of few different values, as one array of references to them."""
    return column.combine_chunks().dictionary_encode()


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte or raise OSError; on a nearly full disk one call may write only some."""
    while data:
        data = data[os.write(descriptor, data) :]


def drop_torn_line(journal: Path) -> None:
    """Cut a journal after its last whole line, so that the next row starts on its own."""
    if not journal.exists():
        return
    with open(journal, "r+b") as handle:
        data = handle.read()
        handle.truncate(data.rfind(b"\n") + 1)
