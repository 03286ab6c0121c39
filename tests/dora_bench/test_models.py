"""Names become models, or an error that says which were meant."""

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dora_bench.models import resolve_model
from dora_bench.protocol import Latent, ModelInfo, ShapeInput
from preprocessing.console import UsageError
from preprocessing.mesh import Mesh
from preprocessing.shapes import box


class Halves:
    """A model of somebody else: keeps the mesh, costs one float a token."""

    info = ModelInfo(name="halves", kind="test")

    def encode(self, shape: ShapeInput, tokens: int, seed: int) -> Latent:
        return Latent(shape.mesh, tokens, 4 * tokens)

    def decode(self, latent: Latent, resolution: int) -> Mesh:
        return latent.data


ready = Halves()
not_a_model = object()


@pytest.mark.parametrize("name", [f"{__name__}:Halves", f"{__name__}:ready"])
def test_any_importable_model(name: str) -> None:
    model = resolve_model(name)
    shape = ShapeInput("x", box().mesh)
    assert model.decode(model.encode(shape, 8, 0), 64) is shape.mesh


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("voxl-64", "did you mean voxel-64"),
        ("identiy", "did you mean identity"),
        ("runs/nowhere", "no such path"),
        ("zzz", r"no model 'zzz'\. Known"),
        (__file__, rf"^{re.escape(__file__)}: not a model"),
        ("no_such_module:model", "cannot import"),
        (f"{__name__}:reddy", "did you mean ready"),
        (f"{__name__}:not_a_model", "lacks info, encode, decode"),
        ("voxel-4", "from 8 to 512"),
    ],
)
def test_what_stands_for_nothing_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_model(name)


def test_the_model_of_the_guide(monkeypatch: pytest.MonkeyPatch) -> None:
    """The class in docs/add-your-model.md is a model, and its mesh is the hull, outward."""
    guide = Path(__file__).parents[2] / "docs/add-your-model.md"
    module = ModuleType("mymodel")
    exec(guide.read_text().split("```python\n")[1].split("```")[0], module.__dict__)
    monkeypatch.setitem(sys.modules, "mymodel", module)
    model = resolve_model("mymodel:Hull")
    latent = model.encode(ShapeInput("x", box().mesh), 0, 0)
    mesh = model.decode(latent, 64)
    corners = mesh.vertices[mesh.faces]
    volume = np.linalg.det(corners).sum() / 6
    assert latent.bytes == 4 * latent.floats
    assert volume == pytest.approx(np.prod(np.ptp(box().mesh.vertices, axis=0)))
