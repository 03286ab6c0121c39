"""Plain NumPy twins of the watertight engine's kernels: slow, short, obviously right."""

import numpy as np


def plain_distance(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Distance (P,) from points (P,3) to triangles (F,3,3), every pair.

    The nearest point of a triangle is the foot of the perpendicular if that lies inside, else a
    point of one of its edges.
    """
    best = np.full(len(points), np.inf)
    for a, b, c in triangles:
        for start, end in ((a, b), (b, c), (c, a)):
            along = end - start
            length = along @ along
            t = np.clip((points - start) @ along / length, 0, 1) if length > 0 else 0 * best
            best = np.minimum(best, np.linalg.norm(points - start - t[:, None] * along, axis=1))
        normal = np.cross(b - a, c - a)
        size = np.linalg.norm(normal)
        longest = max(np.linalg.norm(b - a), np.linalg.norm(c - b), np.linalg.norm(a - c))
        if size <= 1e-10 * longest**2:
            continue  # its plane is rounding noise; its edges have been measured
        inside = np.ones(len(points), bool)
        for start, end in ((a, b), (b, c), (c, a)):
            inside &= (points - start) @ np.cross(normal, end - start) >= 0
        height = np.abs((points - a) @ (normal / size))
        best = np.where(inside, np.minimum(best, height), best)
    return best


def plain_topology(faces: np.ndarray) -> tuple[bool, bool, bool]:
    """(closed and turned alike, at most two faces an edge, one fan a vertex), by dictionaries."""
    edges: dict[tuple[int, int], list[tuple[int, int]]] = {}
    around: dict[int, list[tuple[int, int]]] = {}
    for face in faces.tolist():
        for corner in range(3):
            a, b, c = (face[(corner + turn) % 3] for turn in range(3))
            edges.setdefault((min(a, b), max(a, b)), []).append((a, b))
            around.setdefault(a, []).append((b, c))
    closed = all(len(v) == 2 and v[0] == v[1][::-1] for v in edges.values())
    manifold = all(len(v) == 1 or (len(v) == 2 and v[0] == v[1][::-1]) for v in edges.values())
    fans = True
    for spokes in around.values():
        following = dict(spokes)
        here, steps = spokes[0][1], 1
        while here in following and here != spokes[0][0] and steps <= len(spokes):
            here, steps = following[here], steps + 1
        fans &= here == spokes[0][0] and steps == len(spokes)
    return closed, manifold, fans
