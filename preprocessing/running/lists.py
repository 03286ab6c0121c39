"""Lists of inputs: .txt (a path a line), .csv and .parquet (`path`, optionally `id`), .json.

Paths count from the list's folder. Text may begin with a byte order mark, UTF-16 included, and may
hold bytes that are not UTF-8, as file names do.
"""

import codecs
import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from preprocessing.console import UsageError
from preprocessing.running.ids import Found
from preprocessing.stores.address import is_address, place
from preprocessing.stores.scratch import at_hand
from preprocessing.stores.systems import checked

SUFFIXES = (".txt", ".csv", ".parquet", ".json")
MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_list(path: str) -> Iterator[Found]:
    """Every entry of a list file, with the id it gives or the path of the file. UsageError."""
    folder = os.path.dirname(path)
    with at_hand(path) as file:
        rows = list(list_rows(file))
    for entry, name in rows:
        file = entry_of_list(folder, entry)
        # A path outside of the list's folder keeps all its parts.
        inside = file.startswith(os.path.join(folder, ""))
        whole = file.partition("://")[2] if is_address(file) else file[1:]
        own = os.path.relpath(file, folder) if inside else whole
        yield Found(name or own, file, given=bool(name))


def entry_of_list(folder: str, entry: str) -> str:
    """The path or address that a list's entry means, counted from the list's folder."""
    if is_address(entry):
        return checked(entry)
    if is_address(folder) and not os.path.isabs(os.path.expanduser(entry)):
        return str(place(f"{folder}/{entry}"))
    return os.path.normpath(os.path.join(folder, os.path.expanduser(entry)))


def list_rows(path: str) -> Iterable[tuple[str, str]]:
    """(path, id or "") as a list file gives them. Raises UsageError naming the fault."""
    suffix = os.path.splitext(path)[1].lower()
    try:
        if suffix == ".parquet":
            return parquet_rows(path)
        text = decoded(Path(path).read_bytes())
        if suffix == ".csv":
            return csv_rows(path, text)
        if suffix == ".json":
            return [(one, "") for one in json_paths(path, text)]
        # Not splitlines(), which also ends a line at characters that a file name may have.
        lines = [line.strip() for line in io.StringIO(text, newline=None)]
        return [(line, "") for line in lines if line and not line.startswith("#")]
    except (ValueError, OSError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as a list of paths: {error}") from error


def decoded(data: bytes) -> str:
    """Text without its byte order mark; bytes that are not UTF-8 as file names have them."""
    if data.startswith(MARKS):
        return data.decode("utf-16")
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def json_paths(path: str, text: str) -> list[str]:
    """A JSON list of strings. Raises UsageError."""
    texts = json.loads(text)
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
        raise UsageError(f"{path} is no list: a JSON list of paths is needed")
    return texts


def csv_rows(path: str, text: str) -> list[tuple[str, str]]:
    """Rows of a CSV file with a header."""
    rows = csv.DictReader(io.StringIO(text, newline=""))
    require_path(path, rows.fieldnames or ())
    return [(row["path"], row.get("id") or "") for row in rows if row["path"]]


def parquet_rows(path: str) -> list[tuple[str, str]]:
    """Rows of a parquet file; ids may be whole numbers."""
    import pyarrow.parquet as pq

    names = pq.read_schema(path).names
    require_path(path, names)
    table = pq.read_table(path, columns=["path", *(["id"] if "id" in names else [])])
    paths = table["path"].to_pylist()
    ids = table["id"].to_pylist() if "id" in names else [None] * len(paths)
    wrong = next((text for text in paths if text and not isinstance(text, str)), None)
    if wrong is not None:
        raise UsageError(f"{path}: `path` holds {wrong!r}, which is no path")
    return [(text, id_text(name)) for text, name in zip(paths, ids, strict=True) if text]


def id_text(value: Any) -> str:
    """An id as text: 7, and 7.0 where missing ids made a column of whole numbers real."""
    if value is None or value != value:
        return ""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value)


def require_path(path: str, columns: Iterable[str]) -> None:
    """Raise UsageError unless there is a column `path`."""
    if "path" not in columns:
        raise UsageError(f"{path} has no column `path`, only {', '.join(columns)}")
