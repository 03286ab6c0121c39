"""Names become models, or an error that says which were meant."""

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
        ("no_such_module:model", "cannot import"),
        (f"{__name__}:reddy", "did you mean ready"),
        (f"{__name__}:not_a_model", "lacks info, encode, decode"),
        ("voxel-4", "from 8 to 512"),
    ],
)
def test_what_stands_for_nothing_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_model(name)
