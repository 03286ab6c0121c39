"""Inputs to items: what INPUT names, one stable id each.

INPUT is files, folders (searched recursively), glob patterns, or lists of paths (lists.py). An id
is the path relative to the input root, without its suffix where that tells it from all others
(ids.py). The root is the folder itself, a file's own folder, the fixed part of a pattern, and a
list's folder, so an id never depends on which other INPUTs there are.
"""

import glob
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from preprocessing.console import UsageError
from preprocessing.first_look import is_same
from preprocessing.running.ids import Entry, Found, entries_of
from preprocessing.running.lists import SUFFIXES as LISTS
from preprocessing.running.lists import read_list
from preprocessing.stores import systems
from preprocessing.stores.address import Place, is_address, place
from preprocessing.stores.ledger_copy import SEGMENTS

__all__ = ["Entry", "find_inputs", "kinds", "mesh_suffixes"]

MAGIC = "*?["
ARCHIVES = {".zip", ".gz", ".bz2", ".xz", ".7z", ".tar", ".rar"}
# What lies beside meshes and belongs to them, and what a run writes beside its outputs.
BESIDE = {".mtl", ".bin", ".png", ".jpg", ".jpeg", ".tga", ".bmp", ".tif", ".tiff", ".webp"}
LEDGERS = {"ledger.parquet", "ledger.journal.jsonl"}
OURS = {*LEDGERS, "ledger.csv", "run.json", "ledger.lease.json"}


@dataclass
class Around:
    """What else lies in the folders searched: files of other kinds, by suffix, and the folders that
    hold a run's ledger."""

    others: Counter[str] = field(default_factory=Counter)
    homes: set[str] = field(default_factory=set)


def mesh_suffixes() -> set[str]:
    """Suffixes that make a file in a folder an input: those that are read, and those of mesh
    formats that are not, so that such a file gives a row with the reason and is not passed over."""
    from preprocessing.formats.readers import ADVICE, SUFFIXES

    return {*SUFFIXES, *ADVICE} - ARCHIVES


def find_inputs(
    inputs: Sequence[str],
    suffixes: Collection[str],
    exclude: Place | None = None,
    passed_over: Counter[str] | None = None,
    raw: bool = False,
) -> list[Entry]:
    """Every input file once, sorted by id.

    Folders give the files with one of `suffixes` (lower case, with the dot); files that are named,
    by themselves, a pattern or a list, are taken whatever their suffix. Hidden files and the
    folder `exclude` (the output, when it lies inside an input) are left out. Files of other kinds
    in folders are counted by suffix in `passed_over`.

    raw: what another run made watertight in a folder below an input folder is left out, too, and
    counted by that folder, unless the input folder holds nothing else.

    Raises UsageError when an input does not exist or holds nothing, and when files of several
    inputs have one id: the message names them.
    """
    others: Counter[str] = Counter()
    found: list[Found] = []
    paths: set[str] = set()
    for text in inputs:
        empty, around = True, Around()
        expanded = expand(text, suffixes, exclude, around)
        for one in raw_ones(list(expanded), around) if raw else expanded:
            empty = False
            if one.given or one.path not in paths:
                found.append(one)
            paths.add(one.path)
        others.update(around.others)
        if empty and exclude is not None and is_same(text, exclude):
            raise UsageError(f"{text} is --out, whose files are no inputs; give another --out")
        if empty:
            held = f"; it holds {kinds(others)}" if others else ""
            listed = " ".join(sorted(suffixes))
            raise UsageError(f"{text} holds no file with one of {listed}{held}")
    if passed_over is not None:
        passed_over.update(others)
    return entries_of(found)


def kinds(counts: Counter[str]) -> str:
    """How many files of each kind, the most frequent first."""
    return ", ".join(
        f"{count} {suffix or 'without suffix'}" for suffix, count in counts.most_common()
    )


def raw_ones(found: list[Found], around: Around) -> list[Found]:
    """Those files of one INPUT that no run whose ledger lies below it made watertight."""
    from preprocessing.running.known_eps import eps_by_file

    made = {path: home for home in around.homes for path in eps_by_file(place(home))}
    left = [one for one in found if one.path not in made]
    if not left:
        return found
    homes = [made[one.path] for one in found if one.path in made]
    around.others.update(f"made by the run in {home}" for home in homes)
    return left


def expand(
    text: str, suffixes: Collection[str], exclude: Place | None, around: Around
) -> Iterator[Found]:
    """Every file or object that one INPUT stands for."""
    if is_address(text):
        yield from expand_address(systems.checked(text), suffixes, exclude, around)
        return
    skip = os.path.realpath(exclude) if isinstance(exclude, Path) else None
    path = os.path.abspath(text)
    if os.path.isdir(path):
        for file in walk(path, suffixes, skip, set(), around):
            yield Found(os.path.relpath(file, path), file, given=False)
        around.homes.discard(path)
    elif os.path.isfile(path):
        if path.lower().endswith(LISTS):
            yield from read_list(path)
        else:
            yield Found(os.path.basename(path), path, given=False)
    elif any(character in text for character in MAGIC):
        parts = Path(path).parts
        fixed = next(i for i, part in enumerate(parts) if any(c in part for c in MAGIC))
        root = str(Path(*parts[:fixed]))
        for match in sorted(glob.glob(path, recursive=True)):
            if os.path.isfile(match) and not in_folder(match, skip):
                yield Found(os.path.relpath(match, root), match, given=False)
    else:
        raise UsageError(f"{text}: no such file or folder")


def expand_address(
    address: str, suffixes: Collection[str], exclude: Place | None, around: Around
) -> Iterator[Found]:
    """Every object that an address stands for: itself, a list's, a pattern's, those below it."""
    if address.lower().endswith(LISTS):
        yield from read_list(address)
        return
    fixed = address
    while any(character in fixed for character in MAGIC):
        fixed = fixed.rpartition("/")[0]
    if fixed == address and place(address).is_file():
        yield Found(os.path.basename(address), address, given=False)
        return
    pattern = re.compile(pattern_of(address[len(fixed) + 1 :])) if fixed != address else None
    found = 0
    for name in systems.listed(fixed):
        found += 1
        parts, suffix = name.split("/"), os.path.splitext(name)[1].lower()
        one = f"{fixed}/{name}"
        if "" in parts:
            raise UsageError(f"{one}: a key with an empty part cannot be an input; rename it")
        if any(p.startswith(".") for p in parts) or below(one, exclude):
            continue
        home = parts[: parts.index(SEGMENTS)] if SEGMENTS in parts else parts[:-1]
        if home and pattern is None and (SEGMENTS in parts or parts[-1] in LEDGERS):
            around.homes.add("/".join([fixed, *home]))
        if SEGMENTS in parts:
            continue
        if pattern is not None:
            if pattern.fullmatch(name):
                yield Found(name, one, given=False)
        elif suffix in suffixes:
            yield Found(name, one, given=False)
        elif suffix not in BESIDE and parts[-1] not in OURS:
            around.others[suffix] += 1
    if not found:
        raise UsageError(f"{address}: no such object, and none below it")


def below(address: str, folder: Place | None) -> bool:
    """Whether an address lies below a place."""
    return folder is not None and address.startswith(f"{folder}/")


def pattern_of(glob_pattern: str) -> str:
    """A glob pattern as a regular expression: * within a part, ** for any number of parts."""
    text = ""
    for part in re.split(r"(\*\*/|\*|\[[^\]]+\])", glob_pattern):
        text += {"**/": "(?:[^/]+/)*", "*": "[^/]*"}.get(part) or (
            part.replace("[!", "[^") if part.startswith("[") else re.escape(part)
        )
    return text


def walk(
    folder: str, suffixes: Collection[str], skip: str | None, seen: set[str], around: Around
) -> Iterator[str]:
    """Files below a folder, links followed, each real folder once; `around` is told of others."""
    real = os.path.realpath(folder)
    if real in seen or real == skip:
        return
    seen.add(real)
    folders = []
    try:
        listed = list(os.scandir(folder))
    except OSError as error:
        raise UsageError(f"{folder} cannot be searched: {error.strerror}") from error
    for one in listed:
        suffix = os.path.splitext(one.name)[1].lower()
        if one.name.startswith("."):
            if suffix in suffixes and not one.is_dir():
                around.others[f"hidden {suffix}"] += 1
            continue
        if one.is_dir() and one.name != SEGMENTS:
            folders.append(one.path)
        elif suffix in suffixes:
            yield one.path
        elif one.name in LEDGERS:
            around.homes.add(folder)
        elif suffix not in BESIDE and one.name not in OURS:
            around.others[suffix] += 1
    for path in sorted(folders):
        yield from walk(path, suffixes, skip, seen, around)


def in_folder(path: str, folder: str | None) -> bool:
    """Whether a path lies below a folder."""
    return folder is not None and os.path.commonpath([path, folder]) == folder
