"""Where this house keeps what it makes once: the user's cache folder, or a temporary one."""

import os
import tempfile
from pathlib import Path

NAME = "dora-bench"


def cache_folder() -> Path:
    """A folder that can be written: $XDG_CACHE_HOME/dora-bench, else ~/.cache/dora-bench.

    Where neither can be (no home, or one that is read-only, as service accounts and containers
    have it), one of this user's own in the temporary folder. It exists when this returns.
    """
    for folder in candidates():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue  # this one cannot be made; the next is tried, and the last cannot fail so
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    return temporary_folder()


def candidates() -> list[Path]:
    """The cache folders of the user, the preferred one first."""
    found = []
    if os.environ.get("XDG_CACHE_HOME"):
        found.append(Path(os.environ["XDG_CACHE_HOME"]) / NAME)
    try:
        found.append(Path.home() / ".cache" / NAME)
    except RuntimeError:  # a user id without an entry in the password file, and no HOME
        return found
    return found


def temporary_folder() -> Path:
    """This user's folder below the temporary one; a new one where another user holds the name."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"{NAME}-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != user:
        return Path(tempfile.mkdtemp(prefix=f"{NAME}-"))
    return folder
