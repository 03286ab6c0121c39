"""Meshes: the array type the whole house passes around, the normalised frame, and mesh files."""

from dataclasses import dataclass

import numpy as np


class MeshError(ValueError):
    """A mesh or file that cannot be used. `reason` is a short stable code for the ledger."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.reason, self.message)


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh: `vertices` float64 (V,3), `faces` int64 (F,3) indices into them."""

    vertices: np.ndarray
    faces: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "vertices", np.ascontiguousarray(self.vertices, np.float64))
        object.__setattr__(self, "faces", np.ascontiguousarray(self.faces, np.int64))

    @property
    def triangles(self) -> np.ndarray:
        """Corner positions, float64 (F,3,3)."""
        return self.vertices[self.faces]


@dataclass(frozen=True)
class Transform:
    """Input frame -> normalised frame: x_normalised = (x - center) * scale."""

    scale: float
    center: tuple[float, float, float]

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Input frame to normalised frame, float64 (...,3)."""
        return (np.asarray(points, np.float64) - np.asarray(self.center)) * self.scale

    def invert(self, points: np.ndarray) -> np.ndarray:
        """Normalised frame back to the input's frame, float64 (...,3)."""
        return np.asarray(points, np.float64) / self.scale + np.asarray(self.center)


def normalise(mesh: Mesh) -> tuple[Mesh, Transform]:
    """Bounding-box centre to 0, longest side to [-1, 1], in float64.

    Only vertices that a face uses count. Raises MeshError(empty) without faces and
    MeshError(zero-extent) when all used vertices coincide.
    """
    if len(mesh.faces) == 0:
        raise MeshError("empty", "the mesh has no faces")
    used = mesh.vertices[np.unique(mesh.faces)]
    low, high = used.min(axis=0), used.max(axis=0)
    longest = float((high - low).max())
    if not longest > 0:
        raise MeshError("zero-extent", "all vertices coincide; there is no size to scale by")
    center = low + (high - low) / 2
    transform = Transform(2.0 / longest, (float(center[0]), float(center[1]), float(center[2])))
    return Mesh(transform.apply(mesh.vertices), mesh.faces), transform
