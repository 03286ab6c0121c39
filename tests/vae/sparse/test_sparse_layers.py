"""Sparse layers against dense ones on the same voxels, values and gradients."""

import pytest
import torch
from torch.nn import functional

from vae.sparse import layers
from vae.sparse.grid import Grid
from vae.sparse.layers import GridNorm, SparseConv, Spread, max_pool

SIZE = 6


def random_grid(items: int = 2, share: float = 0.3, seed: int = 0) -> Grid:
    generator = torch.Generator().manual_seed(seed)
    filled = torch.rand(items, SIZE, SIZE, SIZE, generator=generator) < share
    where = torch.nonzero(filled)
    shuffled = where[torch.randperm(len(where), generator=generator)]
    grid, rows = Grid.of(shuffled[:, 0], shuffled[:, 1:])
    assert torch.equal(shuffled[rows, 1:], grid.coords)
    return grid


def dense(grid: Grid, x: torch.Tensor, size: int = SIZE) -> torch.Tensor:
    """(B,C,S,S,S), zero where no voxel is."""
    volume = x.new_zeros(grid.item_count, size, size, size, x.shape[1])
    volume = volume.index_put((grid.items, *grid.coords.unbind(1)), x)
    return volume.permute(0, 4, 1, 2, 3)


def taken(volume: torch.Tensor, grid: Grid) -> torch.Tensor:
    return volume.permute(0, 2, 3, 4, 1)[(grid.items, *grid.coords.unbind(1))]


@pytest.mark.parametrize("pieces", [1, 9])
@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_submanifold_convolution_is_dense_convolution_where_voxels_are(
    share: float, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = random_grid(share=share)
    monkeypatch.setattr(layers, "GATHERED", len(grid) * 27 * 5 // pieces)
    torch.manual_seed(0)
    layer = SparseConv(5, 7)
    ours = torch.randn(len(grid), 5, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    weight = layer.weight.detach().clone().requires_grad_()
    sparse = layer(ours, grid)
    whole = taken(functional.conv3d(dense(grid, theirs), weight, padding=1), grid)
    assert (sparse - whole).abs().max() < 1e-5
    pull = torch.randn_like(whole)
    (sparse * pull).sum().backward()
    (whole * pull).sum().backward()
    assert (ours.grad - theirs.grad).abs().max() < 1e-5
    assert layer.weight.grad is not None
    assert (layer.weight.grad - weight.grad).abs().max() < 1e-4


def test_convolution_gradient_by_finite_differences() -> None:
    grid = random_grid(items=1, share=0.1)
    layer = SparseConv(2, 3).double()
    x = torch.randn(len(grid), 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: type(layer).forward(layer, x, grid), (x, x))
    assert torch.autograd.gradcheck(
        lambda w: torch.func.functional_call(layer, {"weight": w}, (x.detach(), grid)),
        (layer.weight.detach().requires_grad_(),),
    )


def test_neighbours_by_brute_force() -> None:
    grid = random_grid()
    for row in range(0, len(grid), 7):
        for column, offset in enumerate(
            (i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)
        ):
            same = (grid.coords == grid.coords[row] + torch.tensor(offset)).all(1)
            found = torch.nonzero(same & (grid.items == grid.items[row]))
            expected = int(found[0]) if len(found) else len(grid)
            assert grid.neighbours[row, column] == expected


def test_group_norm_is_torch_s_on_each_item() -> None:
    grid = random_grid(items=3)
    x = torch.randn(len(grid), 16) * 3 + 1
    layer = GridNorm(16)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    for item in range(3):
        part = x[grid.items == item].T[None]
        whole = functional.group_norm(part, 8, layer.weight, layer.bias, 1e-5)[0].T
        assert (layer(x, grid)[grid.items == item] - whole).abs().max() < 1e-5
    assert GridNorm(4).groups == 1


def test_a_coarser_grid_has_the_eight_voxels_nearest_to_each_centre() -> None:
    grid = random_grid(items=2, share=0.05)
    wanted = set()
    for item, coords in zip(grid.items.tolist(), grid.coords.tolist(), strict=True):
        near = [sorted(range(-3, 9), key=lambda j: abs(2 * j + 1 - (c + 0.5)))[:2] for c in coords]
        wanted |= {(item, i, j, k) for i in near[0] for j in near[1] for k in near[2]}
    coarser = grid.coarser()
    found = torch.cat([coarser.items[:, None], coarser.coords], 1)
    assert {tuple(row) for row in found.tolist()} == wanted


def test_max_pooling_where_children_are() -> None:
    grid = random_grid(share=0.2)
    coarser = grid.coarser()
    x = torch.randn(len(grid), 4)
    pooled = max_pool(x, grid, coarser)
    volume = dense(grid, x)
    volume = torch.where(dense(grid, torch.ones(len(grid), 1)) > 0, volume, -torch.inf)
    whole = functional.max_pool3d(volume, 2)
    inside = ((coarser.coords >= 0) & (coarser.coords < SIZE // 2)).all(1)
    part = Grid(coarser.items[inside], coarser.coords[inside], coarser.keys[inside])
    expected = taken(whole, part)
    expected = torch.where(expected.isinf(), 0.0, expected)
    assert torch.equal(pooled[inside], expected)
    assert (pooled[~inside] == 0).all()


def test_splitting_keeps_parents_and_order() -> None:
    grid = random_grid()
    kept = torch.rand(len(grid), generator=torch.Generator().manual_seed(1)) < 0.5
    finer, parents = grid.split(kept)
    assert len(finer) == 8 * int(kept.sum())
    assert torch.equal(torch.div(finer.coords, 2, rounding_mode="floor"), grid.coords[parents])
    assert torch.equal(finer.items, grid.items[parents])
    assert (finer.keys.diff() > 0).all()
    assert torch.equal(grid.parents(finer), parents)
    x = torch.randn(len(grid), 3, dtype=torch.double, requires_grad=True)
    assert torch.equal(Spread.apply(x, parents), x[parents])
    assert torch.autograd.gradcheck(Spread.apply, (x, parents))
