"""Meshes: the array type the whole house passes around, the normalised frame, and mesh files."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from preprocessing.files import atomic_write
from preprocessing.formats.gltf import write_glb
from preprocessing.formats.obj import write_obj
from preprocessing.formats.ply import write_ply
from preprocessing.formats.readers import SUFFIXES as SUFFIXES
from preprocessing.formats.readers import read_triangles
from preprocessing.formats.stl import write_stl
from preprocessing.frame import HALF_WIDTH
from preprocessing.mesh_errors import MeshError as MeshError
from preprocessing.mesh_extent import frame_ratio, solid_bounds, sticking_out
from preprocessing.mesh_joining import (
    closed_by_index,
    drop_degenerate,
    join_positions,
    weld_seams,
    without_indices,
)
from preprocessing.stores.address import Place, place

if TYPE_CHECKING:
    import trimesh

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

    @classmethod
    def from_trimesh(cls, held: "trimesh.Trimesh") -> "Mesh":
        """The vertices and faces of a `trimesh.Trimesh`, in their order (`as_mesh` takes more)."""
        return cls(held.vertices, held.faces)

    def to_trimesh(self) -> "trimesh.Trimesh":
        """A `trimesh.Trimesh` with the same vertices and faces in the same order: none joined."""
        import trimesh

        return trimesh.Trimesh(self.vertices, self.faces, process=False)


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
    outlying_faces: int = 0
    """Faces without an area that reach beyond all that have one; dropped."""
    welded_vertices: int = 0
    """Vertices of a format without indices that were joined to one beside them."""
    weld_gap: float = 0.0
    """The farthest that such a vertex moved, in the file's unit."""

    @property
    def columns(self) -> dict[str, int | float]:
        """What a ledger says of loading; `frame_ratio` over 100 is a warning."""
        return {
            "frame_ratio": frame_ratio(self.mesh.vertices, self.mesh.faces),
            "dropped_faces": self.degenerate_faces + self.outlying_faces,
            "welded_vertices": self.welded_vertices,
            "weld_gap": self.weld_gap,
        }


def normalise(mesh: Mesh) -> tuple[Mesh, Transform]:
    """Bounding-box centre to 0, longest side to [-1, 1], in float64.

    Only faces that have an area count; those without one that reach beyond are left out of the
    result. Raises MeshError(empty) without faces and
    MeshError(zero-extent) when all used vertices coincide.
    """
    if len(mesh.faces) == 0:
        raise MeshError("empty", "the mesh has no faces")
    low, high = solid_bounds(mesh.vertices, mesh.faces)
    longest = float((high - low).max())
    if not longest > 0:
        raise MeshError("zero-extent", "all vertices coincide; there is no size to scale by")
    center = low + (high - low) / 2
    transform = Transform(2.0 / longest, (float(center[0]), float(center[1]), float(center[2])))
    faces = mesh.faces[~sticking_out(mesh.vertices, mesh.faces, (low, high))]
    return Mesh(transform.apply(mesh.vertices), faces), transform


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
    twice, at least one with an area and none without one that reaches beyond those. Frame and units
    are the file's, in float64.
    Vertices in exactly the same place are joined when that is what closes the mesh: a mesh that
    is closed by its indices stays as it is, so that what save_mesh wrote comes back unchanged.
    Where every corner has a vertex of its own (STL), seams that are open by no more than rounding
    are closed as well.
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
    given, soup = len(faces), without_indices(vertices, faces)
    faces = drop_degenerate(faces)
    merged = welded = 0
    gap = 0.0
    if not closed_by_index(faces):
        joined, which = join_positions(vertices)
        merged = len(vertices) - len(joined)
        vertices, faces = joined, drop_degenerate(which[faces])
        if soup and not closed_by_index(faces):
            which, welded, gap = weld_seams(vertices, faces)
            faces = drop_degenerate(which[faces])
    if len(faces) == 0:
        raise MeshError("zero-area", f"all {given} faces name a vertex or place twice")
    check_geometry(vertices, faces)
    outlying = sticking_out(vertices, faces, solid_bounds(vertices, faces))
    degenerate, faces = given - len(faces), faces[~outlying]
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    mesh = Mesh(vertices[used], (np.cumsum(used) - 1)[faces])
    unused = int((~used).sum()) - welded
    return LoadedMesh(mesh, merged, unused, degenerate, int(outlying.sum()), welded, gap)


def check_geometry(vertices: np.ndarray, faces: np.ndarray) -> None:
    """Raise MeshError(non-finite, zero-extent, zero-area) where there is nothing to work with."""
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    places = vertices[used]
    bad = int((~(np.abs(places) <= LARGEST)).any(axis=1).sum())
    if bad:
        raise MeshError(
            "non-finite", f"{bad} of {len(places)} vertices are NaN, infinite or over {LARGEST:g}"
        )
    low, high = places.min(axis=0), places.max(axis=0)
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


def save_mesh(mesh: Mesh, path: str | Place) -> None:
    """Write .ply, .obj, .glb or .stl by suffix: atomic, float32, the same bytes for the same mesh.

    path: of a file, as a place also of an object in a store.

    Raises MeshError(unsupported-format) for another suffix, MeshError(empty) without faces and
    MeshError(non-finite) when a coordinate is not finite as float32.
    """
    path = place(path)
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
