"""A published .ckpt to safetensors and back, every byte of every tensor kept."""

import json
from pathlib import Path

import torch

from preprocessing.files import atomic_path, atomic_write
from vae.checkpoint import CONFIG, HYPER, PREFIX, WEIGHTS, check_names, read_weights, write_weights
from vae.config import VAEConfig, to_dict
from vae.model import DoraVAE


def convert(source: str | Path, out: str | Path, *, heads: int | None = None) -> Path:
    """A published .ckpt to `out`/model.safetensors (+ config.json), or ours to `out`/<name>.ckpt.

    Tensors keep their bytes and dtypes. Returns the path written. Raises CheckpointError.
    """
    source, out = Path(source), Path(out)
    weights = source / WEIGHTS if source.is_dir() else source
    tensors, config = read_weights(weights, heads=heads)
    with torch.device("meta"):
        order = DoraVAE(config).state_dict()
    check_names(tensors, order, weights)
    if weights.suffix == ".safetensors":
        target = out / f"{source.name if source.is_dir() else source.stem}.ckpt"
        state = {PREFIX + name: tensors[name] for name in order}
        with atomic_path(target) as temporary:
            # The published files have no such key; it saves what no tensor's shape tells.
            told = {HYPER: to_dict(VAEConfig(model=config))["model"]}
            torch.save({"state_dict": state, "epoch": 0, "global_step": 0, **told}, temporary)
        return target
    atomic_write(
        out / CONFIG,
        json.dumps({"model": to_dict(VAEConfig(model=config))["model"]}, indent=1) + "\n",
    )
    write_weights(tensors, config, out / WEIGHTS)
    return out / WEIGHTS
