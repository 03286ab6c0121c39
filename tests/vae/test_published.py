"""Published vecset VAEs: their arrays, their full-size parameters, and every file that is wrong."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from preprocessing.shapes import box
from vae import load_published
from vae.blocks import BlockStyle
from vae.checkpoint import CheckpointError
from vae.config import ModelConfig
from vae.latents import LatentsError, TokenSource, encode_shape
from vae.model import DoraVAE, draw_queries
from vae.published.families import FAMILIES
from vae.published.layout import published_shapes
from vae.reconstruction import decoded_field

DATA = Path(__file__).parents[1] / "data"
SMALL = {
    "hunyuan3d-2.1": "hunyuan_small",
    "triposg": "triposg_small",
    "step1x-3d": "step1x_small",
    "craftsman": "step1x_small",
}
# Heads, widths and layers of the published files: what their shapes do not tell.
FULL = {
    "hunyuan3d-2.1": ("hunyuan3d_2_1", ModelConfig(width=1024, heads=16), 0, 327_746_177),
    "triposg": ("triposg", ModelConfig(width=512, heads=8), 1024, 242_662_017),
    "step1x-3d": ("step1x_3d", ModelConfig(width=768, heads=12), 0, 191_591_553),
}


def weights(family: str) -> Path:
    return DATA / f"{SMALL[family]}.safetensors"


def settings(family: str) -> dict:
    given = json.loads((DATA / f"{SMALL[family]}.json").read_text())
    return given if family != "craftsman" else {**given, "family": family}


def random_model(family: str, **changes: object) -> DoraVAE:
    """A model of a family with sizes of its own and random numbers everywhere."""
    torch.manual_seed(0)
    variant = replace(FAMILIES[family].variant, **changes)
    config = ModelConfig(
        width=48, heads=3, encoder_layers=1, decoder_layers=2, embed=5, octaves=6, truncation=0.0
    )
    model = DoraVAE(config, variant).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.requires_grad_(False)


def write(model: DoraVAE, family: str, path: Path, prefix: str = "") -> Path:
    """The model in its family's layout."""
    state = published_shapes(family, model.state_dict(), model.config.decoder_layers)
    save_file({prefix + name: value.contiguous() for name, value in state.items()}, path)
    return path


def points(count: int, channels: int) -> torch.Tensor:
    return torch.rand(2, count, channels, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@torch.no_grad()
def test_published_arrays(family: str, dtype: torch.dtype) -> None:
    """To 1e-5; decoded latents reach 20, where float32 steps are 2e-6, and relative to it there."""
    model = load_published(family, weights(family), settings(family)).to(dtype)
    arrays = {k: torch.from_numpy(v) for k, v in np.load(DATA / f"{SMALL[family]}.npz").items()}
    given = {k: v.to(dtype) if v.is_floating_point() else v for k, v in arrays.items()}
    if model.variant.clouds == 1:
        posterior = model.encode(given["surface"], query_index=given["query_index"])
    else:
        rows = given["coarse_query_index"], given["sharp_query_index"]
        posterior = model.encode(given["coarse_surface"], given["sharp_surface"], query_index=rows)
    latents = model.decode(posterior.mean)
    computed = {
        "posterior_mean": posterior.mean,
        "posterior_logvar": posterior.logvar,
        "decoded_latents": latents,
        "logits": model.query(latents, given["queries"]),
    }
    relative = 1e-5 if dtype == torch.float32 else 0.0  # without our own rounding, not needed
    for name, value in computed.items():
        assert torch.allclose(value, given[name], atol=1e-5, rtol=relative), name
    # Each stage by itself, from what the published code gave it, to 1e-5 whatever the size.
    computed["decoded_latents"] = model.decode(given["posterior_mean"])
    computed["logits"] = model.query(given["decoded_latents"], given["queries"])
    for name, value in computed.items():
        assert (value - given[name]).abs().max() <= 1e-5, name


@pytest.mark.parametrize("family", FULL)
def test_full_size_has_the_published_parameters(family: str) -> None:
    stem, config, decoder_width, count = FULL[family]
    with (DATA / f"{stem}_parameters.csv").open() as handle:
        published = {row["name"]: row["shape"] for row in csv.DictReader(handle)}
    with torch.device("meta"):
        model = DoraVAE(config, replace(FAMILIES[family].variant, decoder_width=decoder_width))
        state = published_shapes(family, model.state_dict(), config.decoder_layers)
    assert {k: "x".join(map(str, v.shape)) for k, v in state.items()} == published
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize("family", SMALL)
def test_settings_may_stand_beside_the_weights_or_nowhere(family: str, tmp_path: Path) -> None:
    given = load_published(family, weights(family), settings(family))
    (tmp_path / "vae").mkdir()
    for name, text in (("alone.safetensors", None), ("vae/w.safetensors", settings(family))):
        (tmp_path / name).write_bytes(weights(family).read_bytes())
        if text is not None:
            (tmp_path / "vae/config.json").write_text(json.dumps({**text, "_class_name": "X"}))
    for path in (tmp_path / "alone.safetensors", tmp_path / "vae", tmp_path / "vae/w.safetensors"):
        found = load_published(family, path)
        assert found.config == given.config
        assert found.variant == given.variant


@pytest.mark.parametrize("family", SMALL)
def test_missing_unknown_and_misshapen_are_refused_by_name(family: str, tmp_path: Path) -> None:
    whole = load_file(weights(family))
    alone = [name for name in whole if "blocks" not in name]
    for name in [*alone, *list(whole)[::7]]:
        state = {k: v for k, v in whole.items() if k != name}
        save_file(state, tmp_path / "a.safetensors")
        with pytest.raises(CheckpointError, match=f"missing[^;]*{name}"):
            load_published(family, tmp_path / "a.safetensors")
    save_file({**whole, "encoder.extra.weight": torch.zeros(3)}, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"unknown: encoder\.extra\.weight"):
        load_published(family, tmp_path / "a.safetensors", settings(family))
    for wrong in ({"num_freqs": 7, "embed_frequency": 7}, {"embed_dim": 9, "latent_channels": 9}):
        kept = {k: v for k, v in wrong.items() if k in settings(family)}
        with pytest.raises(CheckpointError, match="of the wrong shape"):
            load_published(family, weights(family), {**settings(family), **kept})


@pytest.mark.parametrize("family", ["hunyuan3d-2.1", "triposg", "step1x-3d", "craftsman", "dora"])
@pytest.mark.parametrize("style", [BlockStyle(), BlockStyle(bias=True)])
def test_other_sizes_and_styles_round_trip(family: str, style: BlockStyle, tmp_path: Path) -> None:
    clouds = FAMILIES[family].variant.clouds
    changes = {"pi": True, "post_eps": 1e-3}
    if family == "triposg":
        changes["decoder_width"] = 60
    elif family == "hunyuan3d-2.1":
        changes |= {"features": 5, "query_shrink": 3, "query_expansion": 2}
    normed = replace(style, head_norm=family != "triposg", eps=1e-4)
    model = random_model(family, style=normed, **changes)
    path = write(model, family, tmp_path / "a.safetensors", "vae.net.")
    eps = {"blocks": 1e-4, "ln_post": 1e-3}
    given = {"heads": 3, "include_pi": True, "eps": eps, "truncation": 0.0}
    found = load_published(family, path, given)
    assert found.config == model.config
    assert found.variant == model.variant
    cloud = points(50, 3 + model.variant.features)
    inputs = (cloud,) if clouds == 1 else (cloud, cloud[:, :30])
    ours, theirs = (m.encode(*inputs, tokens=14).mean for m in (found, model))
    assert torch.equal(ours, theirs)
    assert torch.equal(
        found.query(found.decode(ours), cloud[..., :3]),
        model.query(model.decode(theirs), cloud[..., :3]),
    )


def test_pickles_prefixes_halves_and_containers(tmp_path: Path) -> None:
    state = {k: v.half() for k, v in load_file(weights("hunyuan3d-2.1")).items()}
    given = settings("hunyuan3d-2.1")
    contents = {
        "flat": state,
        "lightning": {"state_dict": {f"vae_model.{k}": v for k, v in state.items()}, "epoch": 3},
        "nested": {"model": {"vae": state, "step": 1}},
    }
    first = None
    for name, content in contents.items():
        torch.save(content, tmp_path / f"{name}.fp16.ckpt")
        model = load_published("hunyuan3d-2.1", tmp_path / f"{name}.fp16.ckpt", given)
        assert model.pre_kl.weight.dtype == torch.float32
        first = first or model
        assert torch.equal(first.pre_kl.weight, model.pre_kl.weight)
    torch.save({"state_dict": state, "call": print}, tmp_path / "code.ckpt")
    with pytest.raises(CheckpointError, match="not a checkpoint of tensors"):
        load_published("hunyuan3d-2.1", tmp_path / "code.ckpt", given)
    torch.save({"vae." + k: v for k, v in state.items()} | {"dit.x": state["pre_kl.bias"]},
               tmp_path / "more.ckpt")  # fmt: skip
    with pytest.raises(CheckpointError, match=r"unknown: dit\.x"):
        load_published("hunyuan3d-2.1", tmp_path / "more.ckpt", given)
    with pytest.raises(CheckpointError, match="several weights"):
        load_published("hunyuan3d-2.1", tmp_path, given)


def test_dora_names_in_a_craftsman_file(tmp_path: Path) -> None:
    state = {
        f"shape_model.{k.replace('_sharp', '1')}": v
        for k, v in load_file(weights("craftsman")).items()
    }
    torch.save({"state_dict": state}, tmp_path / "model.ckpt")
    one = load_published("craftsman", tmp_path / "model.ckpt", settings("craftsman"))
    two = load_published("craftsman", weights("craftsman"), settings("craftsman"))
    assert torch.equal(one.encoder.input_proj1.weight, two.encoder.input_proj1.weight)
    assert one.variant.points == 16384
    assert load_published("craftsman", weights("craftsman")).variant.points == 16384


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "triposg"}, "of triposg, not of hunyuan"),
        ({"widht": 64}, "unknown widht"),
        ({"normal_pe": True}, "normal_pe=True is another network"),
        ({"heads": 5}, "does not divide"),
        ({"eps": {"qk": 1e-5}}, "unknown eps 'qk'"),
    ],
)
def test_settings_of_another_network_are_refused(change: dict, message: str) -> None:
    given = {**settings("hunyuan3d-2.1"), **change}
    with pytest.raises(CheckpointError, match=message):
        load_published("hunyuan3d-2.1", weights("hunyuan3d-2.1"), given)


def test_wrong_family_or_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there are dora, hunyuan"):
        load_published("hunyuan", weights("hunyuan3d-2.1"))
    with pytest.raises(CheckpointError, match=r"of hunyuan3d-2.1, not of triposg"):
        load_published("triposg", weights("hunyuan3d-2.1"))
    with pytest.raises(CheckpointError, match="missing"):
        load_published("triposg", weights("hunyuan3d-2.1"), {})
    with pytest.raises(CheckpointError, match="holds no weights"):
        load_published("triposg", tmp_path)
    with pytest.raises(CheckpointError, match="no such file"):
        load_published("triposg", tmp_path / "x")
    (tmp_path / "c.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="no JSON object"):
        load_published("triposg", weights("triposg"), tmp_path / "c.json")


@pytest.mark.parametrize("tokens", [1, 9, 200, 300])
@torch.no_grad()
def test_queries_of_one_cloud(tokens: int) -> None:
    cloud = points(300, 6)
    rows = draw_queries(cloud, tokens, 4, seed=1)
    assert rows.shape == (2, tokens)
    assert all(len(set(item.tolist())) == tokens for item in rows)
    assert torch.equal(rows, draw_queries(cloud, tokens, 4, seed=1))
    if tokens in (9, 200):
        assert not torch.equal(rows, draw_queries(cloud, tokens, 4, seed=2))
    with pytest.raises(ValueError, match="from 1 to the cloud's 300 points"):
        draw_queries(cloud, 301, 4)


def test_clouds_that_a_variant_does_not_take() -> None:
    one, two = random_model("triposg"), random_model("craftsman")
    with pytest.raises(ValueError, match="takes one cloud"):
        one.encode(points(20, 6), points(20, 6), tokens=4)
    with pytest.raises(ValueError, match="takes two clouds"):
        two.encode(points(20, 6), tokens=4)
    with pytest.raises(ValueError, match=r"\(B, N, 7\)"):
        random_model("hunyuan3d-2.1").encode(points(20, 6), tokens=4)
    with pytest.raises(ValueError, match="give tokens"):
        one.encode(points(20, 6))


def test_input_of_a_shape_and_field_in_its_frame() -> None:
    """Positions are scaled into the network's frame, and nothing is inside beyond its bound."""
    model = random_model("hunyuan3d-2.1", points=500, frame=0.5, bound=0.45)
    seen = {}
    encode = model.encode

    def spy(cloud: torch.Tensor, **options: torch.Tensor):
        seen.update(cloud=cloud, rows=options["query_index"])
        return encode(cloud, **options)

    model.encode = spy  # type: ignore[method-assign]
    source = TokenSource(box().mesh, seed=3)
    latents = encode_shape(model, source, 40)
    cloud = seen["cloud"][0].numpy()
    assert cloud.shape == (500, 7)
    assert (cloud[:, 6] == 0).all()
    assert np.allclose(np.linalg.norm(cloud[:, 3:6], axis=1), 1, atol=1e-6)
    assert np.abs(cloud[:, :3]).max() == pytest.approx(0.5, abs=1e-3)
    rows = seen["rows"][0].numpy()
    assert np.array_equal(cloud[rows, :3], 0.5 * latents.positions.numpy())
    again = encode_shape(model, TokenSource(box().mesh, seed=3), 40)
    assert torch.equal(again.mean, latents.mean)

    field = decoded_field(model, latents)
    inside, beyond = np.full((1, 3), 0.8, np.float32), np.full((1, 3), 0.95, np.float32)
    keys = model.keys(model.decode(latents.z[None]))
    assert field(inside) == model.query(keys, torch.tensor(0.5 * inside)[None])[0].numpy()
    assert field(beyond) < 0
    with pytest.raises(LatentsError, match="give the mesh"):
        TokenSource.scatter(replace_mesh(source), 5)


def replace_mesh(source: TokenSource) -> TokenSource:
    source.mesh = None
    return source
