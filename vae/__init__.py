"""Samples -> Dora-VAE -> latents -> mesh. Public names load on first use."""

from preprocessing.lazy import lazy_exports

_HOME = {
    "VAEConfig": "config",
    "DoraVAE": "model",
    "Posterior": "model",
    "load_published": "model",
    "reconstruct": "reconstruction",
}
__all__, __getattr__, __dir__ = lazy_exports(__name__, _HOME)
