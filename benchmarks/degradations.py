"""Known ways to make a mesh worse, by a strength: what the metrics are checked against."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.sparse import coo_array

from dora_bench.edge_metrics import segment_tree
from dora_bench.metrics import chamfer_l1
from preprocessing.distance.queries import unsigned_distance
from preprocessing.mesh import Mesh
from preprocessing.points.edges import salient_edges
from preprocessing.points.sampling import sample_surface, vertex_normals
from preprocessing.seeds import generator
from preprocessing.solid.remesh.decimation import decimate

STRENGTHS: dict[str, tuple[float, ...]] = {
    "noise": (0.0005, 0.001, 0.002, 0.004, 0.008),
    "decimation": (4000, 1500, 600, 250, 100),
    "smoothing": (2, 6, 18, 54, 162),
    "dropped part": (0.02, 0.05, 0.1, 0.2, 0.4),
    "shift": (0.001, 0.002, 0.004, 0.008, 0.016),
}


def degrade(mesh: Mesh, kind: str, strength: float) -> Mesh:
    """One degraded copy: `kind` and `strength` as in STRENGTHS, larger index = worse."""
    makers: dict[str, Callable[[Mesh, float], Mesh]] = {
        "noise": noise,
        "decimation": lambda m, faces: decimate(m, int(faces)),
        "smoothing": lambda m, rounds: smooth(m, int(rounds)),
        "dropped part": drop_part,
        "shift": shift,
    }
    return makers[kind](mesh, strength)


def noise(mesh: Mesh, sigma: float) -> Mesh:
    """Gaussian noise on every vertex, `sigma` per axis."""
    drawn = generator(0, "degrade", "noise").standard_normal(mesh.vertices.shape)
    return Mesh(mesh.vertices + sigma * drawn, mesh.faces)


def shift(mesh: Mesh, distance: float) -> Mesh:
    """The whole mesh moved along (1, 2, 2) / 3."""
    return Mesh(mesh.vertices + distance * np.array([1, 2, 2]) / 3, mesh.faces)


def drop_part(mesh: Mesh, share: float) -> Mesh:
    """The `share` of the vertices that lies farthest along (1, 2, 3) is cut off, leaving a hole."""
    height = mesh.vertices @ np.array([1.0, 2.0, 3.0])
    kept = height <= np.quantile(height, 1 - share)
    return Mesh(mesh.vertices, mesh.faces[kept[mesh.faces].all(axis=1)])


def averages(mesh: Mesh) -> coo_array:
    """Sparse (V,V): each row the mean of a vertex's neighbours."""
    starts = mesh.faces.ravel()
    ends = np.roll(mesh.faces, -1, axis=1).ravel()
    size = len(mesh.vertices)
    graph = coo_array((np.ones(len(starts)), (starts, ends)), (size, size)).tocsr()
    graph = ((graph + graph.T) > 0).astype(float)
    scale = 1 / np.maximum(graph.sum(axis=1), 1)
    return graph.multiply(scale[:, None]).tocsr()


def smooth(mesh: Mesh, rounds: int, where: np.ndarray | None = None) -> Mesh:
    """Laplacian smoothing, half a step a round, of all vertices or those in the mask `where`."""
    mean, vertices = averages(mesh), mesh.vertices.copy()
    moving = np.ones(len(vertices), bool) if where is None else where
    for _ in range(rounds):
        target = mean @ vertices
        vertices[moving] += 0.5 * (target[moving] - vertices[moving])
    return Mesh(vertices, mesh.faces)


def round_edges(mesh: Mesh, rounds: int, reach: float = 0.05) -> Mesh:
    """Smoothing of the vertices within `reach` of a salient edge only."""
    distance = segment_tree(salient_edges(mesh).segments).distances(mesh.vertices)
    return smooth(mesh, rounds, distance < reach)


def wave(mesh: Mesh, amplitude: float, wavelength: float = 0.6) -> Mesh:
    """Every vertex moved along its normal by a smooth wave: an error spread over the surface."""
    phase = mesh.vertices * (2 * np.pi / wavelength)
    height = np.sin(phase[:, 0]) + np.sin(phase[:, 1] + 1) + np.sin(phase[:, 2] + 2)
    normals = vertex_normals(mesh, np.arange(len(mesh.vertices)))
    return Mesh(mesh.vertices + amplitude * height[:, None] * normals, mesh.faces)


def surface_chamfer(one: Mesh, other: Mesh, points: int = 50_000) -> float:
    """Exact surface Chamfer L1 from `points` points a side."""
    clouds = [
        sample_surface(m, points, generator(0, "degrade", role))[0]
        for m, role in ((one, "one"), (other, "other"))
    ]
    return chamfer_l1(unsigned_distance(other, clouds[0]), unsigned_distance(one, clouds[1]))


def same_error_spread(mesh: Mesh, rounded: Mesh) -> Mesh:
    """A `wave` of the mesh with the surface Chamfer distance that `rounded` has."""
    target = surface_chamfer(mesh, rounded)
    amplitude = brentq(
        lambda a: surface_chamfer(mesh, wave(mesh, a)) - target, 0.0, 10 * target, xtol=target / 200
    )
    return wave(mesh, amplitude)
