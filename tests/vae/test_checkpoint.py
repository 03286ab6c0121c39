"""Weights survive every conversion bit for bit; a wrong file is refused by name."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from preprocessing.mesh import save_mesh
from preprocessing.shapes import box
from vae.checkpoint import (
    CheckpointError,
    head_hint,
    read_ckpt,
    read_config,
    weights_hash,
    write_run,
)
from vae.config import TINY, ModelConfig
from vae.conversion import convert
from vae.model import DoraVAE

CONFIG = ModelConfig(width=32, heads=4, encoder_layers=1, decoder_layers=2, embed=5)


@pytest.fixture
def model() -> DoraVAE:
    torch.manual_seed(0)
    return DoraVAE(CONFIG).eval()


def write_ckpt(path: Path, state: dict[str, torch.Tensor], **extra: object) -> Path:
    torch.save({"state_dict": {f"shape_model.{k}": v for k, v in state.items()}, **extra}, path)
    return path


def same_bits(one: DoraVAE, other: DoraVAE) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in pairs)


def test_run_folder_round_trip(model: DoraVAE, tmp_path: Path) -> None:
    config = replace(TINY, model=CONFIG)
    write_run(tmp_path, model.state_dict(), config)
    assert read_config(tmp_path) == config
    for path in (tmp_path, tmp_path / "model.safetensors"):
        loaded = DoraVAE.from_pretrained(path)
        assert loaded.config == CONFIG
        assert same_bits(loaded, model)
        assert not loaded.training


def test_convert_both_ways_is_bit_exact(model: DoraVAE, tmp_path: Path) -> None:
    source = write_ckpt(tmp_path / "a.ckpt", model.state_dict(), epoch=3, global_step=9)
    assert convert(source, tmp_path / "safe") == tmp_path / "safe/model.safetensors"
    back = convert(tmp_path / "safe", tmp_path / "back")
    assert back == tmp_path / "back/safe.ckpt"
    before, after = read_ckpt(source)[0], read_ckpt(back)[0]
    assert list(before) == list(after)
    assert all(torch.equal(before[k], after[k]) for k in before)
    one, two = (DoraVAE.from_pretrained(path) for path in (back, tmp_path / "safe"))
    assert weights_hash(one) == weights_hash(two)


def test_convert_keeps_the_dtype(model: DoraVAE, tmp_path: Path) -> None:
    half = {k: v.half() for k, v in model.state_dict().items()}
    convert(write_ckpt(tmp_path / "a.ckpt", half), tmp_path / "safe")
    back = read_ckpt(convert(tmp_path / "safe", tmp_path))[0]
    assert all(torch.equal(back[k], half[k]) and back[k].dtype == torch.float16 for k in half)
    assert DoraVAE.from_pretrained(tmp_path / "a.ckpt").pre_kl.weight.dtype == torch.float32


def test_sizes_come_from_the_shapes(tmp_path: Path) -> None:
    config = ModelConfig(width=96, heads=6, encoder_layers=3, decoder_layers=1, embed=7, octaves=5)
    path = write_ckpt(tmp_path / "a.ckpt", DoraVAE(config).state_dict())
    assert DoraVAE.from_pretrained(path, heads=6).config == config


def test_head_count_argument_hint_sidecar_rule(
    model: DoraVAE, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_ckpt(tmp_path / "a.ckpt", model.state_dict())
    with caplog.at_level(logging.WARNING, "vae"):
        assert DoraVAE.from_pretrained(path).config.heads == 4
    assert "head count" in caplog.text
    (tmp_path / "a.json").write_text(json.dumps({"model": {"heads": 8}}))
    assert DoraVAE.from_pretrained(path).config.heads == 8
    hinted = {"hyper_parameters": {"shape_model": {"num_heads": 2}}}
    path = write_ckpt(tmp_path / "b.ckpt", model.state_dict(), **hinted)
    assert DoraVAE.from_pretrained(path).config.heads == 2
    assert DoraVAE.from_pretrained(path, heads=16).config.heads == 16
    assert head_hint({"a": 1}) is None
    with pytest.raises(CheckpointError, match="heads="):
        DoraVAE.from_pretrained(path, heads=7)


def test_missing_extra_and_misshapen_are_named(model: DoraVAE, tmp_path: Path) -> None:
    state = model.state_dict()
    value = state.pop("pre_kl.bias")
    state["encoder.extra.weight"] = value
    state["post_kl.bias"] = torch.zeros(31)
    with pytest.raises(CheckpointError) as caught:
        DoraVAE.from_pretrained(write_ckpt(tmp_path / "a.ckpt", state))
    for text in ("missing: pre_kl.bias", "unknown: encoder.extra.weight", "post_kl.bias (31,)"):
        assert text in str(caught.value)
    with pytest.raises(CheckpointError, match=r"pre_kl\.bias"):
        convert(tmp_path / "a.ckpt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_foreign_names_are_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"other.weight": torch.zeros(2)}}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=r"other\.weight"):
        DoraVAE.from_pretrained(tmp_path / "a.ckpt")
    save_file({"weight": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"missing post_kl\.weight|missing"):
        DoraVAE.from_pretrained(tmp_path / "a.safetensors")


def test_a_damaged_checkpoint_is_one_line_without_advice_to_load_it_all_the_same(
    model: DoraVAE, tmp_path: Path
) -> None:
    whole = write_ckpt(tmp_path / "whole.ckpt", model.state_dict()).read_bytes()
    noise = np.random.Generator(np.random.PCG64(0))
    said = []
    for position in range(0, len(whole), len(whole) // 40):
        cut = bytearray(whole[:position] if position % 2 else whole)
        if cut:
            at = noise.integers(min(len(cut), 4000), size=3)
            cut[at[0]], cut[at[1]], cut[at[2]] = noise.integers(256, size=3)
        (tmp_path / "damaged.ckpt").write_bytes(cut)
        try:
            DoraVAE.from_pretrained(tmp_path / "damaged.ckpt")
        except CheckpointError as error:
            said.append(str(error))
    assert len(said) > 10
    assert not [text for text in said if "\n" in text or "weights_only" in text]


def test_a_mesh_is_no_model_and_a_misspelt_path_is_guessed(tmp_path: Path) -> None:
    save_mesh(box().mesh, tmp_path / "koala.obj")
    with pytest.raises(CheckpointError, match="not a model; a model is a run folder"):
        DoraVAE.from_pretrained(tmp_path / "koala.obj")
    with pytest.raises(CheckpointError, match=r"did you mean .*koala\.obj"):
        DoraVAE.from_pretrained(tmp_path / "kaola.obj")


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "call": print}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="not a checkpoint of tensors"):
        DoraVAE.from_pretrained(tmp_path / "a.ckpt")
    for name in ("b.ckpt", "b.safetensors"):
        (tmp_path / name).write_bytes(b"not weights at all")
        with pytest.raises(CheckpointError, match="not a"):
            DoraVAE.from_pretrained(tmp_path / name)
    with pytest.raises(CheckpointError, match="no such file"):
        DoraVAE.from_pretrained(tmp_path / "nowhere")


def test_convert_to_ckpt_and_back_keeps_what_no_shape_tells(tmp_path: Path) -> None:
    config = ModelConfig(
        width=32, heads=2, encoder_layers=1, decoder_layers=1, embed=4, output="occupancy"
    )
    write_run(tmp_path / "a", DoraVAE(config).state_dict(), replace(TINY, model=config))
    there = convert(tmp_path / "a", tmp_path / "b")
    assert DoraVAE.from_pretrained(there).config == config
    convert(there, tmp_path / "c")
    assert DoraVAE.from_pretrained(tmp_path / "c").config == config
