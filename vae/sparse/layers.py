"""Layers on sparse grids. Convolutions have the weights of `torch.nn.functional.conv3d`."""

from typing import Any

import torch
from torch import Tensor, nn

from vae.sparse.grid import Grid

GATHERED = 2**28  # floats of neighbours in memory at a time, 1 GB


def padded(x: Tensor) -> Tensor:
    """x (N,C) and a row of zeros, where a row index of N points."""
    return torch.cat([x, x.new_zeros(1, x.shape[1])])


def gathered(filled: Tensor, rows: Tensor) -> Tensor:
    """`padded` x (N + 1,C) at rows (M,K): (M, K * C)."""
    picked = filled.index_select(0, rows.reshape(-1))
    return picked.reshape(len(rows), rows.shape[1] * filled.shape[1])


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
        of_x = convolved(gradient, neighbours.flip(1), back)
        of_weight, filled = torch.zeros_like(weight.flatten(0, 1)), padded(x)
        for part in pieces(neighbours, x.shape[1]):
            of_weight += gathered(filled, neighbours[part]).T @ gradient[part]
        return of_x, of_weight.view_as(weight), None


class SparseConv(nn.Module):
    """3^3 submanifold convolution, weight (D,C,3,3,3), without bias."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, channels, 3, 3, 3))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        weight = self.weight.permute(2, 3, 4, 1, 0).flatten(0, 2)
        return Submanifold.apply(x, weight, grid.neighbours)


class GridNorm(nn.Module):
    """Group norm over the voxels of each batch item; one group where channels are few."""

    def __init__(self, channels: int, groups: int = 8, eps: float = 1e-5) -> None:
        super().__init__()
        self.groups = groups if channels >= groups else 1
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        # Item by item: sums over millions of rows into a few cells would wait for each other.
        if not len(grid):
            return x
        return torch.cat([self.normalised(part) for part in x.split(grid.item_sizes)])

    def normalised(self, x: Tensor) -> Tensor:
        """The voxels (N,C) of one item."""
        shaped = x.unflatten(1, (self.groups, -1))
        variance, mean = torch.var_mean(shaped, dim=(0, 2), keepdim=True, correction=0)
        scale = torch.rsqrt(variance + self.eps)
        return ((shaped - mean) * scale).flatten(1) * self.weight + self.bias


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
    padded = torch.cat([x, x.new_full((1, x.shape[1]), -torch.inf)])
    children = coarser.children(finer)
    pooled = padded[children].amax(1)
    return torch.where((children == len(finer)).all(1, keepdim=True), 0.0, pooled)
