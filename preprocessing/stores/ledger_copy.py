"""A ledger whose home is a store: kept in a local folder, put there in whole objects.

A store cannot append, so the rows that are new since the last look are put as one object every two
seconds (`ledger.journal/00000001.jsonl`, ...). When the ledger is folded, `ledger.parquet` and
`ledger.csv` are put and those objects taken away, the oldest first: whatever is left by a kill
between the two holds rows that the table has already. A row is put after its item's files, always.

Nor has a store locks that end with their owner. `ledger.lease.json` names the run that writes, and
is renewed while it does; one that is a minute old, or whose process on this machine has ended, is
taken over.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from preprocessing.console import UsageError
from preprocessing.stores import systems
from preprocessing.stores.address import StorePath
from preprocessing.stores.scratch import scratch_folder
from preprocessing.stores.systems import StoreError

PARQUET, CSV, JOURNAL = "ledger.parquet", "ledger.csv", "ledger.journal.jsonl"
SEGMENTS, LEASE = "ledger.journal", "ledger.lease.json"
PUT_SECONDS = 2.0
RENEW_SECONDS, LEASE_SECONDS = 10.0, 60.0


class Foldable(Protocol):
    """What a ledger shows of itself: a lock held while it folds, and how often it has."""

    folding: threading.Lock
    folds: int


@contextlib.contextmanager
def pulled(home: StorePath) -> Iterator[Path]:
    """A local folder with the ledger that a store's folder has, for reading."""
    with scratch_folder() as local, store_named(home, local):
        pull(home, local)
        yield local


@contextlib.contextmanager
def store_named(home: StorePath, local: Path) -> Iterator[None]:
    """Have errors that name a file of the local copy name the store's."""
    try:
        yield
    except UsageError as error:
        raise UsageError(str(error).replace(str(local), str(home))) from None


def pull(home: StorePath, local: Path) -> int:
    """Fetch table and journal of a store's folder into a local one; the last segment's number."""
    with contextlib.suppress(FileNotFoundError):
        systems.get(f"{home}/{PARQUET}", local / PARQUET)
    names = segments(home)
    if names:
        with open(local / JOURNAL, "wb") as journal:
            for name in names:
                # One that is gone since it was listed has been folded by the run that writes.
                with contextlib.suppress(FileNotFoundError):
                    journal.write(systems.read(f"{home}/{SEGMENTS}/{name}"))
    return int(Path(names[-1]).stem) if names else 0


def segments(home: StorePath) -> list[str]:
    """Names of the journal's objects, the oldest first."""
    return sorted(n for n in systems.listed(f"{home}/{SEGMENTS}") if n.endswith(".jsonl"))


def has_stored_ledger(home: StorePath) -> bool:
    """Whether a run has written a ledger there."""
    return (home / PARQUET).is_file() or bool(segments(home))


def lease_holder(home: StorePath) -> dict[str, Any] | None:
    """Who writes a store's folder now, besides ourselves; None also for a run that was killed."""
    try:
        told: dict[str, Any] = json.loads((home / LEASE).read_text())
    except FileNotFoundError:
        return None
    if time.time() - told["renewed"] > LEASE_SECONDS:
        return None
    here = told["host"] == socket.gethostname()
    return None if here and (told["pid"] == os.getpid() or not lives(told["pid"])) else told


def lives(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class LedgerCopy:
    """The local folder of a store's ledger, and the thread that keeps the store up to it.

    Raises UsageError when another run writes there, StoreError when the store cannot be used.
    """

    def __init__(self, home: StorePath, local: Path) -> None:
        self.home, self.local = home, local
        self.error: BaseException | None = None
        self.ledger: Foldable | None = None
        self.sent = self.folds = 0
        self.ended = threading.Event()
        self.mine = {"host": socket.gethostname(), "pid": os.getpid(), "started": time.time()}
        holder = lease_holder(home)
        if holder is not None:
            raise UsageError(
                f"another run is writing {home} (process {holder['pid']} on {holder['host']}); "
                f"wait for it or stop it. If it was killed, wait {LEASE_SECONDS:.0f} s"
            )
        self.renew()
        local.mkdir(parents=True, exist_ok=True)
        self.number = pull(home, local)
        self.sent = (local / JOURNAL).stat().st_size if self.number else 0
        self.thread = threading.Thread(target=self.keep, daemon=True)

    def follow(self, ledger: Foldable) -> None:
        """Keep the store up to a ledger that has been opened on the local folder."""
        self.ledger = ledger
        self.thread.start()

    def renew(self) -> None:
        """Say that this run writes here."""
        self.renewed = time.monotonic()
        (self.home / LEASE).write_bytes(json.dumps({**self.mine, "renewed": time.time()}).encode())

    def keep(self) -> None:
        """Put what is new until told to end; an error is kept for `check`."""
        try:
            while not self.ended.wait(PUT_SECONDS):
                self.push()
                if time.monotonic() - self.renewed > RENEW_SECONDS:
                    self.require_lease()
                    self.renew()
        except (StoreError, OSError) as error:
            self.error = error

    def require_lease(self) -> None:
        """Raise StoreError where another run has taken the folder over."""
        told = lease_holder(self.home)
        if told is not None:
            raise StoreError(
                f"{self.home}: a run on {told['host']} has taken over, this one was silent too long"
            )

    def check(self) -> None:
        """Raise what went wrong while the store was kept up."""
        if self.error is not None:
            raise StoreError(
                f"{self.error}. The ledger cannot be kept there; what is finished stands: run the "
                "same command again when the store can be written"
            ) from self.error

    def push(self) -> None:
        """Put the tables where they are new, and the rows written since the last time."""
        assert self.ledger is not None
        with self.ledger.folding:
            folded = self.ledger.folds != self.folds
            if folded:
                for name in (PARQUET, CSV):
                    systems.put(self.local / name, f"{self.home}/{name}")
                self.folds, self.sent = self.ledger.folds, 0
            lines = new_lines(self.local / JOURNAL, self.sent)
        if folded:
            for name in segments(self.home):
                (self.home / SEGMENTS / name).unlink(missing_ok=True)
        if lines:
            self.number += 1
            (self.home / SEGMENTS / f"{self.number:08d}.jsonl").write_bytes(lines)
            self.sent += len(lines)

    def close(self) -> None:
        """Put what is left and give the folder free. Raises StoreError."""
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join()
        self.check()
        if self.ledger is not None:
            self.push()
        (self.home / LEASE).unlink(missing_ok=True)


def new_lines(journal: Path, start: int) -> bytes:
    """Whole lines of a journal from a byte on."""
    if not journal.exists():
        return b""
    with open(journal, "rb") as lines:
        lines.seek(start)
        data = lines.read()
    return data[: data.rfind(b"\n") + 1]
