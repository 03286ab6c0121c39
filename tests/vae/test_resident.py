"""A training set on the device: same draws everywhere, shapes in the frame, prefixes that cover."""

from pathlib import Path

import numpy as np
import pytest
import torch
from vae_samples import box_sample, without_edges, write_boxes

from preprocessing.points.fps import farthest_points
from preprocessing.points.samples import write_sample
from vae.config import TINY, VAEConfig, override
from vae.data import find_samples
from vae.resident import ResidentSet, poses
from vae.train import train
from vae.train_log import read_log

SETTINGS = [
    *("width=16", "heads=2", "encoder_layers=1", "decoder_layers=1", "embed=4"),
    *("coarse_points=48", "sharp_points=40", "coarse_near=24", "space=20", "sharp_near=16"),
    *("token_lengths=6,9", "token_weights=0.5,0.5", "batch=4", "steps=6", "resident=true"),
    *("rotate=true", "mirror_probability=0.5", "warmup=2", "loaders=0"),
]


def config(*extra: str) -> VAEConfig:
    return override(TINY, [*SETTINGS, *extra])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_boxes(tmp_path_factory.mktemp("resident"), points=100)
    write_sample(
        without_edges(box_sample("smooth", (0.5, 0.6, 0.7), 100)), folder / "s.safetensors"
    )
    return folder


def held(data: Path, settings: VAEConfig, **ranks: int) -> ResidentSet:
    return ResidentSet(lambda: find_samples(data), settings, torch.device("cpu"), **ranks)


def test_a_batch_is_a_function_of_seed_and_step(data: Path) -> None:
    one, two = held(data, config()), held(data, config())
    two.batch(5)  # what was drawn before does not matter
    for step in (0, 3):
        first, second = one.batch(step), two.batch(step)
        assert first.ids == second.ids
        assert torch.equal(first.coarse, second.coarse)
        assert torch.equal(first.noise, second.noise)


def test_two_processes_share_what_one_reads(data: Path) -> None:
    whole = held(data, config("mean_share=0")).batch(1)
    halves = [
        held(data, config("mean_share=0", "batch=2"), rank=rank, processes=2).batch(1)
        for rank in range(2)
    ]
    assert halves[0].ids + halves[1].ids == whole.ids
    for name in ("coarse", "sharp", "near", "sharp_near", "rows", "sharp_present"):
        assert torch.equal(torch.cat([getattr(h, name) for h in halves]), getattr(whole, name))


def test_shapes_are_brought_back_into_the_frame_with_their_distances(data: Path) -> None:
    batch = held(data, config()).batch(2)
    side = (batch.coarse[..., :3].amax(1) - batch.coarse[..., :3].amin(1)).amax(1)
    assert ((side > 1.79) & (side < 2.001)).all()
    assert torch.allclose(batch.coarse[..., 3:].norm(dim=-1), torch.ones(4, 48), atol=1e-5)
    # A sheet of points at distance d of the surface stays at the scaled distance: no point of the
    # cloud is nearer than the distance says (the cloud is a subset of the surface).
    gaps = torch.cdist(batch.near[..., :3], batch.coarse[..., :3]).amin(2)
    assert (gaps >= batch.near[..., 3].abs() - 1e-5).all()


def test_rows_are_farthest_points_of_both_clouds_or_of_the_uniform_one(data: Path) -> None:
    for step in range(6):
        batch = held(data, config("rotate=false", "mirror_probability=0")).batch(step)
        tokens = batch.rows.shape[1]
        for item in range(4):
            present = bool(batch.sharp_present[item])
            count = tokens - tokens // 2 if present else tokens
            order = farthest_points(batch.coarse[item, :, :3].numpy(), count)
            gap = spread(batch.coarse[item, order, :3])
            assert spread(batch.coarse[item, batch.rows[item, :count], :3]) >= gap - 1e-4
            assert ((batch.rows[item, count:] >= 48) == present).all()


def spread(points: torch.Tensor) -> float:
    """The smallest distance between two of the points."""
    gaps = torch.cdist(points[None], points[None])[0]
    return float((gaps + 10 * torch.eye(len(points))).min())


def test_poses_are_orthogonal_and_mirrored_as_often_as_asked() -> None:
    from preprocessing.seeds import generator

    turns = poses(generator(0, "poses", "test"), 4000, config("mirror_probability=0.25"))
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-12)
    assert abs((np.linalg.det(turns) < 0).mean() - 0.25) < 0.03
    of_the_cube = np.isclose(np.abs(turns).max(axis=(1, 2)), 1).mean()
    assert abs(of_the_cube - 0.5) < 0.03
    kept = poses(generator(0, "kept", "test"), 3, config("rotate=false", "mirror_probability=0"))
    assert np.array_equal(kept, np.tile(np.eye(3), (3, 1, 1)))


def test_a_growing_set_takes_in_what_appears(data: Path, tmp_path: Path) -> None:
    for number in range(3):
        write_sample(
            box_sample(f"{number}", (0.5, 0.6, 0.7), 100), tmp_path / f"{number}.safetensors"
        )
    growing = held(tmp_path, config("growing=true"))
    assert len(growing.ids) == 3
    write_sample(box_sample("late", (0.5, 0.4, 0.7), 100), tmp_path / "late.safetensors")
    growing.refresh()
    assert growing.ids[-1] == "late"


def test_training_on_a_resident_set_resumes_to_the_same_curve(data: Path, tmp_path: Path) -> None:
    train(config(), data, tmp_path / "whole", device="cpu", quiet=True)
    train(config(), data, tmp_path / "parts", until=3, device="cpu", quiet=True)
    train(config(), data, tmp_path / "parts", device="cpu", quiet=True)
    whole, parts = (read_log(tmp_path / name / "log.csv") for name in ("whole", "parts"))
    assert [row["loss"] for row in whole] == [row["loss"] for row in parts]
