"""Small samples with exact distances and a small model, for the tests of the VAE."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from preprocessing import seeds
from preprocessing.points.fps import farthest_points
from preprocessing.points.samples import Sample, write_sample
from preprocessing.running.tasks import Task
from vae.bulk.encoding import Encoder
from vae.checkpoint import write_run
from vae.config import TINY, override
from vae.model import DoraVAE


class Deadly(Encoder):
    """An encoder that a shape called deadly kills, as it is read with others."""

    def read(self, task: Task) -> Any:
        """As the encoder's."""
        if task.id == "deadly":
            os._exit(7)
        return super().read(task)


MODEL = ["width=16", "heads=2", "encoder_layers=1", "decoder_layers=1", "embed=3"]


def box_sample(item_id: str, half: tuple[float, float, float], points: int = 300) -> Sample:
    """A box with half sides `half`: exact distances, salient points on its twelve edges."""
    generator, size = seeds.generator(0, item_id, "test"), np.asarray(half)
    surface, normals = on_faces(points, size, generator)
    edges = generator.uniform(-1, 1, (points, 3)) * size
    free = generator.integers(3, size=points)
    for axis in range(3):
        clamped = free != axis
        edges[clamped, axis] = np.sign(edges[clamped, axis]) * size[axis]
    corner = np.where(np.arange(3) == free[:, None], 0, np.sign(edges))
    corner = corner / np.linalg.norm(corner, axis=1, keepdims=True)

    def supervised(at: np.ndarray) -> np.ndarray:
        gap = np.abs(at) - size
        outside = np.linalg.norm(np.maximum(gap, 0), axis=1)
        sdf = -(outside + np.minimum(gap.max(axis=1), 0))
        return np.concatenate([at, sdf[:, None]], axis=1).astype(np.float32)

    clouds = {
        "coarse": np.concatenate([surface, normals], axis=1).astype(np.float32),
        "sharp": np.concatenate([edges, corner], axis=1).astype(np.float32),
    }
    return Sample(
        coarse_surface=clouds["coarse"],
        sharp_surface=clouds["sharp"],
        sharp_near=supervised(edges + generator.normal(0, 0.01, edges.shape)),
        coarse_near=supervised(surface + generator.normal(0, 0.01, surface.shape)),
        space=supervised(generator.uniform(-1.05, 1.05, (points, 3))),
        coarse_order=farthest_points(clouds["coarse"][:, :3], points).astype(np.int32),
        sharp_order=farthest_points(clouds["sharp"][:, :3], points).astype(np.int32),
        metadata={"id": item_id},
    )


def on_faces(
    count: int, size: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Random points on the six faces, and their normals."""
    points = generator.uniform(-1, 1, (count, 3)) * size
    axis, side = generator.integers(3, size=count), generator.choice([-1.0, 1.0], size=count)
    normals = np.zeros((count, 3))
    normals[np.arange(count), axis] = side
    points[np.arange(count), axis] = side * size[axis]
    return points, normals


def without_edges(sample: Sample) -> Sample:
    """The same sample as of a mesh without salient edges."""
    return Sample(
        **{
            **vars(sample),
            "sharp_surface": np.empty((0, 6), np.float32),
            "sharp_near": np.empty((0, 4), np.float32),
            "sharp_order": np.empty(0, np.int32),
        }
    )


def write_boxes(folder: Path, count: int = 3, points: int = 300) -> Path:
    """`count` boxes as sample files in `folder`; the last has no salient points when count > 2."""
    for index in range(count):
        sample = box_sample(f"box{index}", (0.9, 0.3 + 0.15 * index, 0.5), points)
        write_sample(
            without_edges(sample) if index == 2 else sample, folder / f"box{index}.safetensors"
        )
    return folder


def write_model(folder: Path, bias: float) -> Path:
    """A small untrained model; the bias leaves some of space inside and some outside."""
    torch.manual_seed(0)
    config = override(TINY, MODEL)
    net = DoraVAE(config.model)
    net.decoder.output_proj.bias.data.fill_(bias)
    write_run(folder, net.state_dict(), config)
    return folder
