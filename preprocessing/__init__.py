"""Raw mesh -> watertight mesh -> point samples. Public names load on first use."""

import os

from preprocessing.compiling import choose_cache
from preprocessing.lazy import lazy_exports

# Open3D brings a TBB that numba finds too old and warns about when it looks at TBB first. Numba
# reads this when it is imported, which every module here does after this line.
os.environ.setdefault("NUMBA_THREADING_LAYER_PRIORITY", "omp workqueue tbb")
# Threads that wait by spinning take the cores from those they wait for: beside another process on
# two cores a training step was seen to take 4 s in place of 0.13 s. No slower on a quiet machine.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

choose_cache()  # as early: numba reads where its cache lies when it is imported, too

_HOME = {
    "Mesh": "mesh",
    "as_mesh": "held",
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
    "generate_scenes": "scenes",
    "Item": "running.runner",
    "Outcome": "running.runner",
    "run": "running.runner",
}
__all__, __getattr__, __dir__ = lazy_exports(__name__, _HOME)
