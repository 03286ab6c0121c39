"""The sparse-voxel VAE in the benchmark: voxels in and out, screened Poisson to a mesh."""

from dataclasses import asdict
from pathlib import Path

import torch

from dora_bench.baselines import poisson_mesh
from dora_bench.protocol import Latent, ModelInfo, ShapeInput
from preprocessing.console import UsageError
from preprocessing.mesh import Mesh, MeshError
from vae.checkpoint import CheckpointError, weights_hash
from vae.published.hub import card_of
from vae.sparse.run import load_sparse
from vae.sparse.voxelise import batch_of, voxelise

FEWEST = 16  # voxels: with fewer there is no surface to fit
COORDINATE_BYTES = 3  # of a latent voxel: its place on a grid of at most 256 an axis


class SparseModel:
    """A run of vae/sparse, read by its posterior's mean. It has voxels, not tokens.

    The latent is the mean at every latent voxel and the voxel's place: `floats` counts the former,
    `bytes` both; the number of voxels is floats / `latent` of the config.
    """

    def __init__(self, folder: Path, name: str) -> None:
        try:
            model = load_sparse(folder)
        except CheckpointError as error:
            raise UsageError(str(error)) from error
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = model.requires_grad_(False).to(self.device)
        self.info = ModelInfo(
            name=name,
            kind="vae",
            uses_tokens=False,
            weights_sha256=weights_hash(model),
            posterior="mean",
            device=self.device,
            config=asdict(model.config),
            card=card_of(folder),
        )

    @torch.inference_mode()
    def encode(self, shape: ShapeInput, tokens: int, seed: int) -> Latent:
        """The latent grid and the mean of its posterior."""
        voxels = voxelise(shape.mesh, self.model.config.resolution, seed, shape.id)
        batch = batch_of([voxels], self.device)
        grid, mean, _ = self.model.encode(batch.grid, batch.normals)
        return Latent((grid, mean), mean.numel(), 4 * mean.numel() + COORDINATE_BYTES * len(grid))

    @torch.inference_mode()
    def decode(self, latent: Latent, resolution: int) -> Mesh:
        """The surface through the decoded voxels. Raises MeshError(empty-surface)."""
        found = self.model.decode(*latent.data).voxels
        if len(found.grid) < FEWEST:
            raise MeshError("empty-surface", f"only {len(found.grid)} voxels are left")
        points, normals = self.model.surface(found)
        return poisson_mesh(points.cpu().numpy(), normals.cpu().numpy(), resolution)
