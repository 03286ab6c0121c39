"""The text of a file as plain bytes: byte order marks and UTF-16 undone."""

import codecs
from collections.abc import Iterable

from preprocessing.mesh_errors import MeshError

MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""The longer marks first: UTF-32's starts with UTF-16's."""


def plain_text(data: bytes) -> bytes:
    """`data` in UTF-8 without a byte order mark; anything without a mark as it is.

    UTF-16 without a mark is known by every second byte being zero. Raises MeshError(unreadable)
    where text announced as UTF-16 or UTF-32 is not.
    """
    if data.startswith(codecs.BOM_UTF8):
        return data[len(codecs.BOM_UTF8) :]
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), None)
    start = data[:64]
    if encoding is None and len(start) >= 8:
        for zeros, name in ((start[1::2], "utf-16-le"), (start[::2], "utf-16-be")):
            if not zeros.strip(b"\0") and start.count(0) == len(zeros):
                encoding = name
    if encoding is None:
        return data
    try:
        return data.decode(encoding).encode()
    except UnicodeError as error:
        what = f"not {encoding.upper()} as its start says: {error}"
        raise MeshError("unreadable", what) from None


def refuse_underscores(texts: Iterable[bytes], what: str) -> None:
    """Raise MeshError(unreadable) for a `_` among numbers: Python alone reads 1_5, and as 15."""
    found = next((text for text in texts if b"_" in text), None)
    if found is not None:
        word = next(word for word in found.split() if b"_" in word)
        raise MeshError("unreadable", f"{what}: {word[:40].decode('latin-1')!r} is no number")
