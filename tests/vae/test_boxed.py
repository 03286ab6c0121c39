"""The model in the box: it is there, small, and does on unseen shapes what its card says."""

import json

import numpy as np
import pytest

from benchmarks.boxed.figures import HELD_OUT_SEED, measure, raw_mesh
from dora_bench.models import resolve_model
from dora_bench.protocol import ShapeInput
from dora_bench.score import score_meshes
from preprocessing.mesh import normalise
from preprocessing.solid.watertight import make_watertight
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


def test_the_volume_based_rival_is_in_the_box_too() -> None:
    """On a scene it never saw: voxels in, voxels out, a mesh that is near."""
    rival = resolve_model("sparse-tiny")
    assert (ASSETS / "sparse-tiny/model.safetensors").stat().st_size < 8e6
    assert rival.info.card["licence"] == "Apache-2.0"
    raw = raw_mesh("generated", f"{HELD_OUT_SEED}-000")
    solid = normalise(make_watertight(raw, eps=2 / 128, resolution=128).mesh)[0]
    latent = rival.encode(ShapeInput("scene", solid), 0, 0)
    assert score_meshes(solid, rival.decode(latent, 128), points=20_000)["iou"] > 0.8
