"""What MeshLab does for this house, through pymeshlab: CTM files and alpha wrap.

pymeshlab is GPL-3: this module alone imports it, inside one function, and nothing but plain arrays
crosses over. Without it everything else works, and what needs it says so. Files are read in a
process of its own: broken ones have ended it.
"""

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.formats.polygons import check_indices
from preprocessing.mesh_errors import MeshError

SUFFIXES = (".ctm",)
"""Formats that MeshLab reads and no reader of our own does."""
LONGEST = 3600
"""Seconds after which a file that MeshLab still reads is given up."""
PR_SET_PDEATHSIG = 1
SPACE = 4 << 30
"""Bytes of address space beside 200 a byte of the file: a broken count asks for more."""
CHILD = "from preprocessing.formats.meshlab import read_as_child; read_as_child()"


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
    """Vertices (V,3) float64 and faces (F,3) int64 of a CTM file.

    Raises MeshError(unreadable, truncated) with MeshLab's words, or where it ends, or where it
    gives fewer triangles than the file announces; MeshError(missing-package).
    """
    library("reading .ctm", "convert the file to GLB")
    with open(path, "rb") as handle:
        head = handle.read(20)
    if head[:4] != b"OCTM"[: len(head)] or len(head) < 20:
        raise MeshError("truncated" if head[:4] in b"OCTM" else "unreadable", "not a CTM header")
    command = [sys.executable, "-c", CHILD, str(path.resolve())]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired:
        raise MeshError("unreadable", f"MeshLab read the CTM for {LONGEST} s; {AWAY}") from None
    if done.returncode:
        words = " ".join(done.stderr.decode(errors="replace").split()[-40:])
        if done.returncode < 0:
            words = f"MeshLab ended by {signal.Signals(-done.returncode).name}"
        raise MeshError("unreadable", f"the CTM: {words}; {AWAY}")
    stream = BytesIO(done.stdout)
    vertices, faces = (np.load(stream, allow_pickle=False) for _ in range(2))
    check_indices(faces.ravel(), len(vertices))
    announced = int.from_bytes(head[16:20], "little")
    if len(faces) < announced:
        what = f"the CTM announces {announced} triangles and MeshLab gives {len(faces)}; {AWAY}"
        raise MeshError("truncated", what)
    return vertices, faces


AWAY = "convert it to PLY or GLB"
"""The way out."""


def read_as_child() -> None:
    """Read the file of the command line and write its arrays to standard output, as .npy."""
    pymeshlab = library("reading .ctm", "convert the file to GLB")
    # The parent may be killed by its time limit: do not outlive it.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    most = SPACE + 200 * os.path.getsize(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    layers = pymeshlab.MeshSet(verbose=False)
    try:
        with stdout_to_stderr():
            layers.load_new_mesh(sys.argv[1])
    except (pymeshlab.PyMeshLabException, MemoryError) as error:
        sys.exit(f"MeshLab: {error}")
    mesh = layers.current_mesh()
    for array in (mesh.vertex_matrix(), mesh.face_matrix().astype(np.int64)):
        np.save(sys.stdout.buffer, array)


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
