"""Fields of X3D elements: numbers, flags and rows of numbers in attributes."""

from collections.abc import Sequence

import numpy as np

from preprocessing.formats.scenes.xml_tree import Element, indices_of, numbers_of
from preprocessing.mesh_errors import MeshError


def numbers(element: Element, name: str, default: Sequence[float]) -> np.ndarray:
    """The numbers of a field, (N,); as many as its default where it has three or less.

    Raises MeshError(unreadable).
    """
    if name not in element.attributes:
        return np.array(default, float)
    found = numbers_of(spaced(element.get(name)), field(element, name))
    if 0 < len(default) <= 4 and len(found) != len(default):
        what = f"{field(element, name)} has {len(found)} of {len(default)} numbers"
        raise MeshError("unreadable", what)
    return found


def spaced(text: str) -> str:
    """A field with its commas, which are white space in X3D, as spaces."""
    return text.replace(",", " ")


def field(element: Element, name: str) -> str:
    """What to call a field in a message."""
    return f"{name} of a <{element.name}> of the X3D"


def number(element: Element, name: str, default: float) -> float:
    """A field of one number. Raises MeshError(unreadable) where it is not finite."""
    value = float(numbers(element, name, (default,))[0])
    if not np.isfinite(value):
        raise MeshError("unreadable", f"{field(element, name)} is {value}")
    return value


def rows(element: Element, name: str, width: int, default: Sequence[float]) -> np.ndarray:
    """A field of rows of numbers, (N,width). Raises MeshError(unreadable)."""
    if name not in element.attributes:
        return np.array(default, float).reshape(-1, width)
    found = numbers_of(spaced(element.get(name)), field(element, name))
    if len(found) % width:
        what = f"{field(element, name)} has {len(found)} numbers in rows of {width}"
        raise MeshError("unreadable", what)
    return found.reshape(-1, width)


def indices(element: Element, name: str) -> np.ndarray:
    """A field of indices, (N,) int64."""
    return indices_of(spaced(element.get(name)), field(element, name))


def flag(element: Element, name: str, default: bool) -> bool:
    """A field that is true or false. Raises MeshError(unreadable)."""
    text = element.get(name, str(default)).strip().lower()
    if text not in ("true", "false"):
        raise MeshError("unreadable", f"{field(element, name)} is {text!r}")
    return text == "true"
