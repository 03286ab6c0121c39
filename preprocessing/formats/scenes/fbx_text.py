"""The tree of records in an FBX file written as text.

`Name: value, value { children }`, `;` starts a comment. Arrays are `*3 { a: 1,2,3 }` since 7.0 and
plain lists of values, over as many lines as they like, before.
"""

import re

import numpy as np

from preprocessing.formats.scenes.fbx_nodes import DEEPEST, Record
from preprocessing.mesh_errors import MeshError

SPACE = re.compile(r"(?:\s+|;[^\n\r]*)*")
NAME = re.compile(r"([A-Za-z_][^\s:,{}\"]*)[ \t]*:")
STRING = re.compile(r'"([^"]*)"')
RUN = re.compile(r"[-+0-9.eE]+(?:\s*,\s*[-+0-9.eE]+){8,}+")
"""Many plain numbers in a row: taken at once, a thousand times as fast as one by one."""
WORD = re.compile(r"[^\s,{}\":;*]+")
STRANGE = re.compile(r"[-+]?(?:\d+\.#|nan|inf)", re.IGNORECASE)
"""How C libraries print what is not a number: 1.#QNAN, -nan(ind), inf."""


class Text:
    """Reads records of a text file."""

    def __init__(self, data: bytes) -> None:
        # Latin-1 loses nothing, and names only need to be told apart.
        self.text = data.decode("latin-1")
        self.at = 0

    def records(self) -> list[Record]:
        """All records at the top of the file. Raises MeshError(truncated, unreadable)."""
        found = self.list_of_records(0)
        if self.at < len(self.text):
            raise self.unexpected()
        return found

    def unexpected(self) -> MeshError:
        """What to raise where the text is not what the grammar says."""
        unclosed = self.text[self.at : self.at + 1] == '"' and self.text.find('"', self.at + 1) < 0
        if self.at >= len(self.text) or unclosed:
            return MeshError("truncated", "the FBX ends inside a record")
        line = self.text.count("\n", 0, self.at) + 1
        piece = self.text[self.at : self.at + 20]
        return MeshError("unreadable", f"line {line} of the FBX: {piece!r} where a name should be")

    def skip(self) -> str:
        """Over white space and comments; the next character, or nothing at the end."""
        match = SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.text[self.at : self.at + 1]

    def list_of_records(self, depth: int) -> list[Record]:
        """Records up to a closing brace or the end."""
        if depth > DEEPEST:
            raise MeshError("unreadable", f"records of the FBX nest more than {DEEPEST} deep")
        found = []
        while self.skip() not in ("", "}"):
            match = NAME.match(self.text, self.at)
            if match is None:
                raise self.unexpected()
            self.at = match.end()
            found.append(self.record(match[1], depth))
        return found

    def record(self, name: str, depth: int) -> Record:
        """One record after its name."""
        record = Record(name)
        announced = self.values(record)
        if self.skip() == "{":
            self.at += 1
            record.children = self.list_of_records(depth + 1)
            if self.skip() != "}":
                raise self.unexpected()
            self.at += 1
        if announced is not None:
            self.unfold(record, announced)
        return record

    def unfold(self, record: Record, announced: int) -> None:
        """Take the numbers out of `*N { a: ... }`. Raises MeshError(truncated)."""
        inner = record.child("a")
        record.values = inner.values if inner else []
        given = sum(len(v) if isinstance(v, np.ndarray) else 1 for v in record.values)
        if given < announced:
            what = f"{record.name} of the FBX announces {announced} numbers and holds {given}"
            raise MeshError("truncated", what)

    def values(self, record: Record) -> int | None:
        """Read values into a record; the N of `*N` where an array follows in braces."""
        announced, expecting = None, True
        while True:
            mark = self.skip()
            if mark == ",":
                self.at += 1
                expecting = True
            elif not expecting or mark in ("", "{", "}") or NAME.match(self.text, self.at):
                return announced
            elif mark == "*":
                self.at += 1
                announced, expecting = self.count(), False
            else:
                record.values.append(self.value(mark))
                expecting = False

    def count(self) -> int:
        """The number after a star."""
        match = WORD.match(self.text, self.at)
        if match is None or not match[0].isdigit() or len(match[0]) > 12:
            raise self.unexpected()
        self.at = match.end()
        return int(match[0])

    def value(self, mark: str) -> object:
        """One value: text, a number, a bare word, or a run of numbers as an array."""
        if mark == '"':
            return self.taken(STRING.match(self.text, self.at))
        run = RUN.match(self.text, self.at)
        if run is not None:
            # A number that the pattern cuts in two (1.#INF) is not taken with the run.
            following = self.text[run.end() : run.end() + 1]
            if not following or not (following in "#(_" or following.isalnum()):
                self.at = run.end()
                return as_array(run[0])
        return as_number(self.taken(WORD.match(self.text, self.at)))

    def taken(self, match: re.Match[str] | None) -> str:
        """What a pattern found, moving behind it."""
        if match is None:
            raise self.unexpected()
        self.at = match.end()
        return match[1] if match.re is STRING else match[0]


def as_array(run: str) -> np.ndarray:
    """Numbers with commas between them. Raises MeshError(unreadable)."""
    pieces = run.split(",")
    try:
        if any(mark in run for mark in ".eE"):
            return np.array(pieces, np.float64)
        return np.array([int(piece) for piece in pieces], np.int64)
    except (ValueError, OverflowError):
        raise MeshError("unreadable", f"not numbers in the FBX: {run[:40]!r}") from None


def as_number(word: str) -> object:
    """A word as int or float where it is one, else the word."""
    if STRANGE.match(word):
        return float("inf") if "inf" in word.lower() else float("nan")
    if "_" in word:  # 1_5, which Python alone reads as a number
        return word
    try:
        return int(word) if len(word) <= 20 else float(word)
    except ValueError:
        pass
    try:
        return float(word)
    except ValueError:
        return word
