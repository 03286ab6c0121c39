"""Modules that can be called: for a public function that has the name of its module.

`from vae import reconstruct` gives the module once the module is imported, because the import sets
that attribute of the package. The module then answers as the function does.
"""

import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """A module whose call is a call of its function of the same name."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call the function."""
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **options)


def as_function(function: Callable[..., Any]) -> None:
    """Let the module that `function` stands in, and is named like it, be called as it is."""
    module = sys.modules[function.__module__]
    module.__class__ = CallableModule
    module.__doc__ = function.__doc__
    module.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
