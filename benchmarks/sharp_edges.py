"""Are the edges of a sharp-cornered offset the mitred ones? Parts with known creases, in any pose.

    python -m benchmarks.sharp_edges [--poses 5] [--eps 2/128,2/256] [--mitre 2] [--only PART] ...

The true creases are found without a mesh: the lines in which planes meet that are those of faces
or bevels, moved by eps; a point of them counts where the mitred distance is eps and its gradient
turns by more than the salient angle. Lost: the share of points of the true creases farther than
0.02 eps from every salient edge of the mesh, and the farthest; false: the same of the mesh's
salient edges from the true creases. What fails (a reason, another number of parts) its row says.
"""

import argparse
import time
from collections.abc import Iterator
from itertools import combinations, product

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from preprocessing import shapes
from preprocessing.distance.mitre import FLAT, LIMIT
from preprocessing.mesh import Mesh, MeshError, normalise
from preprocessing.points.edges import salient_edges
from preprocessing.seeds import generator
from preprocessing.settings import WatertightSettings, parse_eps
from preprocessing.shape_builders import Shape, extrude, finish
from preprocessing.solid.bricks import spacing
from preprocessing.solid.offset_surface import REACH, cover_of
from preprocessing.solid.remesh.near_kernels import gradients
from preprocessing.solid.watertight import solidify

ANGLE = 15.0
ALLOWED = 0.02  # of eps, that an edge may be off
STEP, FINE = 0.125, 0.01  # of eps: between the places asked for, and between points compared
PROBE = 1e-4  # of eps: how far from a place its gradients are asked


def parts() -> dict[str, Shape]:
    """Solids whose every edge is sharp, by name."""
    wedges = {f"wedge-{a}": shapes.wedge(float(a)) for a in (30, 40, 60, 90, 120, 150)}
    corner = np.array([[0, 0], [1.8, 0], [1.8, 0.5], [0.6, 0.5], [0.6, 1.6], [0, 1.6]]) - 0.8
    return {
        "box": shapes.box(),
        "cube": shapes.box((2.0, 2.0, 2.0)),
        **wedges,
        "prism-3": shapes.prism(3),
        "prism-6": shapes.prism(6),
        "gear": shapes.gear(),
        "l": finish("l", extrude(corner, 1.1)),
    }


def main() -> None:
    """Measure every part in every pose and print a row each, then the worst of each part."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--poses", type=int, default=5, help="random poses of each part")
    parser.add_argument("--eps", default="2/128,2/256", help="offsets, comma-separated")
    parser.add_argument("--mitre", type=float, default=2.0, help="as of make_watertight")
    parser.add_argument("--only", default="", help="part of the names to measure")
    parser.add_argument("--csv", default="", help="write every row here")
    arguments = parser.parse_args()
    rows = []
    for name, shape in parts().items():
        if arguments.only not in name:
            continue
        for eps in arguments.eps.split(","):
            for pose in range(arguments.poses):
                row = measure(posed(shape, name, pose), parse_eps(eps), arguments.mitre)
                rows.append({"part": name, "eps": eps, "pose": pose} | row)
                said = (
                    f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()
                )
                print(f"{name} {eps} pose {pose}:", ", ".join(said), flush=True)
    table = pd.DataFrame(rows)
    if arguments.csv:
        table.to_csv(arguments.csv, index=False)
    report(table)


def report(table: pd.DataFrame) -> None:
    """Of each part: poses that are right, and the worst of each figure."""
    right = (table["status"] == "ok") & (table["lost"] == 0) & (table["false"] == 0)
    worst = table.groupby(["part", "eps"], sort=False).agg("max", numeric_only=True)
    worst.insert(0, "right", right.groupby([table["part"], table["eps"]], sort=False).sum())
    print(worst.drop(columns="pose").to_string(float_format="{:.4f}".format))
    print(f"{right.sum()} of {len(table)} right; {(table['lost'] > 0).sum()} with lost points")


def posed(shape: Shape, name: str, pose: int) -> Mesh:
    """The mesh of a part in a random pose, in the normalised frame."""
    turn = shapes.random_rotation(generator(pose, name, "sharp_edges"))
    return normalise(Mesh(shape.mesh.vertices @ turn.T, shape.mesh.faces))[0]


def measure(mesh: Mesh, eps: float, mitre: float) -> dict[str, float | int | str]:
    """One row: status, points, lost, farthest, false, its farthest, and the worst of the faces."""
    settings = WatertightSettings(eps=eps, corners="sharp", mitre=mitre)
    began = time.process_time()
    try:
        solid = solidify(mesh, settings)
    except MeshError as error:
        return {"status": error.reason}
    took = time.process_time() - began
    true = finely(creases(solid.transform.place(mesh), settings), eps)
    found = salient_edges(solid.mesh, ANGLE).segments
    own = finely(found, eps)
    lost, false = cKDTree(own).query(true)[0] / eps, cKDTree(true).query(own)[0] / eps
    return {
        "status": "ok" if solid.audit["components"] == 1 else "parts",
        "points": len(true),
        "lost": float((lost > ALLOWED).mean()),
        "farthest": float(lost.max()),
        "false": float((false > ALLOWED).mean()),
        "stray": float(false.max()),
        "surface": float(solid.audit["surface_max"]),
        "seconds": took,
    }


def finely(segments: np.ndarray, eps: float) -> np.ndarray:
    """Points (P,3) on segments (K,2,3), FINE eps apart at most."""
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    counts = 2 + (lengths / (FINE * eps)).astype(int)
    rows = np.repeat(np.arange(len(segments)), counts)
    number = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    share = (number / (counts[rows] - 1))[:, None]
    return segments[rows, 0] * (1 - share) + segments[rows, 1] * share


def creases(mesh: Mesh, settings: WatertightSettings) -> np.ndarray:
    """Segments (K,2,3) of the true creases of the mitred offset of a closed mesh."""
    eps = settings.eps
    near = cover_of(mesh, settings, REACH * (eps + spacing(settings.resolution))).near(eps)
    kept = []
    for points in candidates(mesh, eps, settings.mitre):
        real = is_crease(near, points, eps)
        both = np.flatnonzero(real[1:] & real[:-1])
        kept.append(np.stack([points[both], points[both + 1]], axis=1))
    return np.concatenate(kept)


def candidates(mesh: Mesh, eps: float, mitre: float) -> Iterator[np.ndarray]:
    """Lines that may be creases, each as points (P,3) in order, STEP eps apart and at corners.

    Of each edge, and of each vertex, two of the planes that meet there, moved by eps.
    """
    edges, meeting = planes_of(mesh, mitre)
    for (a, b), own in edges.items():
        start, end = mesh.vertices[a], mesh.vertices[b]
        long = np.linalg.norm(end - start)
        for n, m in combinations(own, 2):
            reach = (-4 * eps, long + 4 * eps)
            line = start + eps * (n + m) / (1 + n @ m), (end - start) / long
            stops = [stops_of(meeting[v], mesh.vertices[v], *line, eps) for v in (a, b)]
            yield straight(*line, reach, eps, np.concatenate(stops))
    for v, planes in meeting.items():
        for n, m in combinations(planes, 2):
            way = np.cross(n, m)
            line = mesh.vertices[v] + eps * (n + m) / (1 + n @ m), way / np.linalg.norm(way)
            stops = stops_of(planes, mesh.vertices[v], *line, eps)
            yield straight(*line, (-4 * eps, 4 * eps), eps, stops)


def planes_of(mesh: Mesh, mitre: float) -> tuple[dict, dict]:
    """Normals (K,3) of the planes that meet at each edge (a, b) that is one, and at each vertex.

    An edge has two faces and, if its mitre would be too long, the bevel between them.
    """
    corners = mesh.triangles
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    edges: dict[tuple[int, int], list[np.ndarray]] = {}
    meeting: dict[int, list[np.ndarray]] = {}
    middles: dict[tuple[int, int], np.ndarray] = {}
    for n, face in zip(normals, mesh.faces.tolist(), strict=True):
        for k in range(3):
            edge = min(face[k], face[k - 2]), max(face[k], face[k - 2])
            tip = mesh.vertices[face[k - 1]] - mesh.vertices[face[k]]
            convex = edge in middles and middles[edge] @ tip < 0
            edges.setdefault(edge, []).append(n)
            middles[edge] = n
            meeting.setdefault(face[k], []).append(n)
            whole = sum(edges[edge])
            size = np.linalg.norm(whole)
            if convex and size < 2 * LIMIT / mitre:
                edges[edge].append(whole / size)
                for v in edge:
                    meeting.setdefault(v, []).append(whole / size)
    real = {e: distinct(own) for e, own in edges.items() if own[0] @ own[1] < np.cos(FLAT)}
    return real, {v: distinct(own) for v, own in meeting.items()}


def distinct(normals: list[np.ndarray]) -> np.ndarray:
    """Normals (K,3) of different planes."""
    found: list[np.ndarray] = []
    for n in normals:
        if all(n @ other < 1 - 1e-9 for other in found):
            found.append(n)
    return np.array(found)


def stops_of(
    normals: np.ndarray, at: np.ndarray, foot: np.ndarray, along: np.ndarray, eps: float
) -> np.ndarray:
    """Where a line (foot, along) passes through planes (K,3) of faces at a vertex, moved by eps."""
    slope = normals @ along
    met = np.abs(slope) > 1e-9
    stops: np.ndarray = (normals[met] @ (at - foot) + eps) / slope[met]
    return stops


def straight(
    foot: np.ndarray, along: np.ndarray, reach: tuple[float, float], eps: float, stops: np.ndarray
) -> np.ndarray:
    """Points (P,3) on a line, evenly over its reach and at the stops."""
    even = np.linspace(*reach, 2 + int((reach[1] - reach[0]) / (STEP * eps)))
    within = stops[(stops > reach[0]) & (stops < reach[1])]
    points: np.ndarray = foot + np.sort(np.concatenate([even, within]))[:, None] * along
    return points


def is_crease(near: tuple, points: np.ndarray, eps: float) -> np.ndarray:
    """True (P,) where the distance is eps and its gradient turns by more than ANGLE."""
    at = np.flatnonzero(np.abs(gradients(near, points)[0] - eps) < 1e-7 * eps)
    around = np.array([way for way in product((-1.0, 0.0, 1.0), repeat=3) if any(way)])
    probes = points[at][:, None] + PROBE * eps * around
    turned = gradients(near, probes.reshape(-1, 3))[1].reshape(len(at), len(around), 3)
    least = np.einsum("pix,pjx->pij", turned, turned).min(axis=(1, 2))
    result = np.zeros(len(points), bool)
    result[at] = least < np.cos(np.radians(ANGLE))
    return result


if __name__ == "__main__":
    main()
