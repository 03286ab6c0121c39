"""One primitive of a glTF mesh: positions and triangles, morph targets, joints and weights."""

from typing import Any

import numpy as np

from preprocessing.formats.draco import decode_draco
from preprocessing.formats.gltf_data import GltfData, member
from preprocessing.formats.polygons import check_indices
from preprocessing.mesh_errors import MeshError

POINTS_AND_LINES, TRIANGLES, STRIP, FAN = (0, 1, 2, 3), 4, 5, 6


class Primitive:
    """Positions `vertices` (V,3) and `faces` (F,3); the rest is read when it is asked for."""

    def __init__(self, data: GltfData, primitive: dict) -> None:
        self.data, self.json = data, primitive
        self.names = member(primitive, "attributes")
        self.draco = primitive.get("extensions", {}).get("KHR_draco_mesh_compression")
        if self.draco is not None:
            self.packed = draco_mesh(data.view(member(self.draco, "bufferView")))
            self.vertices = np.asarray(self.packed.points, np.float64)
            corners = np.asarray(self.packed.faces, np.int64).ravel()
        else:
            self.vertices = data.accessor(self.names["POSITION"])
            corners = np.arange(len(self.vertices))
            if "indices" in primitive:
                corners = whole_numbers(data.accessor(primitive["indices"], raw=True), "an index")
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3:
            raise MeshError("unreadable", f"positions of shape {self.vertices.shape}, not (V, 3)")
        check_indices(corners, len(self.vertices))
        self.faces = faces_of_mode(corners, primitive.get("mode", TRIANGLES))

    def attribute(self, name: str, raw: bool = False) -> np.ndarray:
        """An attribute (V,width) in float64, wherever it is stored."""
        within_draco = self.draco is not None and name in self.draco.get("attributes", {})
        if not within_draco:
            values = self.data.accessor(self.names[name], raw)
        else:
            found = self.packed.get_attribute_by_unique_id(self.draco["attributes"][name])
            if found is None:
                raise MeshError("unreadable", f"{name} is not in the Draco data")
            values = np.asarray(found["data"])
            if values.dtype.kind in "iu" and not raw:
                values = values / float(np.iinfo(values.dtype).max)
            values = values.astype(np.float64)
        if len(values) != len(self.vertices):
            raise MeshError(
                "unreadable", f"{name} has {len(values)} rows, not {len(self.vertices)}"
            )
        return values

    def morphed(self, weights: list[float]) -> np.ndarray:
        """Positions (V,3) displaced by the morph targets; MeshError where they do not fit."""
        targets = self.json.get("targets", [])
        factors = np.array(weights, np.float64).reshape(-1)
        if len(factors) != len(targets) and factors.any():
            raise MeshError(
                "unreadable", f"{len(factors)} weights for {len(targets)} morph targets"
            )
        if not np.isfinite(factors).all():
            raise MeshError("non-finite", "a weight of a morph target is not finite")
        places = self.vertices
        for number in np.flatnonzero(factors):
            if "POSITION" not in targets[number]:
                continue
            moved = self.data.accessor(targets[number]["POSITION"])
            if moved.shape != places.shape:
                raise MeshError(
                    "unreadable",
                    f"morph target {number} has shape {moved.shape}, not {places.shape}",
                )
            places = places + factors[number] * moved
        return places

    def influences(self) -> tuple[np.ndarray, np.ndarray]:
        """Joints (V,4K) int64 and weights (V,4K) of all K sets, as the file gives them.

        Raises MeshError(unreadable) where there are none, or sets that do not fit each other.
        """
        names = {kind: sorted(n for n in self.names if n.startswith(kind)) for kind in
                 ("JOINTS_", "WEIGHTS_")}  # fmt: skip
        sets = [name.removeprefix("JOINTS_") for name in names["JOINTS_"]]
        if not sets or sets != [name.removeprefix("WEIGHTS_") for name in names["WEIGHTS_"]]:
            raise MeshError(
                "unreadable", f"a skinned mesh with {len(sets)} sets of joints and "
                f"{len(names['WEIGHTS_'])} of weights"
            )  # fmt: skip
        joints = np.concatenate([self.attribute(n, raw=True) for n in names["JOINTS_"]], axis=1)
        weights = np.concatenate([self.attribute(name) for name in names["WEIGHTS_"]], axis=1)
        if joints.shape[1] != 4 * len(sets) or weights.shape != joints.shape:
            raise MeshError("unreadable", "joints and weights come by four a vertex and set")
        numbers = whole_numbers(joints, "a joint of a vertex")
        return numbers.reshape(joints.shape), weights


def whole_numbers(values: np.ndarray, what: str) -> np.ndarray:
    """The values flat in int64. Raises MeshError(unreadable) where one is no whole number."""
    if not (values == np.floor(values)).all() or not (np.abs(values) < 2.0**53).all():
        raise MeshError("unreadable", f"{what} is no whole number")
    return values.astype(np.int64).ravel()


def is_surface(primitive: dict) -> bool:
    """Whether a primitive has triangles: not points or lines, and not without positions."""
    shown = primitive.get("mode", TRIANGLES) not in POINTS_AND_LINES
    return shown and "POSITION" in member(primitive, "attributes")


def faces_of_mode(corners: np.ndarray, mode: int) -> np.ndarray:
    """Triangles (F,3) from indices listed as triangles, a strip or a fan.

    A last triangle of one or two corners names one of them again: load_mesh counts and drops it.
    """
    if mode == TRIANGLES:
        lacking = -len(corners) % 3 if len(corners) > 3 else 0
        corners = np.concatenate([corners, np.repeat(corners[-1:], lacking)])
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if mode == STRIP:
        faces = np.column_stack([corners[:-2], corners[1:-1], corners[2:]])
        faces[1::2] = faces[1::2, ::-1]
        return faces
    if mode == FAN:
        first = np.repeat(corners[:1], max(len(corners) - 2, 0))
        return np.column_stack([first, corners[1:-1], corners[2:]])
    raise MeshError("unreadable", f"primitive mode {mode!r} does not exist")


def draco_mesh(data: bytes) -> Any:
    """The mesh of Draco-compressed geometry. Raises MeshError(unreadable, missing-package)."""
    mesh = decode_draco(data)
    if not hasattr(mesh, "faces"):
        raise MeshError("unreadable", "Draco: a point cloud, not a mesh")
    return mesh
