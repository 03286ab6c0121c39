"""Models without training: what the scores mean at the same number of bytes.

`identity` keeps the mesh (the ceiling), `voxel-N` a truncated distance grid of N^3 samples,
`decimate-N` N faces by quadric error, `draco-Q` a Draco file with Q bits per coordinate,
`poisson-N` N oriented points, read back by screened Poisson reconstruction. None has tokens.
"""

import re
from collections.abc import Callable

import numpy as np

from dora_bench.protocol import Latent, ModelInfo, ShapeInput, ShapeModel
from preprocessing.console import UsageError
from preprocessing.distance.queries import signed_distance
from preprocessing.frame import HALF_WIDTH
from preprocessing.mesh import Mesh, MeshError
from preprocessing.points.sampling import sample_surface
from preprocessing.seeds import generator
from preprocessing.solid.bricks import BRICK, BrickField, bricks_per_axis
from preprocessing.solid.isosurface import extract_isosurface
from preprocessing.solid.remesh.decimation import decimate_closed

TRUNCATION = 2.0  # of the voxel baseline, in cells
LIMITS = {"voxel": (8, 512), "decimate": (4, 10**7), "draco": (1, 30), "poisson": (16, 10**7)}


def baseline(name: str) -> ShapeModel:
    """The baseline of a name such as voxel-64. Raises UsageError for a size out of range."""
    if name == "identity":
        return Identity()
    found = re.fullmatch(r"(voxel|decimate|draco|poisson)-(\d+)", name)
    if not found:
        raise UsageError(f"no baseline {name!r}")
    kind, size = found[1], int(found[2])
    low, high = LIMITS[kind]
    if not low <= size <= high:
        raise UsageError(f"{name}: the number must be from {low} to {high}")
    makers: dict[str, Callable[[int], ShapeModel]] = {
        "voxel": VoxelGrid,
        "decimate": Decimation,
        "draco": Draco,
        "poisson": Poisson,
    }
    return makers[kind](size)


def info(name: str, **config: object) -> ModelInfo:
    """A baseline's description: no weights, no tokens."""
    return ModelInfo(name=name, kind="baseline", uses_tokens=False, config=dict(config))


def mesh_latent(mesh: Mesh) -> Latent:
    """A mesh as a latent: float32 coordinates and int32 indices."""
    numbers = 3 * len(mesh.vertices) + 3 * len(mesh.faces)
    return Latent(mesh, numbers, 4 * numbers)


class Identity:
    """The mesh itself: what a perfect model scores, and what it costs."""

    info = info("identity")

    def encode(self, shape: ShapeInput, tokens: int, seed: int) -> Latent:
        """Keep the mesh."""
        return mesh_latent(shape.mesh)

    def decode(self, latent: Latent, resolution: int) -> Mesh:
        """Give it back."""
        return latent.data


class VoxelGrid:
    """N^3 float32 samples of the signed distance over [-1.05, 1.05]^3, clipped at two cells."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.info = info(f"voxel-{size}", size=size, truncation_cells=TRUNCATION)

    def encode(self, shape: ShapeInput, tokens: int, seed: int) -> Latent:
        """Sample the distance; far from the surface only its sign, brick by brick."""
        grid = truncated_grid(shape.mesh, self.size)
        return Latent(grid, grid.size, grid.nbytes)

    def decode(self, latent: Latent, resolution: int) -> Mesh:
        """Marching cubes on the stored grid, whatever the resolution asked for."""
        grid = latent.data
        per_axis = bricks_per_axis(self.size - 1)
        padded = np.full((per_axis * BRICK + 1,) * 3, grid.min(), np.float32)
        padded[: self.size, : self.size, : self.size] = grid
        bricks = np.stack(
            np.meshgrid(*[np.arange(per_axis)] * 3, indexing="ij"), axis=-1, dtype=np.int32
        ).reshape(-1, 3)
        views = np.lib.stride_tricks.sliding_window_view(padded, (BRICK + 1,) * 3)
        values = views[::BRICK, ::BRICK, ::BRICK].reshape(-1, *(BRICK + 1,) * 3)
        mesh = extract_isosurface(BrickField(self.size - 1, bricks, values))
        if len(mesh.faces) == 0:
            raise MeshError("empty-surface", f"a grid of {self.size}^3 does not see the shape")
        return mesh


def truncated_grid(mesh: Mesh, size: int) -> np.ndarray:
    """Signed distance, positive inside, float32 (size,size,size), clipped at TRUNCATION cells."""
    step = 2 * HALF_WIDTH / (size - 1)
    limit = TRUNCATION * step
    corners = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), axis=-1)
    block = corners.reshape(-1, 3) // BRICK
    names, which = np.unique(block @ np.array([1 << 20, 1 << 10, 1]), return_inverse=True)
    blocks = np.stack([names >> 20, names >> 10 & 1023, names & 1023], axis=1)
    centres = -HALF_WIDTH + (blocks * BRICK + (BRICK - 1) / 2) * step
    middle = signed_distance(mesh, centres)
    reach = limit + (BRICK - 1) / 2 * step * 3**0.5
    values = np.clip(middle, -limit, limit)[which]
    near = (np.abs(middle) < reach)[which]
    points = -HALF_WIDTH + corners.reshape(-1, 3)[near] * step
    values[near] = np.clip(signed_distance(mesh, points), -limit, limit)
    return values.astype(np.float32).reshape(size, size, size)


class Decimation:
    """Quadric decimation (Garland and Heckbert 1997) to N faces."""

    def __init__(self, faces: int) -> None:
        self.faces = faces
        self.info = info(f"decimate-{faces}", faces=faces)

    def encode(self, shape: ShapeInput, tokens: int, seed: int) -> Latent:
        """Decimate."""
        return mesh_latent(decimate_closed(shape.mesh, self.faces))

    def decode(self, latent: Latent, resolution: int) -> Mesh:
        """The decimated mesh. Raises MeshError when nothing is left of it."""
        if len(latent.data.faces) == 0:
            raise MeshError("empty-surface", f"no face is left at {self.faces} faces")
        return latent.data


class Draco:
    """Google's mesh codec with Q bits per coordinate over the bounding box."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.info = info(f"draco-{bits}", quantization_bits=bits, compression_level=7)

    def encode(self, shape: ShapeInput, tokens: int, seed: int) -> Latent:
        """The Draco file; its floats are its bytes over four."""
        import DracoPy

        data = DracoPy.encode(
            shape.mesh.vertices.astype(np.float32),
            shape.mesh.faces.astype(np.uint32),
            quantization_bits=self.bits,
            compression_level=7,
        )
        return Latent(data, -(-len(data) // 4), len(data))

    def decode(self, latent: Latent, resolution: int) -> Mesh:
        """Read the Draco file."""
        import DracoPy

        mesh = DracoPy.decode(latent.data)
        return Mesh(mesh.points, mesh.faces)


class Poisson:
    """N random surface points with normals, screened Poisson (Kazhdan and Hoppe 2013)."""

    def __init__(self, points: int) -> None:
        self.points = points
        self.info = info(f"poisson-{points}", points=points)

    def encode(self, shape: ShapeInput, tokens: int, seed: int) -> Latent:
        """Draw the points: six float32 each."""
        points, normals, _ = sample_surface(
            shape.mesh, self.points, generator(seed, shape.id, "poisson")
        )
        cloud = np.concatenate([points, normals], axis=1).astype(np.float32)
        return Latent(cloud, cloud.size, cloud.nbytes)

    def decode(self, latent: Latent, resolution: int) -> Mesh:
        """Reconstruct at octree depth log2(resolution), on one thread: the same mesh every time."""
        return poisson_mesh(latent.data[:, :3], latent.data[:, 3:], resolution)


def poisson_mesh(points: np.ndarray, normals: np.ndarray, resolution: int) -> Mesh:
    """Screened Poisson of oriented points (N,3), (N,3) at octree depth log2(resolution)."""
    import open3d as o3d

    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points.astype(np.float64)))
    cloud.normals = o3d.utility.Vector3dVector(normals.astype(np.float64))
    depth = int(np.ceil(np.log2(resolution)))
    mesh, _ = o3d.geometry.TriangleMesh.create_from_point_cloud_poisson(
        cloud, depth=depth, n_threads=1
    )
    return Mesh(np.asarray(mesh.vertices), np.asarray(mesh.triangles))
