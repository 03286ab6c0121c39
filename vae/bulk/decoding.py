"""One file of latents to a mesh in a child of the runner: read, decode, check, write, prove."""

import time
from typing import Any

import numpy as np
import torch

from preprocessing.mesh import Mesh, MeshError, save_mesh
from preprocessing.running.proof import output_facts, still_done
from preprocessing.running.stages import OutputError
from preprocessing.running.tasks import Task
from preprocessing.solid.audit import topology
from vae.bulk.settings import DecodeSettings
from vae.bulk.sources import facts_of_input, source_of
from vae.bulk.worker import ModelWorker
from vae.latents import LatentsError, read_latents, redrawn
from vae.reconstruction import read_surface


class Decoder(ModelWorker[DecodeSettings]):
    """Decodes one file of latents a task."""

    def __call__(self, task: Task) -> dict[str, Any]:
        """The ledger's columns, as `stages.prepare` gives them, under `decoded`.

        Raises MeshError for latents that cannot be decoded (bad-file, other-model, empty-surface),
        OutputError when the mesh fails its checks.
        """
        assert self.model is not None
        settings, facts = self.settings, facts_of_input(task)
        if task.done is not None and still_done(facts["input_sha256"], task.done):
            return {"input": facts, "unchanged": True}
        started = time.perf_counter()
        try:
            latents = redrawn(read_latents(source_of(task)), settings.posterior, settings.seed)
        except LatentsError as error:
            raise MeshError("bad-file", str(error)) from error
        if latents.model_hash != settings.model_sha256:
            raise MeshError("other-model", "these latents were encoded by another model")
        torch.set_num_threads(1)  # so that no byte depends on how many workers share the cores
        mesh, queries = read_surface(self.model, latents, settings.resolution, settings.attention)
        path = self.out / f"{task.id}.{settings.format}"
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = checked(mesh)
        save_mesh(mesh, path)
        columns |= {
            "queries": queries,
            **output_facts([path], self.out),
            "seconds": time.perf_counter() - started,
        }
        return {"input": facts, "unchanged": False, "decoded": columns}


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
