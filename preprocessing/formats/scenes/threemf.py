"""3MF: every object that is built, where its components and build items put it.

Read are the core specification and the production extension's parts in several files. Units stay
the file's. A triangle that names a vertex twice is left to load_mesh, which drops and counts it.
"""

import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO

import numpy as np

from preprocessing.formats.polygons import check_indices
from preprocessing.formats.scenes.placing import Scene, Triangles, product
from preprocessing.formats.scenes.xml_tree import Element, numbers_of, parse_xml
from preprocessing.mesh_errors import MeshError

ROWS = {"vertex": ("x", "y", "z"), "triangle": ("v1", "v2", "v3")}
LARGEST_PART = 2 << 30
BOMB, SMALL = 300, 16 << 20
"""XML packs by ten or twenty. A part of over SMALL bytes that unpacks BOMB-fold is a bomb."""
DEEPEST, MOST_NODES = 100, 1 << 17
MODEL_TYPE = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"
HARMLESS = ("production", "material", "slice", "triangleset")
"""Words in the namespaces of extensions that leave a mesh its triangles."""
Key = tuple[str, str]


def read_3mf(data: bytes) -> Triangles:
    """Vertices (V,3) float64 and faces (F,3) int64 of what the file builds.

    Raises MeshError(unreadable, truncated, too-large, missing, unsupported-format, empty).
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            return Package(archive).triangles()
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        reason = "truncated" if data[:2] == b"PK" else "unreadable"
        raise MeshError(reason, f"the 3MF is not a whole ZIP archive: {error}") from None
    except (NotImplementedError, RuntimeError) as error:
        raise MeshError("unsupported-format", f"the 3MF's ZIP archive: {error}") from None
    except (OSError, ValueError, KeyError, OverflowError) as error:
        if isinstance(error, MeshError):
            raise
        raise MeshError("unreadable", f"the 3MF's ZIP archive: {error}") from None


def pieces(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """A file of the archive in pieces. Raises MeshError(missing, too-large)."""
    by_name = {info.filename.casefold(): info for info in archive.infolist()}
    info = by_name.get(name.lstrip("/").casefold())
    if info is None:
        raise MeshError("missing", f"the 3MF has no {name!r}")
    bomb = info.file_size > SMALL and info.file_size > BOMB * max(info.compress_size, 1)
    if bomb or info.file_size > LARGEST_PART:
        raise MeshError("too-large", f"{name!r} of the 3MF unpacks to {info.file_size} bytes")
    with archive.open(info) as handle:
        while piece := handle.read(1 << 20):
            yield piece


class Package:
    """One archive: its objects by part and id, and the scene as it is built."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive, self.scene, self.visited = archive, Scene(), 0
        self.objects: dict[Key, Element] = {}
        self.meshes: dict[Key, Triangles] = {}
        self.parts: dict[str, Element] = {}

    def triangles(self) -> Triangles:
        """All triangles that are built; every object where the file builds none."""
        start = self.start_part()
        model = self.part(start)
        build = model.child("build")
        items = build.all("item") if build else []
        if items:
            for item in items:
                self.place(start, item, np.eye(4), 0)
        else:
            used = {c.get("objectid") for c in model.walk() if c.name == "component"}
            for name in [key[1] for key in self.objects if key[0] == start]:
                if name not in used:
                    self.show((start, name), np.eye(4), 0)
        if not self.scene.vertices:
            raise MeshError("empty", "the 3MF builds no mesh")
        return self.scene.triangles()

    def start_part(self) -> str:
        """The part that the archive's relations call its model."""
        relations = parse_xml(pieces(self.archive, "_rels/.rels"))
        for relation in relations.all("Relationship"):
            if relation.get("Type") == MODEL_TYPE:
                return posixpath.normpath("/" + relation.get("Target"))
        raise MeshError("unreadable", "the 3MF's relations name no model")

    def part(self, name: str) -> Element:
        """A model part, parsed once, its objects known by id. Raises MeshError."""
        if name in self.parts:
            return self.parts[name]
        root = self.parts[name] = parse_xml(pieces(self.archive, name), ROWS)
        if root.name != "model":
            raise MeshError("unreadable", f"{name!r} of the 3MF is a <{root.name}>, not a <model>")
        refuse_extensions(root)
        resources = root.child("resources")
        for item in resources.all("object") if resources else []:
            key = (name, item.get("id"))
            if key in self.objects:
                raise MeshError("unreadable", f"two objects of the 3MF are called {key[1]!r}")
            self.objects[key] = item
        return root

    def place(self, part: str, link: Element, parent: np.ndarray, depth: int) -> None:
        """Show the object that an item or a component names, where it says."""
        path = next((v for k, v in link.attributes.items() if k.rpartition(":")[2] == "path"), "")
        where = posixpath.normpath("/" + path) if path else part
        self.part(where)
        self.show((where, link.get("objectid")), product(parent, matrix_of(link)), depth)

    def show(self, key: Key, matrix: np.ndarray, depth: int) -> None:
        """Add an object to the scene. Raises MeshError(too-large, unreadable)."""
        self.visited += 1
        if depth > DEEPEST or self.visited > MOST_NODES:
            raise MeshError("too-large", "components of the 3MF nest without end")
        shown = self.objects.get(key)
        if shown is None:
            raise MeshError("unreadable", f"the 3MF has no object {key[1]!r}")
        if shown.child("mesh"):
            if key not in self.meshes:
                self.meshes[key] = mesh_of(shown)
            self.scene.add(*self.meshes[key], matrix)
        components = shown.child("components")
        for component in components.all("component") if components else []:
            self.place(key[0], component, matrix, depth + 1)
        if not components and not shown.child("mesh"):
            inner = ", ".join(f"<{c.name}>" for c in shown.children) or "nothing"
            what = f"object {key[1]!r} of the 3MF holds {inner} and no mesh; export it as triangles"
            raise MeshError("unsupported-format", what)


def refuse_extensions(root: Element) -> None:
    """Raise MeshError(unsupported-format) where the model needs an extension that adds geometry."""
    for element in root.walk():
        if element.name in ("beamlattice", "beams", "booleanshape", "displacementmesh", "levelset"):
            what = f"<{element.name}> in the 3MF is not read; export it as plain triangles"
            raise MeshError("unsupported-format", what)
    for prefix in root.get("requiredextensions").split():
        space = root.get(f"xmlns:{prefix}") or prefix
        if not any(word in space.lower() for word in HARMLESS):
            what = f"the 3MF needs the extension {space!r}; export it as plain triangles"
            raise MeshError("unsupported-format", what)


def matrix_of(link: Element) -> np.ndarray:
    """The matrix (4,4), acting on columns, of an item or component; the file's acts on rows."""
    matrix = np.eye(4)
    if text := link.get("transform"):
        numbers = numbers_of(text, "a transform of the 3MF")
        if len(numbers) != 12:
            raise MeshError("unreadable", f"a transform of the 3MF has {len(numbers)} numbers")
        matrix[:3] = numbers.reshape(4, 3).T
    return matrix


def mesh_of(item: Element) -> Triangles:
    """Vertices (V,3) and faces (F,3) of an <object>. Raises MeshError(index-out-of-range)."""
    mesh = item.child("mesh")
    places, corners = (mesh.child(name) if mesh else None for name in ("vertices", "triangles"))
    vertices = places.row_array("vertex", 3) if places else np.empty((0, 3))
    indices = corners.row_array("triangle", 3) if corners else np.empty((0, 3))
    if not (np.abs(indices) < 2**53).all() or (indices != np.floor(indices)).any():
        raise MeshError("unreadable", f"an index in object {item.get('id')!r} of the 3MF is odd")
    faces = indices.astype(np.int64)
    check_indices(faces.ravel(), len(vertices))
    return vertices, faces
