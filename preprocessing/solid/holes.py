"""Closing holes: chambers that open to the outside only through narrow openings become solid.

A ball of radius tau rolls outside. A chamber is a connected region of {distance > tau} that it
cannot reach: room enough for the ball, but every way in is narrower than about 2 tau. All space
nearer to a chamber than to the ball's centres outside is filled, so the lid lies half way in the
opening. It follows that a bottle whose neck is narrower than 2 tau is filled too, and that a slot
without room for the ball (a crevice, a gap between parts) is left as it is.
"""

from dataclasses import dataclass, replace

import numpy as np

from preprocessing.frame import HALF_WIDTH
from preprocessing.memory import require_memory
from preprocessing.mesh import Mesh, MeshError
from preprocessing.solid import hole_kernels as kernels
from preprocessing.solid.bricks import BRICK, BrickField, bricks_per_axis, spacing
from preprocessing.solid.isosurface import open_neighbours
from preprocessing.solid.offset_field import TriangleBricks, offset_field, triangle_bricks

FINEST = 384  # cells per axis of the dense grid: about 1.6 GB while it works
BYTES_PER_CORNER = 28  # float32 room, int32 labels, float64 distances, three int32 indices


@dataclass(frozen=True)
class Filling:
    """What to fill: float32 (n,n,n), positive there, on a coarse grid over the same cube."""

    resolution: int
    values: np.ndarray


def smallest_tau(eps: float) -> float:
    """The smallest opening radius that can be closed: the shell's own, or three coarse cells."""
    return max(2 * eps, 3 * spacing(FINEST))


def hole_filling(mesh: Mesh, tau: float, eps: float) -> Filling | None:
    """The filling of a mesh in the normalised frame; None when there is no chamber.

    tau: smallest_tau(eps) or more. Raises MeshError(memory) when the dense grid would not fit.
    """
    from scipy.ndimage import label  # here: most runs close no holes, and it takes a while to load

    resolution = min(FINEST, int(np.ceil(2 * HALF_WIDTH / min(tau / 3, 4 * eps))))
    step = spacing(resolution)
    require_memory(
        BYTES_PER_CORNER * (resolution + 1) ** 3,
        f"closing holes of radius {tau:g}",
        lambda _: "a larger radius needs less",
    )
    room = dense_clearance(mesh, resolution, tau)
    region, _ = label(room > 0)
    outside = region == region[0, 0, 0]
    chamber = (room > 0) & ~outside
    if not chamber.any():
        return None
    to_outside = distance_to(outside, room, step)
    to_chamber = distance_to(chamber, room, step)
    values = np.clip((to_outside - to_chamber) / 2, -4 * step, 4 * step)
    return Filling(resolution, np.ascontiguousarray(values[1:-1, 1:-1, 1:-1], np.float32))


def dense_clearance(mesh: Mesh, resolution: int, tau: float) -> np.ndarray:
    """distance - tau, cut at two cells, on a dense grid with one far layer all round, float32."""
    step = spacing(resolution)
    field = offset_field(triangle_bricks(mesh, resolution, tau + 2 * step), tau)
    size = BRICK * bricks_per_axis(resolution) + 1
    room = np.full((size + 2,) * 3, 2 * step, np.float32)
    for (x, y, z), values in zip(BRICK * field.bricks + 1, field.values, strict=True):
        room[x : x + 9, y : y + 9, z : z + 9] = -values
    return room


def distance_to(where: np.ndarray, room: np.ndarray, step: float) -> np.ndarray:
    """Distance to the set {room > 0} of which `where` marks some corners, float32.

    The nearest corner lies up to a cell inside the set; its own room says how far.
    """
    from scipy.ndimage import distance_transform_edt

    distance, nearest = distance_transform_edt(~where, step, return_indices=True)
    return (distance - room[tuple(nearest)]).astype(np.float32)


def fill(
    field: BrickField, cover: TriangleBricks, filling: Filling
) -> tuple[BrickField, TriangleBricks]:
    """The field with the filling laid over it, and bricks added where a lid leaves the cover.

    Raises MeshError(hole-at-border) when a lid would leave the grid.
    """
    ratio = filling.resolution / field.resolution
    far = field.values.min()
    kernels.raise_values(field.bricks, field.values, filling.values, ratio)
    while len(new := open_neighbours(field)):
        if new.min() < 0 or new.max() >= bricks_per_axis(field.resolution):
            raise MeshError("hole-at-border", "the lid of a hole would leave the grid")
        values = np.full((len(new), 9, 9, 9), far, field.values.dtype)
        kernels.raise_values(new, values, filling.values, ratio)
        field = BrickField(
            field.resolution,
            np.concatenate([field.bricks, new]),
            np.concatenate([field.values, values]),
        )
        cover = replace(
            cover,
            bricks=field.bricks,
            offsets=np.concatenate([cover.offsets, np.full(len(new), cover.offsets[-1])]),
        )
    return field, cover


def on_lid(points: np.ndarray, distances: np.ndarray, filling: Filling, eps: float) -> np.ndarray:
    """True (P,) for unprojected vertices that the filling put there, not the offset.

    Where the two meet within a quarter of eps the lid has them: on walls away from any lid the
    filling lies about eps lower.
    """
    raised = kernels.sample_field(points, filling.values, spacing(filling.resolution))
    return np.asarray(raised > 0.75 * eps - distances)
