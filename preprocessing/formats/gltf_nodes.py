"""The node tree of a glTF: world transforms, and which mesh stands where in the scene."""

from dataclasses import dataclass

import numpy as np

from preprocessing.formats.gltf_data import GltfData, member, within
from preprocessing.formats.scenes.placing import of_quaternion
from preprocessing.mesh_errors import MeshError


@dataclass(frozen=True)
class Placed:
    """One showing of a mesh: which node shows it, and its world transform (4,4)."""

    node: int
    transform: np.ndarray


class Nodes:
    """The nodes of a file and their world transforms, computed as they are asked for."""

    def __init__(self, data: GltfData) -> None:
        self.data = data
        self.known: dict[int, np.ndarray] = {}
        self.parents: dict[int, list[int]] = {}
        for index in range(len(data.json.get("nodes", []))):
            for child in self.children(index):
                self.parents.setdefault(child, []).append(index)

    def children(self, index: int) -> list[int]:
        """The children of a node as its JSON lists them."""
        children = self.data.item("nodes", index).get("children", [])
        if not isinstance(children, list) or not all(isinstance(one, int) for one in children):
            raise MeshError("unreadable", f"the children of node {index} are no list of nodes")
        return children

    def world(self, index: int) -> np.ndarray:
        """The world transform (4,4) of a node, whether the scene shows it or not."""
        chain: dict[int, None] = {}
        at: int | None = index
        while at is not None and at not in self.known:
            above = self.parents.get(at, [])
            if at in chain or len(above) > 1:
                raise MeshError("unreadable", f"node {at} has two parents or is its own")
            chain[at] = None
            at = above[0] if above else None
        transform = np.eye(4) if at is None else self.known[at]
        for at in reversed(chain):
            node = self.data.item("nodes", at)
            with within(f"node {at}"), np.errstate(all="ignore"):
                transform = transform @ local_transform(node)
            if not np.isfinite(transform).all():
                raise MeshError("non-finite", f"the transform of node {at} is not finite")
            self.known[at] = transform
        return transform

    def roots(self) -> list[int]:
        """The nodes that the scene starts from: the file's default scene, else its first."""
        data, count = self.data, len(self.data.json.get("nodes", []))
        if data.json.get("scenes", []):
            roots = data.item("scenes", data.json.get("scene", 0)).get("nodes", [])
            for root in roots:
                for above in self.parents.get(root, []):
                    # Not what the schema allows; it matters where the parent moves the scene.
                    if not np.allclose(self.world(above), np.eye(4), atol=1e-12):
                        raise MeshError(
                            "unreadable", f"the scene starts at node {root}, below node {above}"
                        )
            return roots
        roots = [index for index in range(count) if index not in self.parents]
        if count and not roots:
            raise MeshError("unreadable", "the nodes form a cycle")
        return roots

    def placed_meshes(self) -> list[Placed]:
        """Each mesh that the scene shows, in its order, instances one by one."""
        placed, seen, stack = [], set(), list(reversed(self.roots()))
        while stack:
            index = stack.pop()
            node = self.data.item("nodes", index)
            if index in seen:
                raise MeshError("unreadable", f"node {index} has two parents or is its own")
            seen.add(index)
            if not node.get("extensions", {}).get("KHR_node_visibility", {}).get("visible", True):
                continue
            transform = self.world(index)
            if "mesh" in node:
                with within(f"node {index}"), np.errstate(all="ignore"):
                    worlds = [transform @ one for one in self.instances(node)]
                if not np.isfinite(worlds).all():
                    raise MeshError("non-finite", f"an instance of node {index} is not finite")
                placed += [Placed(index, world) for world in worlds]
            stack += reversed(self.children(index))
        return placed

    def instances(self, node: dict) -> list[np.ndarray]:
        """Transforms (4,4) within a node: one identity, or those of EXT_mesh_gpu_instancing."""
        extension = node.get("extensions", {}).get("EXT_mesh_gpu_instancing")
        if extension is None:
            return [np.eye(4)]
        if "skin" in node:
            raise MeshError("unsupported-format", "GPU instances of a skinned mesh")
        columns = {
            name.lower(): self.data.accessor(index)
            for name, index in member(extension, "attributes").items()
            if name in ("TRANSLATION", "ROTATION", "SCALE")
        }
        counts = {len(column) for column in columns.values()}
        if len(counts) != 1:
            raise MeshError("unreadable", f"the instances' attributes have {counts or 'no'} rows")
        return [
            local_transform({name: column[row] for name, column in columns.items()})
            for row in range(counts.pop())
        ]


def local_transform(node: dict) -> np.ndarray:
    """The (4,4) matrix of a node: `matrix`, or scale, then rotation (x,y,z,w), then translation."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = np.array(node.get("rotation", (0, 0, 0, 1)), np.float64)
    length = np.sqrt(x * x + y * y + z * z + w * w)
    if length > 0:
        x, y, z, w = x / length, y / length, z / length, w / length
    matrix[:3, :3] = of_quaternion(x, y, z, w) * np.array(
        node.get("scale", (1, 1, 1)), np.float64
    ).reshape(3)
    matrix[:3, 3] = np.array(node.get("translation", (0, 0, 0)), np.float64).reshape(3)
    return matrix
