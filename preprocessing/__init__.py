"""Raw mesh -> watertight mesh -> point samples. Public names load on first use."""

import os
from importlib import import_module
from typing import Any

# Open3D brings a TBB that numba finds too old and warns about when it looks at TBB first. Numba
# reads this when it is imported, which every module here does after this line.
os.environ.setdefault("NUMBA_THREADING_LAYER_PRIORITY", "omp workqueue tbb")
# Threads that wait by spinning take the cores from those they wait for: beside another process on
# two cores a training step was seen to take 4 s in place of 0.13 s. No slower on a quiet machine.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_HOME = {
    "Mesh": "mesh",
    "MeshError": "mesh",
    "Transform": "mesh",
    "load_mesh": "mesh",
    "normalise": "mesh",
    "save_mesh": "mesh",
    "Watertight": "solid.watertight",
    "make_watertight": "solid.watertight",
    "SalientEdges": "points.edges",
    "level_of": "points.edges",
    "salient_edges": "points.edges",
    "signed_distance": "distance.queries",
    "unsigned_distance": "distance.queries",
    "farthest_points": "points.fps",
    "extract_isosurface": "solid.isosurface",
    "BrickField": "solid.bricks",
    "Sample": "points.samples",
    "read_sample": "points.samples",
    "read_window": "points.samples",
    "write_sample": "points.samples",
    "sample_shape": "points.sampling",
    "Shape": "shapes",
    "generate_shapes": "shapes",
    "Item": "running.runner",
    "Outcome": "running.runner",
    "run": "running.runner",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import the module a public name lives in when the name is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
