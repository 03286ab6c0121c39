"""Mesh files to triangles: which reader takes which file, and files that are no mesh at all.

The formats that collections are full of (glTF, OBJ, STL, PLY, OFF) have readers of our own, which
take positions and faces only: they name what is wrong, cannot be made to allocate more than the
file holds, and decode no textures; so have the scene formats (FBX, COLLADA, X3D, 3MF, 3DS). Draco
goes to DracoPy, CTM to MeshLab.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from preprocessing.formats import meshlab
from preprocessing.formats.draco import read_draco
from preprocessing.formats.gltf import read_glb, read_gltf
from preprocessing.formats.obj import read_obj
from preprocessing.formats.off import read_off
from preprocessing.formats.ply import read_ply
from preprocessing.formats.scenes.collada import read_dae
from preprocessing.formats.scenes.fbx import read_fbx
from preprocessing.formats.scenes.threeds import read_3ds
from preprocessing.formats.scenes.threemf import read_3mf
from preprocessing.formats.scenes.x3d import read_x3d
from preprocessing.formats.stl import read_stl
from preprocessing.mesh_errors import MeshError

Triangles = tuple[np.ndarray, np.ndarray]

READERS: dict[str, Callable[[bytes, Path], Triangles]] = {
    ".3ds": lambda data, _: read_3ds(data),
    ".3mf": lambda data, _: read_3mf(data),
    ".dae": lambda data, _: read_dae(data),
    ".drc": read_draco,
    ".fbx": lambda data, _: read_fbx(data),
    ".glb": lambda data, path: read_glb(data, path.parent),
    ".gltf": lambda data, path: read_gltf(data, path.parent),
    ".obj": lambda data, _: read_obj(data),
    ".off": lambda data, _: read_off(data),
    ".ply": lambda data, _: read_ply(data),
    ".stl": lambda data, _: read_stl(data),
    ".x3d": lambda data, _: read_x3d(data),
}

SUFFIXES = (*READERS, *meshlab.SUFFIXES)
"""Suffixes (lower case, with the dot) that load_mesh reads."""

ADVICE = {
    **dict.fromkeys(
        (".usd", ".usda", ".usdc", ".usdz"), "export it as GLB, for example from Blender or usdview"
    ),
    **dict.fromkeys(
        (".step", ".stp", ".iges", ".igs", ".brep"),
        "a CAD file holds exact surfaces; tessellate it to STL, for example with FreeCAD or gmsh",
    ),
    **dict.fromkeys((".blend", ".max", ".ma", ".mb", ".c4d", ".skp"), "export it as GLB"),
    **dict.fromkeys((".zip", ".gz", ".bz2", ".xz", ".7z", ".tar", ".rar"), "unpack it first"),
    **dict.fromkeys((".xyz", ".pcd", ".las", ".laz", ".e57"), "points alone have no surface"),
}


def read_triangles(path: Path) -> Triangles:
    """Vertices (V,3) float64 and faces (F,3) int64 of a file, as it gives them.

    Indices are in range; nothing else is checked. Raises MeshError.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not there"
        raise MeshError("missing", f"{path} is {what}")
    if suffix not in SUFFIXES:
        advice = ADVICE.get(suffix, f"readable are {', '.join(SUFFIXES)}")
        raise MeshError("unsupported-format", f"no reader for {suffix or 'no suffix'}: {advice}")
    try:
        if suffix not in READERS:
            with open(path, "rb") as handle:
                check_is_mesh(handle.read(512))
            return meshlab.read_triangles(path)
        data = path.read_bytes()
    except OSError as error:
        raise MeshError("unreadable", f"{path.name}: {error.strerror}") from None
    check_is_mesh(data[:512])
    with np.errstate(all="ignore"):  # whoever uses the numbers names what is not finite
        return READERS[suffix](data, path)


def check_is_mesh(start: bytes) -> None:
    """Raise MeshError for an empty file and for what download tools leave in place of a mesh."""
    if not start:
        raise MeshError("empty", "the file has no bytes")
    if start.startswith(b"version https://git-lfs.github.com/spec/"):
        raise MeshError("not-a-mesh", "a Git LFS pointer; run `git lfs pull` to get the file")
    if start.lstrip()[:64].lower().startswith((b"<!doctype html", b"<html")):
        raise MeshError("not-a-mesh", "a web page, probably the answer to a failed download")
