"""Local copies of what lies in a store, for as long as they are used.

A scratch folder is held locked by the process that made it. One that was killed cannot tidy up: the
next process that needs scratch removes every folder that nobody holds.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from preprocessing.formats.companions import companions
from preprocessing.stores import systems
from preprocessing.stores.address import StorePath, is_address


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder on this machine (in TMPDIR), removed at the end."""
    root = Path(tempfile.gettempdir()) / f"dora-scratch-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    remove_abandoned(root, os.getpid())
    descriptor, name = tempfile.mkstemp(suffix=".lock", dir=root)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    folder = Path(name).with_suffix("")
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.unlink(name)
        os.close(descriptor)


@lru_cache
def remove_abandoned(root: Path, process: int) -> None:
    """Remove scratch of processes that were killed; looked for once a process."""
    for lock in root.glob("*.lock"):
        try:
            descriptor = os.open(lock, os.O_RDWR)
        except FileNotFoundError:
            continue  # its owner has just ended
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def at_hand(source: str) -> Iterator[str]:
    """A local file of the same name and time with what an address holds; a path is itself.

    Files beside it that its geometry lies in come along. Raises FileNotFoundError, StoreError.
    """
    if not is_address(source):
        yield source
        return
    with scratch_folder() as folder:
        above = StorePath(source).parent
        path = folder / StorePath(source).name
        systems.get(source, path)
        for name in companions(path):
            copy = Path(os.path.normpath(folder / name))
            if copy.is_relative_to(folder) and copy != path:
                copy.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    systems.get(str(above / name), copy)
        yield str(path)


@contextlib.contextmanager
def folder_at_hand(source: "Path | StorePath") -> Iterator[Path]:
    """A local copy of everything below an address, or of one object; a path is itself."""
    if not isinstance(source, StorePath):
        yield source
        return
    with scratch_folder() as folder:
        if source.is_file():
            systems.get(str(source), folder / source.name)
            yield folder / source.name
            return
        copy = folder / source.name
        copy.mkdir()
        for name in systems.listed(str(source)):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            systems.get(f"{source}/{name}", copy / name)
        yield copy
