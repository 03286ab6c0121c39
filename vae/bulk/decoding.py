"""One file of latents to a mesh in a child of the runner: read, decode, check, write."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from preprocessing.mesh import Mesh, MeshError, save_mesh
from preprocessing.points.sample_at import SampleAt
from preprocessing.running.proof import output_facts
from preprocessing.running.stages import OutputError
from preprocessing.solid.audit import topology
from preprocessing.solid.isosurface import extract_isosurface
from vae.bulk.settings import DecodeSettings
from vae.bulk.worker import ModelWorker
from vae.latents import LatentsError, read_latents, redrawn
from vae.reconstruction import read_surface
from vae.refine import COARSEST_WIDE, read_field

READING = ("isosurface_kernels", "half_edge_kernels")
"""Kernel modules that tell whether what decoding takes has been compiled."""


class Decoder(ModelWorker[DecodeSettings]):
    """Decodes one file of latents a task."""

    key = "decoded"

    def before_fork(self) -> None:
        """Load the kernels, compiled if this machine has none."""
        warm_reading()

    def make(self, source: Path | SampleAt, item_id: str, folder: Path) -> dict[str, Any]:
        """A mesh as item_id.<format>.

        Raises MeshError for latents that cannot be decoded (bad-file, other-model, empty-surface).
        """
        assert self.model is not None
        settings = self.settings
        try:
            latents = redrawn(read_latents(source), settings.posterior, settings.seed)
        except LatentsError as error:
            raise MeshError("bad-file", str(error)) from error
        if latents.model_hash != settings.model_sha256:
            raise MeshError("other-model", "these latents were encoded by another model")
        torch.set_num_threads(1)  # so that no byte depends on how many workers share the cores
        mesh, queries = read_surface(self.model, latents, settings.resolution, settings.attention)
        columns = checked(mesh)
        path = folder / f"{item_id}.{settings.format}"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_mesh(mesh, path)
        return {**columns, "queries": queries, **output_facts([path], folder)}


def warm_reading() -> None:
    """Read a ball's field back, so that the kernels this takes are compiled and kept on disk."""

    def ball(points: np.ndarray) -> np.ndarray:
        return np.float32(0.5) - np.linalg.norm(points, axis=1).astype(np.float32)

    field, _ = read_field(ball, 2 * COARSEST_WIDE, unit=1.0)
    checked(extract_isosurface(field))


def checked(mesh: Mesh) -> dict[str, Any]:
    """The ledger's columns of a mesh. Raises OutputError unless its vertices are finite and some
    faces there."""
    if not len(mesh.faces) or not np.isfinite(mesh.vertices).all():
        raise OutputError("not-finite: the mesh has no face, or a vertex that is not finite")
    found = topology(mesh)
    return {
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "components": int(found.components),
        "watertight": bool(found.watertight),
    }
