"""Item ids: which text names an item in ledgers, and its files below --out.

An id is also a relative path: `<id>.<format>` is written below the output folder. So what comes
from a file's name is made safe (bytes that are not UTF-8 escaped, over-long parts shortened with a
hash), and what a list gives as id is refused where it would leave the folder or hide in it.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from preprocessing.console import UsageError

LONGEST = 200  # bytes a part: an output adds a temporary name's process id and its own suffix
KEPT = 180  # bytes that a shortened part keeps of its own
ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")


class Part(NamedTuple):
    """Where an input lies inside a larger file, a shard, and the sha256 that the index tells."""

    offset: int
    size: int
    sha256: str


class Entry(NamedTuple):
    """One input: its id and the absolute path of its file (which may be missing).

    refused: why nothing may be written under this id; empty for an id that is fine. part: of the
    file, where the input is not all of it.
    """

    id: str
    path: str
    refused: str = ""
    part: Part | None = None


class Found(NamedTuple):
    """An input before ids are told apart: the name its id is made of, and whether a list gave it.

    The name of a file has its suffix; so has the id when another file's differs in that alone.
    """

    name: str
    path: str
    given: bool


def readable(name: str) -> str:
    """Any file name or message as text that tables and terminals can hold: other bytes escaped."""
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a pair that no file name gives, from some file's text
        return name.encode("utf-8", "backslashreplace").decode("utf-8")


def original(path: str) -> str:
    """The path that `readable` was given, where escaping it back leads to a file that is there."""
    if "://" in path or os.path.lexists(path):
        return path
    raw = ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), path.encode())
    unescaped = os.fsdecode(raw)
    return unescaped if os.path.lexists(unescaped) else path


def id_of_file(name: str) -> str:
    """The id that a relative path gives: every part readable, not hidden and not too long."""
    return "/".join(safe_part(readable(part)) for part in name.split(os.sep))


def safe_part(part: str) -> str:
    """One part of an id as a file name that any output fits in."""
    part = f"_{part}" if part.startswith(".") else part
    data = part.encode()
    if len(data) <= LONGEST:
        return part
    digest = hashlib.sha256(data).hexdigest()[:12]
    return f"{data[:KEPT].decode(errors='ignore')}~{digest}"


def fault_of_id(name: str) -> str:
    """What is wrong with an id that a list gives; empty when nothing is."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        return "it would lead out of the output folder"
    if "\0" in name or any(part.startswith(".") or not part for part in parts):
        return "a part of it is empty, hidden (it begins with a dot) or no file name"
    if any(len(part.encode()) > LONGEST for part in parts):
        return f"a part of it is longer than {LONGEST} bytes"
    return ""


def entries_of(found: Iterable[Found]) -> list[Entry]:
    """One entry for each id, sorted; files whose names differ in the suffix alone keep it.

    An id that a list gives to several files is one refused entry that names them. Raises UsageError
    when files that were found under several INPUTs have one id, suffix and all.
    """
    items = list(dict.fromkeys(found))
    named = {item: item.name if item.given else id_of_file(stem(item.name)) for item in items}
    while crowded := several(named):
        longer = {
            item: id_of_file(item.name)
            for item in crowded
            if not item.given and named[item] != id_of_file(item.name)
        }
        if not longer:
            break
        named |= longer
    holders: dict[str, list[Found]] = {}
    for item, name in named.items():
        holders.setdefault(name, []).append(item)
    return [entry_of(name, holders[name]) for name in sorted(holders)]


def several(named: dict[Found, str]) -> list[Found]:
    """Those that share an id with another file."""
    counts = Counter(named.values())
    return [item for item, name in named.items() if counts[name] > 1]


def entry_of(name: str, holders: list[Found]) -> Entry:
    """The entry of an id, refused where it cannot be one item's."""
    path = holders[0].path
    if len(holders) > 1:
        paths = [readable(item.path) for item in holders]
        if not any(item.given for item in holders):
            listed = "\n".join(f"  {one}" for one in paths)
            raise UsageError(
                f"{len(paths)} inputs have the id {name!r}:\n{listed}\nRename one, give the folder "
                "above them as INPUT, or use a list with an `id` column."
            )
        message = f"{len(paths)} files have the id {name!r}: {', '.join(paths)}; give each its own"
        return Entry(readable(name), path, message)
    fault = fault_of_id(name) if holders[0].given else ""
    return Entry(readable(name), path, f"the id {readable(name)!r}: {fault}" if fault else "")


def former_ids(entry: Entry) -> Iterator[str]:
    """Ids that the same file may have had before a file of the same stem came or went."""
    suffix = id_of_file(f"x{os.path.splitext(entry.path)[1]}")[1:]
    if suffix:
        yield entry.id.removesuffix(suffix) if entry.id.endswith(suffix) else entry.id + suffix


def stem(name: str) -> str:
    """A relative path without its suffix."""
    return os.path.splitext(name)[0]
