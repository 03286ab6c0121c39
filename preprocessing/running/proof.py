"""What tells a finished item from one that must be done again: the files it read and wrote."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from preprocessing.files import sha256_file
from preprocessing.formats.companions import companions
from preprocessing.mesh_errors import MeshError
from preprocessing.running.ids import readable
from preprocessing.running.tasks import Done
from preprocessing.stores.address import Place, StorePath, place
from preprocessing.stores.systems import Facts

P = TypeVar("P", Path, StorePath, Place)
BETWEEN = "//"  # the names of an output of two files; no relative path has an empty part


def input_facts(path: str) -> dict[str, Any]:
    """Size, time and sha256 of the input, a file of this machine. Raises MeshError(missing |
    unreadable).

    Where its geometry lies in files beside it (glTF buffers), `companions` has their names, sizes
    and times as JSON, and the sha256 is that of all digests one after another.
    """
    try:
        found = os.stat(path)
        digests = [sha256_file(path)]
        beside = companions(path)
    except FileNotFoundError as error:
        raise MeshError("missing", f"{path} is not there") from error
    except (IsADirectoryError, PermissionError) as error:
        raise MeshError("unreadable", f"{path}: {error.strerror}") from error
    folder = Path(path).parent
    digests += [sha256_file(folder / name) for name in beside if (folder / name).is_file()]
    return {
        "input_bytes": found.st_size,
        "input_mtime_ns": found.st_mtime_ns,
        "input_sha256": joined(digests),
        "companions": json.dumps(measure_beside(path, beside)) if beside else None,
    }


def facts_without_reading(path: str) -> dict[str, Any]:
    """Size and time of an input in a store, not fetched to be hashed; none if it is gone."""
    try:
        found = place(path).stat()
    except FileNotFoundError:
        return {}
    return {"input_bytes": found.st_size, "input_mtime_ns": found.st_mtime_ns}


def measure_beside(path: str, names: list[str]) -> list[list[Any]]:
    """[name, size, time of change] of files beside an input; size and time None where one is not
    there."""
    rows: list[list[Any]] = []
    for name in names:
        try:
            found = (place(path).parent / name).stat()
            rows.append([readable(name), found.st_size, found.st_mtime_ns])
        except OSError:
            rows.append([readable(name), None, None])
    return rows


def compare_beside(path: str, told: str | None) -> tuple[bool, bool]:
    """Whether the files that a row's `companions` names have the same sizes, and the same times."""
    before = json.loads(told) if told else []
    now = measure_beside(path, [row[0] for row in before])
    return [row[:2] for row in before] == [row[:2] for row in now], before == now


def output_facts(paths: list[Path], folder: Path) -> dict[str, Any]:
    """What proves later that an output is whole: its name, size, time and sha256.

    Where a layout has two files, the names are joined by "//" and the figures speak for both.
    """
    names = BETWEEN.join(str(path.relative_to(folder)) for path in paths)
    size, changed = measure(folder, names)
    return {
        "output": names,
        "output_bytes": size,
        "output_mtime_ns": changed,
        "output_sha256": digest(folder, names),
    }


def output_paths(folder: P, names: str | None) -> list[P]:
    """The files of an output, as a row names them."""
    return [folder / name for name in names.split(BETWEEN)] if names else []


def measure(folder: Place, names: str, known: Mapping[str, Facts] | None = None) -> tuple[int, int]:
    """Size in all and latest change of an output. Raises FileNotFoundError.

    known: what a store's folder holds, where it has been listed.
    """
    if known is None:
        found = [path.stat() for path in output_paths(folder, names)]
    else:
        missing = [name for name in names.split(BETWEEN) if name not in known]
        if missing:
            raise FileNotFoundError(f"{folder} lacks {missing[0]}")
        found = [known[name] for name in names.split(BETWEEN)]
    return sum(one.st_size for one in found), max(one.st_mtime_ns for one in found)


def digest(folder: Place, names: str) -> str:
    """sha256 of an output; of the digests one after another where it is several files."""
    return joined([sha256_file(path) for path in output_paths(folder, names)])


def joined(digests: list[str]) -> str:
    """One digest for several."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def still_done(input_sha256: str, done: Done) -> bool:
    """Whether the input and every output still have the bytes of the earlier run."""
    try:
        return done.input_sha256 == input_sha256 and all(
            digest(place(folder), names) == sha256 for folder, names, sha256 in done.outputs
        )
    except FileNotFoundError:
        return False
