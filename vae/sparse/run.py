"""A trained sparse VAE on disk: `config.json` and `model.safetensors`."""

import json
from dataclasses import asdict
from pathlib import Path

import torch

from preprocessing.files import atomic_write
from vae.checkpoint import (
    CONFIG,
    WEIGHTS,
    CheckpointError,
    check_names,
    read_tensors,
    write_tensors,
)
from vae.sparse.model import SparseConfig, SparseVAE

KIND = "sparse-voxel-1"  # what a config.json of such a run says


def write_sparse(model: SparseVAE, out: Path, steps: int) -> None:
    """`config.json` and `model.safetensors`: what `load_sparse` reads."""
    record = {"kind": KIND, "steps": steps, "model": asdict(model.config)}
    atomic_write(out / CONFIG, json.dumps(record, indent=1) + "\n")
    write_tensors(model.state_dict(), out / WEIGHTS)


def is_sparse(folder: Path) -> bool:
    """Whether a folder holds a sparse VAE."""
    path = folder / CONFIG
    return path.is_file() and json.loads(path.read_text(encoding="utf-8")).get("kind") == KIND


def load_sparse(folder: Path) -> SparseVAE:
    """The model of a run, ready to evaluate. Raises CheckpointError naming wrong tensors."""
    if not is_sparse(folder):
        raise CheckpointError(f"{folder}: no sparse VAE ({CONFIG} does not say {KIND})")
    record = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    tensors = {name: value.float() for name, value in read_tensors(folder / WEIGHTS).items()}
    with torch.device("meta"):
        model = SparseVAE(SparseConfig(**record["model"]))
    check_names(tensors, model.state_dict(), folder)
    model.load_state_dict(tensors, assign=True)
    return model.eval()
