"""FBX 6.1 to 7.7, binary and text: every mesh of the scene at rest, where its model stands.

Read are polygons, models, pivots, skins and blend shapes at their default weights; the frame and
unit stay the file's. Animation, materials, cameras and lights are passed over.
"""

import re

import numpy as np

from preprocessing.formats.polygons import triangulate
from preprocessing.formats.scenes.fbx_graph import Object, Placement, geometric, read_objects
from preprocessing.formats.scenes.fbx_nodes import MAGIC, Binary, Record
from preprocessing.formats.scenes.fbx_skin import blended, skinned
from preprocessing.formats.scenes.fbx_text import Text
from preprocessing.formats.scenes.placing import Scene, Triangles, product
from preprocessing.mesh_errors import MeshError

SURFACES = {
    "NurbsSurface": "a NURBS surface",
    "Nurb": "a NURBS surface",
    "TrimNurbsSurface": "a trimmed NURBS surface",
    "TrimNurb": "a trimmed NURBS surface",
    "Patch": "a patch",
}
"""Kinds of geometry that are surfaces and no polygons."""
OLDEST = 6000


def read_fbx(data: bytes) -> Triangles:
    """Vertices (V,3) float64 and faces (F,3) int64 of all meshes in the scene, in its order.

    Raises MeshError(unreadable, truncated, unsupported-format, skinned, index-out-of-range,
    no-faces, empty).
    """
    objects = read_objects(read_records(data))
    places, scene, shown = Placement(), Scene(), 0
    done: set[int] = set()
    for model in (o for o in objects if o.record.name == "Model"):
        for mesh in meshes_of(model):
            shown += 1
            add_mesh(scene, mesh, model, places, done)
    if not shown:
        raise MeshError("empty", "the FBX shows no mesh")
    return scene.triangles()


def read_records(data: bytes) -> list[Record]:
    """The records of a file of a version that is read. Raises MeshError(unsupported-format)."""
    if data.startswith(MAGIC):
        binary = Binary(data)
        check_version(binary.version)
        return binary.records()
    if data.startswith(MAGIC[: len(data)]):
        raise MeshError("truncated", f"{len(data)} bytes; the header of an FBX has 27")
    data = data.removeprefix(b"\xef\xbb\xbf")
    start = data[:4096]
    named = re.search(rb";\s*FBX (\d+)\.(\d+)\.(\d+)|FBXHeaderExtension\s*:", start)
    if named is None:
        raise MeshError("unreadable", f"an FBX starts with its name, not {data[:20]!r}")
    if named[1]:
        check_version(1000 * int(named[1]) + 100 * int(named[2]))
    return Text(data).records()


def check_version(version: int) -> None:
    """Raise MeshError(unsupported-format) for files before 6.0 and beyond 7."""
    if not OLDEST <= version < 8000:
        what = f"FBX version {version}; export it as FBX 7.4 or as GLB"
        raise MeshError("unsupported-format", what)


def meshes_of(model: Object) -> list[Object]:
    """The meshes that a model shows. Raises MeshError(unsupported-format) for curved surfaces."""
    found = []
    for shape in [model, *model.below("Geometry")]:
        if shape.kind in SURFACES:
            what = f"{SURFACES[shape.kind]} in the FBX; convert it to polygons before exporting"
            raise MeshError("unsupported-format", what)
        if shape.record.child("Vertices") and shape.kind in ("Mesh", ""):
            found.append(shape)
    return found


def add_mesh(scene: Scene, mesh: Object, model: Object, places: Placement, done: set[int]) -> None:
    """Put one mesh of one model into the scene."""
    vertices, faces = polygons_of(mesh)
    vertices = blended(vertices, mesh)
    skins = mesh.below("Deformer", "Skin") or model.below("Deformer", "Skin")
    if not skins:
        scene.add(vertices, faces, product(places.world(model), geometric(model)))
    else:
        # Bones place a skinned mesh; where a second model of it stands, programs disagree.
        if id(mesh) in done:
            what = "two models of the FBX show one skinned mesh; apply the skin, or export as GLB"
            raise MeshError("skinned", what)
        done.add(id(mesh))
        vertices, mirrored = skinned(vertices, skins[0], model, places)
        scene.add(vertices, faces[:, ::-1] if mirrored else faces, None)


def polygons_of(mesh: Object) -> Triangles:
    """Vertices (V,3) and triangles (F,3) of a mesh in its own frame.

    Raises MeshError(unreadable, truncated, index-out-of-range).
    """
    numbers = mesh.record.array("Vertices", float)
    if len(numbers) % 3:
        raise MeshError("truncated", f"a mesh of the FBX has {len(numbers)} coordinates")
    indices = mesh.record.array("PolygonVertexIndex", int)
    if len(indices) and indices[-1] >= 0:
        raise MeshError("truncated", "the last polygon of an FBX mesh does not end")
    # The last corner of each polygon is written as -1 - its index.
    ends = np.flatnonzero(indices < 0)
    corners = np.where(indices < 0, ~indices, indices)
    counts = np.diff(ends, prepend=-1)
    vertices = numbers.reshape(-1, 3)
    return vertices, triangulate(vertices, corners, counts)
