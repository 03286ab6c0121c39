"""The normal at a closest point against its plain twin, on faces, edges and vertices."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dora_bench.normal_kernels import TOUCH, agreeing_normals
from preprocessing.mesh import Mesh
from preprocessing.shapes import box, sphere


def face_normals(mesh: Mesh) -> np.ndarray:
    a, b, c = mesh.triangles.transpose(1, 0, 2)
    crosses = np.cross(b - a, c - a)
    return crosses / np.linalg.norm(crosses, axis=1, keepdims=True)


def rings(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Where the faces round each vertex begin, and the faces."""
    starts = np.zeros(len(mesh.vertices) + 1, np.int64)
    starts[1:] = np.cumsum(np.bincount(mesh.faces.ravel(), minlength=len(mesh.vertices)))
    return starts, np.argsort(mesh.faces.ravel(), kind="stable") // 3


def gap(point: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Distance of a point to the segment from a to b."""
    along = b - a
    share = np.clip((point - a) @ along / (along @ along), 0, 1)
    return float(np.linalg.norm(point - a - share * along))


def plain_normal(mesh: Mesh, point: np.ndarray, face: int, wanted: np.ndarray) -> np.ndarray:
    """Of the faces that the point lies on, the one whose normal agrees best with a wanted one."""
    normals = face_normals(mesh)
    touching = [
        g
        for g, corners in enumerate(mesh.triangles)
        if min(gap(point, corners[k], corners[(k + 1) % 3]) for k in range(3)) < TOUCH
    ]
    scores = {g: np.abs(wanted @ normals[g]).max() for g in touching or [face]}
    return normals[max(scores, key=lambda g: (scores[g], -g))]


@given(st.integers(0, 2**32 - 1), st.sampled_from(["inside", "edge", "vertex"]), st.booleans())
def test_against_the_plain_twin(seed: int, place: str, round_shape: bool) -> None:
    mesh = sphere(1.0, 1).mesh if round_shape else box().mesh
    draw = np.random.default_rng(seed)
    face = int(draw.integers(len(mesh.faces)))
    weights = {
        "inside": draw.dirichlet([5, 5, 5]),
        "edge": np.array([*draw.dirichlet([5, 5]), 0]),
        "vertex": np.array([1.0, 0, 0]),
    }[place]
    point = weights @ mesh.triangles[face]
    wanted = draw.normal(size=(2, 3))
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    found = agreeing_normals(
        point[None],
        np.array([face]),
        mesh.vertices,
        mesh.faces,
        face_normals(mesh),
        *rings(mesh),
        wanted[None],
    )[0]
    expected = plain_normal(mesh, point, face, wanted)
    # On a flat side of the box two faces share one normal: the row may differ, not the normal.
    np.testing.assert_allclose(found, expected, atol=1e-12)
