"""A sample that lies inside a larger file, a shard, read by its offset without the rest.

The part of the safetensors interface that sample files are read by, for bytes that do not begin a
file: the header is read once, rows of an array by one read each.
"""

import contextlib
import json
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from preprocessing.stores.address import Place, StorePath
from preprocessing.stores.systems import reader

HEADER_BYTES = 4096  # a sample's header is 1,100 bytes
KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"}


class SampleAt(NamedTuple):
    """Where a sample is: `size` bytes of a file from `offset`."""

    path: Place
    offset: int
    size: int


SampleSource = str | Path | StorePath | SampleAt


@contextlib.contextmanager
def open_arrays(source: SampleSource) -> Iterator[Any]:
    """A sample's arrays, of a file or of a part of one; has metadata, get_tensor and get_slice.

    Raises SafetensorError where the bytes are no whole safetensors file, and OSError.
    """
    if isinstance(source, StorePath):
        source = SampleAt(source, 0, source.stat().st_size)
    if not isinstance(source, SampleAt):
        with safe_open(source, "numpy") as file:
            yield file
    elif isinstance(source.path, StorePath):
        with reader(str(source.path)) as read:
            yield Packed(read, source.offset, source.size, HEADER_BYTES)
    else:
        descriptor = os.open(source.path, os.O_RDONLY)
        try:
            yield Packed(lambda count, at: os.pread(descriptor, count, at), *source[1:])
        finally:
            os.close(descriptor)


class Packed:
    """A safetensors file inside another file.

    pread: `count` bytes of that file from a place on. ahead: how many bytes to read at first, where
    every read costs a request.
    """

    def __init__(
        self, pread: Callable[[int, int], bytes], offset: int, size: int, ahead: int = 0
    ) -> None:
        self.pread, self.offset, self.size = pread, offset, size
        self.start = pread(min(ahead, size), offset) if ahead else b""
        (length,) = struct.unpack("<Q", self.read(0, 8))
        try:
            self.header: dict[str, Any] = json.loads(self.read(8, length))
        except ValueError as error:
            raise SafetensorError(f"the header: {error}") from error
        self.data = 8 + length

    def read(self, begin: int, count: int) -> bytes:
        """Bytes of the inner file. Raises SafetensorError where it ends before."""
        found = b""
        if begin + count <= len(self.start):
            return self.start[begin : begin + count]
        if begin + count <= self.size:
            found = self.pread(count, self.offset + begin)
        if len(found) != count:
            raise SafetensorError(f"it ends before byte {begin + count}")
        return found

    def metadata(self) -> dict[str, str]:
        """The metadata of the header."""
        return dict(self.header.get("__metadata__", {}))

    def get_slice(self, name: str) -> "Rows":
        """An array whose rows are read when they are asked for."""
        if name not in self.header:
            raise SafetensorError(f"there is no {name}")
        return Rows(self, self.header[name])

    def get_tensor(self, name: str) -> np.ndarray:
        """A whole array."""
        rows = self.get_slice(name)
        return rows[0 : rows.get_shape()[0]]


@dataclass(frozen=True)
class Rows:
    """An array of a `Packed` file; rows [a:b] are one read."""

    file: Packed
    entry: dict[str, Any]

    def get_shape(self) -> list[int]:
        """The array's shape."""
        return list(self.entry["shape"])

    def __getitem__(self, rows: slice) -> np.ndarray:
        kind, shape = np.dtype(KINDS[self.entry["dtype"]]), self.get_shape()
        begin, end, _ = rows.indices(shape[0])
        width = int(np.prod(shape[1:], dtype=np.int64)) * kind.itemsize
        start = self.file.data + self.entry["data_offsets"][0] + begin * width
        data = self.file.read(start, (end - begin) * width)
        return np.frombuffer(bytearray(data), kind).reshape(end - begin, *shape[1:])
