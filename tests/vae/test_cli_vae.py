"""dora-vae: every command on real files, exit codes, and what goes to standard output."""

import json
from pathlib import Path

import pytest
import torch
from vae_samples import box_sample, write_boxes

from preprocessing.console import run_command
from preprocessing.mesh import load_mesh, save_mesh
from preprocessing.points.layouts import write_npz
from preprocessing.points.samples import read_sample, write_sample
from preprocessing.shapes import box
from vae.checkpoint import write_run
from vae.cli import app
from vae.config import TINY, override
from vae.model import DoraVAE

MODEL = ["width=16", "heads=2", "encoder_layers=1", "decoder_layers=1", "embed=3"]
TRAIN = [
    *MODEL,
    *("coarse_points=32", "sharp_points=32", "coarse_near=24", "space=24", "sharp_near=16"),
    *("token_lengths=6,9", "token_weights=0.5,0.5", "batch=2"),
]
OPTIONS = [part for setting in TRAIN for part in ("--set", setting)]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    """Run the command; returns its exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            run_command(lambda: app([str(a) for a in arguments]))
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    config = override(TINY, MODEL)
    net = DoraVAE(config.model)
    net.decoder.output_proj.bias.data.fill_(0.05)  # some inside, some outside
    write_run(tmp_path / "model", net.state_dict(), config)
    return tmp_path / "model"


def test_train_stops_and_goes_on(run, tmp_path: Path) -> None:
    data = write_boxes(tmp_path / "data", points=100)
    arguments = ("train", "--data", data, "--out", tmp_path / "run", "--device", "cpu", *OPTIONS)
    code, out, err = run(*arguments, "--steps", 3, "--json")
    assert code == 0, err
    assert set(json.loads(out)) >= {"run", "loss", "iou", "tokens"}
    code, out, _ = run(*arguments, "--steps", 5, "--quiet")
    assert (code, out) == (0, "")
    assert len((tmp_path / "run/log.csv").read_text().splitlines()) == 6
    fewer = (*arguments, "--set", "steps=2", "--overwrite")
    code, _, err = run(*fewer, "--steps", 5)
    assert code == 0
    assert "--set steps=5" in err


def test_encode_decode_reconstruct(run, model: Path, tmp_path: Path) -> None:
    sample = tmp_path / "box.safetensors"
    write_sample(box_sample("box", (0.9, 0.3, 0.5)), sample)
    latents, mesh = tmp_path / "latents.safetensors", tmp_path / "mesh.ply"
    shared = ("--model", model, "--device", "cpu", "--json")
    code, out, err = run("encode", sample, "--tokens", 7, "--out", latents, *shared)
    assert code == 0, err
    assert json.loads(out)["latent_floats"] == 21
    code, out, err = run("decode", latents, "--resolution", 32, "--out", mesh, *shared)
    assert code == 0, err
    decoded = load_mesh(mesh)
    assert len(decoded.faces) == json.loads(out)["faces"] > 0
    again = tmp_path / "again.ply"
    code, out, _ = run(
        "reconstruct", sample, "--tokens", 7, "--resolution", 32, "--out", again, *shared
    )
    assert code == 0
    assert again.read_bytes() == mesh.read_bytes()
    write_npz(read_sample(sample), tmp_path / "box.npz")
    code, out, err = run("encode", tmp_path / "box.npz", "--tokens", 7, "--out", latents, *shared)
    assert code == 0, err
    assert json.loads(out)["latent_floats"] == 21


def test_a_mesh_is_normalised_and_the_way_back_is_told(run, model: Path, tmp_path: Path) -> None:
    save_mesh(box((8.0, 4.0, 2.0)).mesh, tmp_path / "box.obj")
    code, out, err = run(
        *("encode", tmp_path / "box.obj", "--tokens", 5, "--model", model, "--json"),
        *("--out", tmp_path / "l.safetensors"),
    )
    assert code == 0, err
    assert json.loads(out)["scale"] == 0.25
    assert json.loads(out)["center"] == [0, 0, 0]
    assert json.loads(out)["eps"] == 2 / 256


def test_eps_and_raw_decide_what_a_raw_mesh_becomes(run, model: Path, tmp_path: Path) -> None:
    save_mesh(box((8.0, 4.0, 2.0)).mesh, tmp_path / "box.obj")
    command = ("encode", tmp_path / "box.obj", "--tokens", 5, "--model", model, "--json")
    command += ("--out", tmp_path / "l.safetensors")
    made = [json.loads(run(*command, *more)[1]) for more in (("--eps", "2/64"), ("--raw",))]
    assert [figures["eps"] for figures in made] == [2 / 64, None]
    code, _, err = run(*command, "--eps", "thick")
    assert code == 2
    assert "--eps thick" in err


def test_more_tokens_than_fit_are_refused_at_once(run, model: Path, tmp_path: Path) -> None:
    save_mesh(box().mesh, tmp_path / "box.obj")
    code, _, err = run(
        *("reconstruct", tmp_path / "box.obj", "--model", model, "--out", tmp_path / "o.ply"),
        *("--tokens", 10**10),
    )
    assert code == 2
    assert "10,000,000,000 tokens need about" in err
    assert "enough for" in err


def test_a_place_that_cannot_be_written_is_told_before_the_model_is_read(
    run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for out, message in (("file/o.ply", "is a file"), ("o.docx", "ends in .glb .obj .ply .stl")):
        code, _, err = run("reconstruct", __file__, "--model", "nowhere", "--out", tmp_path / out)
        assert code == 2
        assert message in err


def test_convert_there_and_back(run, model: Path, tmp_path: Path) -> None:
    code, out, _ = run("convert", model, "--out", tmp_path / "ckpt", "--json")
    assert code == 0
    code, out, _ = run("convert", json.loads(out)["written"], "--out", tmp_path / "b", "--heads", 2)
    assert code == 0
    assert (tmp_path / "b/model.safetensors").read_bytes() != b""
    one, other = DoraVAE.from_pretrained(model), DoraVAE.from_pretrained(tmp_path / "b")
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--data", "nowhere", "--out", "r"), "no samples"),
        (("train", "--data", ".", "--out", "r", "--preset", "tinny"), "did you mean 'tiny'"),
        (("train", "--data", ".", "--out", "r", "--set", "lrr=1"), "did you mean 'lr'"),
        (("train", "--data", ".", "--out", "r", "--device", "tpu"), "auto, cpu or cuda"),
        (("encode", __file__, "--model", "nowhere", "--out", "l.safetensors"), "no such file"),
        (("encode", "a.ply", "--model", "m", "--out", "l.safetensors"), "a.ply: no such file"),
        (("convert", "nowhere.ckpt", "--out", "o"), "no such file"),
        (("decode", "nowhere.safetensors", "--model", "m", "--out", "o.ply"), "nowhere"),
        (
            ("reconstruct", __file__, "--model", "m", "--out", "o.ply", "--posterior", "mode"),
            "mean or",
        ),
    ],
)
def test_wrong_usage_exits_2_with_the_reason(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert "Traceback" not in err
