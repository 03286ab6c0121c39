"""Models the benchmark can run: what one must offer, and how a name becomes one.

A model is any object with `info`, `encode` and `decode` (no base class). Names are: a built-in
baseline (`identity`, `voxel-64`, ...), the path of a checkpoint, a model in the box (BOXED),
a published family with its weights or without (`triposg:/weights/vae`), `module:attribute` of a
model or factory that can be imported, or the name of an entry point in "dora_bench.models".
"""

import importlib
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from dora_bench.protocol import ShapeModel
from preprocessing.console import UsageError, nearest

GROUP = "dora_bench.models"
BASELINES = ("identity", "voxel-N", "decimate-N", "draco-Q", "poisson-N")
SPARSE = "sparse-tiny"
BOXED = ("dora-tiny", SPARSE)
PUBLISHED = (*BOXED, "dora-1.1", "hunyuan3d-2.1", "triposg", "step1x-3d", "craftsman")
EXAMPLES = ("identity", "voxel-64", "decimate-1000", "draco-10", "poisson-4096")


def resolve_model(name: str, posterior: str = "mean") -> ShapeModel:
    """The model of a name. `posterior` (mean or sample) matters to checkpoints only.

    Raises UsageError, with the nearest known names, when the name stands for nothing.
    """
    return find_model(name, posterior)()


def find_model(name: str, posterior: str = "mean") -> Callable[[], ShapeModel]:
    """What makes the model of a name, without making it: no weights are read yet.

    Raises UsageError, with the nearest known names, when the name stands for nothing.
    """
    if is_baseline(name):
        from dora_bench.baselines import baseline

        return partial(baseline, name)
    if (folder := sparse_folder(name)) is not None:
        return partial(sparse_model, folder, Path(name).resolve().name)
    if Path(name).exists() or is_published(name):
        return partial(vae_model, name, posterior)
    stem, _, weights = name.partition(":")
    if stem == "cod-vae":
        return partial(cod_vae, weights)
    plugins = {point.name: point for point in entry_points(group=GROUP)}
    if name in plugins:
        return partial(instance, plugins[name].load())
    module, colon, attribute = name.partition(":")
    if colon:
        return partial(instance, load_attribute(module, attribute))
    folder = Path(name).parent
    siblings = [str(path) for path in folder.iterdir()] if folder.is_dir() else []
    hint = nearest(name, [*EXAMPLES, *PUBLISHED, *plugins, *siblings]) or "."
    known = ", ".join([*BASELINES, *PUBLISHED, "cod-vae", *plugins])
    raise UsageError(
        f"no model {name!r}{hint} Known: {known}, FAMILY:PATH, module:attribute, or the path of a "
        "checkpoint (there is no such path)"
    )


def sparse_folder(name: str) -> Path | None:
    """The folder itself where a name is that of a sparse VAE's run, or in the box; else None."""
    if name == SPARSE and not Path(name).exists():
        from vae.published.hub import boxed

        return boxed(name)
    if not Path(name).is_dir():
        return None
    from vae.sparse.run import is_sparse

    return Path(name) if is_sparse(Path(name)) else None


def sparse_model(folder: Path, name: str) -> ShapeModel:
    """A sparse-voxel VAE; imports torch."""
    from dora_bench.adapters.sparse_voxels import SparseModel

    return SparseModel(folder, name)


def vae_model(name: str, posterior: str) -> ShapeModel:
    """A checkpoint or a published family; imports torch."""
    from dora_bench.vae_model import VAEModel

    return VAEModel(name, posterior)


def cod_vae(weights: str) -> ShapeModel:
    """The adapter of the package cod-vae, with the published weights by default."""
    from dora_bench.adapters.cod_vae import PUBLISHED as DEFAULT
    from dora_bench.adapters.cod_vae import CodVae

    return CodVae(weights or DEFAULT)


def is_baseline(name: str) -> bool:
    """Whether a name is of a model without training."""
    return re.fullmatch(r"identity|(voxel|decimate|draco|poisson)-\d+", name) is not None


def look_here() -> None:
    """Let `module:attribute` find a module in the current folder, here and in the workers.

    Last on the path, so that a file of the user's cannot stand for a package.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def is_published(name: str) -> bool:
    """Whether a name is of a model in the box or of a published family."""
    return name in PUBLISHED or name.partition(":")[0] in (*PUBLISHED, "dora")


def settled(name: str, accept_licence: bool) -> str:
    """A name that says where its files are: a family's weights are fetched once, here.

    Raises UsageError where a licence is to be accepted first, or the hub is out of reach.
    """
    if name not in PUBLISHED or Path(name).exists():
        return name
    from vae.checkpoint import CheckpointError
    from vae.published.hub import locate

    try:
        path = locate(name, accept_licence=accept_licence)[1]
    except CheckpointError as error:
        raise UsageError(str(error)) from error
    return name if name in BOXED else f"{name}:{path}"


def load_attribute(module: str, attribute: str) -> Any:
    """`attribute` of an importable module. Raises UsageError saying which of the two is missing."""
    look_here()
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(f"cannot import {module!r}: {error}") from error
    if not hasattr(found, attribute):
        hint = nearest(attribute, dir(found))
        raise UsageError(f"module {module!r} has no attribute {attribute!r}{hint}")
    return getattr(found, attribute)


def instance(found: ShapeModel | Callable[[], ShapeModel]) -> ShapeModel:
    """The model itself: a class or factory is called without arguments. Raises UsageError."""
    model = found
    if not (hasattr(found, "info") and not isinstance(found, type)) and callable(found):
        model = found()
    lacks = [part for part in ("info", "encode", "decode") if not hasattr(model, part)]
    if lacks:
        raise UsageError(f"{found!r} is no ShapeModel: it lacks {', '.join(lacks)}")
    return model  # type: ignore[return-value]
