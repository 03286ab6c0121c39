"""The audit of a watertight result: topology, contacts, and distance to the input."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from preprocessing.half_edge_kernels import COLLAPSED, count_fans, match_half_edges
from preprocessing.half_edges import count_components
from preprocessing.mesh import Mesh
from preprocessing.seeds import generator
from preprocessing.solid import audit_kernels as kernels
from preprocessing.solid.crossings import coincident_vertices, crossing_faces

SURFACE_POINTS = 20_000


@dataclass(frozen=True)
class Topology:
    """What the faces say, whatever the positions: counts and three yes-or-no answers.

    watertight: every edge has a face on both sides, turned alike; edge_manifold: no edge has more
    than two faces or two of one direction; vertex_manifold: the faces round each vertex form one
    fan (false where an edge is at fault). volume is signed: positive is outward.
    """

    vertices: int
    faces: int
    components: int
    watertight: bool
    edge_manifold: bool
    vertex_manifold: bool
    volume: float
    euler: int


def topology(mesh: Mesh) -> Topology:
    """Audit the topology of a mesh; vertices that no face uses are not counted."""
    if len(mesh.faces) == 0:
        return Topology(0, 0, 0, False, False, False, 0.0, 0)
    count = len(mesh.vertices)
    edges = match_half_edges(mesh.faces, count)
    used = np.zeros(count, bool)
    used[mesh.faces] = True
    vertices = int(used.sum())
    whole = not (edges.mates == COLLAPSED).any()
    edge_manifold = whole and edges.nonmanifold == edges.flipped == 0
    watertight = edge_manifold and edges.boundary == 0
    return Topology(
        vertices=vertices,
        faces=len(mesh.faces),
        components=count_components(mesh.faces, count),
        watertight=watertight,
        edge_manifold=edge_manifold,
        vertex_manifold=watertight and count_fans(edges.mates) == vertices,
        volume=float(kernels.signed_volume(mesh.vertices, mesh.faces)),
        euler=vertices - int(edges.edges) + len(mesh.faces),
    )


@dataclass(frozen=True)
class Contacts:
    """Vertices in the place of an earlier one, and faces that cross or touch another, exactly."""

    coincident: int
    self_intersections: int


def contacts(mesh: Mesh, closed: bool = False) -> Contacts:
    """Audit what every loader sees that joins equal places, and every tool that asks for a solid.

    Two vertices in one place make their faces touch, so places are compared only then. `closed` is
    as of crossing_faces.
    """
    crossing = int(crossing_faces(mesh, closed=closed).sum())
    return Contacts(coincident_vertices(mesh) if crossing else 0, crossing)


@dataclass(frozen=True)
class SurfaceError:
    """RMS and worst of |distance to the input - eps| / eps, over vertices and over the faces."""

    offset_rms: float
    offset_max: float
    surface_rms: float
    surface_max: float


def surface_error(
    mesh: Mesh,
    distance: Callable[[np.ndarray], np.ndarray],
    eps: float,
    left_out: np.ndarray | None = None,
) -> SurfaceError:
    """The error of a mesh at its vertices, and at random points of its faces, spread by area.

    distance: of points (P,3), (P,). left_out: bool (V,), vertices that are not measured, and
    neither are their faces.
    """
    measured = np.ones(len(mesh.vertices), bool) if left_out is None else ~left_out
    vertices = offset_error(distance(mesh.vertices[measured]), eps)
    faces = mesh.faces if measured.all() else mesh.faces[measured[mesh.faces].all(axis=1)]
    points = spread_points(mesh.vertices, faces, SURFACE_POINTS) if len(faces) else mesh.vertices
    return SurfaceError(*vertices, *offset_error(distance(points), eps))


def spread_points(vertices: np.ndarray, faces: np.ndarray, count: int) -> np.ndarray:
    """Random points (count,3) on faces (F,3), one in each of `count` equal parts of area."""
    random = generator(0, "watertight", "surface points")
    reached = np.cumsum(kernels.twice_areas(vertices, faces))
    place = (np.arange(count) + random.random(count)) / count * reached[-1]
    face = np.minimum(np.searchsorted(reached, place, side="right"), len(faces) - 1)
    u, v = np.sqrt(random.random(count)), random.random(count)
    weight = np.stack([1 - u, u * (1 - v), u * v], axis=1)
    points: np.ndarray = np.einsum("pc,pcx->px", weight, vertices[faces[face]])
    return points


def offset_error(distances: np.ndarray, eps: float) -> tuple[float, float]:
    """RMS and worst of |distance - eps| / eps."""
    error = np.abs(distances - eps) / eps
    return float(np.sqrt(np.mean(error**2))), float(error.max())
