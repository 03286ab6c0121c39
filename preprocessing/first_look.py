"""Whether a command's files are there and can be written, asked before any work starts."""

import os
import tempfile
from collections.abc import Collection
from pathlib import Path

from preprocessing.console import UsageError
from preprocessing.stores.address import Place, StorePath, is_address, require_local


def check_in_file(path: str | Place) -> None:
    """Raise UsageError unless the file or object to read is there."""
    if not isinstance(path, StorePath):
        require_local("this command's input", path)
        path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}")


def check_out_folder(path: str | Path, option: str = "--out") -> None:
    """Raise UsageError unless files can be written into a folder that is there or can be made.

    Nothing is left behind. In the nearest folder that is there a nameless file is written:
    permissions alone do not tell of read-only or full disks.
    """
    require_local(option, path)
    path = Path(path).absolute()
    try:
        nearest = next(place for place in (path, *path.parents) if place.exists())
        if not nearest.is_dir():
            raise UsageError(f"{option} {path}: {nearest} is a file; a folder is needed")
        with tempfile.TemporaryFile(dir=nearest) as probe:
            probe.write(b"x")
            probe.flush()
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot write there ({error.strerror})") from None


def make_out_folder(path: str | Place, option: str = "--out") -> None:
    """Make a folder unless it is there. A store tells with its first object whether it takes any.

    Raises UsageError as `check_out_folder`, and for a hub.
    """
    if isinstance(path, StorePath):
        check_store(path, option)
        return
    check_out_folder(path, option)
    Path(path).mkdir(parents=True, exist_ok=True)


def check_store(path: StorePath, option: str) -> None:
    """Raise UsageError for a hub, which would make a commit of each object."""
    if str(path).startswith("hf://"):
        raise UsageError(
            f"{option} {path}: each file would be a commit there; write to a folder, and upload it "
            "with `hf upload`"
        )


def is_same(one: str | Place, other: str | Place) -> bool:
    """Whether two paths lead to one file, or are one address."""
    if is_address(str(one)) or is_address(str(other)):
        return str(one) == str(other)
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them is not there
        return False


def check_suffix(path: Place, suffixes: Collection[str], option: str) -> None:
    """Raise UsageError unless a file's suffix is one of those, if there are any."""
    if suffixes and path.suffix.lower() not in suffixes:
        raise UsageError(f"{option} {path}: name a file that ends in {' '.join(sorted(suffixes))}")


def check_out_file(
    path: str | Place,
    suffixes: Collection[str] = (),
    option: str = "--out",
    source: str | Place | None = None,
) -> None:
    """Raise UsageError unless a file of that name can be written, and is not the source's.

    suffixes: those allowed, lower case with the dot; none given allows all.
    """
    if source is not None and is_same(path, source):
        raise UsageError(f"{option} {path} is the input; name another file")
    if isinstance(path, StorePath):
        check_suffix(path, suffixes, option)
        check_store(path, option)
        return
    require_local(option, path)
    path = Path(path)
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder; name a file in it")
    check_suffix(path, suffixes, option)
    if path.exists() and not os.access(path, os.W_OK):
        raise UsageError(f"{option} {path}: the file that is there may not be overwritten")
    check_out_folder(path.parent, option)
