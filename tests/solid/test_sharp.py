"""Sharp corners: the offset's edges are the mitred ones, none is lost, and every audit passes."""

import numpy as np
import pytest
from mitred_edges import along, distance_to_segments, mitred_creases, sharp_edges
from scipy.spatial import ConvexHull, HalfspaceIntersection, cKDTree

from benchmarks import sharp_edges as sharp_benchmark
from preprocessing.half_edge_kernels import match_half_edges
from preprocessing.mesh import Mesh
from preprocessing.settings import SettingsError, WatertightSettings
from preprocessing.shapes import box, gear, prism, random_rotation, sphere, wedge
from preprocessing.solid.watertight import make_watertight

EPS = 2 / 192


def posed(mesh: Mesh, seed: int) -> tuple[Mesh, np.ndarray]:
    turn = random_rotation(np.random.default_rng(seed))
    return Mesh(mesh.vertices @ turn.T, mesh.faces), turn


@pytest.mark.parametrize(
    ("shape", "seed"),
    [
        (box(), 1),
        (wedge(60), 2),
        (wedge(90), 3),
        (wedge(120), 1),
        (prism(), 5),
        (gear(), 6),
    ],
    ids=["box", "wedge60", "wedge90", "wedge120", "prism", "gear"],
)
def test_edges_are_the_mitred_ones_and_none_is_lost(shape, seed: int) -> None:  # type: ignore[no-untyped-def]
    mesh, turn = posed(shape.mesh, seed)
    solid = make_watertight(mesh, eps=EPS, corners="sharp", mitre=4.0)
    assert solid.audit["surface_max"] < 0.01
    true = solid.transform.apply(shape.true_edges @ turn.T)
    creases = mitred_creases(solid.transform.place(mesh), true, EPS)
    own = sharp_edges(solid.mesh, 15)
    lost = distance_to_segments(along(creases, EPS), own) / EPS
    false = distance_to_segments(along(own, EPS), creases) / EPS
    assert lost.max() < 0.02
    assert false.max() < 0.02


@pytest.mark.parametrize("pose", [3, 4])
def test_corners_beyond_the_edges_of_their_face_are_kept(pose: int) -> None:
    mesh = sharp_benchmark.posed(gear(), "gear", pose)
    row = sharp_benchmark.measure(mesh, 2 / 128, mitre=2.0)
    assert row["status"] == "ok"
    assert row["lost"] == row["false"] == 0


def test_a_box_becomes_a_box_of_twelve_edges() -> None:
    solid = make_watertight(box((2.0, 2.0, 2.0)).mesh, eps=EPS, corners="sharp")
    reach = np.abs(solid.mesh.vertices)
    assert np.abs(reach.max(axis=1) - 1 - EPS).max() < 2e-7
    assert ((reach > 1 + EPS - 2e-7).sum(axis=1) == 3).sum() == 8
    assert solid.audit["volume"] == pytest.approx((2 + 2 * EPS) ** 3, rel=1e-6)
    assert solid.audit["surface_max"] < 1e-4


def test_an_open_sheet_becomes_a_slab_with_flat_rims() -> None:
    square = Mesh([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], [[0, 1, 2], [0, 2, 3]])
    solid = make_watertight(square, eps=EPS, corners="sharp")
    low, high = solid.mesh.vertices.min(axis=0), solid.mesh.vertices.max(axis=0)
    assert np.abs(high - [1 + EPS, 1 + EPS, EPS]).max() < 2e-7
    assert np.abs(low + high).max() < 4e-7
    assert solid.audit["volume"] == pytest.approx((2 + 2 * EPS) ** 2 * 2 * EPS, rel=1e-5)


@pytest.mark.parametrize("mitre", [1.2, 2.0, 3.5])
@pytest.mark.parametrize("angle", [40, 150])
def test_round_a_convex_solid_it_is_the_polytope_of_its_faces_and_bevels(
    angle: int, mitre: float
) -> None:
    """The mitre limits acute edges: those with a longer one are cut flat, at eps."""
    mesh, _ = posed(wedge(angle).mesh, 7)
    solid = make_watertight(mesh, eps=EPS, corners="sharp", mitre=mitre)
    planes = planes_of(solid.transform.place(mesh), mitre)
    planes[:, 3] -= EPS
    corners = HalfspaceIntersection(planes, np.zeros(3)).intersections
    assert solid.audit["volume"] == pytest.approx(ConvexHull(corners).volume, rel=1e-5)
    away = cKDTree(solid.mesh.vertices).query(corners)[0]
    assert away.max() < 1e-3 * EPS
    # And nothing stands out of it.
    assert (solid.mesh.vertices @ planes[:, :3].T + planes[:, 3]).max() < 1e-3 * EPS


def planes_of(mesh: Mesh, mitre: float) -> np.ndarray:
    """Rows (K,4) n, -n . x of the faces of a convex solid, and of bevels through acute edges."""
    corners = mesh.triangles
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    found = [np.append(n, -n @ c[0]) for n, c in zip(normals, corners, strict=True)]
    mates = match_half_edges(mesh.faces, len(mesh.vertices)).mates
    for h, g in enumerate(mates):
        middle = normals[h // 3] + normals[g // 3]
        if h < g and np.linalg.norm(middle) < 1.998 / mitre:
            middle /= np.linalg.norm(middle)
            found.append(np.append(middle, -middle @ corners[h // 3, h % 3]))
    return np.array(found)


def test_a_smooth_shape_stays_as_it_is_round() -> None:
    """Facets of 2 degrees have mitres of a few thousandths of eps: the surface hardly moves."""
    mesh = sphere(subdivisions=4).mesh
    crisp = make_watertight(mesh, eps=EPS, corners="sharp")
    plain = make_watertight(mesh, eps=EPS)
    assert crisp.audit["volume"] == pytest.approx(plain.audit["volume"], rel=1e-4)
    assert crisp.audit["surface_max"] < 0.1


def test_the_same_bytes_each_time_and_after_simplifying_the_right_distance() -> None:
    mesh, _ = posed(box().mesh, 8)
    one = make_watertight(mesh, eps=EPS, corners="sharp", simplify=0.1)
    two = make_watertight(mesh, eps=EPS, corners="sharp", simplify=0.1)
    assert (one.mesh.vertices == two.mesh.vertices).all()
    assert (one.mesh.faces == two.mesh.faces).all()
    assert one.audit["faces"] < 1000
    assert one.audit["surface_max"] < 0.11


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"corners": "crisp"}, "corners"),
        ({"corners": "sharp", "method": "manifold"}, "corners"),
        ({"corners": "sharp", "close_holes": 0.1}, "corners"),
        ({"mitre": 3.0}, "mitre"),
        ({"corners": "sharp", "mitre": 1.0}, "mitre"),
        ({"corners": "sharp", "mitre": 5.0}, "mitre"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(options: dict, name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        WatertightSettings(eps=EPS, **options)
    assert caught.value.name == name
