"""What `benchmarks.boxed.starts` compares: each change changes the run, and is undone after it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from vae_samples import box_sample, without_edges, write_boxes

from benchmarks.boxed.repelled import repelled
from benchmarks.boxed.variants import (
    CHANGES,
    VARIANTS,
    changed,
    even_rows,
    settings_of,
    tokens_down,
    tokens_up,
)
from preprocessing.points.samples import write_sample
from vae.config import TINY, VAEConfig, override
from vae.data import find_samples
from vae.resident import ResidentSet
from vae.train import train
from vae.train_log import read_log

SETTINGS = [
    *("width=72", "heads=3", "encoder_layers=1", "decoder_layers=1", "embed=24"),
    *("coarse_points=48", "sharp_points=40", "coarse_near=24", "space=20", "sharp_near=16"),
    *("token_lengths=6,9", "token_weights=0.5,0.5", "batch=4", "steps=4", "resident=true"),
    *("warmup=1", "kl_warmup=1", "kl_weight=0.1", "loaders=0"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_boxes(tmp_path_factory.mktemp("variants"), points=100)
    smooth = without_edges(box_sample("smooth", (0.5, 0.6, 0.7), 100))
    write_sample(smooth, folder / "smooth.safetensors")
    return folder


def small() -> VAEConfig:
    return override(TINY, SETTINGS)


def curve(data: Path, out: Path, name: str) -> list[float]:
    """The losses of a variant's first steps."""
    with changed(name):
        train(small(), data, out / name, device="cpu", quiet=True)
    return [row["loss"] for row in read_log(out / name / "log.csv")]


def test_every_change_changes_the_run_and_is_undone(data: Path, tmp_path: Path) -> None:
    assert set(CHANGES) < set(VARIANTS)
    plain = curve(data, tmp_path, "place")
    for name in CHANGES:
        found = curve(data, tmp_path, name)
        assert np.isfinite(found).all()
        assert found != plain, name
    assert curve(data, tmp_path / "again", "place") == plain


def test_every_variant_reads_the_same_number_of_shapes() -> None:
    for name in VARIANTS:
        train = settings_of(name, 400, 0).train
        assert train.steps * train.batch == 1600


def test_repelled_points_are_farthest_from_what_was_chosen_before() -> None:
    """Against the definition, point by point."""
    draw = torch.Generator().manual_seed(0)
    points = torch.rand(2, 50, 3, generator=draw)
    seeds = torch.rand(2, 7, 3, generator=draw)
    rows = repelled(points, seeds, 12)
    for item in range(2):
        chosen = seeds[item]
        for row in rows[item]:
            nearest = torch.cdist(points[item], chosen).amin(dim=1)
            assert nearest[row] == pytest.approx(float(nearest.max()), abs=1e-6)
            chosen = torch.cat([chosen, points[item, row][None]])
    assert all(len(set(each.tolist())) == 12 for each in rows)


def test_repelled_tokens_keep_away_from_salient_ones(data: Path) -> None:
    with changed("repelled"):
        held = ResidentSet(lambda: find_samples(data), small(), torch.device("cpu"))
        batch = held.batch(0)
    plain = ResidentSet(lambda: find_samples(data), small(), torch.device("cpu"))
    before = ResidentSet.batch(plain, 0)
    both = torch.cat([batch.coarse, batch.sharp], dim=1)[..., :3]
    for item in range(len(batch.ids)):
        if not batch.sharp_present[item]:
            assert torch.equal(batch.rows[item], before.rows[item])
            continue
        coarse = batch.rows[item] < 48
        salient = both[item, batch.rows[item, ~coarse]]
        assert torch.equal(batch.rows[item, ~coarse], before.rows[item, ~coarse])
        first = torch.cdist(both[item, batch.rows[item, coarse]], salient).amin(dim=1)[0]
        assert first == pytest.approx(
            float(torch.cdist(batch.coarse[item, :, :3], salient).amin(dim=1).max()), abs=1e-6
        )


def test_even_rows_fill_the_truncation() -> None:
    draw = np.random.default_rng(0)
    sdf = draw.normal(0, 0.02, 20_000).clip(-0.05, 0.05)
    count = np.histogram(sdf[even_rows(sdf, 0.05, 20_000, draw)], 10, (-0.05, 0.05))[0]
    assert count.min() > 0.9 * count.max()


def test_token_lengths_rise_or_fall_over_a_run() -> None:
    config = settings_of("tokens-up", 400, 0)
    up = [tokens_up(config, step) for step in range(400)]
    assert up == sorted(up)
    assert {tokens: up.count(tokens) for tokens in up} == {64: 100, 128: 100, 256: 100, 512: 100}
    assert [tokens_down(config, step) for step in range(400)] == up[::-1]
