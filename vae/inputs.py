"""What `encode` and `reconstruct` are given: a sample, an offset solid, or a raw mesh made one.

A model is trained on offset solids (`dora-prep watertight`), so a raw mesh becomes one first, at
the model's eps: open sheets get a thickness, inner parts are filled, as in every training shape.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.mesh import Mesh, Transform, frame_of_output, load_mesh
from preprocessing.points.layouts import SAMPLE_READERS
from preprocessing.points.samples import Sample
from preprocessing.running.ids import Entry
from preprocessing.running.known_eps import absolute, known_eps
from preprocessing.settings import parse_eps
from preprocessing.solid.audit import topology
from preprocessing.stores.address import Place
from vae.published.hub import BOXED, boxed

PUBLISHED_EPS = 2 / 256
"""Of the published v1.0 and v1.1, whose checkpoints do not say it."""


@dataclass(frozen=True)
class Input:
    """A shape for the model, in the normalised frame.

    transform: how a mesh came there; None of a sample. eps: of the solid made of a raw mesh; None
    where the shape was taken as it is.
    """

    shape: Mesh | Sample
    transform: Transform | None
    eps: float | None


def check_solid(source: Place) -> None:
    """Raise UsageError for a solid of dora-prep that is not to be sampled (known_eps)."""
    known_eps([Entry(source.name, absolute(source))])


def read_input(source: Path, eps: float, *, raw: bool = False) -> Input:
    """The shape of a mesh or sample file; a raw mesh becomes the closed surface at distance eps.

    eps: normalised frame. raw: leave a mesh as it is, but for the frame. A closed mesh that reaches
    eps beyond [-1, 1], which is how `dora-prep watertight` leaves one, stays in any case.
    Raises MeshError, and SampleError, which is one.
    """
    if source.suffix.lower() in SAMPLE_READERS:
        return Input(SAMPLE_READERS[source.suffix.lower()](source), None, None)
    mesh = load_mesh(source)
    frame = frame_of_output(mesh)
    placed = Mesh(frame.apply(mesh.vertices), mesh.faces)
    if raw or is_offset_solid(placed):
        return Input(placed, frame, None)
    from preprocessing.solid.watertight import make_watertight  # slow to load, and often not needed

    solid = make_watertight(mesh, eps=eps)
    return Input(solid.mesh, solid.transform, eps)


def is_offset_solid(mesh: Mesh) -> bool:
    """Whether a mesh in the normalised frame is closed, outward, and larger than what it encloses.

    The offset surface of a shape that spans [-1, 1] passes it by eps; a shape itself does not.
    """
    found = topology(mesh)
    closed = found.watertight and found.edge_manifold and found.vertex_manifold
    return closed and found.volume > 0 and bool(np.abs(mesh.vertices).max() > 1 + 1e-5)


def model_eps(model: str | Path) -> float:
    """The offset of the solids a model was trained on: what its config says, else PUBLISHED_EPS.

    model: what --model takes: a run folder, a file with a `config.json` or `<name>.json` beside it,
    the name of a model in the box, FAMILY or FAMILY:PATH.
    """
    text = str(model)
    path = boxed(text) if text in BOXED else Path(text.partition(":")[2] or text)
    for sidecar in (path / "config.json", path.with_name("config.json"), path.with_suffix(".json")):
        if sidecar.is_file():
            eps = find_eps(json.loads(sidecar.read_text()))
            if eps is not None:
                return parse_eps(str(eps))
    return PUBLISHED_EPS


def find_eps(values: Any) -> float | str | None:
    """The value of the key `eps`, wherever it stands in nested mappings."""
    if not isinstance(values, Mapping):
        return None
    if values.get("eps"):
        eps = values["eps"]
        return eps[0] if isinstance(eps, list | tuple) else eps  # the first is the model's own
    found = (find_eps(value) for value in values.values())
    return next((eps for eps in found if eps is not None), None)
