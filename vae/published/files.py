"""Weights files of other projects: safetensors, pickles of tensors, diffusers' folders."""

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vae.checkpoint import CheckpointError, listed

SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
CONTAINERS = ("state_dict", "model", "module", "vae", "shape_model")
# What tells where a project's own prefix ends: the first layer of every family.
ANCHORS = ("encoder.input_proj.weight", "encoder.proj_in.weight")


def find_weights(path: Path) -> Path:
    """The weights file that a path means: itself, or the one in a folder (or its `vae`).

    Raises CheckpointError naming the files between which it cannot choose.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such file or folder")
    for folder in (path, path / "vae"):
        found = sorted(f for f in folder.glob("*") if f.suffix in SUFFIXES and f.is_file())
        if len(found) == 1:
            return found[0]
        if found:
            names = listed([f.name for f in found])
            raise CheckpointError(f"{folder} holds several weights ({names}): give one of them")
    raise CheckpointError(f"{path} holds no weights ({', '.join(SUFFIXES)})")


def find_config(weights: Path) -> dict[str, Any]:
    """The JSON beside a weights file, `<name>.json` or `config.json`; empty where there is none."""
    for path in (weights.with_suffix(".json"), weights.with_name("config.json")):
        if path.is_file():
            return read_config_file(path)
    return {}


def read_config_file(path: Path) -> dict[str, Any]:
    """A JSON object. Raises CheckpointError for anything else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: not a JSON file of settings ({error})") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: holds no JSON object of settings")
    return values


def read_tensors_of(path: Path) -> dict[str, Tensor]:
    """All tensors of a file without its project's prefix, in the types stored.

    A pickle is read with weights_only, so it can run no code. Raises CheckpointError.
    """
    if path.suffix == ".safetensors":
        try:
            return without_prefix(load_file(path), path)
        except SafetensorError as error:
            raise CheckpointError(f"{path}: not a safetensors file ({error})") from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    except (pickle.UnpicklingError, zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise CheckpointError(f"{path}: not a checkpoint of tensors ({error})") from error
    return without_prefix(state_of(content, path), path)


def state_of(content: Any, path: Path) -> dict[str, Tensor]:
    """The mapping of tensors in what a checkpoint holds, at most a few containers down."""
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: holds no state dict")
    if content and all(torch.is_tensor(value) for value in content.values()):
        return dict(content)
    inner = [name for name in CONTAINERS if isinstance(content.get(name), Mapping)]
    if len(inner) != 1:
        raise CheckpointError(
            f"{path}: no state dict inside; there are {listed([str(k) for k in content][:20])}"
        )
    return state_of(content[inner[0]], path)


def without_prefix(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Names from where the network's own begin. Raises CheckpointError naming foreign tensors."""
    prefixes = {
        name[: -len(anchor)] for name in tensors for anchor in ANCHORS if name.endswith(anchor)
    }
    if len(prefixes) != 1:
        held = listed(sorted(tensors)[:5])
        raise CheckpointError(
            f"{path}: missing {' or '.join(ANCHORS)}; it holds {held} and {len(tensors)} tensors "
            "in all"
        )
    prefix = prefixes.pop()
    foreign = [name for name in tensors if not name.startswith(prefix)]
    if foreign:
        raise CheckpointError(f"{path}: tensors unknown: {listed(foreign)}")
    return {name[len(prefix) :]: value for name, value in tensors.items()}
