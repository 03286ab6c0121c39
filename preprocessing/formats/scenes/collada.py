"""COLLADA 1.4 and 1.5: every geometry of the scene where its nodes put it.

Nodes nest, may be instanced, and list their transforms in any number and order. The frame and unit
stay the file's. Skinned geometry stands in its bind shape. Not read: curves, physics, animation.
"""

import numpy as np

from preprocessing.formats.scenes.collada_shape import Library, geometry_triangles
from preprocessing.formats.scenes.collada_skin import joints_of, skin_matrix, skinned_geometry
from preprocessing.formats.scenes.placing import (
    Scene,
    Triangles,
    product,
    rotation,
    scaling,
    translation,
)
from preprocessing.formats.scenes.xml_tree import Element, numbers_of, parse_xml
from preprocessing.mesh_errors import MeshError

DEEPEST, MOST_NODES = 300, 1 << 17
"""Nodes and instances nest this deep at most, and are this many: instances of instances double
with every level."""
SIZES = {"matrix": 16, "translate": 3, "rotate": 4, "scale": 3, "skew": 7, "lookat": 9}


def read_dae(data: bytes) -> Triangles:
    """Vertices (V,3) float64 and faces (F,3) int64 of the scene.

    Raises MeshError(unreadable, truncated, missing, unsupported-format, skinned, empty).
    """
    root = parse_xml(data)
    if root.name != "COLLADA":
        raise MeshError("unreadable", f"a COLLADA file starts with <COLLADA>, not <{root.name}>")
    return Document(root).triangles()


def node_matrix(node: Element) -> np.ndarray:
    """The matrix (4,4) of a node's transforms, in their order."""
    matrix = np.eye(4)
    for step in node.children:
        if step.name in SIZES:
            matrix = product(matrix, step_matrix(step))
    return matrix


def step_matrix(step: Element) -> np.ndarray:
    """The matrix (4,4) of one transform element. Raises MeshError(unreadable)."""
    numbers = numbers_of(step.text, f"a <{step.name}> of the COLLADA")
    if len(numbers) != SIZES[step.name]:
        what = f"a <{step.name}> of the COLLADA has {len(numbers)} of {SIZES[step.name]} numbers"
        raise MeshError("unreadable", what)
    if step.name == "matrix":
        return numbers.reshape(4, 4)
    if step.name == "translate":
        return translation(numbers)
    if step.name == "scale":
        return scaling(numbers)
    if step.name == "rotate":
        return rotation(numbers[:3], np.radians(numbers[3]))
    return skew(numbers) if step.name == "skew" else look_at(numbers)


def skew(numbers: np.ndarray) -> np.ndarray:
    """RenderMan's skew: angle (degrees), axis a, axis b. Shifts along b until a leans by the angle.

    Raises MeshError(unreadable) for axes that are parallel or an angle that reaches b.
    """
    matrix = np.eye(4)
    lengths = np.linalg.norm(numbers[1:].reshape(2, 3), axis=1)
    if not (lengths > 0).all() or not np.isfinite(numbers).all():
        raise MeshError("unreadable", "a <skew> of the COLLADA has an axis without direction")
    leaning, along = numbers[1:].reshape(2, 3) / lengths[:, None]
    across = leaning - (leaning @ along) * along
    sine = float(np.linalg.norm(across))
    between = float(np.arctan2(sine, leaning @ along))
    after = between - float(np.radians(numbers[0]))
    if not sine > 1e-9 or not 1e-9 < after < np.pi - 1e-9:
        raise MeshError("unreadable", "a <skew> of the COLLADA turns an axis onto the other")
    share = 1 / np.tan(after) - 1 / np.tan(between)
    matrix[:3, :3] += share * np.outer(along, across / sine)
    return matrix


def look_at(numbers: np.ndarray) -> np.ndarray:
    """The frame at an eye, looking along -z at a point, with y up: columns are its axes.

    Raises MeshError(unreadable) where the three do not span a plane.
    """
    if not np.isfinite(numbers).all():
        raise MeshError("unreadable", "a <lookat> of the COLLADA holds what is no number")
    eye, interest, up = numbers.reshape(3, 3)
    back = eye - interest
    right = np.cross(up, back)
    lengths = np.linalg.norm([back, right], axis=1)
    if not (lengths > 0).all() or not np.isfinite(lengths).all():
        raise MeshError("unreadable", "a <lookat> of the COLLADA looks nowhere")
    back, right = back / lengths[0], right / lengths[1]
    matrix = np.eye(4)
    matrix[:3] = np.stack([right, np.cross(back, right), back, eye], axis=1)
    return matrix


class Document:
    """One file: its elements by id, and the scene as it is walked."""

    def __init__(self, root: Element) -> None:
        self.root, self.library, self.scene = root, Library(root), Scene()
        self.parts: dict[int, list[Triangles]] = {}
        self.joints: list[tuple[Element, np.ndarray]] = []
        self.skins: list[tuple[Element, np.ndarray]] = []

    def triangles(self) -> Triangles:
        """All triangles of the scene; of the library where the file has no scene."""
        tops = self.top_nodes()
        for node in tops or []:
            self.walk(node, np.eye(4), 0)
        if tops is None:
            for geometry in (e for e in self.root.walk() if e.name == "geometry"):
                self.show(geometry, None)
        for instance, matrix in self.skins:
            self.show_skin(instance, matrix)
        if not self.scene.vertices:
            raise MeshError("empty", "the COLLADA shows no geometry")
        return self.scene.triangles()

    def top_nodes(self) -> list[Element] | None:
        """The nodes of the scene that the file shows, or of its first; None where it has none."""
        shown = self.root.child("scene")
        instance = shown.child("instance_visual_scene") if shown else None
        if instance:
            return self.library.follow(instance.get("url"), ("visual_scene",)).all("node")
        scenes = [e for e in self.root.walk() if e.name == "visual_scene"]
        return scenes[0].all("node") if scenes else None

    def walk(self, node: Element, parent: np.ndarray, depth: int) -> None:
        """Show what hangs on a node. Raises MeshError(too-large) for nodes within themselves."""
        if depth > DEEPEST or len(self.joints) > MOST_NODES:
            raise MeshError("too-large", "nodes of the COLLADA nest without end")
        matrix = product(parent, node_matrix(node))
        self.joints.append((node, matrix))
        for child in node.children:
            link = child.get("url")
            if child.name == "node":
                self.walk(child, matrix, depth + 1)
            elif child.name == "instance_node":
                self.walk(self.library.follow(link, ("node",)), matrix, depth + 1)
            elif child.name == "instance_geometry":
                self.show(self.library.follow(link, ("geometry",)), matrix)
            elif child.name == "instance_controller":
                self.skins.append((child, matrix))

    def show(self, geometry: Element, matrix: np.ndarray | None) -> None:
        """Add a geometry to the scene."""
        if id(geometry) not in self.parts:
            self.parts[id(geometry)] = geometry_triangles(geometry, self.library)
        for vertices, faces in self.parts[id(geometry)]:
            self.scene.add(vertices, faces, matrix)

    def show_skin(self, instance: Element, matrix: np.ndarray) -> None:
        """Add a skinned geometry: where its joints hold it, whatever its own node says."""
        controller = self.library.follow(instance.get("url"), ("controller",))
        geometry, skin = skinned_geometry(controller, self.library)
        if skin is None:
            self.show(geometry, matrix)
            return
        joints = joints_of(instance, self.library, self.joints)
        self.show(geometry, skin_matrix(skin, self.library, joints, matrix))
