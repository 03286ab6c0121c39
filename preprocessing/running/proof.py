"""What tells a finished item from one that must be done again: the files it read and wrote."""

import hashlib
import os
from pathlib import Path
from typing import Any

from preprocessing.files import sha256_file
from preprocessing.mesh_errors import MeshError
from preprocessing.running.tasks import Done


def input_facts(path: str) -> dict[str, Any]:
    """Size, time and sha256 of the input. Raises MeshError(missing | unreadable)."""
    try:
        found = os.stat(path)
        digest = sha256_file(path)
    except FileNotFoundError as error:
        raise MeshError("missing", f"{path} is not there") from error
    except (IsADirectoryError, PermissionError) as error:
        raise MeshError("unreadable", f"{path}: {error.strerror}") from error
    return {
        "input_bytes": found.st_size,
        "input_mtime_ns": found.st_mtime_ns,
        "input_sha256": digest,
    }


def output_facts(paths: list[Path], folder: Path) -> dict[str, Any]:
    """What proves later that an output is whole: its name, size, time and sha256.

    Where a layout has two files, the names are joined by "|" and the figures speak for both.
    """
    names = "|".join(str(path.relative_to(folder)) for path in paths)
    size, changed = measure(folder, names)
    return {
        "output": names,
        "output_bytes": size,
        "output_mtime_ns": changed,
        "output_sha256": digest(folder, names),
    }


def measure(folder: Path, names: str) -> tuple[int, int]:
    """Size in all and latest change of an output. Raises FileNotFoundError."""
    found = [(folder / name).stat() for name in names.split("|")]
    return sum(one.st_size for one in found), max(one.st_mtime_ns for one in found)


def digest(folder: Path, names: str) -> str:
    """sha256 of an output; of the digests one after another where it is several files."""
    digests = [sha256_file(folder / name) for name in names.split("|")]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def still_done(input_sha256: str, done: Done) -> bool:
    """Whether the input and every output still have the bytes of the earlier run."""
    try:
        return done.input_sha256 == input_sha256 and all(
            digest(Path(folder), names) == sha256 for folder, names, sha256 in done.outputs
        )
    except FileNotFoundError:
        return False
