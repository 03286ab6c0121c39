"""Files that are either whole or absent: written to a temporary name, flushed, renamed."""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from preprocessing.stores import systems
from preprocessing.stores.address import Place, StorePath
from preprocessing.stores.scratch import scratch_folder

NAME_MAX = 255  # bytes of a file name
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def atomic_path(path: str | Place) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it onto `path` when the block succeeds.

    The temporary name keeps the suffix, because writers choose a format by it. On any error the
    temporary file is removed and `path` stays as it was. The data and the directory entry are
    flushed to disk before and after the rename, so a power cut leaves the old file or the new. In
    a store the object is put whole when the block succeeds.
    """
    if isinstance(path, StorePath):
        with scratch_folder() as folder:
            yield folder / path.name
            systems.put(folder / path.name, str(path))
        return
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    if len(os.fsencode(temporary.name)) > NAME_MAX:
        short = hashlib.sha256(os.fsencode(path.stem)).hexdigest()[:16]
        temporary = path.with_name(f".{short}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write(path: str | Place, data: bytes | str) -> None:
    """Write bytes or UTF-8 text to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


def sha256_file(path: str | Place) -> str:
    """Hex sha256 of the bytes of a file or object, read in pieces."""
    if isinstance(path, StorePath):
        with scratch_folder() as folder:
            systems.get(str(path), folder / "object")
            return sha256_file(folder / "object")
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
