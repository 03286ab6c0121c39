"""Where things made once are kept: the user's cache folder, or a temporary one where there is none.

Imported with the package, so it imports nothing that takes time.
"""

import contextlib
import os
import stat
from pathlib import Path

NAME = "dora-bench"


def cache_folder() -> Path:
    """A folder of the user's that exists and can be written, for things that can be made again.

    `$XDG_CACHE_HOME/dora-bench`, or `~/.cache/dora-bench`; where neither can be written (no home,
    a read-only one), a folder that only the user can write below the temporary folder. Raises
    FileNotFoundError where there is no place at all to write to.
    """
    for folder in home_caches():
        if writable(folder):
            return folder
    return temporary_folder()


def home_caches() -> list[Path]:
    """The cache folders that the environment names, best first, there or not."""
    # The base directory specification says to ignore a path that is not absolute.
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    folders = [named / NAME] if named.is_absolute() else []
    # Without HOME, a user whom the system does not know, as in some containers, has no home.
    with contextlib.suppress(RuntimeError):
        folders.append(Path.home() / ".cache" / NAME)
    return folders


def writable(folder: Path) -> bool:
    """Whether a folder exists or can be made, and files can be made in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def temporary_folder() -> Path:
    """A folder below the temporary one that nobody but this user can write.

    Compiled kernels are loaded and run, so a folder prepared by somebody else is not used: then
    it is a new one, for this run and its children.
    """
    import tempfile

    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"{NAME}-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    others = stat.S_IWGRP | stat.S_IWOTH
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & others
    return folder if mine else Path(tempfile.mkdtemp(prefix=f"{NAME}-"))
