"""Samples -> Dora-VAE -> latents -> mesh. Public names load on first use."""

from preprocessing.lazy import lazy_names

_HOME = {
    "VAEConfig": "config",
    "DoraVAE": "model",
    "Posterior": "model",
    "reconstruct": "reconstruct",
}
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
