"""Hybrid samples: what lies where, the three salient cases, seeds, exact supervision."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from numba.core.registry import CPUDispatcher

from preprocessing import half_edge_kernels
from preprocessing.distance import morton_kernels
from preprocessing.distance.queries import signed_distance, unsigned_distance
from preprocessing.mesh import Mesh, MeshError, normalise
from preprocessing.points import edge_kernels, fps_kernels
from preprocessing.points.edges import salient_edges
from preprocessing.points.fps import farthest_points
from preprocessing.points.samples import ARRAYS, ORDERS, Sample, SampleError
from preprocessing.points.sampling import (
    Supervision,
    points_per_edge,
    salient_cloud,
    sample_segments,
    sample_shape,
    sample_surface,
    shuffled_cloud,
    thinned,
    vertex_normals,
    with_noise,
)
from preprocessing.seeds import generator
from preprocessing.shapes import box, random_rotation, sphere
from preprocessing.shapes import wedge as make_wedge

SMALL = Supervision(dense=4000, space=3000)


def sampled(mesh: Mesh, **options) -> Sample:
    return sample_shape(mesh, **{"points": 1000, "supervision": SMALL} | options)


def same(one: Sample, two: Sample) -> bool:
    names = (*ARRAYS, *ORDERS)
    return all(getattr(one, n).tobytes() == getattr(two, n).tobytes() for n in names)


@pytest.fixture(scope="module")
def wedge() -> Mesh:
    return normalise(make_wedge(60.0, pose=random_rotation(np.random.default_rng(1))).mesh)[0]


def test_sizes_are_the_published_ones_by_default(wedge):
    sample = sample_shape(wedge)
    assert sample.coarse_surface.shape == sample.sharp_surface.shape == (32768, 6)
    assert sample.sharp_near.shape == (4 * 32768, 4)
    assert sample.coarse_near.shape == (400_000, 4)
    assert sample.space.shape == (200_000, 4)


def test_points_lie_on_the_mesh_with_its_normals(wedge):
    sample = sampled(wedge)
    for cloud in (sample.coarse_surface, sample.sharp_surface):
        assert unsigned_distance(wedge, cloud[:, :3]).max() < 1e-6
        np.testing.assert_allclose(np.linalg.norm(cloud[:, 3:], axis=1), 1, atol=1e-6)
        outside = cloud[:, :3].astype(float) + 1e-3 * cloud[:, 3:]
        assert (signed_distance(wedge, outside) < 0).all()


def test_salient_points_lie_on_salient_edges(wedge):
    sample = sampled(wedge)
    segments = salient_edges(wedge).segments
    thin = Mesh(segments.reshape(-1, 3), [[2 * i, 2 * i + 1, 2 * i] for i in range(len(segments))])
    assert unsigned_distance(thin, sample.sharp_surface[:, :3]).max() < 1e-6


def test_signed_distances_belong_to_the_stored_points(wedge):
    sample = sampled(wedge)
    for name in ("sharp_near", "coarse_near", "space"):
        rows = getattr(sample, name)
        expected = signed_distance(wedge, rows[:, :3])
        np.testing.assert_allclose(rows[:, 3], expected, atol=1e-7)
        assert (np.sign(rows[:, 3]) == np.sign(expected)).all()


def test_the_stored_order_is_the_farthest_point_order_of_the_rows(wedge):
    sample = sampled(wedge)
    for order, cloud in ORDERS.items():
        points = getattr(sample, cloud)[:, :3]
        assert np.array_equal(getattr(sample, order), farthest_points(points, len(points)))


@pytest.mark.parametrize("count", [1, 60, 216])
def test_thinned_rows_keep_the_order_of_ties_and_duplicates(count):
    """On a grid nearly every choice is a tie: the order is still that of the rows as they are."""
    grid = np.stack(np.meshgrid(*[np.arange(6.0)] * 3), axis=-1).reshape(-1, 3)
    pool = np.random.default_rng(0).permutation(np.concatenate([grid, grid[:50]]))
    rows, order = thinned(pool, count)
    assert np.array_equal(order, farthest_points(rows, count))
    chosen = pool[farthest_points(pool, count)].astype(np.float32)
    assert np.array_equal(rows[order], chosen)


def test_uniform_points_keep_their_distance(wedge):
    """Farthest point sampling spreads points: the nearest pair is as far as any random one."""
    from scipy.spatial import cKDTree

    points = sampled(wedge).coarse_surface[:, :3]
    spread = cKDTree(points).query(points, 2)[0][:, 1]
    random = sample_surface(wedge, len(points), np.random.default_rng(0))[0]
    assert spread.min() > 10 * cKDTree(random).query(random, 2)[0][:, 1].min()


def test_a_mesh_without_salient_edges_gives_a_valid_sample():
    sample = sampled(sphere(0.9).mesh)
    assert (sample.sharp_surface.shape, sample.sharp_near.shape) == ((0, 6), (0, 4))
    assert sample.sharp_order.shape == (0,)
    assert (sample.metadata["salient_edges"], sample.metadata["level"]) == ("0", "0")
    assert len(sample.coarse_surface) == 500


@pytest.mark.parametrize("spread", ["length", "edge"])
@pytest.mark.parametrize("count", [3, 8, 9, 500])
def test_the_salient_cloud_has_as_many_points_as_asked(spread, count):
    mesh = box((2.0, 1.0, 0.5)).mesh
    cloud = salient_cloud(mesh, salient_edges(mesh), count, np.random.default_rng(0), spread)
    assert len(cloud) == count
    ends = {tuple(p) for p in np.round(mesh.vertices, 9).tolist()}
    found = {tuple(p) for p in np.round(cloud[:, :3], 9).tolist()}
    assert len(found) == count
    assert found <= ends if count <= 8 else ends < found


def test_spread_by_length_and_by_edge_differ_as_they_should():
    """Edges of a box 2 x 1 x 0.5: shares of the points follow the length, or are all equal."""
    segments = salient_edges(box((2.0, 1.0, 0.5)).mesh).segments
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    _, by_length = sample_segments(segments, 6000, np.random.default_rng(0))
    shares = np.bincount(by_length, minlength=12) / 6000
    np.testing.assert_allclose(shares, lengths / lengths.sum(), atol=1 / 3000)
    points, by_edge = points_per_edge(segments, 6005, np.random.default_rng(0))
    assert sorted(np.bincount(by_edge).tolist()) == [500] * 7 + [501] * 5
    assert len(np.unique(np.round(points, 12), axis=0)) == 6005


def test_segment_points_leave_no_gap():
    """One point in each stratum: along the whole polyline no two neighbours are 2 strata apart."""
    ends = np.linspace(0, 1, 8) ** 2
    segments = np.zeros((7, 2, 3))
    segments[:, 0, 0], segments[:, 1, 0] = ends[:-1], ends[1:]
    points, rows = sample_segments(segments, 300, np.random.default_rng(0))
    assert (np.diff(points[:, 0]) < 2 / 300).all()
    assert ((points[:, 0] >= ends[rows]) & (points[:, 0] <= ends[rows + 1])).all()


def test_corner_normals_do_not_depend_on_the_triangulation():
    """Angle weights: each corner of a box points along its diagonal, however faces are split."""
    mesh = box((2.0, 1.4, 1.0)).mesh
    normals = vertex_normals(mesh, np.arange(8))
    np.testing.assert_allclose(normals, np.sign(mesh.vertices) / np.sqrt(3), atol=1e-12)


def test_surface_points_follow_the_area():
    mesh = box((2.0, 1.0, 0.5)).mesh
    points, normals, faces = sample_surface(mesh, 200_000, np.random.default_rng(0))
    share = [(np.abs(normals[:, axis]) > 0.5).mean() for axis in range(3)]
    np.testing.assert_allclose(share, np.array([0.5, 1.0, 2.0]) / 3.5, atol=0.005)
    corners = mesh.triangles[faces]
    np.testing.assert_allclose(
        np.einsum("ij,ij->i", points - corners[:, 0], normals), 0, atol=1e-12
    )
    # Uniform within a face too: the mean of many points of a face is its centroid.
    one = points[faces == faces[0]].mean(axis=0)
    np.testing.assert_allclose(one, mesh.triangles[faces[0]].mean(axis=0), atol=0.02)


def test_faces_without_area_are_never_sampled():
    mesh = box().mesh
    flat = Mesh(mesh.vertices, np.vstack([[[0, 1, 1]], mesh.faces, [[2, 2, 2]]]))
    _, normals, faces = sample_surface(flat, 20_000, np.random.default_rng(0))
    assert (faces.min(), faces.max()) == (1, len(mesh.faces))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)


def test_noise_has_the_sigma_asked_for():
    points = np.zeros((50_000, 3))
    noisy = with_noise(points, (0.001, 0.01), np.random.default_rng(0))
    assert noisy[:50_000].std() == pytest.approx(0.001, rel=0.01)
    assert noisy[50_000:].std() == pytest.approx(0.01, rel=0.01)


def test_noise_stays_in_the_cube_and_piles_up_nowhere():
    points = np.full((20_000, 3), 1.0499)
    noisy = with_noise(points, (0.01,), np.random.default_rng(0))
    assert np.abs(noisy).max() <= 1.05
    assert len(np.unique(noisy)) == noisy.size  # clipping would put many at exactly 1.05


def test_the_same_seed_gives_the_same_bytes_in_any_process(wedge, tmp_path):
    np.savez(tmp_path / "mesh.npz", v=wedge.vertices, f=wedge.faces)
    program = (
        "import sys, numpy as np, hashlib, numba; numba.set_num_threads(1)\n"
        "from preprocessing.mesh import Mesh\n"
        "from preprocessing.points.sampling import sample_shape, Supervision\n"
        "m = np.load(sys.argv[1]); np.random.default_rng().random(7)\n"
        "s = sample_shape(Mesh(m['v'], m['f']), points=1000, seed=3, item_id='a/b',\n"
        "    supervision=Supervision(dense=4000, space=3000))\n"
        "print(hashlib.sha256(s.coarse_surface.tobytes() + s.sharp_near.tobytes()\n"
        "    + s.coarse_near.tobytes() + s.space.tobytes()).hexdigest())\n"
    )
    sample = sampled(wedge, seed=3, item_id="a/b")
    parts = (sample.coarse_surface, sample.sharp_near, sample.coarse_near, sample.space)
    here = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "mesh.npz")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == here


def test_seed_and_item_change_the_sample_and_nothing_else_does(wedge):
    base = sampled(wedge, seed=1, item_id="a")
    assert same(base, sampled(wedge, seed=1, item_id="a", eps=0.01))
    assert not same(base, sampled(wedge, seed=2, item_id="a"))
    assert not same(base, sampled(wedge, seed=1, item_id="b"))


def test_the_metadata_says_what_was_done(wedge):
    metadata = sampled(wedge, angle=20, seed=4, item_id="x", eps=2 / 512).metadata
    assert {k: metadata[k] for k in ("id", "seed", "angle", "edge_spread", "level")} == {
        "id": "x",
        "seed": "4",
        "angle": "20.0",
        "edge_spread": "length",
        "level": "1",
    }
    assert float(metadata["eps"]) == 2 / 512
    assert int(metadata["salient_edges"]) == len(salient_edges(wedge, 20))


def test_a_shuffled_cloud_keeps_its_rows_and_its_first():
    cloud = np.random.default_rng(0).normal(size=(500, 6))
    rows, order = shuffled_cloud(cloud, generator(0, "", "x"))
    assert np.array_equal(rows[0], cloud[0].astype(np.float32))
    assert np.array_equal(np.sort(rows, axis=0), np.sort(cloud.astype(np.float32), axis=0))
    assert not np.array_equal(rows, cloud.astype(np.float32))
    assert order[0] == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: Mesh(m.vertices * 2, m.faces), "outside-cube"),
        (lambda m: Mesh(m.vertices, m.faces[1:]), "not-closed"),
        (lambda m: Mesh(m.vertices * 0, m.faces), "degenerate"),
        (lambda m: Mesh(m.vertices, m.faces[:0]), "degenerate"),
    ],
)
def test_a_mesh_that_cannot_be_sampled_says_why(change, reason):
    with pytest.raises(MeshError) as caught:
        sampled(change(box().mesh))
    assert caught.value.reason == reason


def folded_sheet() -> Mesh:
    """A closed surface of no thickness: two copies of a square, back to back."""
    corners = np.array([[-0.5, -0.5, 0.8], [0.5, -0.5, 0.8], [0.5, 0.5, 0.8], [-0.5, 0.5, 0.8]])
    return Mesh(corners, [[0, 1, 2], [0, 2, 3], [0, 2, 1], [0, 3, 2]])


def test_points_on_a_fold_are_left_out():
    sheet, part = folded_sheet(), box((1.0, 1.0, 1.0)).mesh
    mesh = Mesh(
        np.vstack([part.vertices, sheet.vertices]),
        np.vstack([part.faces, sheet.faces + len(part.vertices)]),
    )
    sample = sampled(mesh)
    assert sample.metadata["folded_edges"] == "4"
    assert len(sample.sharp_surface) == 500
    assert sample.sharp_surface[:, 2].max() < 0.6


def test_nothing_but_folds_is_an_error_not_a_made_up_normal():
    with pytest.raises(SampleError) as caught:
        sampled(folded_sheet())
    assert caught.value.reason == "bad-normal"


@pytest.mark.parametrize(
    "options", [{"points": 1}, {"points": 20_000}, {"edge_spread": "both"}, {"angle": 200}]
)
def test_senseless_options_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        sampled(box().mesh, **options)


def test_what_is_drawn_beside_the_distance_uses_no_parallel_kernel() -> None:
    """Two parallel kernels at a time end a child of the runner."""
    for module in (edge_kernels, fps_kernels, half_edge_kernels, morton_kernels):
        kernels = [one for one in vars(module).values() if isinstance(one, CPUDispatcher)]
        assert kernels
        assert not any(one.targetoptions.get("parallel") for one in kernels)
