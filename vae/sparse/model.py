"""The sparse-voxel VAE of XCube (arXiv 2312.03806): surface voxels in, a sparse latent, voxels out.

Notable:
- Parameter names are XCube's where they are known (`encoder.mix_fc`, `unet.encoders.Enc0...`), so
  its checkpoints can be mapped; the order of the axes in its 3^3 kernels is unverified, and its
  first stage, whose latent grid is dense, is not here.
- `unet.distance_head` is ours: with the signed distance at a voxel's centre the voxel becomes a
  point on the surface, and screened Poisson needs no second network. XCube trains one.
- In training the decoder follows the true voxels as well as its own choice; XCube's follows its
  own alone, which takes longer to begin.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vae.blocks import fourier_embedding
from vae.sparse.grid import Grid
from vae.sparse.layers import DoubleConv, Head, Spread, max_pool

OCTAVES = 5
REACH = 3**0.5 / 2
HALF_WIDTH = 1.05  # of the cube that the finest grid divides


@dataclass(frozen=True, kw_only=True)
class SparseConfig:
    """resolution: finest voxels an axis over [-1.05, 1.05]. levels: grids, each half the last.

    channels: at the finest; doubled a level. latent: channels of a latent voxel.
    """

    resolution: int = 128
    levels: int = 3
    channels: int = 32
    latent: int = 8


TINY = SparseConfig(resolution=32, channels=16)


@dataclass(frozen=True)
class Voxels:
    """Voxels with unit normals (N,3) and signed distances at their centres in voxels (N,)."""

    grid: Grid
    normals: Tensor
    distances: Tensor


@dataclass(frozen=True)
class Decoded:
    """logits: per level from the coarsest, (its grid, existence (N,2)); and the finest voxels.

    The first logit is for a voxel that exists.
    """

    logits: list[tuple[Grid, Tensor]]
    voxels: Voxels


class Mix(nn.Module):
    """The input layer: centre and normal of a voxel to its features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix_fc = nn.Linear(3 + 6 * OCTAVES + 3, channels)

    def forward(self, centres: Tensor, normals: Tensor) -> Tensor:
        return self.mix_fc(torch.cat([fourier_embedding(centres, OCTAVES), normals], 1))


class StructureNet(nn.Module):
    """Encoder, bottleneck and pruning decoder."""

    def __init__(self, config: SparseConfig) -> None:
        super().__init__()
        widths = [config.channels * 2**level for level in range(config.levels)]
        first, last, latent = widths[0], widths[-1], config.latent
        self.pre_conv = nn.Linear(first, first)
        self.encoders = nn.ModuleDict()
        for level, (channels, out) in enumerate(zip([first, *widths], widths, strict=False)):
            self.encoders[f"Enc{level}"] = DoubleConv(channels, max(out // 2, channels), out)
        self.pre_kl_bottleneck = nn.ModuleDict(
            {
                "pre_kl_bottleneck_0": DoubleConv(last, last, last),
                "pre_kl_bottleneck_1": DoubleConv(last, 2 * latent, 2 * latent),
            }
        )
        self.post_kl_bottleneck = nn.ModuleDict(
            {
                "post_kl_bottleneck_0": DoubleConv(latent, last, last),
                "post_kl_bottleneck_1": DoubleConv(last, last, last),
            }
        )
        self.struct_convs, self.decoders = nn.ModuleDict(), nn.ModuleDict()
        for step, width in enumerate(reversed(widths), 1):
            self.struct_convs[f"Struct-{step}"] = Head(width, 2)
            if step > 1:
                self.decoders[f"Dec-{step}"] = DoubleConv(2 * width, width, width)
        self.normal_head = Head(first, 3)
        self.distance_head = Head(first, 1)


class SparseVAE(nn.Module):
    """The model: `encode` to a Gaussian per latent voxel, `decode` to voxels with normals."""

    def __init__(self, config: SparseConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Mix(config.channels)
        self.unet = StructureNet(config)

    def centres(self, grid: Grid) -> Tensor:
        """Centres of finest voxels in the normalised frame, (N,3)."""
        return (grid.coords + 0.5) * self.cell - HALF_WIDTH

    @property
    def cell(self) -> float:
        """The side of a finest voxel."""
        return 2 * HALF_WIDTH / self.config.resolution

    def surface(self, voxels: Voxels) -> tuple[Tensor, Tensor]:
        """Points of the surface and unit normals, (N,3) each: centres moved by their distances."""
        normals = functional.normalize(voxels.normals, dim=1)
        # No point leaves the reach of its voxel, half of its diagonal.
        moved = voxels.distances.clamp(-REACH, REACH) * self.cell
        return self.centres(voxels.grid) + normals * moved[:, None], normals

    def encode(self, grid: Grid, normals: Tensor) -> tuple[Grid, Tensor, Tensor]:
        """The latent grid, mean and log-variance (M,latent). normals (N,3) of the finest voxels."""
        x = self.unet.pre_conv(self.encoder(self.centres(grid), normals))
        for level, block in enumerate(self.unet.encoders.values()):
            if level:
                coarser = grid.coarser()
                x, grid = max_pool(x, grid, coarser), coarser
            x = block(x, grid)
        for block in self.unet.pre_kl_bottleneck.values():
            x = block(x, grid)
        mean, logvar = x.chunk(2, dim=1)
        return grid, mean, logvar.clamp(-30.0, 20.0)

    def decode(self, grid: Grid, z: Tensor, truth: list[Grid] | None = None) -> Decoded:
        """The voxels of latents z (M,latent) on their grid.

        truth: the grids that exist, from the coarsest; their voxels are kept too (training).
        """
        x = z
        for block in self.unet.post_kl_bottleneck.values():
            x = block(x, grid)
        logits: list[tuple[Grid, Tensor]] = []
        kept = torch.ones(len(grid), dtype=torch.bool, device=z.device)
        for step in range(self.config.levels):
            if step:
                grid, parents = grid.split(kept)
                x = self.unet.decoders[f"Dec-{step + 1}"](Spread.apply(x, parents), grid)
            exists = self.unet.struct_convs[f"Struct-{step + 1}"](x, grid)
            logits.append((grid, exists))
            kept = exists[:, 0] > exists[:, 1]
            if truth is not None:
                kept = kept | truth[step].has(grid)
        # Not x[kept], the gradient of which sorts all rows.
        x, grid = x.index_select(0, torch.nonzero(kept).squeeze(1)), grid.only(kept)
        normals = self.unet.normal_head(x, grid)
        distances = self.unet.distance_head(x, grid).squeeze(1)
        return Decoded(logits, Voxels(grid, normals, distances))

    def forward(self, voxels: Voxels, weights: LossWeights, sample: bool = False) -> Tensor:
        """The training loss, of the posterior's mean or a sample of it."""
        latent, mean, logvar = self.encode(voxels.grid, voxels.normals)
        z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean) if sample else mean
        truth = levels_of(voxels.grid, self.config.levels)
        return loss(self.decode(latent, z, truth), voxels, truth, kl(mean, logvar), weights)


def levels_of(grid: Grid, levels: int) -> list[Grid]:
    """The grids that the encoder passes, the coarsest first."""
    grids = [grid]
    while len(grids) < levels:
        grids.append(grids[-1].coarser())
    return grids[::-1]


def kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """Divergence from the unit Gaussian: the sum over channels, the mean over voxels."""
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(1).mean()


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Of existence, normals and KL as published; of distances ours."""

    exists: float = 20.0
    normals: float = 300.0
    distances: float = 100.0
    kl: float = 0.03


def loss(
    decoded: Decoded, voxels: Voxels, truth: list[Grid], divergence: Tensor, weights: LossWeights
) -> Tensor:
    """Cross-entropy of existence per level, L1 of normals and distances where voxels are true."""
    total = weights.kl * divergence
    for (grid, logits), real in zip(decoded.logits, truth, strict=True):
        target = torch.where(real.has(grid), 0, 1)
        total = total + weights.exists * functional.cross_entropy(logits, target)
    found = decoded.voxels
    rows = voxels.grid.rows_of(found.grid.items, found.grid.coords)
    real_rows = rows < len(voxels.grid)
    rows = rows[real_rows]
    total = total + weights.normals * functional.l1_loss(
        found.normals[real_rows], voxels.normals[rows]
    )
    return total + weights.distances * functional.l1_loss(
        found.distances[real_rows], voxels.distances[rows]
    )
