"""Small writers of OBJ, OFF, PLY, STL and glTF, for scenes of scene_trees.

Each takes the liberties that its format gives, as a random generator chooses; the first of each
choice is what every reader understands.
"""

from collections.abc import Callable

import numpy as np
from gltf_files import GltfFile
from scene_trees import Node, Part, Tree, placements, step_matrix


class First:
    """In place of a random generator: the first of each choice."""

    def random(self) -> float:
        return 1.0

    def choice(self, of: list) -> object:
        return of[0]

    def integers(self, *_: int) -> int:
        return 0


def baked(tree: Tree) -> Tree:
    """The scene as parts that stand where they are shown, in float32; outsides stay out."""
    parts = []
    for k, matrix in placements(tree.nodes, np.eye(4)):
        part = tree.parts[k]
        places = (part.vertices @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
        turn = -1 if np.linalg.det(matrix[:3, :3]) < 0 else 1
        polygons = [polygon[::turn] for polygon in part.polygons]
        parts.append(Part(places.astype(float), polygons))
    return Tree(parts, [Node([], list(range(len(parts))))])


def in_triangles(tree: Tree, cut: Callable[[np.ndarray, list[int]], list[list[int]]]) -> Tree:
    """The scene with each polygon cut by `cut`(vertices, polygon)."""
    parts = [
        Part(part.vertices, [t for polygon in part.polygons for t in cut(part.vertices, polygon)])
        for part in tree.parts
    ]
    return Tree(parts, tree.nodes)


def from_middle(vertices: np.ndarray, polygon: list[int]) -> list[list[int]]:
    """Triangles of a star-shaped cap or a quad of a prism: the plain twin of the ear clipping.

    Ears one after another, the first that holds no other corner.
    """
    ring, left, triangles = vertices[polygon], list(range(len(polygon))), []
    normal = np.cross(ring, np.roll(ring, -1, axis=0)).sum(axis=0)

    def turn(a: int, b: int, c: int) -> float:
        return float(np.cross(ring[b] - ring[a], ring[c] - ring[a]) @ normal)

    while len(left) > 3:
        for k in range(len(left)):
            a, b, c = left[k - 1], left[k], left[(k + 1) % len(left)]
            held = any(
                min(turn(a, b, p), turn(b, c, p), turn(c, a, p)) >= 0
                for p in left
                if p not in (a, b, c)
            )
            if turn(a, b, c) > 0 and not held:
                break
        triangles.append([a, b, c])
        left.remove(b)
    return [[polygon[i] for i in t] for t in [*triangles, left]]


def flat(tree: Tree) -> tuple[np.ndarray, list[list[int]]]:
    """Vertices and polygons of a baked scene."""
    starts = np.cumsum([0, *(len(part.vertices) for part in tree.parts)])
    polygons = [
        [int(start) + i for i in polygon]
        for start, part in zip(starts, tree.parts, strict=False)
        for polygon in part.polygons
    ]
    return np.concatenate([part.vertices for part in tree.parts]), polygons


def numbers(row: np.ndarray) -> str:
    return " ".join(f"{x:.9g}" for x in row)


def write_obj(tree: Tree, rng: np.random.Generator | First) -> bytes:
    """Vertices part by part, polygons with slashes or backwards, and what others put between."""
    lines, start = ["# made here", rng.choice(["", "mtllib C:\\materials\\", "# D:\\tools\\"])], 0
    for part in tree.parts:
        lines += [f"o part {start}", rng.choice(["", "usemtl wood\\", "g a\\"])]
        lines += [
            f"v {numbers(row)}{rng.choice(['', ' 1 0 0', ' # here'])}" for row in part.vertices
        ]
        end = start + len(part.vertices)
        for polygon in part.polygons:
            backwards, style = rng.random() < 0.3, rng.choice(["{}", "{}/1", "{}//1", "{}/1/1"])
            words = [style.format(i - len(part.vertices) if backwards else start + i + 1)
                     for i in polygon]  # fmt: skip
            gap = rng.choice([" ", "  ", "\t", " \\\n "])
            lines.append("f " + gap.join(words))
        start = end
    return rng.choice(["\n", "\r\n"]).join(lines).encode()


def write_off(tree: Tree, rng: np.random.Generator | First) -> bytes:
    """One of OFF's headers, vertices with or without more behind them."""
    vertices, polygons = flat(tree)
    prefix = rng.choice(["OFF\n", "OFF ", "OFF", "off\n", "COFF\n", "NOFF\n"])
    extra = {"C": " 1 0 0 1", "N": " 0 0 1"}.get(prefix[0], "")
    rows = [numbers(row) + extra for row in vertices]
    rows += [f"{len(p)} {' '.join(map(str, p))}{rng.choice(['', ' 255 0 0'])}" for p in polygons]
    return f"{prefix}{len(vertices)} {len(polygons)} 0\n".encode() + "\n".join(rows).encode()


def write_ply(tree: Tree, rng: np.random.Generator | First) -> bytes:
    """Text or binary, float or double, with and without other columns."""
    vertices, polygons = flat(tree)
    order = rng.choice(["ascii", "binary_little_endian", "binary_big_endian"])
    real, size = (("float", "f4"), ("double", "f8"))[int(rng.integers(2))]
    sign = ">" if order.endswith("big_endian") else "<"
    more = rng.random() < 0.5
    header = ["ply", f"format {order} 1.0", "comment made here", f"element vertex {len(vertices)}"]
    header += [f"property {real} {axis}" for axis in "xyz"] + ["property uchar red"] * more
    header += [f"element face {len(polygons)}"] + ["property short flag"] * more
    header += ["property list uchar int vertex_indices", "end_header", ""]
    if order == "ascii":
        rows = [numbers(row) + " 7" * more for row in vertices]
        rows += [" ".join(map(str, [9] * more + [len(p), *p])) for p in polygons]
        return (
            "\n".join(header + rows[:-1]).replace("\n\n", "\n").encode()
            + ("\n" + rows[-1] + "\n").encode()
        )
    body = b"".join(row.astype(sign + size).tobytes() + b"\x07" * more for row in vertices)
    for polygon in polygons:
        body += np.array([9] * more, sign + "i2").tobytes() + bytes([len(polygon)])
        body += np.array(polygon, sign + "i4").tobytes()
    return "\n".join(header).encode() + body


def write_stl(tree: Tree, rng: np.random.Generator | First) -> bytes:
    """Text with one solid a part, or binary with a header that begins like text."""
    soup = [[part.vertices[t] for t in part.polygons] for part in tree.parts]
    if rng.random() < 0.5:
        facets = np.concatenate(soup).astype("<f4")
        body = b"".join(bytes(12) + one.tobytes() + bytes(2) for one in facets)
        return b"solid".ljust(80) + len(facets).to_bytes(4, "little") + body
    text = ""
    for facets in soup:
        name = rng.choice(["part", "", "vertex a", "facet normal loop"])
        text += f"solid {name}\n"
        for facet in facets:
            corners = "".join(f"vertex {numbers(corner)}\n" for corner in facet)
            text += f"facet normal 0 0 0\nouter loop\n{corners}endloop\nendfacet\n"
        text += f"endsolid {name}\n"
    return text.encode()


def write_glb(tree: Tree, rng: np.random.Generator, skins: bool) -> bytes:
    """The tree of nodes, one for each step; some parts hang on a joint by a skin instead."""
    file, meshes = GltfFile(), {}
    for k, part in enumerate(tree.parts):
        meshes[k] = file.mesh(part.vertices, np.array(part.polygons))
    for node in tree.nodes:
        gltf_node(file, node, tree, meshes, rng if skins else None)
    return file.bytes()


def gltf_node(file: GltfFile, node: Node, tree: Tree, meshes: dict, rng) -> int:
    """Add a node and all below; its index."""
    below = [gltf_node(file, child, tree, meshes, rng) for child in node.children]
    skinned = []
    for k in node.parts:
        if rng is None or rng.random() < 0.5:
            below.append(file.node(mesh=meshes[k]))
        else:
            joint = file.node()
            below.append(joint)
            skinned.append((k, joint))
    index = file.node(children=below) if below else file.node()
    for kind, values in reversed(node.steps):
        index = file.node(children=[index], **gltf_members(kind, values))
    for k, joint in skinned:
        skinned_copy(file, tree.parts[k], joint, rng)
    return index


def gltf_members(kind: str, values: tuple[float, ...]) -> dict:
    """A step as members of a node."""
    if kind in ("translate", "scale"):
        return {{"translate": "translation", "scale": "scale"}[kind]: list(values)}
    return {"matrix": step_matrix(kind, values).T.ravel().tolist()}


def skinned_copy(file: GltfFile, part: Part, joint: int, rng: np.random.Generator | First) -> None:
    """A part bound to a joint in another place, under a node whose transform counts for nothing."""
    shift = rng.integers(-8, 9, 3) / 4.0
    count = len(part.vertices)
    joints, weights = np.zeros((count, 4)), np.zeros((count, 4))
    weights[:, : int(rng.integers(1, 5))] = rng.choice([1.0, 0.25, 3.0])
    inverse = np.eye(4)
    inverse[:3, 3] = -shift
    mesh = file.mesh(
        part.vertices + shift,
        np.array(part.polygons),
        JOINTS_0=file.accessor(joints, "u1"),
        WEIGHTS_0=file.accessor(weights),
    )
    skin = file.skin([joint], inverse[None])
    file.node(mesh=mesh, skin=skin, translation=rng.normal(size=3).tolist(), scale=[-1, 2, 3])
