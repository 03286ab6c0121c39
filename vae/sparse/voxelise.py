"""A mesh as surface voxels with normals and distances: what the sparse VAE reads and is taught."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from preprocessing.distance.queries import signed_distance
from preprocessing.files import atomic_path
from preprocessing.mesh import Mesh
from preprocessing.points.sampling import sample_surface
from preprocessing.seeds import generator
from vae.sparse.grid import CUBE, Grid
from vae.sparse.model import HALF_WIDTH, Voxels

PER_VOXEL = 40  # surface points drawn for each voxel of one face of the grid


@dataclass(frozen=True)
class VoxelShape:
    """One shape: coords int16 (N,3), unit normals float32 (N,3), distances float32 (N,).

    Distances are signed, positive inside, at the voxels' centres, in voxels.
    """

    coords: np.ndarray
    normals: np.ndarray
    distances: np.ndarray


def voxelise(mesh: Mesh, resolution: int, seed: int = 0, item_id: str = "") -> VoxelShape:
    """The voxels of a grid over [-1.05, 1.05]^3 in which random surface points fall.

    mesh: watertight, in the normalised frame. A point's normal is shared among the eight voxels
    whose centres surround it, trilinearly, and sums are normalised.
    """
    draw = generator(seed, item_id, f"voxels {resolution}")
    points, normals, _ = sample_surface(mesh, PER_VOXEL * resolution**2, draw)
    cell = 2 * HALF_WIDTH / resolution
    place = (points + HALF_WIDTH) / cell
    coords = distinct(np.floor(place).astype(np.int64), resolution)
    summed = splatted(coords, place - 0.5, normals, resolution)
    length = np.linalg.norm(summed, axis=1, keepdims=True)
    unit = summed / np.maximum(length, 1e-6)
    centres = (coords + 0.5) * cell - HALF_WIDTH
    distances = signed_distance(mesh, centres) / cell
    return VoxelShape(
        coords.astype(np.int16), unit.astype(np.float32), distances.astype(np.float32)
    )


def splatted(
    coords: np.ndarray, place: np.ndarray, values: np.ndarray, resolution: int
) -> np.ndarray:
    """Sums of values (P,3) at place (P,3), in voxels, over voxels `coords` sorted (N,3)."""
    keys = flat(coords, resolution)
    base = np.floor(place).astype(np.int64)
    total = np.zeros((len(coords), 3))
    for corner in CUBE.numpy():
        weight = np.abs(1 - corner - (place - base)).prod(axis=1)
        wanted = flat(base + corner, resolution)
        rows = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        real = keys[rows] == wanted
        for axis in range(3):
            share = (weight * values[:, axis])[real]
            total[:, axis] += np.bincount(rows[real], share, minlength=len(coords))
    return total


def distinct(coords: np.ndarray, resolution: int) -> np.ndarray:
    """The distinct rows of coords int64 (P,3), sorted; by one number a row, which is quick."""
    span = resolution + 2
    keys = np.unique(flat(coords, resolution))
    return np.stack([keys // span**2, keys // span % span, keys % span], axis=1) - 1


def flat(coords: np.ndarray, resolution: int) -> np.ndarray:
    """One int64 a voxel, in lexicographic order; room for a voxel beyond either border."""
    span = resolution + 2
    return ((coords[:, 0] + 1) * span + coords[:, 1] + 1) * span + coords[:, 2] + 1


def batch_of(shapes: list[VoxelShape], device: torch.device | str = "cpu") -> Voxels:
    """Shapes as one batch on a device."""
    items = torch.cat([torch.full((len(s.coords),), i) for i, s in enumerate(shapes)])
    coords = torch.cat([torch.tensor(s.coords, dtype=torch.long) for s in shapes])
    grid, rows = Grid.of(items.to(device), coords.to(device))
    normals = torch.cat([torch.tensor(s.normals) for s in shapes]).to(device)
    distances = torch.cat([torch.tensor(s.distances) for s in shapes]).to(device)
    return Voxels(grid, normals[rows], distances[rows])


def turned(shape: VoxelShape, resolution: int, draw: np.random.Generator) -> VoxelShape:
    """The shape under one of the 48 symmetries of the cube, drawn."""
    order, signs = draw.permutation(3), draw.integers(0, 2, 3) * 2 - 1
    coords = shape.coords[:, order]
    coords = np.where(signs > 0, coords, resolution - 1 - coords)
    normals = shape.normals[:, order] * signs.astype(np.float32)
    return VoxelShape(coords.astype(np.int16), normals, shape.distances)


def write_shape(shape: VoxelShape, path: str | Path) -> None:
    """One safetensors file, atomically."""
    with atomic_path(path) as temporary:
        save_file(vars(shape), temporary)


def read_shape(path: str | Path) -> VoxelShape:
    """The inverse of `write_shape`."""
    return VoxelShape(**load_file(path))
