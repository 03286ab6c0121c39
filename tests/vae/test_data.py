"""Batches are pure functions of (seed, step, slot), and augmentation keeps geometry true."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from vae_samples import box_sample, write_boxes

from preprocessing.points.fps import farthest_points
from preprocessing.points.samples import write_sample
from preprocessing.seeds import generator
from vae.config import TINY, VAEConfig, override
from vae.data import (
    Batch,
    DataError,
    StepData,
    batches,
    draw_pose,
    draw_tokens,
    find_samples,
    item_at,
    posed,
)

CONFIG = override(
    TINY,
    [
        "coarse_points=64",
        "sharp_points=48",
        "coarse_near=40",
        "space=30",
        "sharp_near=20",
        "token_lengths=9,16",
        "token_weights=0.5,0.5",
        "batch=4",
    ],
)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return find_samples(write_boxes(tmp_path_factory.mktemp("samples")))


def same(one: Batch, other: Batch) -> bool:
    return one.ids == other.ids and all(
        torch.equal(a, b) if torch.is_tensor(a) else a == b
        for a, b in zip(vars(one).values(), vars(other).values(), strict=True)
    )


def test_finds_samples_in_both_layouts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no samples"):
        find_samples(tmp_path)
    (tmp_path / "box.npz").touch()
    with pytest.raises(DataError, match="read_npz"):
        find_samples(tmp_path)
    write_boxes(tmp_path / "samples" / "inner", 2)
    assert list(find_samples(tmp_path)) == ["inner/box0", "inner/box1"]
    assert list(find_samples(tmp_path / "samples")) == ["inner/box0", "inner/box1"]


def test_shapes_and_finite(samples: dict[str, Path]) -> None:
    batch = StepData(samples, CONFIG)[0]
    tokens = batch.rows.shape[1]
    assert batch.coarse.shape == (4, 64, 6)
    assert batch.sharp.shape == (4, 48, 6)
    assert batch.near.shape == (4, 70, 4)
    assert batch.sharp_near.shape == (4, 20, 4)
    assert batch.noise.shape == (4, tokens, CONFIG.model.embed)
    assert tokens in (9, 16)


def test_every_item_once_an_epoch() -> None:
    for epoch in range(3):
        order = [item_at(position, 7, 0) for position in range(7 * epoch, 7 * epoch + 7)]
        assert sorted(order) == list(range(7))
    assert [item_at(p, 7, 0) for p in range(7)] != [item_at(p, 7, 0) for p in range(7, 14)]


@pytest.mark.parametrize("loaders", [0, 2])
def test_batches_do_not_depend_on_start_or_loaders(samples: dict[str, Path], loaders: int) -> None:
    config = override(CONFIG, [f"loaders={loaders}", "accumulate=2"])
    reference = StepData(samples, config)
    late = list(batches(samples, config, 3, 5))
    assert len(late) == 4
    assert all(same(batch, reference[6 + k]) for k, batch in enumerate(late))


def test_two_processes_read_what_one_reads(samples: dict[str, Path]) -> None:
    whole = StepData(samples, CONFIG)
    half = override(CONFIG, ["batch=2"])
    parts = [StepData(samples, half, rank, 2) for rank in (0, 1)]
    for step in range(4):
        first, second, both = parts[0][step], parts[1][step], whole[step]
        assert first.ids + second.ids == both.ids
        for name in ("coarse", "sharp", "rows", "near", "sharp_near", "noise", "sharp_present"):
            joined = torch.cat([getattr(first, name), getattr(second, name)])
            assert torch.equal(joined, getattr(both, name)), name


def test_two_ranks_never_read_an_item_twice_in_an_epoch(tmp_path: Path) -> None:
    """Whole epochs of twelve items in steps of two ranks with two each: every item once."""
    samples = {f"{i:02d}": Path("unread") for i in range(12)}
    settings = override(CONFIG, ["batch=2"])
    seen: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vae.data.read_item", lambda item_id, *rest: {})
        patch.setattr("vae.data.Batch", lambda ids, **rest: ids)
        ranks = [StepData(samples, settings, rank, 2) for rank in (0, 1)]
        for micro_step in range(9):
            seen += [name for rank in ranks for name in rank[micro_step]]
    for epoch in range(3):
        assert sorted(seen[12 * epoch : 12 * epoch + 12]) == sorted(samples)


def test_token_lengths_follow_their_weights() -> None:
    config = override(CONFIG, ["token_weights=0.8,0.2"])
    drawn = [draw_tokens(config, step) for step in range(2000)]
    assert abs(drawn.count(9) / 2000 - 0.8) < 0.04


def test_a_share_of_items_decodes_the_mean(samples: dict[str, Path]) -> None:
    def silent(share: float) -> float:
        config = override(CONFIG, [f"mean_share={share}"])
        read = StepData(samples, config)
        return float(np.mean([(read[i].noise == 0).all(dim=(1, 2)).numpy() for i in range(40)]))

    assert (silent(0.0), silent(1.0)) == (0.0, 1.0)
    assert 0.15 < silent(0.25) < 0.35


def test_rows_are_farthest_points_of_the_window(samples: dict[str, Path]) -> None:
    batch = StepData(samples, CONFIG)[0]
    for item in range(4):
        rows, tokens = batch.rows[item].numpy(), batch.rows.shape[1]
        coarse = tokens if not batch.sharp_present[item] else tokens - tokens // 2
        expected = farthest_points(batch.coarse[item, :, :3].numpy(), coarse)
        assert np.array_equal(rows[:coarse], expected)
        if batch.sharp_present[item]:
            expected = farthest_points(batch.sharp[item, :, :3].numpy(), tokens - coarse)
            assert np.array_equal(rows[coarse:] - 64, expected)
    assert batch.ids.count("box2") == (~batch.sharp_present).sum() > 0


def test_augmentation_is_a_rotation_or_mirror_of_everything(samples: dict[str, Path]) -> None:
    """A turned window is the file's rows turned by one orthogonal matrix, with their sdf."""
    config = replace(CONFIG, data=replace(CONFIG.data, rotate=True, mirror_probability=0.5))
    with safe_open(samples["box0"], "numpy") as file:
        space = {row[3]: row[:3] for row in file.get_tensor("space")}
        near = {row[3]: row[:3] for row in file.get_tensor("sharp_near")}
    batch = StepData({"box0": samples["box0"]}, config)[0]
    for item in range(4):
        turned = batch.near[item, -30:].numpy()
        before = np.stack([space[value] for value in turned[:, 3]])
        turn = np.linalg.lstsq(before, turned[:, :3], rcond=None)[0]
        assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-5)
        sharp = batch.sharp_near[item].numpy()
        assert np.allclose(np.stack([near[v] for v in sharp[:, 3]]) @ turn, sharp[:, :3], atol=1e-5)
        # Surface normals of a box turned back lie along the axes, on the faces they belong to.
        points, normals = batch.coarse[item, :, :3].numpy(), batch.coarse[item, :, 3:].numpy()
        along = np.abs(normals @ turn.T)
        assert np.allclose(np.sort(along, axis=1), [0, 0, 1], atol=1e-5)
        reach = ((points @ turn.T) * (normals @ turn.T)).sum(axis=1)
        half = np.array([0.9, 0.3, 0.5])
        assert np.allclose(reach, half[along.argmax(axis=1)], atol=1e-5)


def test_poses_are_uniform_rotations_and_mirrors() -> None:
    config = override(TINY, ["rotate=true", "mirror_probability=0.75"])
    turns = np.stack([draw_pose(config, generator(0, str(k), "pose")) for k in range(3000)])
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-5)
    assert abs((np.linalg.det(turns) < 0).mean() - 0.75) < 0.03
    assert np.abs(turns.mean(axis=0)).max() < 0.05  # a uniform rotation has mean zero
    assert abs((turns[:, 0, 0] ** 2).mean() - 1 / 3) < 0.02
    assert np.array_equal(draw_pose(TINY, generator(0, "a", "pose")), np.eye(3, dtype=np.float32))


def test_pose_keeps_distances() -> None:
    rows = np.array([[1, 2, 3, 0.25]], np.float32)
    mirror = np.diag([-1, 1, 1]).astype(np.float32)
    assert posed(rows, mirror).tolist() == [[-1, 2, 3, 0.25]]


def test_too_few_points_for_the_tokens_is_named(samples: dict[str, Path]) -> None:
    """All tokens of an item without edges come from its uniform window."""
    config: VAEConfig = override(CONFIG, ["token_lengths=90,92"])
    with pytest.raises(DataError, match=r"box2: 9\d tokens need 9\d uniform"):
        StepData({"box2": samples["box2"]}, config)[0]


def test_bad_samples_are_named(tmp_path: Path) -> None:
    sample = box_sample("empty", (0.5, 0.5, 0.5))
    none = replace(sample, space=np.empty((0, 4), np.float32))
    write_sample(none, tmp_path / "empty.safetensors")
    with pytest.raises(DataError, match="empty: space is empty"):
        StepData(find_samples(tmp_path), CONFIG)[0]
