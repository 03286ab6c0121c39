"""COLLADA geometries to triangles: every kind of primitive that has a surface."""

import numpy as np

from preprocessing.formats.polygons import check_indices, triangulate, triangulate_with_holes
from preprocessing.formats.scenes.placing import Triangles
from preprocessing.formats.scenes.strips import fan, strip
from preprocessing.formats.scenes.xml_tree import Element, indices_of, numbers_of
from preprocessing.mesh_errors import MeshError

NO_SURFACE = ("lines", "linestrips", "points")
SURFACES = ("triangles", "polylist", "polygons", "tristrips", "trifans")


class Library:
    """The elements of a document by their ids."""

    def __init__(self, root: Element) -> None:
        self.known: dict[str, Element] = {}
        self.twice: set[str] = set()
        for element in root.walk():
            name = element.get("id")
            if name in self.known:
                self.twice.add(name)
            if name:
                self.known.setdefault(name, element)

    def follow(self, link: str, wanted: tuple[str, ...]) -> Element:
        """The element that `#id` names. Raises MeshError(missing, unreadable)."""
        if not link.startswith("#"):
            what = f"the COLLADA refers to {link!r} in another file; export one file with all parts"
            raise MeshError("missing", what)
        found = self.known.get(link[1:])
        if found is None or found.name not in wanted:
            raise MeshError("unreadable", f"the COLLADA has no {' or '.join(wanted)} {link!r}")
        if link[1:] in self.twice:
            raise MeshError("unreadable", f"two elements of the COLLADA are called {link!r}")
        return found


def geometry_triangles(geometry: Element, library: Library) -> list[Triangles]:
    """Positions (V,3) and triangles (F,3) of each primitive of a <geometry>.

    Raises MeshError(unreadable, truncated, unsupported-format, index-out-of-range).
    """
    for kind in ("brep", "convex_mesh"):
        inner = geometry.child(kind)
        if inner and (kind == "brep" or inner.get("convex_hull_of")):
            what = f"<{kind}> in the COLLADA; convert it to triangles before exporting"
            raise MeshError("unsupported-format", what)
    mesh = geometry.child("mesh") or geometry.child("convex_mesh")
    parts = []
    for primitive in mesh.children if mesh else []:
        if primitive.name in SURFACES:
            vertices, places = positions(primitive, library)
            parts.append((vertices, primitive_triangles(primitive, vertices, places)))
        elif primitive.name in NO_SURFACE:
            parts.append((np.zeros((1, 3)), np.empty((0, 3), np.int64)))
    return parts


def positions(primitive: Element, library: Library) -> tuple[np.ndarray, tuple[int, int]]:
    """Positions (V,3) that a primitive indexes; the width of its index rows and their column."""
    inputs = primitive.all("input")
    offsets = [whole(i.get("offset", "0"), "an offset") for i in inputs]
    at = [k for k, i in enumerate(inputs) if i.get("semantic") in ("VERTEX", "POSITION")]
    if not at:
        raise MeshError("unreadable", f"a <{primitive.name}> of the COLLADA names no vertices")
    source = library.follow(inputs[at[0]].get("source"), ("vertices", "source"))
    if source.name == "vertices":
        places = [i for i in source.all("input") if i.get("semantic") == "POSITION"]
        if not places:
            raise MeshError("unreadable", "<vertices> of the COLLADA without positions")
        source = library.follow(places[0].get("source"), ("source",))
    return source_rows(source, library, ("X", "Y", "Z")), (max(offsets) + 1, offsets[at[0]])


def source_rows(source: Element, library: Library, names: tuple[str, ...]) -> np.ndarray:
    """Numbers (N,len(names)) of a <source>, the columns picked by the accessor's names.

    Raises MeshError(unreadable, truncated).
    """
    common = source.child("technique_common")
    accessor = common.child("accessor") if common else None
    if accessor is None:
        raise MeshError("unreadable", f"source {source.get('id')!r} of the COLLADA has no accessor")
    data = library.follow(accessor.get("source"), ("float_array", "int_array"))
    numbers = numbers_of(data.text, f"the numbers of {data.get('id')!r}")
    params = [param.get("name") for param in accessor.all("param")]
    columns = [params.index(name) for name in names if name in params]
    if len(columns) < len(names):
        columns = list(range(len(names)))
    width = max(whole(accessor.get("stride", "1"), "a stride"), len(params), max(columns) + 1)
    start = whole(accessor.get("offset", "0"), "an offset")
    count = whole(accessor.get("count", "0"), "a count")
    if start + count * width > len(numbers):
        what = f"{data.get('id')!r} of the COLLADA holds {len(numbers)} of {count * width} numbers"
        raise MeshError("truncated", what)
    return numbers[start : start + count * width].reshape(count, width)[:, columns]


def whole(text: str, what: str) -> int:
    """A count. Raises MeshError(unreadable)."""
    if not text.strip().isascii() or not text.strip().isdigit() or len(text) > 12:
        raise MeshError("unreadable", f"{what} of the COLLADA is {text!r}")
    return int(text)


def primitive_triangles(
    primitive: Element, vertices: np.ndarray, layout: tuple[int, int]
) -> np.ndarray:
    """Triangles (F,3) of one primitive over `vertices` (V,3).

    Raises MeshError(truncated) where it holds fewer than its count announces.
    """
    announced = whole(primitive.get("count", "0"), "a count")
    lists = [index_column(p.text, layout) for p in primitive.all("p")]
    for corners in lists:
        check_indices(corners, len(vertices))
    if primitive.name == "polygons":
        found = polygons(primitive, vertices, lists, layout)
        held = len(primitive.all("p")) + len(primitive.all("ph"))
    elif primitive.name in ("tristrips", "trifans"):
        cut = strip if primitive.name == "tristrips" else fan
        found, held = [cut(corners) for corners in lists], len(lists)
    else:
        corners = np.concatenate(lists) if lists else np.empty(0, np.int64)
        counts = corner_counts(primitive, corners)
        found, held = [triangulate(vertices, corners, counts)], len(counts)
    if held < announced:
        what = f"a <{primitive.name}> of the COLLADA announces {announced} and holds {held}"
        raise MeshError("truncated", what)
    return np.concatenate([np.empty((0, 3), np.int64), *found])


def index_column(text: str, layout: tuple[int, int]) -> np.ndarray:
    """The column of positions of a list of index rows."""
    width, column = layout
    numbers = indices_of(text, "a <p> of the COLLADA")
    if len(numbers) % width:
        what = f"a <p> of the COLLADA holds {len(numbers)} indices in rows of {width}"
        raise MeshError("truncated", what)
    return numbers[column::width]


def corner_counts(primitive: Element, corners: np.ndarray) -> np.ndarray:
    """How many corners each polygon has. Raises MeshError(truncated, unreadable)."""
    if primitive.name == "triangles":
        if len(corners) % 3:
            raise MeshError("truncated", "the last triangle of the COLLADA is not whole")
        return np.full(len(corners) // 3, 3)
    vcount = primitive.child("vcount")
    counts = indices_of(vcount.text if vcount else "", "a <vcount> of the COLLADA")
    if (counts < 0).any():
        raise MeshError("unreadable", "a <vcount> of the COLLADA is negative")
    if counts.sum() != len(corners):
        short = "truncated" if counts.sum() > len(corners) else "unreadable"
        what = f"polygons of {int(counts.sum())} corners over {len(corners)} in the COLLADA"
        raise MeshError(short, what)
    return counts


def polygons(
    primitive: Element, vertices: np.ndarray, lists: list[np.ndarray], layout: tuple[int, int]
) -> list[np.ndarray]:
    """Triangles of <polygons>: each <p> one polygon, each <ph> one with holes."""
    flat = np.concatenate([np.empty(0, np.int64), *lists])
    found = [triangulate(vertices, flat, np.array([len(corners) for corners in lists], np.int64))]
    for holed in primitive.all("ph"):
        outline = holed.child("p")
        rings = [h.text for h in holed.all("h")]
        corners = [index_column(t, layout) for t in [outline.text if outline else "", *rings]]
        for ring in corners:
            check_indices(ring, len(vertices))
        if not np.isfinite(vertices[np.concatenate(corners)]).all():
            raise MeshError("non-finite", "a polygon with holes of the COLLADA has no finite place")
        found.append(triangulate_with_holes(vertices, corners[0], corners[1:]))
    return found
