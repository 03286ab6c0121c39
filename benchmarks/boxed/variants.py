"""What `starts` trains: `tiny` with other settings, or with a piece of code in another's place.

A setting is `key=value` of `dora-vae train --set`; what no setting does is in CHANGES.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.boxed.repelled import plain_batch, repelled_batch, repelled_rows
from preprocessing.points.sample_at import SampleSource
from preprocessing.seeds import generator
from vae import resident, start
from vae.config import TrainConfig, VAEConfig, override, preset
from vae.data import Batch
from vae.latents import Clouds
from vae.model import DoraVAE

training = import_module("vae.train")  # `vae.train` is the function

SETTINGS = [
    "eps=2/128,2/256",
    "lr=1e-3",
    "resident=true",
    "rotate=true",
    "mirror_probability=0.5",
    "coarse_points=1024",
    "sharp_points=1024",
    "token_lengths=64,128,256,512",
    "token_weights=1,1,1,1",
    "save_every=1000000",
    "keep_last=1",
]
BATCH = 4  # of `tiny`; other batches make as many steps as read the same number of shapes
HALF_CELL = 1 / 128  # of the grid that most samples were made watertight on
VARIANTS: dict[str, list[str]] = {
    "place": [],
    "gaussian": ["start=gaussian"],
    "octaves-2": ["start_octaves=2"],
    "octaves-3": ["start_octaves=3"],
    "octaves-4": ["start_octaves=4"],
    "octaves-6": ["start_octaves=6"],
    "alpha-0.5": ["start_alpha=0.5"],
    "alpha-2": ["start_alpha=2"],
    "alpha-3": ["start_alpha=3"],
    "equal-heads": [],
    "random-attention": [],
    "random-bottleneck": [],
    "zero-output": [],
    "near-weighted-l1": [],
    "no-kl": ["kl_weight=0"],
    "late-kl": [],
    "no-mean-share": ["mean_share=0"],
    "truncation-0.02": ["truncation=0.02"],
    "even-near": [],
    "jitter": [],
    "half-rate": ["lr=5e-4"],
    "twice-rate": ["lr=2e-3"],
    "batch-16": ["batch=16"],
    "batch-8": ["batch=8"],
    "batch-2": ["batch=2"],
    "tokens-up": [],
    "tokens-down": [],
    "muon": [],
    "repelled": [],
}


def settings_of(name: str, steps: int, seed: int, given: Sequence[str] = ()) -> VAEConfig:
    """The config of one variant: `steps` of a batch of BATCH, a fifth of them the KL's warm-up.

    given: settings of all variants, over SETTINGS.
    """
    config = override(preset("tiny"), [*SETTINGS, *given, f"seed={seed}", *VARIANTS[name]])
    steps = steps * BATCH // config.train.batch
    return override(config, [f"steps={steps}", f"kl_warmup={steps // 5}"])


@contextmanager
def changed(name: str) -> Iterator[None]:
    """The variant's pieces of code in the places of the package's."""
    with ExitStack() as stack:
        for owner, attribute, instead in CHANGES.get(name, []):
            stack.enter_context(patch.object(owner, attribute, instead))
        yield


def nothing(*_: object) -> None:
    """A part of the start that is left out: the weights stay random."""


def place_start_silent(model: DoraVAE, *arguments: float) -> None:
    """The start, and an output layer that says zero everywhere."""
    start.place_start(model, *arguments)  # type: ignore[arg-type]
    with torch.no_grad():
        model.decoder.output_proj.weight.zero_()


def near_weighted(logits: Tensor, target: Tensor) -> Tensor:
    """Squared plus absolute error, doubled where the distance is not cut off."""
    apart = logits - target
    return (apart.square() + apart.abs()) * (1 + (target.abs() < 1))


def late_kl(settings: TrainConfig, step: int) -> float:
    """No KL in the first half of the run."""
    return settings.kl_weight * (step >= settings.steps / 2)


def tokens_up(config: VAEConfig, step: int) -> int:
    """Token lengths in ascending order, each for an equal share of the run."""
    lengths = sorted(config.data.token_lengths)
    return lengths[step * len(lengths) // config.train.steps]


def tokens_down(config: VAEConfig, step: int) -> int:
    """In descending order."""
    return tokens_up(config, config.train.steps - 1 - step)


def even_near(item_id: str, path: SampleSource, config: VAEConfig) -> resident.Item:
    """Near points drawn again so that their distances fill the truncation evenly: without this
    they are those of Gaussians of 0.003 and 0.02."""
    item = plain_item(item_id, path, config)
    cut = config.model.truncation
    rows = np.concatenate([item.near, item.space])
    rows = rows[np.abs(rows[:, 3]) < cut]
    draw = generator(config.train.seed, item_id, "even near")
    return replace(item, near=rows[even_rows(rows[:, 3], cut, len(item.near), draw)])


def even_rows(sdf: np.ndarray, cut: float, count: int, draw: np.random.Generator) -> np.ndarray:
    """`count` rows, each of 20 bins of [-cut, cut] that holds any as likely as another."""
    at = np.clip(((sdf + cut) / (2 * cut) * 20).astype(int), 0, 19)
    share = 1 / np.bincount(at, minlength=20)[at]
    return draw.choice(len(sdf), count, p=share / share.sum())


plain_item = resident.load_item


def jittered_batch(held: resident.ResidentSet, micro_step: int) -> Batch:
    """The points that become tokens, moved by up to half a cell along every axis."""
    batch = plain_batch(held, micro_step)
    points = batch.coarse.shape[1]
    draw = generator(held.config.train.seed, f"{micro_step}", "jitter")
    both = torch.cat([batch.coarse, batch.sharp], dim=1)
    shift = draw.uniform(-HALF_CELL, HALF_CELL, (*batch.rows.shape, 3)).astype(np.float32)
    index = batch.rows[..., None].expand(-1, -1, 3)
    both[..., :3].scatter_add_(1, index, torch.from_numpy(shift).to(both.device))
    return replace(batch, coarse=both[:, :points], sharp=both[:, points:])


class MuonForMatrices(torch.optim.AdamW):
    """Muon on the matrices of the blocks, AdamW on everything else, one learning rate.

    What is saved of it is AdamW's: such a run does not resume.
    """

    def __init__(self, model: nn.Module, settings: TrainConfig) -> None:
        blocks = {
            parameter
            for name, parameter in model.named_parameters()
            if parameter.ndim == 2 and ("attn" in name or "transformer" in name)
        }
        decay = settings.weight_decay
        super().__init__(
            [p for p in model.parameters() if p not in blocks],
            lr=settings.lr,
            betas=(settings.beta1, settings.beta2),
            eps=settings.adam_eps,
            weight_decay=decay,
        )
        self.muon = torch.optim.Muon(
            blocks, lr=settings.lr, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
        )

    def step(self, closure: Any = None) -> Any:
        """Both, at the rate that the loop has set."""
        self.muon.param_groups[0]["lr"] = self.param_groups[0]["lr"]
        self.muon.step()
        return super().step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Of both."""
        self.muon.zero_grad(set_to_none)
        super().zero_grad(set_to_none)


# Name -> (owner, name there, what stands in its place).
CHANGES: dict[str, list[tuple[Any, str, Callable[..., object]]]] = {
    "equal-heads": [(start, "head_octaves", lambda most, heads, head: most)],
    "random-attention": [(start, "attend_near", nothing)],
    "random-bottleneck": [(start, "pass_through", nothing)],
    "zero-output": [(training, "place_start", place_start_silent)],
    "near-weighted-l1": [(training, "tsdf_error", near_weighted)],
    "late-kl": [(training, "weight_of_kl", late_kl)],
    "even-near": [(resident, "load_item", even_near)],
    "jitter": [(resident.ResidentSet, "batch", jittered_batch)],
    "tokens-up": [(resident, "draw_tokens", tokens_up)],
    "tokens-down": [(resident, "draw_tokens", tokens_down)],
    "muon": [(training, "optimizer_of", MuonForMatrices)],
    "repelled": [(resident.ResidentSet, "batch", repelled_batch), (Clouds, "rows", repelled_rows)],
}
