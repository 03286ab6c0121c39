"""The tree of records in an FBX file, binary: names, values, children; arrays stay packed.

Every FBX file is one tree of named records, whatever its version. Nothing here knows what a record
means. Arrays are inflated when they are asked for: embedded textures and animation curves, which
are most of many files, never are.
"""

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from preprocessing.mesh_errors import MeshError

MAGIC = b"Kaydara FBX Binary  \x00\x1a"
DEEPEST = 64
"""Records nest this deep at most; real files stay under ten."""
LARGEST_ARRAY = 1 << 30
"""Bytes that one array may unpack to."""
BOMB, SMALL = 300, 16 << 20
"""Coordinates and indices pack by two to twenty. More than SMALL bytes that unpack BOMB-fold are a
bomb."""

NUMBERS = {"C": "B", "B": "B", "Z": "B", "Y": "h", "I": "i", "F": "f", "L": "q", "D": "d"}
"""Letter of a single number -> struct's letter."""
ARRAYS = {"b": "u1", "c": "u1", "i": "i4", "l": "i8", "f": "f4", "d": "f8"}
"""Letter of an array -> NumPy's type."""


@dataclass(frozen=True, slots=True)
class Packed:
    """An array as it stands in the file."""

    kind: str
    count: int
    deflated: bool
    data: bytes

    def unpack(self) -> np.ndarray:
        """The numbers (count,). Raises MeshError(truncated, too-large, unreadable)."""
        kind = np.dtype(self.kind)
        size = self.count * kind.itemsize
        bomb = self.deflated and size > SMALL and size > BOMB * len(self.data)
        if bomb or size > LARGEST_ARRAY:
            raise MeshError("too-large", f"an array of {self.count} numbers")
        data = self.data
        if self.deflated:
            try:
                data = zlib.decompressobj().decompress(data, max(size, 1))
            except zlib.error as error:
                raise MeshError("unreadable", f"a packed array of the FBX: {error}") from None
        if len(data) < size:
            raise MeshError("truncated", f"an array holds {len(data)} of {size} bytes")
        return np.frombuffer(data, kind, self.count)


@dataclass(slots=True)
class Record:
    """One record: its values are int, float, str, NumPy arrays or Packed."""

    name: str
    values: list[Any] = field(default_factory=list)
    children: list["Record"] = field(default_factory=list)

    def child(self, name: str) -> "Record | None":
        """The first child of that name."""
        return next((c for c in self.children if c.name == name), None)

    def all(self, name: str) -> list["Record"]:
        """Every child of that name."""
        return [c for c in self.children if c.name == name]

    def number(self, name: str, default: float) -> float:
        """The first value of a child, where it is a number."""
        found = self.child(name)
        value = found.values[0] if found and found.values else default
        return value if isinstance(value, int | float) else default

    def text(self, name: str) -> str:
        """The first value of a child, where it is text; else nothing."""
        found = self.child(name)
        value = found.values[0] if found and found.values else ""
        return value if isinstance(value, str) else ""

    def array(self, name: str, kind: type) -> np.ndarray:
        """The numbers of a child, (N,) of `kind`; empty where there is no such child.

        Raises MeshError(unreadable) where they are no numbers.
        """
        found = self.child(name)
        if found is None:
            return np.empty(0, kind)
        parts: list[np.ndarray] = []
        for value in found.values:
            part = value.unpack() if isinstance(value, Packed) else np.atleast_1d(value)
            if part.dtype.kind not in "iufb":
                raise MeshError("unreadable", f"{name} of the FBX holds text among its numbers")
            parts.append(part)
        if not parts:
            return np.empty(0, kind)
        numbers = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if kind is int and numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
            raise MeshError("unreadable", f"{name} of the FBX holds a NaN among its indices")
        with np.errstate(invalid="ignore"):
            return numbers.astype(kind, copy=False)


class Binary:
    """Reads records of a binary file, of 6.1 to 7.7, in either byte order."""

    def __init__(self, data: bytes) -> None:
        if len(data) < 27:
            raise MeshError("truncated", f"{len(data)} bytes; the header of an FBX has 27")
        self.data = data
        self.order = ">" if data[22] else "<"
        self.version = int(struct.unpack_from(self.order + "I", data, 23)[0])
        wide = self.version >= 7500
        self.head = struct.Struct(self.order + ("QQQB" if wide else "IIIB"))

    def records(self) -> list[Record]:
        """All records at the top of the file. Raises MeshError(truncated, unreadable)."""
        try:
            return self.list_from(27, len(self.data), 0)[0]
        except struct.error:
            raise MeshError("truncated", "the FBX ends inside a record") from None

    def list_from(self, at: int, end: int, depth: int) -> tuple[list[Record], int]:
        """The records from byte `at` to a closing one or `end`, and where they stop."""
        if depth > DEEPEST:
            raise MeshError("unreadable", f"records of the FBX nest more than {DEEPEST} deep")
        found: list[Record] = []
        while at < end:
            stop, count, size, name_size = self.head.unpack_from(self.data, at)
            start = at + self.head.size + name_size
            if stop == 0 and name_size == 0:
                return found, at + self.head.size
            # Some of Maya's files have no end of a record: its children go on to their closing one.
            open_end = stop == 0
            if not start + size <= (end if open_end else stop) <= end:
                cut = "truncated" if stop > len(self.data) else "unreadable"
                raise MeshError(cut, f"a record at byte {at} of the FBX ends at {stop} of {end}")
            name = self.data[start - name_size : start].decode("latin-1")
            record = Record(name, self.values(start, start + size, count))
            last = end if open_end else stop
            record.children, at = self.list_from(start + size, last, depth + 1)
            found.append(record)
            at = at if open_end else stop
        if depth == 0:
            raise MeshError("truncated", "the FBX ends without its closing record")
        return found, at

    def values(self, at: int, end: int, count: int) -> list[Any]:
        """The values of a record between two bytes."""
        if (run := self.run_of_numbers(at, end, count)) is not None:
            return [run]
        found: list[Any] = []
        for _ in range(count):
            value, at = self.value(at, end)
            found.append(value)
        return found

    def run_of_numbers(self, at: int, end: int, count: int) -> np.ndarray | None:
        """Numbers of one type, one after the other: how files before 7.0 write arrays."""
        letter = chr(self.data[at]) if at < end else ""
        if count < 16 or letter not in NUMBERS:
            return None
        number = np.dtype(self.order + np.dtype(NUMBERS[letter]).str[1:])
        kind = np.dtype([("letter", "u1"), ("number", number)])
        if end - at != count * kind.itemsize:
            return None
        run = np.frombuffer(self.data, kind, count, at)
        return run["number"] if (run["letter"] == ord(letter)).all() else None

    def value(self, at: int, end: int) -> tuple[Any, int]:
        """One value and where the next one starts."""
        letter = chr(self.data[at]) if at < end else ""
        at += 1
        if letter in NUMBERS:
            form = self.order + NUMBERS[letter]
            return struct.unpack_from(form, self.data, at)[0], at + struct.calcsize(form)
        if letter in ("S", "R"):
            size = int(struct.unpack_from(self.order + "I", self.data, at)[0])
            self.fits(at + 4 + size, end)
            # Latin-1 loses nothing, and names only need to be told apart.
            return self.data[at + 4 : at + 4 + size].decode("latin-1"), at + 4 + size
        if letter in ARRAYS:
            count, packing, size = struct.unpack_from(self.order + "III", self.data, at)
            self.fits(at + 12 + size, end)
            piece = self.data[at + 12 : at + 12 + size]
            return Packed(self.order + ARRAYS[letter], count, packing != 0, piece), at + 12 + size
        raise MeshError("unreadable", f"a value of type {letter!r} at byte {at - 1} of the FBX")

    def fits(self, stop: int, end: int) -> None:
        """Raise MeshError(unreadable) where a value ends after its record."""
        if stop > end:
            raise MeshError("unreadable", f"a value of the FBX ends at byte {stop} of {end}")
