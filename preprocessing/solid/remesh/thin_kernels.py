"""thin prototype"""

import numba as nb
import numpy as np
from preprocessing.solid.remesh.fairness_kernels import (
    agreement,
    normal,
    smallest_cosine,
    squares,
    turned,
)
from preprocessing.solid.remesh.halfedge_edit_kernels import (
    MOST_SPOKES,
    after,
    before,
    collapse,
    corners,
    may_collapse,
    spokes,
    start,
)


@nb.njit(cache=True)
def thin(near, mesh, frozen, flat, long, least, flags, low, high):
    v, gradient, faces, mates, leaving = mesh
    rings = np.empty((4, MOST_SPOKES), np.int64)
    done = 0
    most = (long * near[5]) ** 2
    for at in range(low, high):
        if leaving[at] < 0 or frozen[at]:
            continue
        count = spokes(mates, leaving[at], rings[0])
        ok = count > 0
        for i in range(count):
            p = start(faces, after(rings[0][i]))
            if agreement(gradient, at, p) < flat:
                ok = False
                break
        if not ok:
            continue
        best, chosen = least, -1
        for i in range(count):
            b = start(faces, after(rings[0][i]))
            worst = 0.0
            for j in range(count):
                p, q = start(faces, after(rings[0][j])), start(faces, before(rings[0][j]))
                if p == b or q == b:
                    continue
                worst = max(worst, smallest_cosine(v, b, p, q))
                if (
                    worst >= best
                    or max(squares(v, b, p, q)) > most
                    or turned(normal(v, at, p, q), normal(v, b, p, q), 0.99)
                ):
                    worst = 1.0
                    break
            if worst < best:
                best, chosen = worst, rings[0][i]
        if chosen < 0:
            continue
        n, _ = may_collapse(faces, mates, chosen, rings[1], rings[2])
        if n == 0:
            continue
        b = start(faces, mates[chosen])
        collapse(faces, mates, leaving, chosen, rings[1], n)
        done += 1
    return done
