"""X3D's meshes: sets of faces, triangles, strips, fans and quads, indexed or not."""

from collections.abc import Callable

import numpy as np

from preprocessing.formats.polygons import check_indices, triangulate
from preprocessing.formats.scenes.placing import Triangles
from preprocessing.formats.scenes.strips import fan, strip
from preprocessing.formats.scenes.x3d_fields import indices, numbers, rows
from preprocessing.formats.scenes.x3d_solids import wound
from preprocessing.formats.scenes.xml_tree import Element
from preprocessing.mesh_errors import MeshError

Resolve = Callable[[Element], Element]


def coordinates(element: Element, resolve: Resolve) -> np.ndarray:
    """The points (V,3) of a mesh. Raises MeshError(unsupported-format) for kinds that are not read.

    A mesh without coordinates is empty, as the standard says.
    """
    for child in element.children:
        found = resolve(child)
        if found.name in ("Coordinate", "CoordinateDouble"):
            return rows(found, "point", 3, ())
        if found.name.endswith("Coordinate"):
            what = f"<{found.name}> in the X3D; export it with plain coordinates, or as GLB"
            raise MeshError("unsupported-format", what)
    return np.empty((0, 3))


def split_lists(corners: np.ndarray) -> list[np.ndarray]:
    """Lists that -1 ends, without the empty ones."""
    ends = np.flatnonzero(corners == -1)
    pieces = np.split(corners, ends)
    return [p for p in (piece[piece != -1] for piece in pieces) if len(p)]


def indexed_face_set(element: Element, points: np.ndarray) -> np.ndarray:
    """Triangles (F,3) of <IndexedFaceSet>: polygons, convex or not."""
    corners = indices(element, "coordIndex")
    if len(corners) and corners[-1] != -1:
        corners = np.append(corners, -1)
    ends = np.flatnonzero(corners == -1)
    counts = np.diff(ends, prepend=-1) - 1
    return triangulate(points, corners[corners != -1], counts)


def runs(element: Element, points: np.ndarray, name: str) -> list[np.ndarray]:
    """Lists of corners: by -1 in `index`, or as many as a count field says.

    Raises MeshError(truncated).
    """
    if element.name.startswith("Indexed"):
        return split_lists(indices(element, "index"))
    counts = numbers(element, name, ()).astype(np.int64)
    if counts.sum() > len(points) or (counts < 0).any():
        what = f"a <{element.name}> of {int(counts.sum())} corners has {len(points)} points"
        raise MeshError("truncated", what)
    return np.split(np.arange(counts.sum()), np.cumsum(counts)[:-1]) if len(counts) else []


def plain(element: Element, points: np.ndarray, size: int) -> np.ndarray:
    """Faces (F,size) of single triangles or quads; an unfinished last one is left out, as the
    standard says."""
    indexed = element.name.startswith("Indexed")
    corners = indices(element, "index") if indexed else np.arange(len(points))
    return corners[: len(corners) // size * size].reshape(-1, size)


def mesh(element: Element, resolve: Resolve) -> Triangles:
    """Vertices (V,3) and triangles (F,3) of a mesh element.

    Raises MeshError(unreadable, truncated, index-out-of-range, unsupported-format).
    """
    points = coordinates(element, resolve)
    kind = element.name.removeprefix("Indexed")
    if kind == "FaceSet":
        faces = indexed_face_set(element, points)
    elif kind == "TriangleSet":
        faces = plain(element, points, 3)
    elif kind == "QuadSet":
        corners = plain(element, points, 4)
        faces = triangulate(points, corners.ravel(), np.full(len(corners), 4))
    else:
        strips = kind == "TriangleStripSet"
        cut, field = (strip, "stripCount") if strips else (fan, "fanCount")
        pieces = [cut(corners) for corners in runs(element, points, field)]
        faces = np.concatenate([np.empty((0, 3), np.int64), *pieces])
    check_indices(faces.ravel(), len(points))
    return wound(element, points, faces)


MESHES = (
    "IndexedFaceSet",
    *(f"{i}{k}Set" for i in ("", "Indexed") for k in ("Triangle", "TriangleStrip", "TriangleFan")),
    "QuadSet",
    "IndexedQuadSet",
)


def flat(element: Element) -> Triangles:
    """<Rectangle2D> and <TriangleSet2D>, in the plane z = 0, facing +z."""
    if element.name == "Rectangle2D":
        half = numbers(element, "size", (2.0, 2.0)) / 2
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
        faces = np.array([[0, 1, 2], [0, 2, 3]])
    else:
        corners = rows(element, "vertices", 2, ())
        faces = np.arange(len(corners) // 3 * 3).reshape(-1, 3)
    return np.column_stack([corners, np.zeros(len(corners))]), faces
