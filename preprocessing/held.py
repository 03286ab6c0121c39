"""Meshes that a program already holds in memory, whatever library they come from.

`make_watertight`, `sample_shape`, `salient_edges`, the distances and `score_meshes` take any of:
a `Mesh`; a pair (vertices, faces) of NumPy arrays, torch tensors on any device or nested lists; a
trimesh mesh or scene; an Open3D triangle mesh, old or tensor; a pymeshlab mesh or mesh set. None of
these libraries is imported here: an object is known by the names that it has.
"""

from typing import Any

import numpy as np

from preprocessing.mesh import Mesh
from preprocessing.mesh_errors import MeshError

MeshLike = Any
"""What `as_mesh` takes."""

ACCEPTED = (
    "a Mesh, a pair (vertices (V,3), faces (F,3)), or a mesh of trimesh, Open3D or pymeshlab; "
    "load_mesh reads files"
)


def as_mesh(held: MeshLike) -> Mesh:
    """The same vertices and faces as a `Mesh`; rows keep their numbers, nothing is joined.

    A `Mesh` comes back as it is. Of a trimesh scene all parts are taken, with their transforms, and
    of a mesh set the current mesh. Raises MeshError: not-a-mesh for another object or for arrays of
    another shape (polygons are to be triangulated first), non-finite, index-out-of-range.
    """
    mesh = unchecked(held)
    if mesh is held:
        return mesh
    if not np.isfinite(mesh.vertices).all():
        raise MeshError("non-finite", "a vertex is NaN or infinite")
    low, high = mesh.faces.min(initial=0), mesh.faces.max(initial=-1)
    if low < 0 or high >= len(mesh.vertices):
        raise MeshError(
            "index-out-of-range", f"faces name vertices {low} to {high} of {len(mesh.vertices)}"
        )
    return mesh


def unchecked(held: MeshLike) -> Mesh:
    """`as_mesh` without a look at the values, for callers that judge them themselves.

    Raises MeshError(not-a-mesh).
    """
    if isinstance(held, Mesh):
        return held
    vertices, faces = (plain_array(part) for part in parts_of(held))
    # An empty list has no second axis to be checked.
    vertices = vertices.reshape(-1, 3) if vertices.size == 0 else vertices
    faces = faces.reshape(-1, 3).astype(np.int64) if faces.size == 0 else faces
    for name, array in (("vertices", vertices), ("faces", faces)):
        if array.ndim != 2 or array.shape[1] != 3:
            raise MeshError("not-a-mesh", f"{name} of shape {array.shape}; give {ACCEPTED}")
    if not np.issubdtype(faces.dtype, np.integer):
        raise MeshError("not-a-mesh", f"faces are integers, not {faces.dtype}")
    return Mesh(vertices, faces)


def parts_of(held: Any) -> tuple[Any, Any]:
    """The vertices and the faces of an object, in whatever arrays it keeps them."""
    if isinstance(held, (tuple, list)) and len(held) == 2:
        return held[0], held[1]
    if hasattr(held, "geometry") and hasattr(held, "to_mesh"):  # trimesh.Scene
        held = held.to_mesh()
    if hasattr(held, "current_mesh"):  # pymeshlab.MeshSet
        held = held.current_mesh()
    if hasattr(held, "vertex_matrix"):  # pymeshlab.Mesh
        return held.vertex_matrix(), held.face_matrix()
    if hasattr(held, "triangle") and hasattr(held, "vertex"):  # open3d.t.geometry.TriangleMesh
        return held.vertex.positions, held.triangle.indices
    for name in ("faces", "triangles"):  # trimesh.Trimesh, open3d.geometry.TriangleMesh
        if hasattr(held, "vertices") and hasattr(held, name):
            return held.vertices, getattr(held, name)
    raise MeshError("not-a-mesh", f"{type(held).__name__} is no mesh; give {ACCEPTED}")


def plain_array(held: Any) -> np.ndarray:
    """A NumPy array of an array, a tensor of torch or Open3D on any device, or nested lists."""
    if hasattr(held, "detach"):  # torch
        held = held.detach()
    if hasattr(held, "cpu"):
        held = held.cpu()
    try:
        return held.numpy() if hasattr(held, "numpy") else np.asarray(held)
    except ValueError as error:
        raise MeshError("not-a-mesh", f"not an array: {error}; give {ACCEPTED}") from None
