"""Broken copies of a good file: flipped bits, cuts, doubled pieces, swapped numbers."""

import re
from collections.abc import Iterator

import numpy as np

from preprocessing.seeds import generator

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
ODD = (b"0", b"-1", b"1e999", b"nan", b"4294967295", b"99999999999999999999", b"1,5", b"")


def mutations(data: bytes, count: int, name: str) -> Iterator[bytes]:
    """`count` broken copies of a file, the same for the same name."""
    draw = generator(0, name, "mutations")
    for _ in range(count):
        broken = data
        for _ in range(int(draw.integers(1, 4))):
            broken = KINDS[int(draw.integers(len(KINDS)))](broken, draw)
        yield broken


def flipped(data: bytes, draw: np.random.Generator) -> bytes:
    """A few bits turned over."""
    made = bytearray(data)
    for _ in range(int(draw.integers(1, 8)) if made else 0):
        made[int(draw.integers(len(made)))] ^= 1 << int(draw.integers(8))
    return bytes(made)


def cut(data: bytes, draw: np.random.Generator) -> bytes:
    """The end left out."""
    return data[: int(draw.integers(len(data) + 1))]


def doubled(data: bytes, draw: np.random.Generator) -> bytes:
    """A piece written again at another place."""
    a, b, c = (int(draw.integers(len(data) + 1)) for _ in range(3))
    piece = data[min(a, b) : max(a, b)][:4096]
    return data[:c] + piece + data[c:]


def removed(data: bytes, draw: np.random.Generator) -> bytes:
    """A piece left out."""
    start = int(draw.integers(len(data) + 1))
    return data[:start] + data[start + int(draw.integers(64)) :]


def renumbered(data: bytes, draw: np.random.Generator) -> bytes:
    """A number in digits replaced by an odd one or by another of the file."""
    found = list(NUMBER.finditer(data))
    if not found:
        return data
    old, other = (found[int(draw.integers(len(found)))] for _ in range(2))
    choices = (*ODD, other[0])
    new = choices[int(draw.integers(len(choices)))]
    return data[: old.start()] + new + data[old.end() :]


def overwritten(data: bytes, draw: np.random.Generator) -> bytes:
    """Four bytes, a count or an offset perhaps, set to something large, small or odd."""
    at = int(draw.integers(max(len(data) - 4, 1)))
    values = (0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, int(draw.integers(1 << 32)), len(data))
    value = values[int(draw.integers(len(values)))]
    return data[:at] + value.to_bytes(4, "little") + data[at + 4 :]


KINDS = (flipped, cut, doubled, removed, renumbered, overwritten)
