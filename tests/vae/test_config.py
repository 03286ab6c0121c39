"""Presets hold the published recipes; overrides are typed and misspellings answered."""

import json

import pytest

from vae.config import (
    PRESETS,
    ConfigError,
    VAEConfig,
    from_dict,
    override,
    preset,
    to_dict,
)


def test_published_recipes() -> None:
    old, new = preset("v1.0"), preset("v1.1")
    assert (old.model.output, new.model.output) == ("occupancy", "tsdf")
    assert old.data.token_lengths == (256, 1280)
    assert new.data.token_lengths == (256, 512, 768, 1024, 1280, 2048, 4096)
    assert new.data.token_weights == (0.1, 0.1, 0.1, 0.1, 0.1, 0.3, 0.2)
    assert (old.data.coarse_points, new.data.coarse_points) == (16384, 32768)
    assert (new.data.sharp_near, new.data.coarse_near, new.data.space) == (21384, 10000, 10000)
    assert (new.model.width, new.model.heads, new.model.embed) == (768, 12, 64)
    assert (new.train.beta1, new.train.beta2, new.train.adam_eps) == (0.9, 0.99, 1e-6)
    assert (new.train.sharp_weight, new.train.kl_weight) == (2.0, 1e-3)
    assert new.model.truncation == 0.015


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_dictionary_round_trip(name: str) -> None:
    config = preset(name)
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config
    assert sum(config.data.token_weights) == pytest.approx(1)


def test_overrides_are_typed() -> None:
    config = override(
        preset("tiny"),
        [
            "width=96",
            "train.lr=2e-3",
            "token_lengths=64,128",
            "data.token_weights=0.5,0.5",
            "output=occupancy",
            "checkpointing=true",
        ],
    )
    assert config.model.width == 96
    assert config.train.lr == 2e-3
    assert config.data.token_lengths == (64, 128)
    assert config.model.output == "occupancy"
    assert config.train.checkpointing is True
    assert override(preset("tiny"), []) == preset("tiny")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("widht=3", "did you mean 'width'"),
        ("data.width=3", "no setting 'data.width'"),
        ("width", "key=value"),
        ("width=wide", "width is int"),
        ("output=udf", "output is one of tsdf, occupancy"),
        ("checkpointing=maybe", "true or false"),
        ("heads=5", "does not divide"),
        ("token_lengths=64,128", "differ in length"),
    ],
)
def test_bad_settings_are_refused(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        override(preset("tiny"), [setting])


def test_unknown_names() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'v1\.1'"):
        preset("v1_1")
    with pytest.raises(ConfigError, match="unknown settings depth"):
        from_dict({"model": {"depth": 3}})


def test_frozen() -> None:
    with pytest.raises(AttributeError):
        VAEConfig().model.width = 3  # type: ignore[misc]
