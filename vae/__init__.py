"""Samples -> Dora-VAE -> latents -> mesh. Public names load on first use."""

from importlib import import_module
from typing import Any

_HOME = {
    "VAEConfig": "config",
    "DoraVAE": "model",
    "Posterior": "model",
    "load_published": "model",
    "reconstruct": "reconstruction",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import the module a public name lives in when the name is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
