"""The model in the box: it is there, small, and does on unseen shapes what its card says."""

import json

import numpy as np
import pytest

from benchmarks.boxed.figures import HELD_OUT_SEED, measure
from vae.model import DoraVAE
from vae.published.hub import ASSETS

FOLDER = ASSETS / "dora-tiny"


@pytest.fixture(scope="module")
def model() -> DoraVAE:
    return DoraVAE.from_pretrained("dora-tiny")


def test_it_is_small_and_complete() -> None:
    weights = FOLDER / "model.safetensors"
    assert weights.stat().st_size < 12e6
    card = json.loads((FOLDER / "card.json").read_text())
    assert card["licence"] == "Apache-2.0"
    assert not set(card["held_out"]) & set(card["trained_on"])
    assert len(card["held_out"]) == 40


def test_more_tokens_are_better_on_shapes_it_never_saw(model: DoraVAE) -> None:
    """A short version of `python -m benchmarks.boxed.figures`."""
    names = [f"{HELD_OUT_SEED}-{index:03d}" for index in (0, 5)]
    rows = [row for n in names for row in measure({"dora-tiny": model}, "generated", n, [64, 512])]
    few, many = ([row["iou"] for row in rows if row["tokens"] == t] for t in (64, 512))
    assert np.min(many) > 0.93
    assert np.min(few) > 0.85
    assert (np.array(many) > np.array(few)).all()
