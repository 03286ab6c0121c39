"""The figures of a set of latents: exact, and the same in any order."""

import numpy as np
import torch

from vae.bulk.statistics import statistics, sums_of


def test_figures_are_those_of_all_tokens_together_in_any_order() -> None:
    draw = np.random.default_rng(0)
    shapes = [
        (
            draw.normal(3.0, 0.5, (t, 4)).astype(np.float32),
            draw.normal(-4, 1, (t, 4)).astype(np.float32),
        )
        for t in (5, 9, 1, 64)
    ]
    sums = [sums_of(*one) for one in shapes]
    told = statistics(sums)
    assert told == statistics(sums[::-1]) == statistics([sums[i] for i in (2, 0, 3, 1)])
    mean, logvar = (np.concatenate(part).astype(np.float64) for part in zip(*shapes, strict=True))
    assert (told["count"], told["vectors"]) == (4, 79)
    np.testing.assert_allclose(told["mean"], mean.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(told["std"], mean.std(axis=0), rtol=1e-12)
    spread = np.sqrt(mean.var(axis=0) + np.exp(logvar).mean(axis=0))
    np.testing.assert_allclose(told["sampled_std"], spread, rtol=1e-12)
    assert told["min"] == mean.min(axis=0).tolist()
    assert told["max"] == mean.max(axis=0).tolist()


def test_the_spread_of_samples_is_what_draws_have() -> None:
    draw = np.random.default_rng(1)
    mean = draw.normal(0, 1, (20_000, 2)).astype(np.float32)
    logvar = np.full((20_000, 2), -1.0, np.float32)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0)).numpy()
    drawn = mean + np.exp(0.5 * logvar) * noise
    told = statistics([sums_of(mean, logvar)])
    np.testing.assert_allclose(told["sampled_std"], drawn.std(axis=0), rtol=0.02)
