"""Kernels that give a mitred offset's mesh vertices on its creases and corners.

An end of an edge that is close goes there, else the edge is split; a face between three sheets gets
their corner. `near` and `mesh` as of crease_point_kernels.py; `used` are the rows of faces and of
vertices in use, (2,) int64, and `origin` (V,) an old vertex near each.
"""

import numba as nb
import numpy as np

from preprocessing.solid.remesh.deviation_kernels import on_lattice
from preprocessing.solid.remesh.halfedge_edit_kernels import (
    MOST_SPOKES,
    after,
    before,
    collapse,
    corners,
    edge_between,
    flip,
    may_collapse,
    split,
    split_face,
    spokes,
    start,
)
from preprocessing.solid.sharp.crease_point_kernels import CLOSE, FAR, corner_of, gathered
from preprocessing.solid.sharp.sheet_kernels import (
    aside,
    common_plane,
    fits,
    has_all,
    upright,
)

# Shares of eps: by which a vertex may leave a sheet, and by which one that moves may miss it.
ON_SHEET, NEAR = 0.002, 0.05
THERE = 0.1  # cells within which a vertex is at a point, and need only learn of its sheets


@nb.njit(cache=True)
def _moved(near, mesh, w, new, close, strict, ring):  # type: ignore[no-untyped-def]
    """Put vertex w where row `new` is, and on its planes, if it is close and fits; whether so."""
    v, planes, count, _faces, mates, leaving = mesh
    if aside(v[w], v[w], v[new]) > close * close or not has_all(mesh, w, new, NEAR * near[4]):
        return False
    total = spokes(mates, leaving[w], ring)
    if total == 0 or not fits(mesh, w, new, ring, total, strict, False):
        return False
    v[w], planes[w], count[w] = v[new], planes[new], count[new]
    return True


@nb.njit(cache=True)
def merge(near, mesh, h, strict, fair, rings):  # type: ignore[no-untyped-def]
    """Collapse an edge into its end if that is on all sheets of its start; whether it was done.

    strict, fair: as of fits. rings (2,MOST_SPOKES) is scratch.
    """
    faces, mates, leaving = mesh[3], mesh[4], mesh[5]
    a, b = start(faces, h), start(faces, mates[h])
    if not has_all(mesh, a, b, ON_SHEET * near[4]):
        return False
    total, _ = may_collapse(faces, mates, h, rings[0], rings[1])
    if total == 0 or not fits(mesh, a, b, rings[0], total, strict, fair):
        return False
    collapse(faces, mates, leaving, h, rings[0], total)
    return True


@nb.njit(cache=True)
def swap(mesh, h):  # type: ignore[no-untyped-def]
    """Flip an edge if both of its new faces lie on one sheet; whether it was done."""
    faces, mates, leaving = mesh[3], mesh[4], mesh[5]
    a, b, c, d = corners(faces, mates, h)
    if c == d or edge_between(faces, mates, leaving, c, d) >= 0:
        return False
    if common_plane(mesh, a, d, c) < 0 or common_plane(mesh, b, c, d) < 0:
        return False
    if not (upright(mesh, a, d, c, True) and upright(mesh, b, c, d, True)):
        return False
    flip(faces, mates, leaving, h)
    return True


@nb.njit(cache=True)
def _flip_to_tip(near, mesh, h, new, strict):  # type: ignore[no-untyped-def]
    """Flip an edge if a tip of it is where row `new` is; whether it was done."""
    v, faces, mates, leaving = mesh[0], mesh[3], mesh[4], mesh[5]
    a, b, c, d = corners(faces, mates, h)
    there = False
    for turn in range(2):
        tip = c if turn == 0 else d
        close = aside(v[tip], v[tip], v[new]) < (CLOSE * near[5]) ** 2
        there |= close and has_all(mesh, new, tip, NEAR * near[4])
    if not there or c == d or edge_between(faces, mates, leaving, c, d) >= 0:
        return False
    if not (upright(mesh, a, d, c, strict) and upright(mesh, b, c, d, strict)):
        return False
    flip(faces, mates, leaving, h)
    return True


@nb.njit(cache=True)
def _tips_merge(near, mesh, h, close):  # type: ignore[no-untyped-def]
    """Flip an edge between tips on one crease and merge these, if close; whether it was done."""
    v, count, faces, mates, leaving = mesh[0], mesh[2], mesh[3], mesh[4], mesh[5]
    rings = np.empty((2, MOST_SPOKES), np.int64)
    _a, _b, c, d = corners(faces, mates, h)
    if count[c] < 2 or aside(v[c], v[c], v[d]) > close * close or c == d:
        return False
    if edge_between(faces, mates, leaving, c, d) >= 0:
        return False
    flip(faces, mates, leaving, h)
    own = np.int64(edge_between(faces, mates, leaving, c, d))
    if merge(near, mesh, own, False, False, rings):
        return True
    if merge(near, mesh, np.int64(mates[own]), False, False, rings):
        return True
    for _turn in range(3):
        flip(faces, mates, leaving, 3 * (h // 3) + 1)
    return False


@nb.njit(cache=True)
def _gave_way(near, mesh, h, close):  # type: ignore[no-untyped-def]
    """Merge the tips of an edge, or an end of it into a tip on more sheets; whether it was done.

    Only once `close` is more than CLOSE cells: in the rounds before, less may do.
    """
    if close <= CLOSE * near[5]:
        return False
    if _tips_merge(near, mesh, h, close):
        return True
    count, faces, mates = mesh[2], mesh[3], mesh[4]
    rings = np.empty((2, MOST_SPOKES), np.int64)
    g = mates[h]
    for turn in range(4):
        own = h if turn < 2 else g
        own = after(own) if turn % 2 == 0 else np.int64(mates[before(own)])
        a, tip = start(faces, own), start(faces, mates[own])
        if count[tip] > count[a] and merge(near, mesh, own, False, False, rings):
            return True
    return False


@nb.njit(cache=True)
def _split_at(mesh, origin, h, used, strict):  # type: ignore[no-untyped-def]
    """Split an edge at the first free row, where that folds nothing; whether it was done."""
    v, faces, mates, leaving = mesh[0], mesh[3], mesh[4], mesh[5]
    new = used[1]
    a, b, c, d = corners(faces, mates, h)
    if not (
        min(aside(v[a], v[a], v[new]), aside(v[b], v[b], v[new])) > 0.0
        and upright(mesh, a, new, c, strict)
        and upright(mesh, new, b, c, strict)
        and upright(mesh, b, new, d, strict)
        and upright(mesh, new, a, d, strict)
    ):
        return False
    split(faces, mates, leaving, h, new, used[0])
    origin[new] = origin[a]
    used[0] += 2
    used[1] += 1
    return True


@nb.njit(cache=True)
def _tip_moved(near, mesh, h, close, moved, ring, used):  # type: ignore[no-untyped-def]
    """Put a tip of an edge that lies on fewer sheets where the first free row is; whether so.

    The point may lie beyond that tip's edges, where no split reaches. As `_gave_way`, late.
    """
    if close <= CLOSE * near[5]:
        return False
    count, faces, mates = mesh[2], mesh[3], mesh[4]
    new = used[1]
    _a, _b, c, d = corners(faces, mates, h)
    for turn in range(2):
        tip = c if turn == 0 else d
        if moved[tip] or count[tip] >= count[new]:
            continue
        if _moved(near, mesh, tip, new, close, False, ring):
            moved[tip] = True
            return True
    return False


@nb.njit(cache=True)
def _make_way(mesh, h, new, strict):  # type: ignore[no-untyped-def]
    """Flip an edge opposite that lies between a point and its edge: the next round may do it."""
    faces, mates = mesh[3], mesh[4]
    g = mates[h]
    for side in (after(h), before(h), after(g), before(g)):
        p, q = start(faces, side), start(faces, mates[side])
        if not upright(mesh, p, q, new, strict) and swap(mesh, side):
            return


@nb.njit(cache=True)
def place_on_edges(near, mesh, origin, proposals, used, close):  # type: ignore[no-untyped-def]
    """Bring the proposed points into the mesh; how many were.

    proposals: as of edge_points. An end that is `close` goes there. Where that is more than CLOSE
    cells, faces between sheets may lean too, for once they will be on one.
    """
    v, planes, count, faces, mates, leaving = mesh
    ends, points, normals, sizes = proposals
    strict = close <= CLOSE * near[5]
    ring = np.empty(MOST_SPOKES, np.int64)
    moved = np.zeros(v.shape[0], np.bool_)
    done = 0
    for k in range(ends.shape[0]):
        a, b = ends[k, 0], ends[k, 1]
        if leaving[a] < 0 or leaving[b] < 0 or moved[a] or moved[b]:
            continue
        h = edge_between(faces, mates, leaving, a, b)
        if h < 0:
            continue
        new = used[1]
        v[new], planes[new], count[new] = points[k], normals[k], sizes[k]
        if aside(v[b], v[b], v[new]) < aside(v[a], v[a], v[new]):
            a, b = b, a
        there = aside(v[a], v[a], v[new]) < (THERE * near[5]) ** 2
        if there and _moved(near, mesh, a, new, close, strict, ring):
            moved[a] = True
            done += 1
        elif swap(mesh, h) or _flip_to_tip(near, mesh, h, new, strict):
            done += 1
        elif _moved(near, mesh, a, new, close, strict, ring):
            moved[a] = True
            done += 1
        elif _moved(near, mesh, b, new, close, strict, ring):
            moved[b] = True
            done += 1
        elif (
            _split_at(mesh, origin, h, used, strict)
            or _tip_moved(near, mesh, h, close, moved, ring, used)
            or _gave_way(near, mesh, h, close)
        ):
            done += 1
        else:
            _make_way(mesh, h, new, strict)
    return done


@nb.njit(parallel=True, cache=True)
def cornered_faces(mesh, held):  # type: ignore[no-untyped-def]
    """True (F,) for faces without a common sheet, though each edge has one; none in held (V,)."""
    count, faces = mesh[2], mesh[3]
    found = np.zeros(faces.shape[0], np.bool_)
    for f in nb.prange(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if a < 0 or held[a] or held[b] or held[c]:
            continue
        if min(count[a], min(count[b], count[c])) > 0:
            found[f] = common_plane(mesh, a, b, c) < 0
    return found


@nb.njit(cache=True)
def place_in_faces(near, mesh, origin, chosen, used, close):  # type: ignore[no-untyped-def]
    """Give the chosen faces (K,) the corner of their planes; how many got it.

    As place_on_edges.
    """
    v, planes, count, faces, mates, leaving = mesh
    strict = close <= CLOSE * near[5]
    ring = np.empty(MOST_SPOKES, np.int64)
    triple = np.empty((3, 3))
    done = 0
    for f in chosen:
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if common_plane(mesh, a, b, c) >= 0:
            continue
        own = np.array((np.int64(a), np.int64(b), np.int64(c)))
        middle = (v[a] + v[b] + v[c]) / 3.0
        new = used[1]
        if not corner_of(near, mesh, own, middle, FAR * near[5], v[new], triple):
            continue
        for x in range(3):
            v[new, x] = on_lattice(v[new, x])
        planes[new, :3] = triple
        count[new] = gathered(mesh, own, v[new], ON_SHEET * near[4], planes[new], 3)
        placed = False
        for w in own:
            if not placed and count[w] < count[new]:
                placed = _moved(near, mesh, w, new, close, strict, ring)
        if not placed and (
            upright(mesh, a, b, new, strict)
            and upright(mesh, b, c, new, strict)
            and upright(mesh, c, a, new, strict)
        ):
            split_face(faces, mates, leaving, f, new, used[0])
            origin[new] = origin[a]
            used[0] += 2
            used[1] += 1
            placed = True
        done += placed
    return done
