"""Meshes: the array type the whole house passes around, the normalised frame, and mesh files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from preprocessing.files import atomic_write
from preprocessing.formats.gltf import write_glb
from preprocessing.formats.obj import write_obj
from preprocessing.formats.ply import write_ply
from preprocessing.formats.readers import SUFFIXES as SUFFIXES
from preprocessing.formats.readers import read_triangles
from preprocessing.formats.stl import write_stl
from preprocessing.frame import HALF_WIDTH
from preprocessing.half_edges import edge_faults
from preprocessing.mesh_errors import MeshError as MeshError

MIXER = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: an odd multiplier that spreads bits (Knuth)."""

LARGEST, SMALLEST = 1e150, 1e-150
"""Coordinates and sizes beyond these cannot be squared in float64."""

IN_FRAME, CENTRED, ROUNDING = 0.95, 0.01, 1e-6
"""What a mesh in the normalised frame reaches at least, how far off 0 its centre may lie, and what
a file's float32 adds."""

WRITERS = {".ply": write_ply, ".obj": write_obj, ".glb": write_glb, ".stl": write_stl}


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

    def place(self, mesh: Mesh) -> Mesh:
        """A mesh of the input frame in the normalised frame."""
        return Mesh(self.apply(mesh.vertices), mesh.faces)


@dataclass(frozen=True)
class LoadedMesh:
    """A mesh from a file, and what loading did to what the file holds."""

    mesh: Mesh
    merged_vertices: int
    """Vertices that were joined to another one in exactly the same place."""
    unused_vertices: int
    """Vertices that no face uses; dropped."""
    degenerate_faces: int
    """Faces that name a vertex twice (after joining); dropped."""


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
    return transform.place(mesh), transform


def frame_of_output(mesh: Mesh) -> Transform:
    """The identity for a mesh in the normalised frame already, else its own, as `normalise` says.

    In the frame is what reaches at least 0.95 and at most 1.05 along its longest side, centred to
    0.01. The offset surface stands in its *input's* frame and reaches eps beyond [-1, 1]: to
    normalise it again would part it from its own samples. Raises MeshError as `normalise`.
    """
    frame = normalise(mesh)[1]
    fits = IN_FRAME <= 1 / frame.scale <= HALF_WIDTH + ROUNDING
    centred = max(map(abs, frame.center)) <= CENTRED
    return Transform(1.0, (0.0, 0.0, 0.0)) if fits and centred else frame


def load_mesh(path: str | Path) -> Mesh:
    """The mesh in a file of any format in SUFFIXES, whole scenes with their transforms baked in.

    The result is valid: finite vertices, all used, indices in range, no face that names a vertex
    twice, at least one face with an area. Frame and units are the file's, in float64.
    Vertices in exactly the same place are joined when that is what closes the mesh: a mesh that
    is closed by its indices stays as it is, so that what save_mesh wrote comes back unchanged.
    Raises MeshError with a reason from mesh_errors.REASONS.
    """
    return load_mesh_report(path).mesh


def load_mesh_report(path: str | Path) -> LoadedMesh:
    """load_mesh, with counts of what was joined and dropped."""
    return validate(*read_triangles(Path(path)))


def validate(vertices: np.ndarray, faces: np.ndarray) -> LoadedMesh:
    """Join, drop and check as load_mesh promises. vertices (V,3), faces (F,3) in range.

    Raises MeshError(empty, no-faces, non-finite, zero-extent, zero-area).
    """
    if len(faces) == 0:
        if len(vertices) == 0:
            raise MeshError("empty", "the file holds no geometry")
        raise MeshError("no-faces", f"{len(vertices)} points, but no polygon")
    given, faces = len(faces), drop_degenerate(faces)
    merged = 0
    if not closed_by_index(faces):
        joined, which = join_positions(vertices)
        merged = len(vertices) - len(joined)
        vertices, faces = joined, drop_degenerate(which[faces])
    if len(faces) == 0:
        raise MeshError("zero-area", f"all {given} faces name a vertex or place twice")
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    kept, faces = vertices[used], (np.cumsum(used) - 1)[faces]
    check_geometry(kept, faces)
    return LoadedMesh(Mesh(kept, faces), merged, int((~used).sum()), given - len(faces))


def check_geometry(vertices: np.ndarray, faces: np.ndarray) -> None:
    """Raise MeshError(non-finite, zero-extent, zero-area) where there is nothing to work with."""
    bad = int((~(np.abs(vertices) <= LARGEST)).any(axis=1).sum())
    if bad:
        raise MeshError(
            "non-finite", f"{bad} of {len(vertices)} vertices are NaN, infinite or over {LARGEST:g}"
        )
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    longest = float((high - low).max())
    if not longest > SMALLEST:
        raise MeshError("zero-extent", "all vertices coincide")
    # Rounding far from the origin gives a line a little area: compare with the coordinates' grain.
    grain = np.finfo(np.float64).eps * max(1.0, float(np.abs([low, high]).max()) / longest)
    # One real face is enough: look at a few hundred before looking at all.
    for some in (faces[:: len(faces) // 256 + 1], faces):
        corners = (vertices[some] - low) / longest
        crosses = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        if float(np.abs(crosses).max()) > 16 * grain:
            return
    raise MeshError("zero-area", f"none of {len(faces)} faces has an area")


def drop_degenerate(faces: np.ndarray) -> np.ndarray:
    """Faces (F,3) without those that name a vertex twice."""
    a, b, c = faces.T
    return faces[(a != b) & (b != c) & (c != a)]


def closed_by_index(faces: np.ndarray) -> bool:
    """Whether each edge belongs to exactly two faces, by indices alone."""
    return len(faces) > 0 and edge_faults(faces).two_faces_each


def join_positions(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (W,3) without repeated places, in order of first use, and (V,) old -> new index.

    Equal means equal as numbers (0.0 and -0.0 are one place); NaN equals nothing.
    """
    # Sorting one hash a place is three times as fast as sorting the places; a collision (or NaN)
    # shows as a vertex that is not where its group is, and then the places themselves are sorted.
    bits = np.ascontiguousarray(vertices + 0.0).view(np.uint64)
    keys = np.zeros(len(bits), np.uint64)
    for axis in range(3):
        keys = (keys ^ (bits[:, axis] >> np.uint64(29)) ^ bits[:, axis]) * MIXER
    first, group = np.unique(keys, return_index=True, return_inverse=True)[1:]
    if not (vertices[first][group] == vertices).all():
        order = np.lexsort(vertices.T[::-1])
        new = np.ones(len(order), bool)
        new[1:] = (vertices[order[1:]] != vertices[order[:-1]]).any(axis=1)
        # lexsort is stable, so the first row of each group is the first in the file.
        first, group = order[new], np.empty(len(order), np.int64)
        group[order] = np.cumsum(new) - 1
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return vertices[np.sort(first)], rank[group]


def save_mesh(mesh: Mesh, path: str | Path) -> None:
    """Write .ply, .obj, .glb or .stl by suffix: atomic, float32, the same bytes for the same mesh.

    Raises MeshError(unsupported-format) for another suffix, MeshError(empty) without faces and
    MeshError(non-finite) when a coordinate is not finite as float32.
    """
    path = Path(path)
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise MeshError(
            "unsupported-format", f"cannot write {path.name}; use one of {', '.join(WRITERS)}"
        )
    if len(mesh.faces) == 0:
        raise MeshError("empty", "a mesh without faces is not written")
    if not (np.abs(mesh.vertices) <= np.finfo(np.float32).max).all():
        raise MeshError("non-finite", "a coordinate is NaN, infinite or beyond float32")
    atomic_write(path, writer(mesh.vertices, mesh.faces))
