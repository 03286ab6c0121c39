"""A local folder in place of an address, for commands that read and write whole folders.

What lies at the address is fetched first, so that a command goes on where it stopped; what it
writes is put every few seconds and at the end, each file a whole object, in the order written.
Files that are hidden, as temporary ones are, stay out. A kill loses the last seconds.
"""

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from preprocessing.first_look import check_store
from preprocessing.stores import systems
from preprocessing.stores.address import Place, StorePath, is_address, place
from preprocessing.stores.scratch import at_hand, folder_at_hand
from preprocessing.stores.systems import StoreError

PUT_SECONDS = 10.0


class Keeper:
    """Keeps an address up to a local folder."""

    def __init__(self, folder: Path, home: StorePath) -> None:
        self.folder, self.home = folder, home
        self.error: StoreError | None = None
        self.ended = threading.Event()
        self.kept = self.look()  # what was fetched

    def look(self) -> dict[str, tuple[int, int]]:
        """Size and time of every file, by its path, in the order of their times."""
        found = {}
        for parent, folders, names in os.walk(self.folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(parent, name)
                with contextlib.suppress(FileNotFoundError):  # renamed since it was listed
                    if not name.startswith("."):
                        told = path.stat()
                        relative = path.relative_to(self.folder).as_posix()
                        found[relative] = told.st_size, told.st_mtime_ns
        return dict(sorted(found.items(), key=lambda pair: pair[1][1]))

    def push(self) -> None:
        """Put what has changed and take away what is gone. Raises StoreError."""
        now = self.look()
        for name in self.kept.keys() - now.keys():
            (self.home / name).unlink(missing_ok=True)
            del self.kept[name]
        for name, told in now.items():
            if self.kept.get(name) == told:
                continue
            with contextlib.suppress(FileNotFoundError):  # taken away or replaced meanwhile
                put_as_it_is(self.folder / name, str(self.home / name))
                self.kept[name] = told

    def keep(self) -> None:
        """Push until told to end."""
        try:
            while not self.ended.wait(PUT_SECONDS):
                self.push()
        except StoreError as error:
            self.error = error


def put_as_it_is(path: Path, address: str) -> None:
    """Put a file that somebody may be writing; only files that are never changed are large."""
    if path.stat().st_size < systems.PART:
        systems.write(path.read_bytes(), address)
    else:
        systems.put(path, address)


@contextlib.contextmanager
def kept_folder(out: Place) -> Iterator[Path]:
    """A local folder whose files go to an address; a folder of this machine is itself.

    Raises UsageError for a hub, and StoreError, at the end, when the store could not be kept up.
    """
    if not isinstance(out, StorePath):
        yield out
        return
    check_store(out, "--out")
    with folder_at_hand(out) as folder:
        keeper = Keeper(folder, out)
        thread = threading.Thread(target=keeper.keep, daemon=True)
        thread.start()
        try:
            yield folder
        finally:
            keeper.ended.set()
            thread.join()
            if keeper.error is not None:
                raise keeper.error
            keeper.push()


@contextlib.contextmanager
def here(source: Place) -> Iterator[Path]:
    """A local copy of a folder or of a mesh with the files it needs; a path is itself."""
    if isinstance(source, StorePath) and source.is_file():
        with at_hand(str(source)) as path:
            yield Path(path)
    else:
        with folder_at_hand(source) as folder:
            yield folder


@contextlib.contextmanager
def inputs_here(inputs: Sequence[str]) -> Iterator[list[str]]:
    """INPUTs with a local copy in place of each address."""
    with contextlib.ExitStack() as stack:
        yield [
            str(stack.enter_context(here(place(text)))) if is_address(text) else text
            for text in inputs
        ]
