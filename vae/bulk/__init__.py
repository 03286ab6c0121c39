"""Whole folders through a model: shapes to latents, latents to meshes, by the runner."""
