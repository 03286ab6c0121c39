"""Plain NumPy twin of the mitred distance: dictionaries and loops over every edge and corner."""

from collections import defaultdict

import numpy as np
from plain_offset import plain_distance
from scipy.optimize import linprog

FLAT = np.radians(1.0)


def plain_mitred(
    points: np.ndarray, triangles: np.ndarray, mitre: float, beyond: float
) -> np.ndarray:
    """The mitred distance (P,) of points (P,3) to triangles (F,3,3) that have areas."""
    best = plain_distance(points, triangles)
    edges, planes = neighbourhood(triangles)
    ways = defaultdict(list)
    opened = []
    for (a, b), faces in edges.items():
        ways[a].append(unit(np.subtract(b, a)))
        ways[b].append(unit(np.subtract(a, b)))
        for n, m, w, x in wedges(np.subtract(b, a), faces):
            middle = unit(n + m - w - x)
            sides = [n, m] if middle @ n >= 0.999 / mitre else [n, m, middle]
            opened.append(((a, b), sides, (w, x), middle))
            for end in (a, b):
                planes[end] += sides[2:]
    for ends, sides, into, middle in opened:
        best = np.minimum(best, edge_distance(points, ends, (sides, into, middle), planes, beyond))
    for a, away in ways.items():
        if is_convex(np.array(away)):
            d = points - a
            nearest = (d @ np.array(away).T <= 0).all(axis=1)
            height = np.abs(d @ np.array(planes[a]).T).max(axis=1)
            height = np.maximum(height, np.linalg.norm(d, axis=1) - beyond)
            best = np.minimum(best, np.where(nearest, height, np.inf))
    return best


def unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)


def neighbourhood(triangles: np.ndarray) -> tuple[dict, dict]:
    """Edge -> [(normal, direction into the face)], and corner -> normals, rims of borders too."""
    edges: dict = defaultdict(list)
    planes: dict = defaultdict(list)
    seen = set()
    for corners in triangles + 0.0:
        names = [tuple(c) for c in corners]
        if frozenset(names) in seen or len(set(names)) < 3:
            continue
        seen.add(frozenset(names))
        normal = unit(np.cross(corners[1] - corners[0], corners[2] - corners[0]))
        for k in range(3):
            a, b = sorted((names[k], names[(k + 1) % 3]))
            u = unit(np.subtract(b, a))
            into = corners[(k + 2) % 3] - a
            edges[a, b].append((normal, unit(into - into @ u * u)))
            planes[names[k]].append(normal)
    for (a, b), faces in edges.items():
        if len(faces) == 1:
            planes[a].append(faces[0][1])
            planes[b].append(faces[0][1])
    return edges, planes


def wedges(u: np.ndarray, faces: list) -> list[tuple]:
    """(outward normal, other one, direction into each face) of an edge that is convex."""
    if len(faces) == 1:
        n, w = faces[0]
        return [(n, -w, w, -n), (-n, -w, w, n)]
    u = unit(u)
    one, two = unit(faces[0][1]), np.cross(u, faces[0][1])
    turns = sorted((np.arctan2(w @ two, w @ one), k) for k, (_, w) in enumerate(faces))
    gaps = [
        ((turns[(i + 1) % len(turns)][0] - turns[i][0]) % (2 * np.pi) or 2 * np.pi, i)
        for i in range(len(turns))
    ]
    gap, i = max(gaps)
    if gap - np.pi <= FLAT:
        return []
    w, x = faces[turns[i][1]][1], faces[turns[(i + 1) % len(turns)][1]][1]
    return [(np.cross(u, w), -np.cross(u, x), w, x)]


def edge_distance(
    points: np.ndarray, ends: tuple, wedge: tuple, planes: dict, beyond: float
) -> np.ndarray:
    """Mitred distance to one edge, infinite outside its wedge."""
    sides, into, middle = wedge
    a, b = (np.array(end) for end in ends)
    long, u = np.linalg.norm(b - a), unit(b - a)
    s = (points - a) @ u
    at = np.clip(s, 0, long)
    d = points - a - s[:, None] * u
    high = (d @ np.array(sides).T).max(axis=1)
    best = high
    # The highest plane is lowest in these directions.
    low = [middle] if len(sides) == 2 else [middle + n for n in sides[:2]]
    for end, way, left in ((ends[0], at, long - at), (ends[1], long - at, at)):
        inward = u if end == ends[0] else -u
        for normal in planes[end]:
            p = -normal if normal @ inward > 0 else normal
            if abs(p @ inward) > 1e-9 and any(
                p @ x > sides[k] @ x + 1e-9 for k, x in enumerate(low)
            ):
                best = np.maximum(best, np.minimum(d @ p + way * (p @ inward), high + left))
    best = best + np.abs(s - at)
    away = np.linalg.norm(points - a - at[:, None] * u, axis=1)
    inside = (d @ into[0] <= 0) & (d @ into[1] <= 0)
    return np.where(inside, np.maximum(best, away - beyond), np.inf)


def is_convex(away: np.ndarray) -> bool:
    """Whether a ball of a thousandth fits among the unit directions that have a corner nearest."""
    found = linprog(
        [0, 0, 0, -1],
        A_ub=np.column_stack([away, np.ones(len(away))]),
        b_ub=np.zeros(len(away)),
        bounds=[(-1, 1)] * 3 + [(None, 1)],
    )
    return found.status == 0 and -found.fun > 1e-3
