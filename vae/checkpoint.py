"""Weights on disk: safetensors beside a JSON of the config, and the published `.ckpt` layout.

The head count is the one size that no tensor's shape tells. In order: the `heads=` argument; a
hint in the .ckpt (`heads` or `num_heads` anywhere under its other keys); a `<name>.json` or
`config.json` beside the file; else the rule of the published models: 64 channels a head when the
width is a multiple of 64 and at least 256 (768 -> 12), and 4 heads for smaller widths (the
reference checkpoint of width 64). A head count taken by the rule is logged.
"""

import hashlib
import json
import logging
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from preprocessing.console import nearest
from preprocessing.files import atomic_path, atomic_write
from vae.config import ConfigError, ModelConfig, VAEConfig, from_dict, section_from_dict, to_dict

PREFIX = "shape_model."
HYPER = "dora_model_config"  # where a .ckpt of ours keeps its model's config
WEIGHTS, CONFIG = "model.safetensors", "config.json"
SAVED_BY_TORCH = (b"PK\3\4", b"\x80\2")  # a zip, or the pickle of torch before 1.6
# What torch.load raises on a damaged file: the unpickler does what the wrong bytes say.
DAMAGE = (
    *(zipfile.BadZipFile, EOFError, OSError, RuntimeError),
    *(AttributeError, LookupError, TypeError, ValueError),
)
MODELS = "a model is a run folder, a .safetensors or a published .ckpt"
log = logging.getLogger("vae")


class CheckpointError(ValueError):
    """A file that is not a usable model; the message names what is wrong with it."""


def read_weights(path: Path, *, heads: int | None = None) -> tuple[dict[str, Tensor], ModelConfig]:
    """Tensors by name (without the published prefix, in the dtypes stored) and their config."""
    if not path.is_file():
        siblings = path.parent.iterdir() if path.parent.is_dir() else ()
        hint = nearest(str(path), [str(sibling) for sibling in siblings])
        raise CheckpointError(f"{path}: no such file{hint}")
    if path.suffix == ".safetensors":
        return read_safetensors(path, heads)
    tensors, hints = read_ckpt(path)
    if isinstance(hints.get(HYPER), dict) and "output" in hints[HYPER]:
        try:
            return tensors, section_from_dict(ModelConfig, hints[HYPER])
        except ConfigError as error:
            raise CheckpointError(f"{path}: {error}") from error
    return tensors, infer_config(tensors, heads or head_hint(hints) or head_sidecar(path), path)


def read_safetensors(path: Path, heads: int | None) -> tuple[dict[str, Tensor], ModelConfig]:
    """Our own files carry the model's config in their header; others take it from the shapes."""
    try:
        with safe_open(path, "pt") as handle:
            metadata = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a safetensors file ({error})") from error
    tensors = {name.removeprefix(PREFIX): value for name, value in tensors.items()}
    if "model_config" in metadata:
        try:
            return tensors, section_from_dict(ModelConfig, json.loads(metadata["model_config"]))
        except ConfigError as error:
            raise CheckpointError(f"{path}: {error}") from error
    return tensors, infer_config(tensors, heads or head_sidecar(path), path)


def read_ckpt(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a published .ckpt (prefix removed) and whatever else it holds."""
    with open(path, "rb") as handle:
        if not handle.read(4).startswith(SAVED_BY_TORCH):
            raise CheckpointError(f"{path}: not a model; {MODELS}")
    try:
        with warnings.catch_warnings():
            # Wrong bytes in the protocol's place; torch would warn and ask for an issue.
            warnings.filterwarnings("error", "Detected pickle protocol", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    except (
        pickle.UnpicklingError,
        UserWarning,
    ):  # their words advise to load it all the same, or to tell PyTorch
        raise CheckpointError(
            f"{path}: not a checkpoint of tensors; it is damaged, or holds objects, whose loading "
            f"could run code; {MODELS}"
        ) from None
    except DAMAGE as error:
        first = str(error).partition("\n")[0]
        raise CheckpointError(f"{path}: a damaged or truncated checkpoint ({first})") from None
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise CheckpointError(f"{path}: no `state_dict` inside")
    state = content.pop("state_dict")
    foreign = [k for k, v in state.items() if not k.startswith(PREFIX) or not torch.is_tensor(v)]
    if foreign:
        raise CheckpointError(f"{path}: not of this model: {listed(foreign)}")
    return {name.removeprefix(PREFIX): value for name, value in state.items()}, content


def head_hint(values: Any) -> int | None:
    """`heads` or `num_heads` anywhere in nested dictionaries."""
    if not isinstance(values, Mapping):
        return None
    for key in ("heads", "num_heads"):
        if isinstance(values.get(key), int):
            return values[key]
    found = (head_hint(value) for value in values.values())
    return next((heads for heads in found if heads), None)


def head_sidecar(path: Path) -> int | None:
    """The head count in a JSON beside the weights."""
    for name in (path.with_suffix(".json"), path.with_name(CONFIG)):
        if name.is_file():
            heads = head_hint(json.loads(name.read_text()))
            if heads:
                return heads
    return None


def infer_config(tensors: Mapping[str, Tensor], heads: int | None, path: Path) -> ModelConfig:
    """Sizes from the shapes. Raises CheckpointError naming the tensors that tell them."""
    needed = ["encoder.ln_post.weight", "post_kl.weight", "decoder.query_proj.weight"]
    missing = [name for name in needed if name not in tensors]
    if missing:
        raise CheckpointError(f"{path}: missing {listed(missing)}")
    width, embed = tensors["post_kl.weight"].shape
    if heads is None:
        heads = width // 64 if width >= 256 and width % 64 == 0 else 4
        if width != 768:
            log.warning("%s does not say its head count; taking %d (heads= sets it)", path, heads)
    try:
        return ModelConfig(
            width=width,
            heads=heads,
            embed=embed,
            octaves=(tensors["decoder.query_proj.weight"].shape[1] - 3) // 6,
            encoder_layers=count_blocks(tensors, "encoder.self_attn"),
            decoder_layers=count_blocks(tensors, "transformer"),
        )
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}; give heads=") from error


def count_blocks(tensors: Iterable[str], stem: str, blocks: str = "resblocks") -> int:
    """One more than the highest block number under `stem`."""
    pattern = re.compile(re.escape(f"{stem}.{blocks}") + r"\.(\d+)\.")
    numbers = [int(match[1]) for name in tensors if (match := pattern.match(name))]
    return max(numbers, default=-1) + 1


def check_names(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    """Raises CheckpointError unless names and shapes agree exactly."""
    misshapen = [
        f"{k} {tuple(found[k].shape)} in place of {tuple(wanted[k].shape)}"
        for k in wanted
        if k in found and found[k].shape != wanted[k].shape
    ]
    faults = {
        "missing": [k for k in wanted if k not in found],
        "unknown": [k for k in found if k not in wanted],
        "of the wrong shape": misshapen,
    }
    text = "; ".join(f"{label}: {listed(names)}" for label, names in faults.items() if names)
    if text:
        raise CheckpointError(f"{path}: tensors {text}")


def listed(names: list[str]) -> str:
    """All names, comma-separated."""
    return ", ".join(names)


def write_weights(tensors: Mapping[str, Tensor], config: ModelConfig, path: Path) -> None:
    """One .safetensors file, atomically, with the model's config in its header."""
    # One key: safetensors writes several in an order that changes, and equal models equal bytes.
    metadata = {"model_config": json.dumps(to_dict(VAEConfig(model=config))["model"])}
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(contiguous, temporary, metadata=metadata)


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Tensors that are no model (an optimiser's moments), atomically."""
    with atomic_path(path) as temporary:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a .safetensors file. Raises CheckpointError for any other file."""
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a safetensors file ({error})") from error


def write_run(folder: str | Path, tensors: Mapping[str, Tensor], config: VAEConfig) -> None:
    """`config.json` and `model.safetensors`: what `DoraVAE.from_pretrained(folder)` reads."""
    folder = Path(folder)
    atomic_write(folder / CONFIG, json.dumps(to_dict(config), indent=1) + "\n")
    write_weights(tensors, config.model, folder / WEIGHTS)


def read_config(folder: str | Path) -> VAEConfig:
    """The config of a run folder."""
    return from_dict(json.loads((Path(folder) / CONFIG).read_text()))


def weights_hash(model: nn.Module) -> str:
    """sha256 over names and float32 bytes: the same for a .ckpt and its converted twin."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
