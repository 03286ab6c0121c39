"""The text of a file as plain bytes: byte order marks and UTF-16 undone."""

import codecs

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
