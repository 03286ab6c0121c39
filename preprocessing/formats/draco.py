"""Draco: raw .drc files, and the geometry that glTF keeps in Draco's compression."""

from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.formats.polygons import check_indices
from preprocessing.mesh_errors import MeshError


def read_draco(data: bytes, _: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V,3) float64 and faces (F,3) int64 of a .drc file.

    Raises MeshError(unreadable, no-faces, index-out-of-range, missing-package).
    """
    mesh = decode_draco(data)
    if not hasattr(mesh, "faces"):
        raise MeshError("no-faces", f"{len(mesh.points)} points, but no polygon")
    corners = mesh.faces.astype(np.int64)
    check_indices(corners.ravel(), len(mesh.points))
    return mesh.points.astype(np.float64), corners


def decode_draco(data: bytes) -> Any:
    """What DracoPy makes of Draco-compressed geometry: a mesh, or a point cloud without `faces`.

    Raises MeshError(unreadable, missing-package).
    """
    try:
        import DracoPy
    except ImportError as error:
        raise MeshError(
            "missing-package", f"Draco needs DracoPy, which cannot be imported ({error})"
        ) from None
    try:
        mesh = DracoPy.decode(data)
    except (DracoPy.FileTypeException, ValueError) as error:
        raise MeshError("unreadable", f"Draco: {error}") from None
    if mesh.points is None:
        raise MeshError("unreadable", "Draco: data without positions")
    return mesh
