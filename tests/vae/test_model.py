"""The model equals the published arrays and a plain transcription; any token count works."""

import copy
import csv
from pathlib import Path

import numpy as np
import plain_vae
import pytest
import torch

from vae.blocks import PART, PLAIN, BlockStyle, CrossBlock
from vae.config import ModelConfig
from vae.model import DoraVAE, choose_queries, split_tokens

SMALL = ModelConfig(width=48, heads=3, encoder_layers=2, decoder_layers=3, embed=6)


def seeded(config: ModelConfig = SMALL, seed: int = 0) -> DoraVAE:
    torch.manual_seed(seed)
    model = DoraVAE(config).eval()
    for parameter in model.parameters():  # biases and norms away from 0 and 1 as well
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def joined(coarse: torch.Tensor, rows: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return torch.cat([rows[0], rows[1] + coarse.shape[1]], dim=1)


def clouds(batch: int = 2, coarse: int = 90, sharp: int = 70) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.rand(batch, coarse, 6, generator=generator) * 2 - 1,
        torch.rand(batch, sharp, 6, generator=generator) * 2 - 1,
    )


@pytest.mark.parametrize("own_fps", [True, False])
@torch.no_grad()
def test_published_arrays_to_1e_5(own_fps: bool, reference_dir: Path) -> None:
    arrays = {k: torch.from_numpy(v) for k, v in np.load(reference_dir / "dora_small.npz").items()}
    rows = (arrays["coarse_query_index"], arrays["sharp_query_index"])
    model = DoraVAE.from_pretrained(reference_dir / "dora_small.ckpt")
    inputs = arrays["coarse_surface"], arrays["sharp_surface"]
    if own_fps:
        posterior = model.encode(*inputs, 64)
        for ours, theirs in zip(choose_queries(*inputs, 64), rows, strict=True):
            assert torch.equal(ours, theirs)
    else:
        posterior = model.encode(*inputs, query_index=rows)
    latents = model.decode(posterior.mean)
    computed = {
        "encoder_output": model.encoder(*inputs, joined(inputs[0], rows), None, False),
        "posterior_mean": posterior.mean,
        "posterior_logvar": posterior.logvar,
        "kl": posterior.kl(),
        "decoded_latents": latents,
        "logits": model.query(latents, arrays["queries"]),
    }
    for name, value in computed.items():
        assert (value - arrays[name]).abs().max() <= 1e-5, name


def test_full_size_has_the_published_parameters(reference_dir: Path) -> None:
    with (reference_dir / "dora_vae_1_1_parameters.csv").open() as handle:
        published = [(row["name"], row["shape"]) for row in csv.DictReader(handle)]
    with torch.device("meta"):
        model = DoraVAE(ModelConfig())
    ours = [
        ("shape_model." + k, "x".join(map(str, v.shape))) for k, v in model.state_dict().items()
    ]
    assert ours == published
    assert sum(p.numel() for p in model.parameters()) == 191_591_553


def test_equals_the_plain_transcription() -> None:
    model, (coarse, sharp) = seeded(), clouds()
    rows = choose_queries(coarse, sharp, 37)
    xyz = torch.rand(2, 50, 3, generator=torch.Generator().manual_seed(2)) * 2 - 1
    logits, posterior = model(coarse, sharp, joined(coarse, rows), xyz)
    logits.square().sum().backward()

    state = {k: v.detach().clone().requires_grad_() for k, v in model.named_parameters()}
    _, mean, logvar = plain_vae.encode(state, 3, coarse, sharp, rows)
    twin = plain_vae.query(state, 3, plain_vae.decode(state, 3, mean), xyz)
    twin.square().sum().backward()
    assert (posterior.mean - mean).abs().max() < 1e-5
    assert (posterior.logvar - logvar).abs().max() < 1e-5
    assert (logits - twin).abs().max() < 1e-5
    for name, parameter in model.named_parameters():
        if state[name].grad is not None:
            scale = state[name].grad.abs().max() + 1
            assert (parameter.grad - state[name].grad).abs().max() < 1e-4 * scale, name


def test_head_order_matters() -> None:
    model, (coarse, sharp) = seeded(), clouds()
    other = DoraVAE(ModelConfig(**{**vars(SMALL), "heads": 4})).eval()
    other.load_state_dict(model.state_dict())
    difference = model.encode(coarse, sharp, 8).mean - other.encode(coarse, sharp, 8).mean
    assert difference.abs().max() > 1e-3


@pytest.mark.parametrize("tokens", [1, 2, 7, 64, 139])
@torch.no_grad()
def test_any_token_count(tokens: int) -> None:
    model, (coarse, sharp) = seeded(), clouds()
    mean = model.encode(coarse, sharp, tokens).mean
    assert mean.shape == (2, tokens, 6)
    assert torch.isfinite(model.query(model.decode(mean), coarse[..., :3])).all()


def test_token_split() -> None:
    assert split_tokens(1, 10) == (1, 0)
    assert split_tokens(7, 10) == (4, 3)
    assert split_tokens(8, 0) == (8, 0)
    with pytest.raises(ValueError, match="at least 1"):
        split_tokens(0, 10)


def test_too_many_tokens_is_an_error_with_the_cloud_named() -> None:
    with pytest.raises(ValueError, match=r"200 tokens need 100 points of the uniform.*holds 90"):
        seeded().encode(*clouds(), 200)


@torch.no_grad()
def test_smaller_token_sets_are_prefixes_of_one_order() -> None:
    coarse, sharp = clouds()
    large, small = choose_queries(coarse, sharp, 60), choose_queries(coarse, sharp, 21)
    assert torch.equal(large[0][:, :11], small[0])
    assert torch.equal(large[1][:, :10], small[1])


@torch.no_grad()
def test_empty_salient_cloud_equals_masked_padding() -> None:
    model, (coarse, sharp) = seeded(), clouds()
    alone = model.encode(coarse[:1], sharp[:1, :0], 9).mean
    rows, none = choose_queries(coarse, sharp[:, :0], 9)
    assert none.shape == (2, 0)
    together = model.posterior(coarse, sharp, rows, torch.tensor([False, True])).mean
    assert (together[:1] - alone).abs().max() < 1e-6
    assert (together[1] - model.encode(coarse, sharp[:, :0], 9).mean[1]).abs().max() > 1e-3


@torch.no_grad()
def test_tokens_are_a_set() -> None:
    """Shuffling tokens shuffles latents and leaves the field: no positional encoding anywhere."""
    model, (coarse, sharp) = seeded(), clouds()
    z = model.encode(coarse, sharp, 31).mean
    order = torch.randperm(31, generator=torch.Generator().manual_seed(3))
    latents, shuffled = model.decode(z), model.decode(z[:, order])
    assert (latents[:, order] - shuffled).abs().max() < 1e-5
    xyz = coarse[..., :3]
    assert (model.query(latents, xyz) - model.query(shuffled, xyz)).abs().max() < 1e-5


@torch.no_grad()
def test_keys_once_equal_latents_each_time() -> None:
    model, (coarse, sharp) = seeded(), clouds()
    latents = model.decode(model.encode(coarse, sharp, 16).mean)
    whole = model.query(latents, coarse[..., :3])
    keys = model.keys(latents)
    chunks = [model.query(keys, part[..., :3]) for part in coarse.split(13, dim=1)]
    assert (torch.cat(chunks, 1) - whole).abs().max() < 1e-6


def test_activation_checkpointing_changes_no_gradient() -> None:
    coarse, sharp = clouds()
    rows = choose_queries(coarse, sharp, 12)
    gradients = []
    for checkpointing in (False, True):
        model = seeded()
        model.checkpointing = checkpointing
        logits, posterior = model(coarse, sharp, joined(coarse, rows), coarse[..., :3])
        (logits.square().mean() + posterior.kl().mean()).backward()
        gradients.append([p.grad for p in model.parameters()])
    for plain, checked in zip(*gradients, strict=True):
        assert torch.equal(plain, checked)


@torch.no_grad()
def test_posterior_sample_is_seeded_and_has_the_stated_variance() -> None:
    posterior = seeded().encode(*clouds(), 40)
    draws = [
        torch.stack([posterior.sample(torch.Generator().manual_seed(s)) for s in range(400)])
        for _ in range(2)
    ]
    assert torch.equal(draws[0], draws[1])
    spread = ((draws[0] - posterior.mean) / torch.exp(0.5 * posterior.logvar)).var()
    assert abs(spread.item() - 1) < 0.02


def test_kl_against_torch_distributions() -> None:
    posterior = seeded().encode(*clouds(), 10)
    normal = torch.distributions.Normal(posterior.mean, torch.exp(0.5 * posterior.logvar))
    unit = torch.distributions.Normal(torch.zeros(()), torch.ones(()))
    exact = torch.distributions.kl_divergence(normal, unit).mean(dim=(1, 2))
    assert (posterior.kl() - exact).abs().max() < 1e-5


@pytest.mark.parametrize("gradients", [True, False])
def test_bf16_autocast_stays_close(gradients: bool) -> None:
    model, (coarse, sharp) = seeded(), clouds()
    rows = choose_queries(coarse, sharp, 16)
    with torch.set_grad_enabled(gradients):
        exact, _ = model(coarse, sharp, joined(coarse, rows), coarse[..., :3])
        with torch.autocast("cpu", torch.bfloat16):
            rounded, _ = model(coarse, sharp, joined(coarse, rows), coarse[..., :3])
    assert (exact - rounded).abs().max() < 0.05 * exact.abs().max() + 0.05


@pytest.mark.parametrize("style", [PLAIN, BlockStyle(bias=True, head_norm=True, eps=1e-6)])
@pytest.mark.parametrize(("width", "rows"), [(48, 7), (24, 2 * PART + 7), (96, PART)])
def test_keys_of_a_projection_are_those_of_what_it_projects(
    style: BlockStyle, width: int, rows: int
) -> None:
    """Without gradients they are one product, in parts, and as near to the exact ones."""
    torch.manual_seed(0)
    block, project = CrossBlock(width, 3, style), torch.nn.Linear(31, width)
    for norm in (block.ln_2, block.attn.attention.k_norm if block.attn.attention else None):
        if norm is not None:
            torch.nn.init.normal_(norm.weight)
            torch.nn.init.normal_(norm.bias)
    channels = torch.randn(2, rows, 31)
    steps = block.projected_keys(project, channels)  # with gradients: step by step
    with torch.no_grad():
        folded = block.projected_keys(project, channels)
        exact = (
            copy.deepcopy(block).double().keys(copy.deepcopy(project).double()(channels.double()))
        )
    for one, two, three in zip(steps, folded, exact, strict=True):
        assert two.shape == one.shape
        assert (two - three).abs().max() <= 2 * (one - three).abs().max()
        assert (two - three).abs().max() < 1e-5 * three.abs().max()
