"""What the commands of `dora-vae` share: mistakes a caller can mend, the model, results printed."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocessing.console import UsageError

if TYPE_CHECKING:
    from preprocessing.running.supervisor import ForkServer
    from preprocessing.settings import Limits
    from vae.inputs import Input
    from vae.model import DoraVAE


@contextlib.contextmanager
def ahead(limits: "Limits", *modules: str) -> Iterator["ForkServer | None"]:
    """A fork server that imports these modules while this process imports them, too, on another
    core; None where Ray starts its own."""
    if limits.executor == "ray" or limits.ray_address is not None:
        yield None
        return
    from preprocessing.running.runner import started_ahead

    with started_ahead(*modules) as server:
        yield server


@contextlib.contextmanager
def usage_errors() -> Iterator[None]:
    """What the caller can mend becomes UsageError: files, counts, settings, meshes."""
    from preprocessing.mesh import MeshError
    from vae.checkpoint import CheckpointError
    from vae.config import ConfigError
    from vae.data import DataError
    from vae.latents import LatentsError
    from vae.refine import FieldError
    from vae.run_folder import TrainError

    try:
        yield
    except (
        CheckpointError,
        ConfigError,
        DataError,
        FieldError,
        FileNotFoundError,
        LatentsError,
        MeshError,
        TrainError,
    ) as error:
        raise UsageError(str(error)) from error


def check_device(device: str) -> str:
    """`device` itself. Raises UsageError when there is no such device here."""
    import torch

    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device is auto, cpu or cuda, not {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: this machine has no CUDA device that torch can use")
    return device


def load(model: Path, heads: int | None, device: str) -> "DoraVAE":
    """The model on the device."""
    import torch

    from vae.model import DoraVAE

    wanted = check_device(device)
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return DoraVAE.from_pretrained(model, heads=heads).to(wanted)


def forewarn(model: "DoraVAE", tokens: int, resolution: int | None, attention: str) -> None:
    """Say at once, on standard error, that the work will take minutes or hours."""
    from vae.cost import warning

    said = warning(model, tokens, resolution) if attention == "full" else ""
    if said:
        print(said, file=sys.stderr, flush=True)


def chosen_eps(eps: str | None, model: Path) -> float:
    """What --eps says, else the offset that the model was trained at. Raises UsageError."""
    from preprocessing.settings import SettingsError, parse_eps
    from vae.inputs import model_eps

    try:
        return parse_eps(eps) if eps is not None else model_eps(model)
    except SettingsError as error:
        raise UsageError(f"--{error}") from error


def placed(given: "Input") -> dict[str, Any]:
    """How a mesh came into the normalised frame, x_normalised = (x - center) * scale, and whether
    the offset solid at `eps` was made of it (null: it was encoded as it is)."""
    if (moved := given.transform) is None:
        return {}
    return {"scale": moved.scale, "center": list(moved.center), "eps": given.eps}


def report(values: dict[str, Any], quiet: bool, as_json: bool) -> None:
    """Results on standard output: one JSON object, or a line each."""
    if as_json:
        print(json.dumps(values))
    elif not quiet:
        for name, value in values.items():
            print(f"{name}: {value}")
