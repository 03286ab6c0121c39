"""Parts of a scene, each put where a matrix says, joined to one list of triangles."""

import numpy as np

from preprocessing.mesh_errors import MeshError

MOST_CORNERS = 1 << 27
"""A scene that would bake into more face corners than this is refused: instances are cheap to
write down, and what they ask for need not fit into memory."""

MOST_PARTS = 1 << 20
"""Parts of a scene, empty ones too: nested instances double with each level."""

Triangles = tuple[np.ndarray, np.ndarray]


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (N,3) by a matrix (4,4) that acts on columns.

    What overflows comes out infinite or NaN, and loading refuses it where a face uses it.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return points @ matrix[:3, :3].T + matrix[:3, 3]


def product(*matrices: np.ndarray) -> np.ndarray:
    """Matrices (4,4) multiplied from left to right; overflow as in `apply`."""
    result = matrices[0]
    with np.errstate(over="ignore", invalid="ignore"):
        for matrix in matrices[1:]:
            result = result @ matrix
    return result


def mirrors(matrix: np.ndarray) -> bool:
    """Whether a matrix (4,4) turns the outside in."""
    with np.errstate(all="ignore"):
        return bool(np.dot(np.cross(matrix[0, :3], matrix[1, :3]), matrix[2, :3]) < 0)


def translation(offset: np.ndarray) -> np.ndarray:
    """The matrix (4,4) that adds `offset` (3,)."""
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def scaling(factors: np.ndarray) -> np.ndarray:
    """The matrix (4,4) that multiplies by `factors` (3,)."""
    return np.diag([*factors, 1.0])


def rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """The matrix (4,4) that turns by `angle` (radians) about `axis` (3,), by Rodrigues' formula.

    An axis without a direction turns nothing.
    """
    matrix = np.eye(4)
    length = float(np.linalg.norm(axis))
    if not length > 0 or not np.isfinite([*axis, angle]).all():
        return matrix * (1.0 if np.isfinite([*axis, angle]).all() else np.nan)
    x, y, z = axis / length
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix[:3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return matrix


def of_quaternion(x: float, y: float, z: float, w: float) -> np.ndarray:
    """The rotation (3,3) of a unit quaternion, w its real part."""
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


class Scene:
    """Triangles of parts, collected in the order in which they are added."""

    def __init__(self) -> None:
        self.vertices: list[np.ndarray] = []
        self.faces: list[np.ndarray] = []
        self.points, self.corners = 0, 0

    def add(self, vertices: np.ndarray, faces: np.ndarray, matrix: np.ndarray | None) -> None:
        """Add vertices (V,3) and faces (F,3) as `matrix` (4,4) places them; None: as they are.

        Raises MeshError(too-large).
        """
        self.corners += 3 * len(faces)
        if self.corners > MOST_CORNERS or len(self.vertices) >= MOST_PARTS:
            raise MeshError("too-large", "the instances of the scene bake into too many triangles")
        if matrix is not None:
            vertices = apply(matrix, vertices)
            faces = faces[:, ::-1] if mirrors(matrix) else faces
        self.vertices.append(vertices)
        self.faces.append(faces + self.points)
        self.points += len(vertices)

    def triangles(self) -> Triangles:
        """Vertices (V,3) float64 and faces (F,3) int64 of all parts."""
        if not self.vertices:
            return np.empty((0, 3)), np.empty((0, 3), np.int64)
        return np.concatenate(self.vertices), np.concatenate(self.faces)
