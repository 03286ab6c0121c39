"""Sparse voxel grids: sorted keys, neighbours by binary search, coarser and finer grids.

A grid is the set of voxels (batch item, i, j, k) that exist at one level. Level l has cells of
2^l times the finest, and voxel j of it covers 2j and 2j + 1 of the level below on every axis.
Coordinates may step outside 0..R-1 by a few voxels, as dilated grids do.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

MARGIN, SPAN = 16, 2**13  # coordinates from -MARGIN; voxels per axis a key has room for
CUBE = torch.tensor([[i, j, k] for i in range(2) for j in range(2) for k in range(2)])
AROUND = torch.tensor([[i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)])


class Grid:
    """Voxels in the order of their keys: `items` int64 (N,), `coords` int64 (N,3)."""

    def __init__(self, items: Tensor, coords: Tensor, keys: Tensor) -> None:
        self.items, self.coords, self.keys = items, coords, keys

    @classmethod
    def of(cls, items: Tensor, coords: Tensor) -> tuple[Grid, Tensor]:
        """The grid of distinct voxels, and for each of its rows a row of the input."""
        keys, inverse = torch.unique(voxel_keys(items, coords), return_inverse=True)
        rows = torch.empty(len(keys), dtype=torch.long, device=keys.device)
        rows[inverse] = torch.arange(len(inverse), device=keys.device)
        return cls(items[rows], coords[rows], keys), rows

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def item_count(self) -> int:
        """One more than the highest batch item."""
        return int(self.items[-1]) + 1 if len(self) else 0

    @cached_property
    def members(self) -> Tensor:
        """Whether a voxel is of a batch item: bool (B,N)."""
        every = torch.arange(self.item_count, device=self.items.device)
        return self.items == every[:, None]

    def rows_of(self, items: Tensor, coords: Tensor) -> Tensor:
        """The row of each voxel asked for; `len(self)` where it does not exist."""
        if not len(self):
            return torch.zeros_like(items)
        wanted = voxel_keys(items, coords)
        rows = torch.searchsorted(self.keys, wanted)
        found = self.keys[rows.clamp(max=len(self) - 1)] == wanted
        return torch.where(found, rows, len(self))

    def has(self, other: Grid) -> Tensor:
        """Whether each voxel of another grid exists in this one: bool (N of the other,)."""
        return self.rows_of(other.items, other.coords) < len(self)

    @cached_property
    def neighbours(self) -> Tensor:
        """Rows of the 27 voxels around each, itself at 13: int64 (N,27), N where there is none."""
        around = AROUND.to(self.coords.device)
        coords = self.coords[:, None] + around
        return self.rows_of(self.items[:, None].expand(-1, 27), coords)

    def coarser(self) -> Grid:
        """The next level, dilated: the 8 coarse voxels nearest to the centre of each voxel."""
        near = torch.div(self.coords - 1, 2, rounding_mode="floor")
        coords = near[:, None] + CUBE.to(self.coords.device)
        items = self.items[:, None].expand(-1, 8)
        return Grid.of(items.reshape(-1), coords.reshape(-1, 3))[0]

    def parents(self, finer: Grid) -> Tensor:
        """The row of the voxel that each voxel of the next finer grid lies in: int64 (M,)."""
        return self.rows_of(finer.items, torch.div(finer.coords, 2, rounding_mode="floor"))

    def split(self, kept: Tensor) -> tuple[Grid, Tensor]:
        """All 8 children of the kept voxels (bool (N,)), and the parent's row of each."""
        parents = torch.nonzero(kept).squeeze(1)
        coords = 2 * self.coords[parents, None] + CUBE.to(self.coords.device)
        items = self.items[parents, None].expand(-1, 8)
        grid, rows = Grid.of(items.reshape(-1), coords.reshape(-1, 3))
        return grid, parents.repeat_interleave(8)[rows]

    def only(self, kept: Tensor) -> Grid:
        """The voxels where `kept` bool (N,)."""
        return Grid(self.items[kept], self.coords[kept], self.keys[kept])


def voxel_keys(items: Tensor, coords: Tensor) -> Tensor:
    """One int64 a voxel, ordered by item, then i, j, k."""
    i, j, k = (coords + MARGIN).unbind(-1)
    return ((items * SPAN + i) * SPAN + j) * SPAN + k
