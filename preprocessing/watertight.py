"""Any mesh into a closed solid: the surface at distance eps from it, outer shells only."""

from dataclasses import asdict, dataclass
from fractions import Fraction
from math import ceil, sqrt

from preprocessing import projection_kernels
from preprocessing.audit import offset_error, topology
from preprocessing.bricks import HALF_WIDTH, spacing
from preprocessing.isosurface import extract_surface
from preprocessing.mesh import Mesh, MeshError, Transform, normalise
from preprocessing.offset_field import offset_field, triangle_bricks
from preprocessing.projection import project
from preprocessing.shells import outer_shells

METHODS = ("offset", "alpha-wrap", "manifold")
# Vertices start this share of a cell away from grid corners: no needles, and projection mends it.
CLEARANCE = 0.1


class WatertightError(MeshError):
    """The result failed its audit, so it is not handed out."""


@dataclass(frozen=True)
class Watertight:
    """A closed solid in the normalised frame, the way back, and its audit.

    audit: vertices, faces, components, watertight, edge_manifold, vertex_manifold, volume, euler,
    offset_rms, offset_max (|distance to the input - eps| / eps over the vertices).
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
    mesh: Mesh, eps: float = 2 / 256, resolution: int | None = None, method: str = "offset"
) -> Watertight:
    """The closed surface at distance eps round a mesh, with every outer component.

    eps in the normalised frame; resolution cells per axis, by default round(2 / eps). Raises
    MeshError for a mesh that cannot be used, ValueError for settings that cannot work,
    WatertightError when the result fails its audit.
    """
    resolution = default_resolution(eps) if resolution is None else resolution
    if resolution < smallest_resolution(eps):
        raise ValueError(
            f"a grid of {resolution} cells cannot resolve eps {eps:g}; the smallest resolution "
            f"that can is {smallest_resolution(eps)}"
        )
    normalised, transform = normalise(mesh)
    step = spacing(resolution)
    cover = triangle_bricks(normalised, resolution, 1.0001 * (eps + step))
    field = offset_field(cover, eps)
    surface = outer_shells(extract_surface(field, clearance=CLEARANCE), field)
    lists = (surface.first_vertex, cover.offsets, cover.triangles, cover.records)
    vertices = project(surface, cover, eps)
    limit = (eps + 2 * step) ** 2
    distances = projection_kernels.distances(vertices, *lists, limit)
    solid = Mesh(vertices, surface.faces)
    rms, worst = offset_error(distances, eps)
    audit = asdict(topology(solid)) | {"offset_rms": rms, "offset_max": worst}
    _check(audit)
    return Watertight(solid, transform, audit, eps, resolution, method)


def _check(audit: dict[str, float | int | bool]) -> None:
    faults = [
        name for name in ("watertight", "edge_manifold", "vertex_manifold") if not audit[name]
    ]
    if not audit["volume"] > 0:
        faults.append("volume")
    if faults:
        raise WatertightError("audit", f"the result failed its audit: {', '.join(faults)}")
