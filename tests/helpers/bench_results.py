"""Result folders as `dora-bench eval` writes them, generated: for tests of the report and page.

The scores are made up from a per-model error length, so that they behave like real ones (more
tokens help, edges suffer first, some items fail, two models tie); nothing here is a measurement.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dora_bench.metrics import FLOORS, METRICS
from dora_bench.normal_error import SneSettings
from dora_bench.report import aggregate
from dora_bench.score import SCORER_VERSION, ScoreSettings, prepare_truth, score
from preprocessing.mesh import Mesh, normalise
from preprocessing.seeds import generator

QUICK = ScoreSettings(
    points=2000, edge_points=1000, volume_cells=16, sne=SneSettings(views=4, resolution=48)
)
SUITE = {
    "name": "mini",
    "version": "1",
    "hash": "3f9c2ab81d7e0415",
    "items": 12,
    "angle": 15.0,
    "thresholds": [0, 5000, 20000, 50000],
}
MODELS: dict[str, dict[str, Any]] = {
    # name: kind, error length at 256 tokens, how it falls with tokens, bytes per token (0: fixed)
    "dora-tiny": {"kind": "vae", "error": 0.012, "power": 0.45, "bytes": 32},
    "dora-small": {"kind": "vae", "error": 0.005, "power": 0.5, "bytes": 64},
    "vecset": {"kind": "plugin", "error": 0.008, "power": 0.3, "bytes": 64},
    "identity": {"kind": "baseline", "error": 0.0, "power": 0.0, "bytes": 0, "size": 412_000},
    "voxel-64": {"kind": "baseline", "error": 0.006, "power": 0.0, "bytes": 0, "size": 1_048_576},
    "draco-11": {"kind": "baseline", "error": 0.0006, "power": 0.0, "bytes": 0, "size": 38_500},
}
KINDS = ("sphere", "torus", "box", "gear", "vase", "cylinder")
FAILED = {("dora-tiny", 64, 3), ("dora-tiny", 64, 9), ("vecset", 1024, 5), ("vecset", 256, 5)}


def quick_scores(truth: Mesh, prediction: Mesh | None) -> dict[str, Any]:
    """Every metric of two meshes, from few points and coarse normal maps."""
    return score(prepare_truth(truth, QUICK), prediction)


def revolved(profile: np.ndarray, sides: int, radii: np.ndarray | None = None) -> Mesh:
    """Close a profile (K,2) of (radius, height), first and last on the axis, around y."""
    angles = 2 * np.pi * np.arange(sides) / sides
    factor = np.ones(sides) if radii is None else radii
    ring = np.stack([np.cos(angles) * factor, np.zeros(sides), np.sin(angles) * factor], axis=1)
    rows = [ring * radius + [0, height, 0] for radius, height in profile[1:-1]]
    ends = [[0, profile[0, 1], 0], [0, profile[-1, 1], 0]]
    vertices = np.vstack([*rows, ends])
    here, after = np.arange(sides), (np.arange(sides) + 1) % sides
    bottom, top = len(vertices) - 2, len(vertices) - 1
    faces = [np.stack([np.full(sides, bottom), here, after], axis=1)]
    for row in range(len(rows) - 1):
        a, b = row * sides + here, row * sides + after
        c, d = a + sides, b + sides
        faces += [np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)]
    last = (len(rows) - 1) * sides
    faces.append(np.stack([last + after, last + here, np.full(sides, top)], axis=1))
    return normalise(Mesh(vertices, np.vstack(faces)))[0]


def filled_profile(corners: list[tuple[float, float]], steps: int) -> np.ndarray:
    """Points along the polyline through `corners`, `steps` to a segment."""
    points = [
        np.linspace(start, end, steps, endpoint=False) for start, end in itertools.pairwise(corners)
    ]
    return np.vstack([*points, corners[-1:]])


def shape(kind: str, detail: int = 40) -> Mesh:
    """One closed truth mesh of a named kind."""
    turn = np.linspace(0, 2 * np.pi, detail, endpoint=False)
    if kind == "sphere":
        arc = np.linspace(-np.pi / 2, np.pi / 2, detail)
        return revolved(np.stack([np.cos(arc), np.sin(arc)], axis=1), 2 * detail)
    if kind == "torus":
        u, v = np.meshgrid(np.arange(2 * detail), np.arange(detail), indexing="ij")
        around, tube = np.pi * u / detail, turn[v]
        radius = 0.7 + 0.3 * np.cos(tube)
        vertices = np.stack(
            [radius * np.cos(around), 0.3 * np.sin(tube), radius * np.sin(around)], axis=-1
        ).reshape(-1, 3)
        a = u * detail + v
        b = (u + 1) % (2 * detail) * detail + v
        c, d = u * detail + (v + 1) % detail, (u + 1) % (2 * detail) * detail + (v + 1) % detail
        first = np.stack([a, c, b], axis=-1).reshape(-1, 3)
        second = np.stack([b, c, d], axis=-1).reshape(-1, 3)
        return normalise(Mesh(vertices, np.vstack([first, second])))[0]
    if kind == "box":
        return revolved(filled_profile([(0, -0.5), (1, -0.5), (1, 0.5), (0, 0.5)], 8), 4)
    if kind == "gear":
        teeth = np.where((np.arange(96) // 4) % 2 == 0, 1.0, 0.78)
        return revolved(
            filled_profile([(0, -0.2), (1, -0.2), (1, 0.2), (0.4, 0.2), (0.4, 0.4), (0, 0.4)], 6),
            96,
            teeth,
        )
    if kind == "vase":
        heights = np.linspace(-1, 1, detail)
        profile = np.stack([0.45 + 0.2 * np.sin(3 * heights), heights], axis=1)
        return revolved(np.vstack([[0, -1], profile, [0, 1]]), detail)
    if kind == "cylinder":
        return revolved(filled_profile([(0, -0.8), (0.5, -0.8), (0.5, 0.8), (0, 0.8)], 10), detail)
    raise ValueError(kind)


def distorted(mesh: Mesh, length: float, seed: int) -> Mesh:
    """The mesh displaced by a smooth random field of about `length`."""
    random = generator(seed, "distorted", "field")
    waves = random.normal(size=(12, 3)) * 7
    phases, directions = random.uniform(0, 2 * np.pi, 12), random.normal(size=(12, 3))
    field = np.sin(mesh.vertices @ waves.T + phases) @ directions / 3
    return Mesh(mesh.vertices + length * field, mesh.faces)


def write_ply(mesh: Mesh, path: Path) -> None:
    """Binary PLY, float32."""
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        f"element vertex {len(mesh.vertices)}\nproperty float x\nproperty float y\n"
        f"property float z\nelement face {len(mesh.faces)}\n"
        "property list uchar int vertex_indices\nend_header\n"
    )
    faces = np.empty(len(mesh.faces), dtype=[("n", "u1"), ("v", "<i4", 3)])
    faces["n"], faces["v"] = 3, mesh.faces
    path.write_bytes(header.encode() + mesh.vertices.astype("<f4").tobytes() + faces.tobytes())


def item_name(index: int) -> str:
    return f"{KINDS[index % len(KINDS)]}-{index:03d}"


def scores(length: float, random: np.random.Generator, edges: int) -> dict[str, float]:
    """Made-up values of every metric for an error length."""
    length = length * float(np.exp(random.normal(0, 0.35)))
    within = {tau: 1 - np.exp(-((tau / max(length, 1e-9)) ** 1.3)) for tau in (0.001, 0.005, 0.01)}
    floor = {0.001: 0.26, 0.005: 0.999, 0.01: 1.0}
    edge = np.nan if edges == 0 else 1.0
    return {
        "surface_cd_l1": length * 0.8 + 1e-12,  # exact distances of equal surfaces: rounding
        **{f"surface_f_{tau}": value for tau, value in within.items()},
        "cd_l1": float(np.hypot(length * 0.8, 0.0016)),
        "cd_l2": length**2 + 3e-6,
        **{f"f_{tau}": value * floor[tau] for tau, value in within.items()},
        "f_0.02": 1 - np.exp(-((0.02 / max(length, 1e-9)) ** 1.3)),
        "edge_cd_l1": edge * length * 2.2,
        "edge_f_0.005": edge * within[0.005] ** 1.8,
        "edge_f_0.01": edge * within[0.01] ** 1.5,
        "true_edge_distance": edge * length * 1.7,
        "true_edge_angle": edge * min(90.0, length * 1400),
        "normal_consistency": 1 - min(0.4, length * 6),
        "sne": min(1 / 3, length * 1.6),
        "iou": 1 - min(0.9, length * 8),
        **{column: floor_value(name) for name, column in FLOORS.items()},
    }


def floor_value(name: str) -> float:
    values = {"cd_l1": 0.0016, "f_0.001": 0.262, "f_0.005": 0.9996, "f_0.01": 1.0, "f_0.02": 1.0}
    return values[name]


def make_results(
    root: Path,
    models: tuple[str, ...] = tuple(MODELS),
    tokens: tuple[int, ...] = (64, 256, 1024),
    count: int = 12,
    gallery: bool = True,
    suite: dict[str, Any] | None = None,
) -> list[Path]:
    """Write results/<model>/<suite>@<hash>/ for each model; return these folders."""
    suite = {**SUITE, "items": count, **(suite or {})}
    folders = []
    for name in models:
        model = MODELS[name]
        folder = root / name / f"{suite['name']}@{suite['hash']}"
        (folder / "gallery").mkdir(parents=True)
        rows = []
        for index in range(count):
            item, level = item_name(index), index % 5 if index % 6 else 0
            edges = (0, 3_120, 14_800, 31_000, 64_500)[level]
            truth = shape(KINDS[index % len(KINDS)])
            if gallery:
                write_ply(truth, folder / "gallery" / f"{item}@truth.ply")
            for budget in tokens if model["bytes"] else (0,):
                length = model["error"] * (256 / (budget or 256)) ** model["power"]
                failed = (name, budget, index) in FAILED
                random = generator(index, "" if name == "identity" else name, str(budget))
                values = scores(length, random, edges)
                if failed:
                    floors = set(FLOORS.values())
                    values = {k: v if k in floors else np.nan for k, v in values.items()}
                elif gallery:
                    write_ply(
                        distorted(truth, 2 * length, index),
                        folder / "gallery" / f"{item}@{budget}.ply",
                    )
                size = model.get("size", model["bytes"] * budget)
                rows.append(
                    {
                        "model": name,
                        "tokens": budget,
                        "id": item,
                        "level": level,
                        "split": "train" if index < 4 else "held-out",
                        "status": "failed" if failed else "ok",
                        "reason": "empty: the field has no zero level" if failed else "",
                        "salient_edges": edges,
                        "posterior": "mean",
                        "latent_floats": size // 4,
                        "latent_bytes": size,
                        "encode_s": 0.05 + budget / 8000,
                        "decode_s": 0.9 + budget / 900,
                        "peak_memory_mb": 700 + budget / 4,
                        "pred_watertight": not failed,
                        "pred_components": 0 if failed else 1,
                        **values,
                    }
                )
        items = pd.DataFrame(rows)
        items.to_parquet(folder / "items.parquet")
        record = {
            "schema": 1,
            "model": {
                "name": name,
                "kind": model["kind"],
                "weights_sha256": name.encode().hex().ljust(64, "0")[:64],
                "config": {"width": 128, "layers": 4},
            },
            "suite": suite,
            "settings": {
                "tokens": list(tokens),
                "seed": 0,
                "resolution": 128,
                "points": 1_000_000,
                "scorer_version": SCORER_VERSION,
                "edge_points": 100_000,
                "volume_cells": 80,
                "posterior": "mean",
                "align": "none",
                "sne": {"version": "sne-1", "views": 22, "resolution": 512},
            },
            "versions": {"dora-bench": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
            "device": "cpu",
            "card": {"licence": "MIT", "data": "made up", "run by": "a test", "hardware": "none"},
            "aggregates": aggregate(items),
        }
        (folder / "results.json").write_text(json.dumps(record))
        folders.append(folder)
    assert set(METRICS) <= set(items.columns)
    return folders
