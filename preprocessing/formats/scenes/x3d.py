"""X3D in XML: every shape of the scene where its transforms put it.

What has a surface is read, or refused by name; what has none (lights, sensors, lines) is passed
over. A Switch shows its chosen child, an LOD its finest.
"""

from collections.abc import Callable

import numpy as np

from preprocessing.formats.scenes.placing import (
    Scene,
    Triangles,
    product,
    rotation,
    scaling,
    translation,
)
from preprocessing.formats.scenes.x3d_faces import MESHES, flat, mesh
from preprocessing.formats.scenes.x3d_fields import flag, number, numbers
from preprocessing.formats.scenes.x3d_solids import (
    box,
    cone,
    cylinder,
    elevation_grid,
    extrusion,
    sphere,
)
from preprocessing.formats.scenes.xml_tree import Element, parse_xml
from preprocessing.mesh_errors import MeshError

SOLIDS: dict[str, Callable[[Element], Triangles]] = {
    "Box": box,
    "Cone": cone,
    "Cylinder": cylinder,
    "ElevationGrid": elevation_grid,
    "Extrusion": extrusion,
    "Rectangle2D": flat,
    "Sphere": sphere,
    "TriangleSet2D": flat,
}
NO_SURFACE = (
    "Arc2D",
    "Circle2D",
    "IndexedLineSet",
    "LineSet",
    "PointSet",
    "Polyline2D",
    "Polypoint2D",
)
GROUPS = (
    "Anchor",
    "Billboard",
    "CADAssembly",
    "CADFace",
    "CADLayer",
    "Collision",
    "Group",
    "LOD",
    "Scene",
    "StaticGroup",
    "Switch",
    "Transform",
    "CADPart",
)
PLACED = ("Transform", "CADPart")
LINKED = ("Inline", "ProtoInstance", "GeoTransform", "GeoLocation", "HAnimHumanoid")
"""Nodes that bring shapes in ways that are not read."""
DEEPEST, MOST_NODES = 300, 1 << 17


def read_x3d(data: bytes) -> Triangles:
    """Vertices (V,3) float64 and faces (F,3) int64 of the scene.

    Raises MeshError(unreadable, truncated, unsupported-format, too-large, empty).
    """
    if data.lstrip()[:5] in (b"#X3D ", b"#VRML"):
        what = "X3D in Classic VRML encoding; export it in XML encoding, or as GLB"
        raise MeshError("unsupported-format", what)
    if data[:2] == b"\x1f\x8b":
        raise MeshError("unsupported-format", "the X3D is compressed by gzip; unpack it first")
    root = parse_xml(data)
    top = root.child("Scene")
    if root.name != "X3D" or top is None:
        raise MeshError("unreadable", f"<X3D> with a <Scene> expected, not <{root.name}>")
    return Document(root).read(top)


def transform(element: Element) -> np.ndarray:
    """T · C · R · SR · S · SR⁻¹ · C⁻¹ of a <Transform>, (4,4) (ISO/IEC 19775-1, 10.4.4)."""
    centre = numbers(element, "center", (0.0, 0.0, 0.0))
    turn = numbers(element, "rotation", (0.0, 0.0, 1.0, 0.0))
    lean = numbers(element, "scaleOrientation", (0.0, 0.0, 1.0, 0.0))
    leaning = rotation(lean[:3], lean[3])
    return product(
        translation(numbers(element, "translation", (0.0, 0.0, 0.0)) + centre),
        rotation(turn[:3], turn[3]),
        leaning,
        scaling(numbers(element, "scale", (1.0, 1.0, 1.0))),
        leaning.T,
        translation(-centre),
    )


class Document:
    """One file: what its USEs stand for, and the scene as it is walked."""

    def __init__(self, root: Element) -> None:
        self.known: dict[str, list[Element]] = {}
        self.scene, self.visited = Scene(), 0
        for element in root.walk():
            name = element.get("DEF")
            if name:
                self.known.setdefault(name, []).append(element)

    def read(self, top: Element) -> Triangles:
        """All triangles below <Scene>."""
        self.walk(top, np.eye(4), 0)
        if not self.scene.vertices:
            raise MeshError("empty", "the X3D shows no geometry")
        return self.scene.triangles()

    def resolve(self, element: Element) -> Element:
        """The element itself, or what its USE names. Raises MeshError(unreadable)."""
        name = element.get("USE")
        if not name:
            return element
        found = self.known.get(name, [])
        if len(found) > 1:
            raise MeshError("unreadable", f"two nodes of the X3D are called {name!r}")
        if not found or found[0].name != element.name:
            raise MeshError("unreadable", f"the X3D uses a <{element.name}> {name!r} it has not")
        return found[0]

    def walk(self, element: Element, matrix: np.ndarray, depth: int) -> None:
        """Show what a group holds. Raises MeshError(too-large) for groups within themselves."""
        self.visited += 1
        if depth > DEEPEST or self.visited > MOST_NODES:
            raise MeshError("too-large", "nodes of the X3D nest without end")
        for child in self.shown(element):
            node = self.resolve(child)
            if not flag(node, "visible", True):
                continue
            if node.name == "Shape":
                self.show(node, matrix)
            elif node.name in GROUPS:
                own = transform(node) if node.name in PLACED else np.eye(4)
                self.walk(node, product(matrix, own), depth + 1)
            elif node.name != "ProtoDeclare":
                refuse_hidden_shapes(node)

    def shown(self, element: Element) -> list[Element]:
        """The children of a group that the scene shows."""
        children = [c for c in element.children if not c.name.startswith("Metadata")]
        if element.name == "Switch":
            chosen = int(number(element, "whichChoice", -1))
            return children[chosen : chosen + 1] if chosen >= 0 else []
        if element.name == "LOD":
            return children[:1]
        if element.name == "Collision":
            return [c for c in children if c.get("containerField") != "proxy"]
        return children

    def show(self, shape: Element, matrix: np.ndarray) -> None:
        """Add the geometry of a <Shape>. Raises MeshError(unsupported-format)."""
        for child in shape.children:
            if child.name in ("Appearance", "ROUTE", "IS") or child.name.startswith("Metadata"):
                continue
            geometry = self.resolve(child)
            if geometry.name in SOLIDS:
                with np.errstate(all="ignore"):  # load_mesh names what is not finite
                    self.scene.add(*SOLIDS[geometry.name](geometry), matrix)
            elif geometry.name in MESHES:
                self.scene.add(*mesh(geometry, self.resolve), matrix)
            elif geometry.name in NO_SURFACE:
                # A point without a face: a scene of lines is not empty, it has no faces.
                self.scene.add(np.zeros((1, 3)), np.empty((0, 3), np.int64), None)
            else:
                what = f"<{geometry.name}> in the X3D is not read; export it as triangles"
                raise MeshError("unsupported-format", what)


def refuse_hidden_shapes(node: Element) -> None:
    """Raise MeshError(unsupported-format) where a node that is not read holds or brings shapes."""
    # XML tells cases apart, and some writers do not.
    if any(inner.name.lower() == "shape" or inner.name in LINKED for inner in node.walk()):
        what = f"<{node.name}> in the X3D is not read; export the scene as plain shapes, or as GLB"
        raise MeshError("unsupported-format", what)
