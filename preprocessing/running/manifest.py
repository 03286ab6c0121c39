"""Inputs to items: what INPUT names, one stable id each, collisions found before work starts.

INPUT is files, folders (searched recursively), glob patterns, or lists of paths: .txt (one a line),
.csv or .parquet (column `path`, optionally `id`), .json (a list of strings). An id is the path
relative to the input root without its suffix. The root is the folder itself, a file's own folder,
the fixed part of a pattern, and a list's folder (an absolute path outside of it keeps all its
parts), so an id never depends on which other inputs there are.
"""

import csv
import glob
import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from preprocessing.console import UsageError

LISTS = (".txt", ".csv", ".parquet", ".json")
MAGIC = "*?["


ARCHIVES = {".zip", ".gz", ".bz2", ".xz", ".7z", ".tar", ".rar"}


def mesh_suffixes() -> set[str]:
    """Suffixes that make a file in a folder an input: those that are read, and those of mesh
    formats that are not, so that such a file gives a row with the reason and is not passed over."""
    from preprocessing.formats.readers import ADVICE, SUFFIXES

    return {*SUFFIXES, *ADVICE} - ARCHIVES


class Entry(NamedTuple):
    """One input: its id and the absolute path of its file (which may be missing)."""

    id: str
    path: str


def find_inputs(
    inputs: Sequence[str], suffixes: Collection[str], exclude: Path | None = None
) -> list[Entry]:
    """Every input file once, sorted by id.

    Folders give the files with one of `suffixes` (lower case, with the dot); files that are named,
    by themselves, a pattern or a list, are taken whatever their suffix. Hidden files and the
    folder `exclude` (the output, when it lies inside an input) are left out.

    Raises UsageError when an input does not exist or holds nothing, and when two files map to one
    id: the message names both.
    """
    paths: dict[str, str] = {}
    ids: dict[str, str] = {}
    skip = os.path.realpath(exclude) if exclude else None
    for text in inputs:
        empty = True
        for name, path in expand(text, suffixes, skip):
            empty = False
            if path in paths:
                continue
            if name in ids:
                raise UsageError(
                    f"two inputs have the id {name!r}:\n  {ids[name]}\n  {path}\n"
                    "Rename one, give the folder above both as INPUT, or use a list with an `id` "
                    "column."
                )
            paths[path], ids[name] = name, path
        if empty:
            raise UsageError(f"{text} holds no file with one of {' '.join(sorted(suffixes))}")
    return [Entry(name, ids[name]) for name in sorted(ids)]


def expand(text: str, suffixes: Collection[str], skip: str | None) -> Iterator[tuple[str, str]]:
    """(id, absolute path) of every file that one INPUT stands for."""
    if "://" in text:
        raise UsageError(
            f"{text}: only paths of a file system are read; mount the bucket (s3fs, gcsfuse, "
            "rclone mount) or copy the files"
        )
    path = os.path.abspath(text)
    if os.path.isdir(path):
        for file in walk(path, suffixes, skip, set()):
            yield stem(os.path.relpath(file, path)), file
    elif os.path.isfile(path):
        if path.lower().endswith(LISTS):
            yield from read_list(path)
        else:
            yield stem(os.path.basename(path)), path
    elif any(character in text for character in MAGIC):
        parts = Path(path).parts
        fixed = next(i for i, part in enumerate(parts) if any(c in part for c in MAGIC))
        root = str(Path(*parts[:fixed]))
        for match in sorted(glob.glob(path, recursive=True)):
            if os.path.isfile(match) and not in_folder(match, skip):
                yield stem(os.path.relpath(match, root)), match
    else:
        raise UsageError(f"{text}: no such file or folder")


def walk(folder: str, suffixes: Collection[str], skip: str | None, seen: set[str]) -> Iterator[str]:
    """Files below a folder, links followed, each real folder once."""
    real = os.path.realpath(folder)
    if real in seen or real == skip:
        return
    seen.add(real)
    folders = []
    with os.scandir(folder) as found:
        for one in found:
            if one.name.startswith("."):
                continue
            if one.is_dir():
                folders.append(one.path)
            elif os.path.splitext(one.name)[1].lower() in suffixes:
                yield one.path
    for path in sorted(folders):
        yield from walk(path, suffixes, skip, seen)


def read_list(path: str) -> Iterator[tuple[str, str]]:
    """(id, absolute path) of every entry of a list file; entries are relative to its folder."""
    folder = os.path.dirname(path)
    for entry, name in list_rows(path):
        file = os.path.normpath(os.path.join(folder, os.path.expanduser(entry)))
        if not name:
            name = stem(os.path.relpath(file, folder) if in_folder(file, folder) else file[1:])
        yield name, file


def list_rows(path: str) -> Iterable[tuple[str, str]]:
    """(path, id or "") as a list file gives them. Raises UsageError naming the fault."""
    suffix = os.path.splitext(path)[1].lower()
    try:
        if suffix == ".txt":
            with open(path, encoding="utf-8") as lines:
                texts = [line.strip() for line in lines]
            return [(text, "") for text in texts if text and not text.startswith("#")]
        if suffix == ".json":
            texts = json.loads(Path(path).read_bytes())
            if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
                raise UsageError(f"{path} is no list: a JSON list of paths is needed")
            return [(text, "") for text in texts]
        return csv_rows(path) if suffix == ".csv" else parquet_rows(path)
    except (ValueError, OSError) as error:
        raise UsageError(f"{path} cannot be read as a list of paths: {error}") from error


def csv_rows(path: str) -> list[tuple[str, str]]:
    """Rows of a CSV file with a header."""
    with open(path, encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines)
        if "path" not in (rows.fieldnames or ()):
            raise UsageError(
                f"{path} has no column `path`, only {', '.join(rows.fieldnames or ())}"
            )
        return [(row["path"], row.get("id") or "") for row in rows if row["path"]]


def parquet_rows(path: str) -> list[tuple[str, str]]:
    """Rows of a parquet file."""
    import pyarrow.parquet as pq

    names = pq.read_schema(path).names
    if "path" not in names:
        raise UsageError(f"{path} has no column `path`, only {', '.join(names)}")
    table = pq.read_table(path, columns=["path", *(["id"] if "id" in names else [])])
    paths = table["path"].to_pylist()
    ids = table["id"].to_pylist() if "id" in names else [""] * len(paths)
    return [(text, name or "") for text, name in zip(paths, ids, strict=True) if text]


def stem(path: str) -> str:
    """A path without its suffix, with forward slashes."""
    return os.path.splitext(path)[0].replace(os.sep, "/")


def in_folder(path: str, folder: str | None) -> bool:
    """Whether a path lies below a folder."""
    return folder is not None and os.path.commonpath([path, folder]) == folder
