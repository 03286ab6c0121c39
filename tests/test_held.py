"""Meshes held in memory: every library's mesh gives the same arrays, and the same results."""

from collections.abc import Callable
from typing import Any

import numpy as np
import open3d as o3d
import pymeshlab
import pytest
import torch
import trimesh

from dora_bench import score_meshes
from preprocessing import make_watertight, salient_edges, sample_shape, unsigned_distance
from preprocessing.held import as_mesh
from preprocessing.mesh import Mesh, MeshError
from preprocessing.points.sampling import Supervision
from preprocessing.shapes import wedge

GIVEN = wedge().mesh
V, F = GIVEN.vertices, GIVEN.faces


def mesh_set() -> pymeshlab.MeshSet:
    layers = pymeshlab.MeshSet(verbose=False)
    layers.add_mesh(pymeshlab.Mesh(V, F))
    return layers


def old_open3d() -> o3d.geometry.TriangleMesh:
    return o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(V), o3d.utility.Vector3iVector(F.astype(np.int32))
    )


FORMS: dict[str, Callable[[], Any]] = {
    "Mesh": lambda: GIVEN,
    "NumPy": lambda: (V, F.astype(np.uint32)),
    "lists": lambda: (V.tolist(), F.tolist()),
    "torch": lambda: (torch.tensor(V, requires_grad=True), torch.tensor(F)),
    "trimesh": GIVEN.to_trimesh,
    "scene": lambda: trimesh.Scene([GIVEN.to_trimesh()]),
    "Open3D": old_open3d,
    "Open3D tensor": lambda: o3d.t.geometry.TriangleMesh.from_legacy(old_open3d()),
    "pymeshlab": lambda: pymeshlab.Mesh(V, F),
    "mesh set": mesh_set,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(form: str) -> None:
    mesh = as_mesh(FORMS[form]())
    precise = form not in {"Open3D tensor"}
    np.testing.assert_allclose(mesh.vertices, V, atol=0 if precise else 1e-7)
    np.testing.assert_array_equal(mesh.faces, F)
    assert (mesh.vertices.dtype, mesh.faces.dtype) == (np.float64, np.int64)
    assert salient_edges(FORMS[form]()).edges.shape == salient_edges(GIVEN).edges.shape


def test_the_public_functions_take_what_a_program_holds() -> None:
    solid = make_watertight((V, F), eps=2 / 64)
    assert solid.mesh.vertices.tobytes() == make_watertight(GIVEN, 2 / 64).mesh.vertices.tobytes()
    held = solid.mesh.to_trimesh()
    few = Supervision(dense=2000, space=100)
    one, two = (sample_shape(m, points=64, supervision=few) for m in (held, solid.mesh))
    assert one.coarse_surface.tobytes() == two.coarse_surface.tobytes()
    assert unsigned_distance(held, solid.mesh.vertices).max() == 0
    scores = score_meshes(held, (solid.mesh.vertices, solid.mesh.faces), points=1000)
    assert scores["iou"] == 1
    broken = score_meshes(held, (np.full_like(V, np.nan), F), points=1000)
    assert broken["iou"] == 0


def test_to_trimesh_and_back() -> None:
    back = Mesh.from_trimesh(GIVEN.to_trimesh())
    assert back.vertices.tobytes() == V.tobytes()
    assert back.faces.tobytes() == F.tobytes()


def test_an_empty_pair_is_a_mesh_without_faces() -> None:
    assert len(as_mesh(([], [])).faces) == 0


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        ("car.glb", "not-a-mesh"),
        (None, "not-a-mesh"),
        ((F, V), "not-a-mesh"),
        ((V, np.zeros((2, 4), int)), "not-a-mesh"),
        ((V[:, :2], F), "not-a-mesh"),
        ((V, [[0, 1, 2], [0, 1]]), "not-a-mesh"),
        ((V, F + 1), "index-out-of-range"),
        ((V, F - 1), "index-out-of-range"),
        ((np.full_like(V, np.inf), F), "non-finite"),
    ],
)
def test_what_is_no_mesh_says_what_would_be(held: Any, reason: str) -> None:
    with pytest.raises(MeshError) as caught:
        salient_edges(held)
    assert caught.value.reason == reason
