"""A better triangulation of an offset surface: right between the vertices, and without slivers.

Marching cubes puts vertices on the offset and leaves three faults: chords cut the round edges and
the creases, needles and caps stand where the surface passes close to a grid corner, and caps tilt.
It also spends faces on what is flat. There vertices go first; chords that are off by more than a
tolerance get a vertex or are flipped, and those over a crease are led along it; needles are
collapsed and caps flipped, on the surface and manifold. Only what is bad, and later what changed
near it, is looked at.

No change may make faces meet, which is asked where the offset turns sharply or the air is thin;
here and there they do elsewhere, and then it is asked there, too. So that nothing else is done
twice, the surface is remeshed in large cubes whose seams stay, and where faces meet their cube
alone starts again; then the seams are remeshed in the same way, and slivers where faces had met get
another chance.
"""

import numpy as np

from preprocessing.half_edges import widened
from preprocessing.mesh import Mesh
from preprocessing.solid.projection import Marched
from preprocessing.solid.remesh.working import Working

ALIKE = np.cos(np.radians(6.0))  # normals that a chord need not be asked for
WARNED = 2  # edges round where faces met within which every change is asked
CUBE = 6  # bricks along an edge of the cubes that are remeshed by themselves


def remesh(start: Marched, eps: float, tolerance: float) -> tuple[Mesh, np.ndarray]:
    """The surface remeshed, and for each vertex an old one (V,) that it is or lies near.

    tolerance: share of eps that an edge one cell long may be off where it is asked; lids, creases
    and their faces stay. Faces of the start meet nowhere, nor do those of the result.
    """
    mesh, near = start.mesh, start.cover.near(eps)
    owner = cubes(start)
    seam = seam_vertices(mesh, owner)
    finer = np.zeros(len(mesh.vertices), bool)
    if start.surface.steps is not None:
        finer = start.surface.steps < near[5]
    inner, gradient, origin = remesh_apart(
        mesh, start.gradient, owner, start.stays | seam, finer, near, tolerance
    )
    outer, _, last = remesh_apart(
        inner, gradient, np.zeros(len(inner.faces), np.int32),
        start.stays[origin], finer[origin], near, tolerance,
        only=widened(inner.faces, seam[origin], 2),
    )  # fmt: skip
    return outer, origin[last]


def remesh_apart(
    start: Mesh,
    gradient: np.ndarray,
    owner: np.ndarray,
    frozen: np.ndarray,
    finer: np.ndarray,
    near: tuple,
    tolerance: float,
    only: np.ndarray | None = None,
) -> tuple[Mesh, np.ndarray, np.ndarray]:
    """The mesh remeshed without making faces meet, its gradients, an old vertex near each.

    Where faces met, the faces of the same owner (F,) start again, and every change at the vertices
    near there is asked. Where they meet all the same, these vertices are frozen, with those round
    them, as often as it takes: in the end all of them are. Between faces of two owners all vertices
    are in frozen (V,). finer (V,): vertices of finer cells (crevices/). `only` (V,): where to look
    at first, if not everywhere; slivers are rescued everywhere.
    """
    asked = np.ones(len(start.vertices), bool) if only is None else only
    warned, trouble = (np.zeros(len(start.vertices), bool) for _ in range(2))
    work = Working.of(start, gradient, owner, asked, frozen, finer, near)
    while True:
        work.improve(near, (tolerance, ALIKE))
        crossing = work.crossing()
        if not len(crossing):
            return work.finished()
        met = np.zeros(len(start.vertices), bool)
        met[work.origin[work.faces[crossing]]] = True
        if (again := met & warned).any():
            trouble = widened(start.faces, trouble | again)
        warned = widened(start.faces, warned | met, WARNED)
        work.warn(near, warned)
        work.restart(start, gradient, crossing, asked, frozen | trouble)


def cubes(start: Marched) -> np.ndarray:
    """The number of the cube that each face lies in, int32 (F,)."""
    corner = start.cover.bricks[: len(start.surface.first_face) - 1] // CUBE
    m = int(corner.max(initial=0)) + 1
    cube = (corner[:, 0] * m + corner[:, 1]) * m + corner[:, 2]
    return np.repeat(cube.astype(np.int32), np.diff(start.surface.first_face))


def seam_vertices(mesh: Mesh, owner: np.ndarray) -> np.ndarray:
    """True (V,) where faces of different owners meet."""
    one = np.empty(len(mesh.vertices), np.int32)
    one[mesh.faces] = owner[:, None]
    seam = np.zeros(len(mesh.vertices), bool)
    seam[mesh.faces[one[mesh.faces] != owner[:, None]]] = True
    return seam
