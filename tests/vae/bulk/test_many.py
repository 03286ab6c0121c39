"""Whole folders through a model: the bytes of a loop, a row for everything, statistics."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from vae_samples import MODEL, Deadly, box_sample, write_boxes, write_model

from preprocessing.console import UsageError
from preprocessing.mesh import load_mesh, save_mesh
from preprocessing.points.samples import read_sample, write_sample
from preprocessing.points.shards import find_packed
from preprocessing.running.ledger import read_ledger
from preprocessing.running.runner import started_ahead
from preprocessing.settings import Limits
from preprocessing.shapes import box
from vae.bulk.many import decode_many, encode_many, model_source
from vae.bulk.settings import DecodeSettings, EncodeSettings, ModelSource
from vae.checkpoint import write_run
from vae.config import TINY, override
from vae.inputs import read_input
from vae.latents import TokenSource, encode_shape, read_latents, write_latents
from vae.model import DoraVAE
from vae.reconstruction import decode_latents
from vae.train import torch_threads

LIMITS = Limits(executor="inline", workers=2, quiet=True)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in the children: more threads may round the last bit of a small model otherwise."""
    with torch_threads(1):
        yield


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", 0.05)


def asked(model: Path) -> tuple[EncodeSettings, ModelSource]:
    """Settings and source of a run of 7 tokens."""
    source, _ = model_source(model, None, "cpu", LIMITS, 7)
    return EncodeSettings(model_sha256=source.sha256, tokens=7, eps=2 / 64), source


def rows_of(folder: Path) -> dict[str, tuple[str, str]]:
    """Status and reason by id."""
    return {r["id"]: (r["status"], r["reason"]) for r in read_ledger(folder).to_pylist()}


def write_loop(model: DoraVAE, data: Path, loop: Path) -> list[Path]:
    """What a user would write: every shape of `data` by `encode_shape`, one after another."""
    for name in ("box0", "box1", "box2"):
        sample = read_sample(data / f"{name}.safetensors")
        write_latents(encode_shape(model, sample, 7), loop / f"{name}.safetensors")
    solid = TokenSource(read_input(data / "mesh.ply", 2 / 64).shape, item_id="mesh")
    torch.set_num_threads(1)  # making a solid may have set another count
    write_latents(encode_shape(model, solid, 7), loop / "mesh.safetensors")
    return sorted(loop.iterdir())


def test_the_bytes_of_a_loop_and_back(model: Path, tmp_path: Path) -> None:
    """Samples, a raw mesh and faults in; then latents, their figures and shards; then meshes."""
    data, out, shards = write_boxes(tmp_path / "in"), tmp_path / "latents", tmp_path / "shards"
    save_mesh(box((8.0, 4.0, 2.0)).mesh, data / "mesh.ply")
    (data / "broken.safetensors").write_bytes(b"no sample")
    write_sample(box_sample("few", (0.9, 0.5, 0.5), 2), data / "few.safetensors")
    settings, source = asked(model)
    summary = encode_many([str(data)], out, settings, source, LIMITS, (shards, "1MB"))
    assert summary.exit_code == 3
    assert rows_of(out) == {
        **dict.fromkeys(("box0", "box1", "box2", "mesh"), ("ok", "")),
        "broken": ("rejected", "bad-file"),
        "few": ("rejected", "no-tokens"),
    }

    net = DoraVAE.from_pretrained(model)
    loop = write_loop(net, data, tmp_path / "loop")
    for path in loop:
        assert (out / path.name).read_bytes() == path.read_bytes(), path.name

    means = [read_latents(path).mean.numpy().astype(np.float64) for path in loop]
    told = json.loads((out / "latents.json").read_text())
    assert (told["count"], told["vectors"], told["tokens"]) == (4, 28, 7)
    np.testing.assert_allclose(told["mean"], np.concatenate(means).mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(told["std"], np.concatenate(means).std(axis=0), atol=1e-12)
    row = next(r for r in read_ledger(out).to_pylist() if r["id"] == "mesh")
    assert (row["scale"], row["eps"], row["tokens"], row["channels"]) == (0.25, 2 / 64, 7, 3)

    assert list(find_packed(shards)) == ["box0", "box1", "box2", "mesh"]
    assert (shards / "latents.json").read_bytes() == (out / "latents.json").read_bytes()
    decoding = DecodeSettings(model_sha256=source.sha256, resolution=32)
    for inputs, folder in ((out, "from files"), (shards, "from shards")):
        done = decode_many([str(inputs)], tmp_path / folder, decoding, source, LIMITS)
        assert done.counts == {"ok": 4}
        faces = {r["id"]: r["faces"] for r in read_ledger(tmp_path / folder).to_pylist()}
        for path in loop:
            one, made = tmp_path / "one.ply", tmp_path / folder / f"{path.stem}.ply"
            save_mesh(decode_latents(net, read_latents(path), 32), one)
            assert made.read_bytes() == one.read_bytes()
            assert faces[path.stem] == len(load_mesh(made).faces)


def test_what_is_done_stands_and_other_settings_are_refused(model: Path, tmp_path: Path) -> None:
    data, out = write_boxes(tmp_path / "in"), tmp_path / "latents"
    settings, source = asked(model)
    encode_many([str(data)], out, settings, source, LIMITS)
    before = {path.name: path.read_bytes() for path in out.glob("*.safetensors")}
    figures = (out / "latents.json").read_bytes()
    (out / "box1.safetensors").unlink()
    again = encode_many([str(data)], out, settings, source, replace(LIMITS, workers=1))
    assert again.counts == {"ok": 1, "skipped": 2}
    assert {path.name: path.read_bytes() for path in out.glob("*.safetensors")} == before
    assert (out / "latents.json").read_bytes() == figures
    with pytest.raises(UsageError, match=r"3 outputs of other settings \(tokens 7, not 8\)"):
        encode_many([str(data)], out, replace(settings, tokens=8), source, LIMITS)
    assert (out / "latents.json").read_bytes() == figures
    whole = encode_many([str(data)], out, replace(settings, tokens=8), source, LIMITS, None, True)
    assert whole.counts == {"ok": 3}
    assert len(read_latents(out / "box0.safetensors").mean) == 8


def test_numbers_that_are_not_finite_fail_and_leave_no_file(model: Path, tmp_path: Path) -> None:
    net = DoraVAE.from_pretrained(model)
    net.pre_kl.bias.data.fill_(float("nan"))
    write_run(model, net.state_dict(), override(TINY, MODEL))
    settings, source = asked(model)
    out = tmp_path / "latents"
    summary = encode_many([str(write_boxes(tmp_path / "in", 1))], out, settings, source, LIMITS)
    assert summary.counts == {"failed": 1}
    assert "not-finite: mean" in rows_of(out)["box0"][1]
    assert not list(out.glob("*.safetensors"))
    assert not (out / "latents.json").exists()


def test_latents_of_another_model_are_rows_with_the_reason(model: Path, tmp_path: Path) -> None:
    sample = box_sample("box", (0.9, 0.5, 0.5))
    latents = encode_shape(DoraVAE.from_pretrained(model), sample, 5, model_hash="other")
    write_latents(latents, tmp_path / "in/box.safetensors")
    (tmp_path / "in/junk.safetensors").write_bytes(b"junk")
    source, _ = model_source(model, None, "cpu", LIMITS)
    settings, out = DecodeSettings(model_sha256=source.sha256, resolution=16), tmp_path / "out"
    decode_many([str(tmp_path / "in")], out, settings, source, LIMITS)
    assert rows_of(out) == {"box": ("rejected", "other-model"), "junk": ("rejected", "bad-file")}


def test_another_model_on_another_machine_is_refused(model: Path) -> None:
    source, _ = model_source(model, None, "cpu", LIMITS)
    with pytest.raises(UsageError, match="other weights here"):
        replace(source, sha256="0" * 64).load()


def test_a_batch_is_what_each_is_alone(model: Path, tmp_path: Path) -> None:
    """Four of equal sizes with a broken one among them, and one of another size: a row each."""
    data = write_boxes(tmp_path / "in", 4)
    (data / "box1a.safetensors").write_bytes(b"no sample")
    write_sample(box_sample("few", (0.9, 0.5, 0.5), 2), data / "few.safetensors")
    write_sample(box_sample("other", (0.9, 0.5, 0.4), 96), data / "other.safetensors")
    settings, source = asked(model)
    limits = replace(LIMITS, workers=1)
    wanted = {
        **dict.fromkeys(("box0", "box1", "box2", "box3", "other"), ("ok", "")),
        "box1a": ("rejected", "bad-file"),
        "few": ("rejected", "no-tokens"),
    }
    for batch in (1, 4):
        encode_many([str(data)], tmp_path / str(batch), settings, source, limits, batch=batch)
        assert rows_of(tmp_path / str(batch)) == wanted
    for name in (name for name, (status, _) in wanted.items() if status == "ok"):
        one, four = (read_latents(tmp_path / n / f"{name}.safetensors") for n in ("1", "4"))
        assert torch.equal(one.positions, four.positions)
        assert (one.salient, one.item_id) == (four.salient, four.item_id)
        for given, found in ((one.mean, four.mean), (one.logvar, four.logvar)):
            torch.testing.assert_close(found, given, atol=1e-5, rtol=1e-5)

    (tmp_path / "4/box2.safetensors").unlink()
    again = encode_many([str(data)], tmp_path / "4", settings, source, limits, batch=4)
    assert again.counts == {"ok": 1, "skipped": 4, "rejected": 2}


def test_what_fails_a_whole_batch_is_tried_alone(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that kills its reader costs itself alone."""
    data, out = write_boxes(tmp_path / "in", 4), tmp_path / "latents"
    monkeypatch.setattr("vae.bulk.many.Encoder", Deadly)
    (data / "deadly.safetensors").write_bytes(b"")
    settings, source = asked(model)
    with started_ahead("vae.bulk.encoding") as server:
        summary = encode_many([str(data)], out, settings, source, LIMITS, server=server, batch=5)
    assert summary.counts == {"ok": 4, "crashed": 1}
    assert rows_of(out)["deadly"] == ("crashed", "exit code 7")
