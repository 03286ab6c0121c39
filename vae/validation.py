"""How a model does on shapes it is not trained on, while it trains: figures and a picture.

Volume IoU: signs at the sample's `space` points, which are uniform in the cube. F(0.01): the field
read back at 64^3 against the sample's surface points; a point of the prediction is measured to the
plane of the nearest surface point, since the points alone lie further apart than 0.01.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from preprocessing.distance.queries import unsigned_distance
from preprocessing.files import atomic_path
from preprocessing.looking.render import CLAY, Cloud, png_bytes, render_mesh, render_points
from preprocessing.mesh import Mesh, MeshError
from preprocessing.points.sample_at import SampleSource
from preprocessing.points.samples import Sample, read_sample
from preprocessing.points.sampling import sample_surface
from preprocessing.seeds import generator
from vae.config import ModelConfig, VAEConfig
from vae.latents import TokenSource, encode_shape
from vae.model import DoraVAE
from vae.reconstruction import read_surface

ITEMS = 6  # shapes that are validated on, and drawn
RESOLUTION = 64
POINTS = 4096
THRESHOLD = 0.01
WIDTH, HEIGHT = 240, 200  # of each picture


@dataclass(frozen=True)
class Validation:
    """The figures at three token counts: `few`, `some`, `many` -> volume IoU, F(0.01)."""

    iou: dict[str, float]
    f: dict[str, float]

    def row(self) -> dict[str, float]:
        """The columns of the log."""
        named = {"iou": self.iou, "f": self.f}
        return {f"val_{k}_{t}": v for k, values in named.items() for t, v in values.items()}

    def note(self) -> str:
        """For the progress line."""
        return "  val IoU " + "/".join(f"{v:.3f}" for v in self.iou.values())


def split_by_id(
    samples: Mapping[str, SampleSource], share: float
) -> tuple[dict[str, SampleSource], dict[str, SampleSource]]:
    """(to train on, held out): `share` of the items, chosen by the hash of their ids alone."""

    def held(item_id: str) -> bool:
        digest = hashlib.sha256(item_id.encode()).digest()
        return int.from_bytes(digest[:8], "little") < share * 2**64

    kept = {k: v for k, v in samples.items() if not held(k)}
    return kept, {k: v for k, v in samples.items() if held(k)}


def three_counts(config: VAEConfig) -> dict[str, int]:
    """The smallest, the median and the largest token length."""
    lengths = sorted(config.data.token_lengths)
    return {"few": lengths[0], "some": lengths[len(lengths) // 2], "many": lengths[-1]}


def averaged_model(
    config: ModelConfig, weights: Mapping[str, Tensor], device: torch.device
) -> DoraVAE:
    """The model that a run would be read as: its averaged weights."""
    model = DoraVAE(config).to(device)
    model.load_state_dict(weights)
    return model.requires_grad_(False).eval()


def validate(
    model: DoraVAE,
    samples: Mapping[str, SampleSource],
    config: VAEConfig,
    picture: Path | None = None,
) -> Validation:
    """Figures over the first ITEMS samples; `picture`: a PNG of them beside their truths."""
    counts = three_counts(config)
    iou: dict[str, list[float]] = {name: [] for name in counts}
    f: dict[str, list[float]] = {name: [] for name in counts}
    pairs = []
    for item_id, path in list(samples.items())[:ITEMS]:
        sample = read_sample(path)
        source = TokenSource(sample)
        for name, tokens in counts.items():
            latents = encode_shape(model, source, tokens, model_hash="-")
            iou[name].append(sign_iou(model, latents.mean, sample.space))
            try:
                mesh: Mesh | None = read_surface(model, latents, RESOLUTION)[0]
            except MeshError:  # nothing is inside: the worst score, and an empty place
                mesh = None
            f[name].append(surface_f(mesh, sample, item_id))
        pairs.append((sample, mesh))
    if picture is not None:
        draw(pairs, picture)
    return Validation(*({k: float(np.mean(v)) for k, v in found.items()} for found in (iou, f)))


@torch.inference_mode()
def sign_iou(model: DoraVAE, mean: Tensor, space: np.ndarray) -> float:
    """Intersection over union of the insides, over points with distances (Q,4)."""
    points = torch.tensor(space[:20_000]).to(model.device)
    keys = model.keys(model.decode(mean[None].to(model.device)))
    inside, truth = model.query(keys, points[None, :, :3])[0] > 0, points[:, 3] > 0
    return float((inside & truth).sum() / (inside | truth).sum().clamp(min=1))


def surface_f(mesh: Mesh | None, sample: Sample, item_id: str) -> float:
    """F at THRESHOLD between a prediction and a sample's surface points; 0 for no prediction."""
    if mesh is None:
        return 0.0
    cloud = sample.coarse_surface[:POINTS].astype(np.float64)
    found = sample_surface(mesh, POINTS, generator(0, item_id, "validation"))[0]
    tree = cKDTree(sample.coarse_surface[:, :3])
    gap, nearest = tree.query(found)
    offset = found - sample.coarse_surface[nearest, :3]
    plane = np.abs((offset * sample.coarse_surface[nearest, 3:]).sum(axis=1))
    near = gap < 4 * np.sqrt(area_per_point(sample))
    precision = (np.where(near, plane, gap) < THRESHOLD).mean()
    recall = (unsigned_distance(mesh, cloud[:, :3]) < THRESHOLD).mean()
    return float(2 * precision * recall / max(precision + recall, 1e-12))


def area_per_point(sample: Sample) -> float:
    """About how much surface a point of the uniform cloud stands for: its neighbour's distance
    squared (farthest points lie on a near-even net)."""
    points = sample.coarse_surface[:, :3]
    return float(np.median(cKDTree(points).query(points[:512], k=2)[0][:, 1]) ** 2)


def draw(pairs: list[tuple[Sample, Mesh | None]], path: Path) -> None:
    """A row of truths, as dots, over a row of what came back."""
    above, below = [], []
    for sample, mesh in pairs:
        points = sample.coarse_surface
        above.append(render_points([Cloud(points, CLAY, 2.0)], WIDTH, HEIGHT))
        below.append(
            np.full_like(above[-1], 255) if mesh is None else render_mesh(mesh, WIDTH, HEIGHT)
        )
    rows = [np.concatenate(row, axis=1) for row in (above, below)]
    with atomic_path(path) as temporary:
        temporary.write_bytes(png_bytes(np.concatenate(rows)))
