"""Any mesh into a closed solid: the surface at distance eps from it, outer shells only."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from preprocessing.compiling import announce_compilation
from preprocessing.held import MeshLike, as_mesh
from preprocessing.mesh import Mesh, MeshError, Transform, normalise
from preprocessing.settings import WatertightSettings
from preprocessing.solid.audit import contacts, surface_error, topology
from preprocessing.solid.brick_kernels import triangle_records
from preprocessing.solid.bricks import spacing
from preprocessing.solid.crossings import on_lattice
from preprocessing.solid.lost import lost_share
from preprocessing.solid.offset_surface import distance_to, offset_solid
from preprocessing.solid.remesh.simplify import simplify_mesh


class WatertightError(MeshError):
    """The result failed its audit, so it is not handed out."""


@dataclass(frozen=True)
class Watertight:
    """A closed solid in the normalised frame, the way back, and its audit.

    Vertices are float32 numbers (crossings.on_lattice), so a file of any format holds them exactly.
    audit: vertices, faces, components, watertight, edge_manifold, vertex_manifold, volume, euler,
    coincident, self_intersections (vertices in the place of another; faces that cross or touch),
    offset_rms, offset_max (|distance to the input - eps| / eps over the vertices), surface_rms,
    surface_max (the same over random points of the faces), with sharp corners in the mitred
    distance; with audit="full" lost, the share of
    visible points of the input farther than eps + one cell from the result.
    """

    mesh: Mesh
    transform: Transform
    audit: dict[str, float | int | bool]
    eps: float
    resolution: int
    method: str


def make_watertight(
    mesh: MeshLike, eps: float = 2 / 256, resolution: int | None = None, **options: Any
) -> Watertight:
    """The closed surface at distance eps round a mesh, with every outer component.

    mesh: any mesh, in any form that `as_mesh` takes. eps: offset in the normalised frame.
    resolution: cells per axis, by default round(2 / eps). options, as of WatertightSettings:
    method: `offset`, or a peer, `alpha-wrap` (pymeshlab) or `manifold` (point-cloud-utils, whose
    surface lies near the input, not eps from it). keep_cavities: voids that the input bounds as
    cavities stay (shells.py). close_holes: radius, normalised frame, of the openings to close
    (holes.py). simplify: decimate, with at most simplify * eps of deviation (simplify.py).
    tolerance: share of eps that an edge one cell long may be off where it is asked (remesh/).
    remesh: False keeps the triangles of marching cubes, whose edges are not the shape's. corners:
    `sharp` keeps edges and corners, bevelled where a tip would be beyond mitre * eps
    (distance/mitre.py). audit: `full` adds `lost` to the audit (lost.py).

    Raises MeshError for a mesh that cannot be used, MeshError(memory) when the grid would not fit
    in memory, ValueError for settings that cannot work, TypeError for an unknown option,
    WatertightError when the result fails its audit.
    """
    settings = WatertightSettings(eps=eps, resolution=resolution or 0, **options)
    return solidify(as_mesh(mesh), settings)


def solidify(mesh: Mesh, settings: WatertightSettings) -> Watertight:
    """`make_watertight` with its settings as one object. Raises MeshError, WatertightError."""
    eps = settings.eps
    normalised, transform = normalise(mesh)
    announce_compilation(triangle_records)
    if settings.method == "offset":
        solid, error, touching = offset_solid(normalised, settings)
    else:
        solid = peer_solid(normalised, settings)
    shape = topology(solid)
    if settings.simplify:
        solid = simplify_mesh(solid, settings.simplify * eps)
        shape = topology(solid)
    if settings.measures_distance:
        error = surface_error(solid, distance_to(normalised, settings), eps)
        touching = contacts(solid, shape.watertight)
    audit = asdict(shape) | asdict(touching) | asdict(error)
    if settings.audit == "full":
        audit["lost"] = lost_share(normalised, solid, eps + spacing(settings.resolution))
    _check(audit)
    return Watertight(solid, transform, audit, eps, settings.resolution, settings.method)


def peer_solid(mesh: Mesh, settings: WatertightSettings) -> Mesh:
    """Another tool's watertight mesh, at a fineness that matches the grid; normalised frame."""
    if settings.method == "alpha-wrap":
        from preprocessing.formats.meshlab import alpha_wrap

        fineness = 2 * spacing(settings.resolution)
        vertices, faces = alpha_wrap(mesh.vertices, mesh.faces, fineness, settings.eps)
    else:
        import point_cloud_utils

        vertices, faces = point_cloud_utils.make_mesh_watertight(
            mesh.vertices, mesh.faces.astype(np.int32), settings.resolution**2
        )
    return Mesh(on_lattice(vertices), faces)


def _check(audit: dict[str, float | int | bool]) -> None:
    faults = [
        name for name in ("watertight", "edge_manifold", "vertex_manifold") if not audit[name]
    ]
    if not audit["volume"] > 0:
        faults.append("volume")
    for name in ("coincident", "self_intersections"):
        if audit[name]:
            faults.append(f"{name} ({audit[name]})")
    if faults:
        raise WatertightError("audit", f"the result failed its audit: {', '.join(faults)}")
