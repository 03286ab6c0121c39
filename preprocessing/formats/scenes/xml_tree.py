"""XML to a small tree, with what hostile files do refused: entities, depth, floods.

Elements that a file holds by the million may be kept as rows of numbers in their parent.
"""

import warnings
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

import numpy as np

from preprocessing.mesh_errors import MeshError

DEEPEST = 200
"""Elements nest this deep at most."""
MOST_ELEMENTS = 3_000_000
"""Elements kept in memory, about half a kilobyte each."""


@dataclass(slots=True)
class Element:
    """An element: its name without its namespace's prefix, attributes, text, children.

    `rows` holds the numbers of children that the caller asked to have as rows, by their name.
    """

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list["Element"] = field(default_factory=list)
    rows: dict[str, array] = field(default_factory=dict)

    def get(self, name: str, default: str = "") -> str:
        """An attribute."""
        return self.attributes.get(name, default)

    def child(self, name: str) -> "Element | None":
        """The first child of that name."""
        return next((c for c in self.children if c.name == name), None)

    def all(self, name: str) -> list["Element"]:
        """Every child of that name."""
        return [c for c in self.children if c.name == name]

    def walk(self) -> Iterator["Element"]:
        """This element and all below it, in the file's order."""
        waiting = [self]
        while waiting:
            current = waiting.pop()
            yield current
            waiting.extend(reversed(current.children))

    def row_array(self, name: str, width: int) -> np.ndarray:
        """The rows (N,width) float64 of children kept as rows."""
        return np.array(self.rows.get(name, ()), np.float64).reshape(-1, width)


class Builder:
    """Builds the tree as expat calls it."""

    def __init__(self, rows: Mapping[str, tuple[str, ...]]) -> None:
        self.rows = rows
        self.root: Element | None = None
        self.open: list[Element] = []
        self.text: list[str] = []
        self.count = self.skipped = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element opens."""
        name = tag.rpartition(":")[2]
        wanted = self.rows.get(name)
        if wanted and self.open:
            self.skipped += 1
            self.add_row(name, wanted, attributes)
            return
        self.close_text()
        self.count += 1
        if len(self.open) >= DEEPEST or self.count > MOST_ELEMENTS:
            raise MeshError("too-large", "the XML nests too deep or holds too many elements")
        element = Element(name, attributes)
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def add_row(self, name: str, wanted: tuple[str, ...], attributes: dict[str, str]) -> None:
        """Keep an element's numbers only. Raises MeshError(unreadable)."""
        try:
            numbers = parsed_words([attributes[key] for key in wanted], float)
        except KeyError as missing:
            raise MeshError("unreadable", f"a <{name}> without {missing}") from None
        except ValueError as error:
            raise MeshError("unreadable", f"a <{name}>: {error}") from None
        self.open[-1].rows.setdefault(name, array("d")).extend(numbers)

    def end(self, tag: str) -> None:
        """An element closes."""
        if self.skipped and tag.rpartition(":")[2] in self.rows:
            self.skipped -= 1
            return
        self.close_text()
        self.open.pop()

    def close_text(self) -> None:
        """Hand the text so far to its element."""
        if self.text and self.open:
            self.open[-1].text += "".join(self.text)
        self.text.clear()


def parse_xml(
    pieces: bytes | Iterable[bytes], rows: Mapping[str, tuple[str, ...]] | None = None
) -> Element:
    """The root of an XML file, given whole or in pieces.

    rows: element name -> the attributes whose numbers are kept in place of the element.
    Raises MeshError(unreadable, truncated, too-large).
    """
    builder = Builder(rows or {})
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text.append
    parser.EntityDeclHandler = refuse_entity
    try:
        for piece in [pieces] if isinstance(pieces, bytes) else pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        unfinished = error.code in (3, 5) or bool(builder.open and error.code == 4 and not pieces)
        reason = "truncated" if unfinished else "unreadable"
        raise MeshError(reason, f"the XML: {error}") from None
    except (LookupError, ValueError) as error:
        if isinstance(error, MeshError):
            raise
        raise MeshError("unreadable", f"the XML: {error}") from None
    if builder.root is None:
        raise MeshError("empty", "the XML has no element")
    return builder.root


def refuse_entity(name: str, *_: object) -> None:
    """Entities can grow a small file to any size, or name other files: refused."""
    raise MeshError("unreadable", f"the XML declares an entity ({name}); write its text instead")


def numbers_of(text: str, what: str) -> np.ndarray:
    """Numbers (N,) float64 between white space. Raises MeshError(unreadable).

    A comma is no white space: some exporters write it for the decimal point.
    """
    return parsed(text, np.float64, what)


def indices_of(text: str, what: str) -> np.ndarray:
    """Whole numbers (N,) int64 between white space. Raises MeshError(unreadable)."""
    return parsed(text, np.int64, what)


def parsed(text: str, kind: type, what: str) -> np.ndarray:
    """Numbers of a kind between white space."""
    if not text.strip():
        return np.empty(0, kind)
    try:
        with warnings.catch_warnings():
            # What is no number only warns here; the slow way then says which word it is.
            warnings.simplefilter("error")
            return np.fromstring(text, kind, sep=" ")
    except (DeprecationWarning, ValueError):
        pass
    try:
        return np.array(parsed_words(text.split(), kind), kind)
    except (ValueError, OverflowError) as error:
        raise MeshError("unreadable", f"{what}: {error}") from None


def parsed_words(words: list[str], kind: type) -> list:
    """Numbers one by one. Raises ValueError, also for 1_5, which Python alone reads."""
    for word in words:
        if "_" in word:
            raise ValueError(f"{word!r} is no number")
    return [kind(word) for word in words]
