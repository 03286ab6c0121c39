"""Random scenes for the readers of scene formats: trees of transforms over parts made of polygons.

Faces, area, volume and bounds of a scene are known here without cutting a polygon into triangles:
by its vector area and its signed volume, which are right for concave polygons too.
"""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

Steps = list[tuple[str, tuple[float, ...]]]


@dataclass
class Part:
    """A closed prism: vertices (V,3) and outward polygons of any number of corners."""

    vertices: np.ndarray
    polygons: list[list[int]]


@dataclass
class Node:
    """Transforms in order, the parts that hang on them (by number), nodes below."""

    steps: Steps
    parts: list[int]
    children: list["Node"] = field(default_factory=list)


@dataclass
class Tree:
    """A scene."""

    parts: list[Part]
    nodes: list[Node]


@dataclass
class Figures:
    """What readers must agree on."""

    faces: int
    area: float
    volume: float
    low: np.ndarray
    high: np.ndarray

    def assert_close(self, other: "Figures") -> None:
        """Equal to rounding, seen from the size of the scene."""
        size = float(np.abs([self.low, self.high]).max())
        assert other.faces == self.faces
        assert np.isclose(other.area, self.area, rtol=1e-6, atol=1e-7 * size**2)
        assert np.isclose(other.volume, self.volume, rtol=1e-6, atol=1e-7 * size**3)
        assert np.allclose([other.low, other.high], [self.low, self.high], rtol=0, atol=1e-6 * size)


def figures(vertices: np.ndarray, faces: np.ndarray) -> Figures:
    """The figures of a triangle mesh (V,3), (F,3)."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)
    used = vertices[np.unique(faces)]
    volume = float((a * np.cross(b, c)).sum() / 6)
    return Figures(len(faces), area, volume, used.min(axis=0), used.max(axis=0))


def expected(tree: Tree) -> Figures:
    """The figures of a scene by the definitions."""
    placed = [(tree.parts[k], matrix) for k, matrix in placements(tree.nodes, np.eye(4))]
    return placed_figures(placed)


def placements(nodes: list[Node], parent: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """(part, matrix) of every part that a scene shows."""
    found = []
    for node in nodes:
        matrix = parent
        for step in node.steps:
            matrix = matrix @ step_matrix(*step)
        found += [(k, matrix) for k in node.parts] + placements(node.children, matrix)
    return found


def placed_figures(placed: list[tuple[Part, np.ndarray]]) -> Figures:
    """The figures of parts placed by matrices (4,4); a mirrored part keeps its outside."""
    count, area, volume, points = 0, 0.0, 0.0, []
    for part, matrix in placed:
        places = part.vertices @ matrix[:3, :3].T + matrix[:3, 3]
        sign = np.sign(np.linalg.det(matrix[:3, :3]))
        for polygon in part.polygons:
            ring = places[polygon]
            crosses = np.cross(ring, np.roll(ring, -1, axis=0))
            area += float(np.linalg.norm(crosses.sum(axis=0)) / 2)
            volume += float(sign * (crosses.sum(axis=0) @ ring[0]) / 6)
            count += len(polygon) - 2
        points.append(places)
    every = np.concatenate(points)
    return Figures(count, area, volume, every.min(axis=0), every.max(axis=0))


def step_matrix(kind: str, numbers: tuple[float, ...]) -> np.ndarray:
    """The matrix (4,4) of a translate, rotate (axis, degrees), scale or matrix step."""
    matrix = np.eye(4)
    if kind == "matrix":
        return np.array(numbers, float).reshape(4, 4)
    if kind == "translate":
        matrix[:3, 3] = numbers
    elif kind == "scale":
        matrix[:3, :3] = np.diag(numbers)
    elif kind == "rotate":
        axis = np.array(numbers[:3]) / np.linalg.norm(numbers[:3])
        matrix[:3, :3] = Rotation.from_rotvec(axis * numbers[3], degrees=True).as_matrix()
    elif kind == "lookat":
        eye, interest, up = np.reshape(numbers, (3, 3))
        back = (eye - interest) / np.linalg.norm(eye - interest)
        right = np.cross(up, back) / np.linalg.norm(np.cross(up, back))
        matrix[:3] = np.column_stack([right, np.cross(back, right), back, eye])
    else:
        raise ValueError(kind)
    return matrix


def prism(radii: list[float], height: float, size: tuple[float, float, float]) -> Part:
    """A prism over a star-shaped polygon, concave where the radii jump."""
    n = len(radii)
    turn = 2 * np.pi * np.arange(n) / n
    ring = np.column_stack([np.cos(turn), np.sin(turn)]) * np.array(radii)[:, None]
    low, high = (np.column_stack([ring, np.full(n, z)]) for z in (0.0, height))
    vertices = np.concatenate([low, high]) * size
    sides = [[i, (i + 1) % n, n + (i + 1) % n, n + i] for i in range(n)]
    return Part(vertices, [list(range(n))[::-1], list(range(n, 2 * n)), *sides])


number = st.floats(-4, 4, width=32).map(lambda x: round(x, 3))
factor = st.one_of(st.floats(0.25, 3), st.floats(-3, -0.25)).map(lambda x: round(x, 3))
axis = st.tuples(number, number, number).filter(lambda v: np.linalg.norm(v) > 0.5)
angle = st.floats(-180, 180).map(lambda x: round(x, 2))


STEPS = {
    "translate": st.tuples(number, number, number),
    "scale": st.tuples(factor, factor, factor),
    "rotate": st.tuples(axis, angle).map(lambda p: (*p[0], p[1])),
    "lookat": st.tuples(axis, axis, axis)
    .filter(lambda v: np.linalg.norm(np.cross(v[1], v[2])) > 0.3)
    .map(lambda v: (*v[0], *np.subtract(v[0], v[1]).tolist(), *v[2])),
    "matrix": st.lists(number, min_size=12, max_size=12)
    .map(lambda m: (*m, 0.0, 0.0, 0.0, 1.0))
    .filter(lambda m: abs(np.linalg.det(np.reshape(m, (4, 4)))) > 0.5),
}
parts = st.builds(
    prism,
    st.lists(st.floats(0.4, 1.5), min_size=3, max_size=9),
    st.floats(0.5, 2),
    st.tuples(st.floats(0.5, 2), st.floats(0.5, 2), st.floats(0.5, 2)),
)


positive = st.floats(0.25, 3).map(lambda x: round(x, 3))
convex = st.builds(
    lambda n, height, size: prism([1.0] * n, height, size),
    st.integers(3, 9),
    st.floats(0.5, 2),
    st.tuples(st.floats(0.5, 2), st.floats(0.5, 2), st.floats(0.5, 2)),
)


def trees(kinds: tuple[str, ...], plain: bool = False) -> st.SearchStrategy[Tree]:
    """Scenes of one to three parts whose nodes use the given kinds of steps.

    plain: convex parts, unit axes, nothing mirrored: for libraries that cut polygons into fans,
    take axes as they are, and leave a mirrored part inside out.
    """
    unit = st.tuples(axis, angle).map(lambda p: (*(p[0] / np.linalg.norm(p[0])).tolist(), p[1]))
    easy = {"scale": st.tuples(positive, positive, positive), "rotate": unit}
    steps = STEPS | (easy if plain else {})
    step = st.sampled_from(kinds).flatmap(lambda k: st.tuples(st.just(k), steps[k]))

    def nodes(below: st.SearchStrategy[list[Node]]) -> st.SearchStrategy[list[Node]]:
        return st.lists(
            st.builds(
                Node,
                st.lists(step, max_size=3),
                st.lists(st.integers(0, 2), max_size=2),
                below,
            ),
            max_size=2,
        )

    top = nodes(nodes(nodes(st.just([]))))
    made = st.builds(Tree, st.lists(convex if plain else parts, min_size=1, max_size=3), top)
    return made.map(within_reach).filter(lambda tree: bool(placements(tree.nodes, np.eye(4))))


def within_reach(tree: Tree) -> Tree:
    """The scene with part numbers that there are."""
    for node in all_nodes(tree.nodes):
        node.parts = [k % len(tree.parts) for k in node.parts]
    return tree


def all_nodes(nodes: list[Node]) -> list[Node]:
    """Nodes and all below, parents first."""
    return [n for node in nodes for n in (node, *all_nodes(node.children))]
