"""Models x token counts x meshes -> scores, reports, a page. Public names load on first use."""

from importlib import import_module
from typing import Any

import preprocessing  # noqa: F401 - chooses numba's threads, so it comes before any numba import

_HOME = {
    "METRICS": "metrics",
    "score_meshes": "score",
    "evaluate": "evaluation",
    "build_suite": "suite",
    "ShapeModel": "protocol",
    "aggregate": "report",
    "write_leaderboard": "leaderboard",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import the module a public name lives in when the name is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
