"""The estimate of long work: what grows with what, and when it is said."""

import pytest

from vae import cost
from vae.config import TINY
from vae.model import DoraVAE


def test_attention_grows_with_the_square_and_reading_with_the_grid() -> None:
    model = DoraVAE(TINY.model)
    small, large = (cost.operations(model, t, None) for t in (100_000, 200_000))
    assert 3.5 < large / small < 4.1
    coarse, fine = (cost.operations(model, 1000, r) for r in (64, 1024))
    assert fine > 10 * coarse


def test_it_is_said_where_it_takes_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = DoraVAE(TINY.model)
    monkeypatch.setattr(cost, "speed", lambda device: 1e11)
    assert cost.warning(model, 1024, 256) == ""
    said = cost.warning(model, 1_000_000, 256)
    assert said.startswith("1,000,000 tokens take about ")
    hours = int(said.split("about ")[1].split(":")[0])
    assert 5 < hours < 20


def test_the_speed_of_this_machine_is_a_speed() -> None:
    assert 1e8 < cost.speed(DoraVAE(TINY.model).device) < 1e16
