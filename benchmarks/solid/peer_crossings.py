"""Whether faces that pymeshlab's filter selects as crossing others do so, in rational numbers.

    python -m benchmarks.solid.peer_crossings cad/screw.obj:2/512 train/sdf_torus.obj:2/512

Each is a mesh below the folder in DORA_MESHES (default ../shared/meshes) and an offset. The filter
sees the same mesh in four sizes, of which none changes what crosses; every face that it selects in
any is tested against all faces whose boxes meet its own, with Python's fractions. In its own size
it selects none, since remesh/nudging.py; in others the coordinates are rounded anew.
"""

import argparse
import os
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np

from preprocessing.formats.meshlab import library, stdout_to_stderr
from preprocessing.mesh import Mesh, load_mesh
from preprocessing.settings import WatertightSettings, parse_eps
from preprocessing.solid.watertight import solidify

SIZES = (1, 10, 100, 1000)
Point = tuple[Fraction, ...]


def main() -> None:
    """One row a mesh: what the filter selects in each size, and how many of the first meet."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("meshes", nargs="+", metavar="MESH:EPS")
    arguments = parser.parse_args()
    root = Path(os.environ.get("DORA_MESHES", "../shared/meshes"))
    print("| mesh | eps | selected at " + ", ".join(f"x {size}" for size in SIZES), end="")
    print(" | of all these meet another, exactly |\n|---|---|---|---|", flush=True)
    for asked in arguments.meshes:
        name, _, eps = asked.rpartition(":")
        mesh = solidify(load_mesh(root / name), WatertightSettings(eps=parse_eps(eps))).mesh
        found = [selected(mesh, size) for size in SIZES]
        real = count_meeting(mesh, np.unique(np.concatenate(found)))
        print(
            f"| {name} | {eps} | {', '.join(str(len(some)) for some in found)} | {real} |",
            flush=True,
        )


def selected(mesh: Mesh, size: float = 1) -> np.ndarray:
    """Faces (K,) that the filter selects, of the mesh in another size."""
    tool = library("counting crossings", "leave it out")
    meshes = tool.MeshSet(verbose=False)
    with stdout_to_stderr():
        meshes.add_mesh(tool.Mesh(mesh.vertices * size, mesh.faces))
        meshes.compute_selection_by_self_intersections_per_face()
    return np.flatnonzero(meshes.current_mesh().face_selection_array())


def count_meeting(mesh: Mesh, faces: np.ndarray) -> int:
    """How many of these faces (K,) meet another one of the mesh, as `meet` has it."""
    corners = mesh.triangles
    low, high = corners.min(axis=1), corners.max(axis=1)
    count = 0
    for face in faces:
        near = ((low <= high[face]) & (high >= low[face])).all(axis=1)
        near[face] = False
        count += any(meet(mesh, face, other) for other in np.flatnonzero(near))
    return count


def meet(mesh: Mesh, one: int, two: int) -> bool:
    """Whether two faces, each with an area, meet elsewhere than in the corners and edges that both
    name."""
    first, second = ([int(at) for at in mesh.faces[face]] for face in (one, two))
    place = {at: tuple(map(Fraction, mesh.vertices[at].tolist())) for at in (*first, *second)}
    own = [at for at in first if at not in second]
    others = [at for at in second if at not in first]
    if len(own) == 0:
        return True
    if len(own) == 1:  # over a common edge: folded onto each other, or not
        a, b = (place[at] for at in first if at in second)
        c, d = place[own[0]], place[others[0]]
        if side(a, b, c, d) != 0:
            return False
        x, y = flat_axes(a, b, c)
        return turn(a, b, c, x, y) == turn(a, b, d, x, y)
    return any(
        segment_meets(place[p], place[q], *(place[at] for at in triangle))
        for ends, triangle in ((own, second), (others, first))
        for p, q in combinations(ends, 2)
    )


def segment_meets(p: Point, q: Point, a: Point, b: Point, c: Point) -> bool:
    """Whether the closed segment pq meets the closed triangle abc, which has an area."""
    s, t = side(a, b, c, p), side(a, b, c, q)
    if s * t > 0:
        return False
    if s or t:
        sides = {side(p, q, a, b), side(p, q, b, c), side(p, q, c, a)}
        return not {-1, 1} <= sides
    x, y = flat_axes(a, b, c)
    turns = {turn(a, b, p, x, y), turn(b, c, p, x, y), turn(c, a, p, x, y)}
    if not {-1, 1} <= turns:
        return True
    return any(segments_meet(p, q, *pair, x, y) for pair in ((a, b), (b, c), (c, a)))


def segments_meet(p: Point, q: Point, a: Point, b: Point, x: int, y: int) -> bool:
    """Whether two closed segments of one plane meet."""
    s, t, m, n = (turn(*three, x, y) for three in ((p, q, a), (p, q, b), (a, b, p), (a, b, q)))
    if s * t < 0 and m * n < 0:
        return True
    return any(
        sign == 0 and all(min(u[i], w[i]) <= point[i] <= max(u[i], w[i]) for i in (x, y))
        for sign, u, w, point in ((s, p, q, a), (t, p, q, b), (m, a, b, p), (n, a, b, q))
    )


def side(a: Point, b: Point, c: Point, d: Point) -> int:
    """Sign of the volume of abcd."""
    u, w, e = ([end[i] - a[i] for i in range(3)] for end in (b, c, d))
    volume = sum(
        (u[i] * w[j] - u[j] * w[i]) * e[k] for i, j, k in ((1, 2, 0), (2, 0, 1), (0, 1, 2))
    )
    return (volume > 0) - (volume < 0)


def turn(a: Point, b: Point, c: Point, x: int, y: int) -> int:
    """Sign of the turn abc as seen along the axis that is neither x nor y."""
    area = (b[x] - a[x]) * (c[y] - a[y]) - (b[y] - a[y]) * (c[x] - a[x])
    return (area > 0) - (area < 0)


def flat_axes(a: Point, b: Point, c: Point) -> tuple[int, int]:
    """Two axes in which abc has an area."""
    return next((x, y) for x, y in ((0, 1), (1, 2), (2, 0)) if turn(a, b, c, x, y))


if __name__ == "__main__":
    main()
