"""Any mesh into a closed solid: the surface at distance eps from it, outer shells only."""

from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from math import ceil, sqrt

import numpy as np

from preprocessing.compiling import announce_compilation
from preprocessing.distance.queries import unsigned_distance
from preprocessing.frame import HALF_WIDTH
from preprocessing.mesh import Mesh, MeshError, Transform, normalise
from preprocessing.solid.audit import contacts, surface_error, topology
from preprocessing.solid.brick_kernels import triangle_records
from preprocessing.solid.bricks import spacing
from preprocessing.solid.crossings import on_lattice
from preprocessing.solid.holes import smallest_tau
from preprocessing.solid.offset_surface import offset_solid
from preprocessing.solid.simplify import simplify_mesh

METHODS = ("offset", "alpha-wrap", "manifold")


class WatertightError(MeshError):
    """The result failed its audit, so it is not handed out."""


@dataclass(frozen=True)
class Watertight:
    """A closed solid in the normalised frame, the way back, and its audit.

    Vertices are float32 numbers (crossings.on_lattice), so a file of any format holds them exactly.
    audit: vertices, faces, components, watertight, edge_manifold, vertex_manifold, volume, euler,
    coincident, self_intersections (vertices in the place of another; faces that cross or touch),
    offset_rms, offset_max (|distance to the input - eps| / eps over the vertices), surface_rms,
    surface_max (the same over random points of the faces).
    """

    mesh: Mesh
    transform: Transform
    audit: dict[str, float | int | bool]
    eps: float
    resolution: int
    method: str


def parse_eps(text: str) -> float:
    """An offset such as `2/512` or `0.004`, in the normalised frame. Raises ValueError."""
    try:
        eps = float(Fraction(text.strip()))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"eps is a fraction or a decimal such as 2/512, not {text!r}") from None
    if not 0 < eps < HALF_WIDTH - 1:
        raise ValueError(
            f"eps must lie between 0 and {HALF_WIDTH - 1:.2f} (the grid's border), not {eps:g}"
        )
    return eps


def default_resolution(eps: float) -> int:
    """Cells per axis for an offset: round(2 / eps)."""
    return round(2 / eps)


def smallest_resolution(eps: float) -> int:
    """Fewest cells per axis that resolve eps.

    A shell one eps thick each way must hold a grid corner next to every point of the surface:
    eps >= half a cell's diagonal.
    """
    return ceil(HALF_WIDTH * sqrt(3) / eps)


def make_watertight(
    mesh: Mesh,
    eps: float = 2 / 256,
    resolution: int | None = None,
    method: str = "offset",
    keep_cavities: bool = False,
    close_holes: float | None = None,
    simplify: float | None = None,
) -> Watertight:
    """The closed surface at distance eps round a mesh, with every outer component.

    eps: offset in the normalised frame. resolution: cells per axis, by default round(2 / eps).
    method: `offset`, or a peer, `alpha-wrap` (pymeshlab) or `manifold` (point-cloud-utils, whose
    surface lies near the input, not eps from it). keep_cavities: voids that the input bounds as
    cavities stay (shells.py). close_holes: radius, normalised frame, of the openings to close
    (holes.py). simplify: decimate, with at most simplify * eps of deviation (simplify.py).

    Raises MeshError for a mesh that cannot be used, MeshError(memory) when the grid would not fit
    in memory, ValueError for settings that cannot work, WatertightError when the result fails its
    audit.
    """
    resolution = default_resolution(eps) if resolution is None else resolution
    check_settings(eps, resolution, method, keep_cavities, close_holes, simplify)
    normalised, transform = normalise(mesh)
    announce_compilation(triangle_records)
    if method == "offset":
        solid, error = offset_solid(normalised, eps, resolution, keep_cavities, close_holes)
    else:
        solid = peer_solid(normalised, eps, resolution, method)
    if simplify:
        solid = simplify_mesh(solid, simplify * eps)
    if simplify or method != "offset":
        error = surface_error(solid, partial(unsigned_distance, normalised), eps)
    shape = topology(solid)
    audit = asdict(shape) | asdict(contacts(solid, shape.watertight)) | asdict(error)
    _check(audit)
    return Watertight(solid, transform, audit, eps, resolution, method)


def check_settings(
    eps: float,
    resolution: int,
    method: str,
    keep_cavities: bool,
    close_holes: float | None,
    simplify: float | None,
) -> None:
    """Raise ValueError, saying what would work, for settings that cannot."""
    if method not in METHODS:
        raise ValueError(f"method is one of {', '.join(METHODS)}, not {method!r}")
    if not 0 < eps < HALF_WIDTH - 1:
        raise ValueError(f"eps must lie between 0 and {HALF_WIDTH - 1:.2f}, not {eps:g}")
    if resolution < smallest_resolution(eps):
        raise ValueError(
            f"a grid of {resolution} cells cannot resolve eps {eps:g}; the smallest resolution "
            f"that can is {smallest_resolution(eps)}"
        )
    if method != "offset" and (keep_cavities or close_holes):
        raise ValueError("keep_cavities and close_holes work with the method offset alone")
    if close_holes and close_holes < smallest_tau(eps):
        raise ValueError(
            f"holes of radius {close_holes:g} cannot be told from the shell; the smallest is "
            f"{smallest_tau(eps):.4g} at eps {eps:g}"
        )
    if simplify is not None and simplify < 0:
        raise ValueError(f"simplify is a share of eps, 0 or more, not {simplify:g}")


def peer_solid(mesh: Mesh, eps: float, resolution: int, method: str) -> Mesh:
    """Another tool's watertight mesh, at a fineness that matches the grid; normalised frame."""
    if method == "alpha-wrap":
        from preprocessing.formats.meshlab import alpha_wrap

        vertices, faces = alpha_wrap(mesh.vertices, mesh.faces, 2 * spacing(resolution), eps)
    else:
        import point_cloud_utils

        vertices, faces = point_cloud_utils.make_mesh_watertight(
            mesh.vertices, mesh.faces.astype(np.int32), resolution**2
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
