"""Layers on sparse grids. Convolutions have the weights of `torch.nn.functional.conv3d`."""

from typing import Any

import torch
from torch import Tensor, nn

from vae.sparse.grid import Grid

GATHERED = 2**28  # floats of neighbours in memory at a time, 1 GB
WORD = 16  # bytes of the largest type that a GPU reads at once


def padded(x: Tensor) -> Tensor:
    """x (N,C) and a row of zeros, where a row index of N points."""
    return torch.cat([x, x.new_zeros(1, x.shape[1])])


def gathered(filled: Tensor, rows: Tensor) -> Tensor:
    """x (N,C), `padded` where a row may be N, at rows (M,K): (M, K * C)."""
    flat, (count, several), channels = rows.reshape(-1), rows.shape, filled.shape[1]
    if not filled.is_cuda or channels * filled.element_size() % WORD:
        return filled.index_select(0, flat).reshape(count, several * channels)
    # A GPU's index_select takes a block of threads a row, which rows this short leave idle.
    words = filled.view(torch.complex128)
    each = torch.arange(words.shape[1], device=rows.device)
    picked = words.take(flat[:, None] * words.shape[1] + each)
    return picked.view(filled.dtype).reshape(count, several * channels)


def pieces(rows: Tensor, channels: int) -> list[slice]:
    """Parts of rows (M,K) of which at most GATHERED floats are gathered at a time."""
    step = max(1, GATHERED // (rows.shape[1] * channels))
    return [slice(at, at + step) for at in range(0, len(rows), step)]


def convolved(x: Tensor, rows: Tensor, weight: Tensor) -> Tensor:
    """x (N,C) at rows (M,K), times weight (K * C, D): (M,D)."""
    out, filled = x.new_empty(len(rows), weight.shape[1]), padded(x)
    for part in pieces(rows, x.shape[1]):
        torch.mm(gathered(filled, rows[part]), weight, out=out[part])
    return out


class Submanifold(torch.autograd.Function):
    """Convolution onto the voxels that exist: gather the 27 neighbours, one matrix product.

    The gradient gathers too: a voxel's neighbour at an offset has it at the opposite offset.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, neighbours: Tensor) -> Tensor:
        """x (N,C), weight (27,C,D), neighbours (N,27) -> (N,D)."""
        ctx.save_for_backward(x, weight, neighbours)
        return convolved(x, neighbours, weight.flatten(0, 1))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, neighbours = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        back = weight.transpose(1, 2).flatten(0, 1)
        of_x, filled, opposite = torch.empty_like(x), padded(gradient), neighbours.flip(1)
        exact = torch.promote_types(x.dtype, torch.float32)  # sums over pieces are never in less
        of_weight = x.new_zeros(x.shape[1], len(back), dtype=exact)
        for part in pieces(neighbours, gradient.shape[1]):
            around = gathered(filled, opposite[part])
            torch.mm(around, back, out=of_x[part])
            of_weight += x[part].T @ around
        return of_x, of_weight.unflatten(1, (27, -1)).transpose(0, 1).to(weight.dtype), None


class Spread(torch.autograd.Function):
    """Rows of parents for their children. The gradient is a sum over the 8 of each, in order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, parents: Tensor) -> Tensor:
        """x (N,C), the parent of each child (M,), each 8 times or never -> (M,C)."""
        ctx.save_for_backward(parents)
        ctx.size = len(x)
        return x.index_select(0, parents)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (parents,) = ctx.saved_tensors
        order = torch.argsort(parents, stable=True)
        sums = gathered(gradients[0].contiguous(), order.view(-1, 8)).unflatten(1, (8, -1)).sum(1)
        of_x = sums.new_zeros(ctx.size, sums.shape[1])
        return of_x.index_copy_(0, parents[order[::8]], sums), None


class SparseConv(nn.Module):
    """3^3 submanifold convolution, weight (D,C,3,3,3), without bias."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, channels, 3, 3, 3))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        weight = self.weight.permute(2, 3, 4, 1, 0).flatten(0, 2)
        kind = x.dtype
        if torch.is_autocast_enabled(x.device.type):  # the gathers are what takes the time
            kind = torch.get_autocast_dtype(x.device.type)
        return Submanifold.apply(x.to(kind), weight.to(kind), grid.neighbours).to(x.dtype)


class GridNorm(nn.Module):
    """Group norm over the voxels of each batch item; one group where channels are few."""

    def __init__(self, channels: int, groups: int = 8, eps: float = 1e-5) -> None:
        super().__init__()
        self.groups = groups if channels >= groups else 1
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        # Sums over the voxels of an item as matrix products: adding millions of rows into a few
        # cells would wait for each other. In full precision, whatever is asked of convolutions.
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.weight.dtype)
            member = grid.members.to(x.dtype)
            sizes = member.sum(1, keepdim=True).clamp(min=1)
            mean = self.shared(member @ x / sizes)
            centred = x - member.T @ mean
            variance = self.shared(member @ centred.square() / sizes)
            scale = torch.rsqrt(variance + self.eps) * self.weight
            return centred * (member.T @ scale) + self.bias

    def shared(self, means: Tensor) -> Tensor:
        """The mean of each group for every channel of it; means (B,C) of channels."""
        groups = means.unflatten(1, (self.groups, -1)).mean(2, keepdim=True)
        return groups.expand(-1, -1, means.shape[1] // self.groups).flatten(1)


class ConvBlock(nn.Module):
    """Group norm, convolution, ReLU."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.GroupNorm = GridNorm(channels)
        self.Conv = SparseConv(channels, out)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        return torch.relu(self.Conv(self.GroupNorm(x, grid), grid))


class DoubleConv(nn.Module):
    """Two blocks; `middle` channels between them."""

    def __init__(self, channels: int, middle: int, out: int) -> None:
        super().__init__()
        self.SingleConv1 = ConvBlock(channels, middle)
        self.SingleConv2 = ConvBlock(middle, out)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        return self.SingleConv2(self.SingleConv1(x, grid), grid)


class Head(nn.Module):
    """One block and a linear layer to `out` channels."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.SingleConv = ConvBlock(channels, channels)
        self.OutConv = nn.Linear(channels, out)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        return self.OutConv(self.SingleConv(x, grid))


def max_pool(x: Tensor, finer: Grid, coarser: Grid) -> Tensor:
    """The largest of each voxel's children, zero where a dilated voxel has none."""
    parents = coarser.parents(finer)[:, None].expand(-1, x.shape[1])
    pooled = x.new_zeros(len(coarser), x.shape[1])
    return pooled.scatter_reduce(0, parents, x, "amax", include_self=False)
