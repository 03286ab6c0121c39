"""What MeshLab does for this house, through pymeshlab: rare formats, alpha wrap, decimation.

pymeshlab is GPL-3: this module alone imports it, inside one function, and nothing but plain arrays
crosses over. Without it everything else works, and what needs it says so.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.formats.polygons import check_indices
from preprocessing.mesh_errors import MeshError

SUFFIXES = (".3ds", ".ctm")
"""Formats that MeshLab reads and no reader of our own does."""


def library(task: str, way_out: str) -> Any:
    """pymeshlab itself. Raises MeshError(missing-package) naming the task and the way out."""
    try:
        import pymeshlab
    except ImportError as error:
        raise MeshError(
            "missing-package",
            f"{task} needs pymeshlab, which cannot be imported ({error}); "
            f"pip install pymeshlab, or {way_out}",
        ) from None
    return pymeshlab


def read_triangles(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V,3) float64 and faces (F,3) int64 of all layers of a file, transforms baked in.

    Raises MeshError(unreadable, empty) with MeshLab's words, MeshError(missing-package).
    """
    pymeshlab = library(f"reading {path.suffix.lower()}", "convert the file to GLB")
    layers = pymeshlab.MeshSet(verbose=False)
    try:
        with stdout_to_stderr():
            layers.load_new_mesh(str(path.resolve()))
    except pymeshlab.PyMeshLabException as error:
        message = " ".join(str(error).split())
        raise MeshError("unreadable", f"MeshLab: {message}") from None
    except MemoryError:
        raise MeshError("too-large", "MeshLab ran out of memory reading the file") from None
    vertices, faces, start = [], [], 0
    for layer in layers:
        matrix = layer.transform_matrix()
        places = layer.vertex_matrix() @ matrix[:3, :3].T + matrix[:3, 3]
        mirrored = np.linalg.det(matrix[:3, :3]) < 0
        corners = layer.face_matrix().astype(np.int64)
        check_indices(corners.ravel(), len(places))
        vertices.append(places)
        faces.append((corners[:, ::-1] if mirrored else corners) + start)
        start += len(places)
    if not vertices:
        raise MeshError("empty", "MeshLab found no mesh in the file")
    return np.concatenate(vertices), np.concatenate(faces)


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send what native code prints to standard error: standard output carries results only."""
    libc = ctypes.CDLL(None)
    libc.fflush(None)
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        libc.fflush(None)
        os.dup2(saved, 1)
        os.close(saved)


def alpha_wrap(
    vertices: np.ndarray, faces: np.ndarray, alpha: float, offset: float
) -> tuple[np.ndarray, np.ndarray]:
    """CGAL's alpha wrap of a triangle mesh: vertices float64 (V,3), faces int64 (F,3).

    alpha: radius of the ball that carves from outside; offset: distance of the wrap from the
    input; both in the mesh's unit. Raises MeshError(method-failed) with MeshLab's words,
    MeshError(missing-package).
    """
    pymeshlab = library("alpha wrap", "use the method offset")
    layers = pymeshlab.MeshSet(verbose=False)
    layers.add_mesh(pymeshlab.Mesh(vertices, faces))
    try:
        with stdout_to_stderr():
            layers.generate_alpha_wrap(
                alpha=pymeshlab.PureValue(alpha), offset=pymeshlab.PureValue(offset)
            )
    except pymeshlab.PyMeshLabException as error:
        raise MeshError("method-failed", f"alpha wrap: {' '.join(str(error).split())}") from None
    wrap = layers.current_mesh()
    return wrap.vertex_matrix(), wrap.face_matrix().astype(np.int64)


def decimate(vertices: np.ndarray, faces: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Quadric edge collapse down to about `target` faces, topology kept: (V,3), (F,3).

    Without MeshLab's `planarquadric`, whose term for flat places pulls vertices off the surface:
    a gear at a tenth of its faces deviated by 0.47 eps with it and by less than 0.001 without.
    Raises MeshError(missing-package).
    """
    pymeshlab = library("decimation", "leave simplify out")
    layers = pymeshlab.MeshSet(verbose=False)
    layers.add_mesh(pymeshlab.Mesh(vertices, faces))
    with stdout_to_stderr():
        layers.meshing_decimation_quadric_edge_collapse(
            targetfacenum=target,
            preservetopology=True,
            preservenormal=True,
            optimalplacement=True,
            autoclean=False,
        )
    thin = layers.current_mesh()
    return thin.vertex_matrix(), thin.face_matrix().astype(np.int64)
