"""Places: a folder or file of this machine, or an address in an object store, used alike.

A `StorePath` has what is used of pathlib's interface; what a store cannot do (opening for writing,
renaming) it does not have, and nothing that opens local files takes it by mistake.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

from preprocessing.console import UsageError
from preprocessing.stores import systems

LIKE_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


class StorePath(PurePosixPath):
    """An address in an object store, s3://bucket/key. Its methods raise StoreError."""

    def __str__(self) -> str:
        head, *rest = self.parts
        return f"{head}//{'/'.join(rest)}" if head.endswith(":") else super().__str__()

    def __fspath__(self) -> str:
        raise TypeError(f"{self} is no file of this machine")

    def stat(self) -> systems.Facts:
        """Size and time. Raises FileNotFoundError."""
        return systems.facts(str(self))

    def is_file(self) -> bool:
        """Whether there is an object of this name."""
        return systems.info(str(self)).is_file

    def is_dir(self) -> bool:
        """Whether objects lie below it."""
        from pyarrow.fs import FileType

        return systems.info(str(self)).type == FileType.Directory

    def exists(self) -> bool:
        """Whether it is an object or has objects below it."""
        return self.is_file() or self.is_dir()

    def read_bytes(self) -> bytes:
        """The whole object. Raises FileNotFoundError."""
        return systems.read(str(self))

    def read_text(self) -> str:
        """The whole object as UTF-8."""
        return self.read_bytes().decode()

    def write_bytes(self, data: bytes) -> None:
        """Write the whole object."""
        systems.write(data, str(self))

    def unlink(self, missing_ok: bool = False) -> None:
        """Take the object away. Raises FileNotFoundError."""
        try:
            systems.delete(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def below(self) -> Iterator["StorePath"]:
        """Every object below it."""
        return (self / name for name in systems.listed(str(self)))


# Typer takes no union: at run time a place is any pure path.
if TYPE_CHECKING:
    Place = Path | StorePath
else:
    Place = PurePath


def is_address(text: str) -> bool:
    """Whether a text is an address, such as s3://bucket/key, and no path."""
    return "://" in text


def place(text: "str | Path | StorePath") -> "Path | StorePath":
    """The folder, file or address that a text names. Raises UsageError for no store of ours.

    A place is itself: typer hands a command's default through here, too.
    """
    if not isinstance(text, str):
        return text
    if is_address(text):
        return StorePath(systems.checked(text))
    return Path(text)


def require_local(what: str, *paths: "str | Path | StorePath | None") -> None:
    """Raise UsageError for an address, also one that has lost a slash on its way through a Path,
    where `what` takes only files and folders of this machine."""
    for path in paths:
        found = LIKE_ADDRESS.match(str(path))
        if found and found[1] in systems.SCHEMES:
            raise UsageError(
                f"{what} takes no {found[1]}:// address: name a folder or a file; the store's own "
                "client copies them"
            )
