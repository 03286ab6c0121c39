"""Public names of a package that load their module when they are first used."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, home: Mapping[str, str]
) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """`__all__`, `__getattr__` and `__dir__` of a package whose names live in its modules.

    `home` maps each public name to its module, below the package. Nothing heavy is imported until
    a name is asked for, so `import package` and a command's `--help` stay quick.
    """
    names = sorted(home)

    def find(name: str) -> Any:
        """Import the module a public name lives in when the name is first used."""
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home[name]}"), name)

    return names, find, lambda: names
