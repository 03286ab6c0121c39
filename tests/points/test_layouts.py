"""Other trainers' layouts: keys, shapes, types and sign as documented; the npz without loss."""

import numpy as np
import pytest

from preprocessing.points.layouts import NPZ_KEYS, read_npz, write_hunyuan, write_npz, write_vecset
from preprocessing.points.samples import ARRAYS, Sample, SampleError
from preprocessing.points.sampling import Supervision, sample_shape
from preprocessing.shapes import box, sphere


@pytest.fixture(scope="module")
def sample() -> Sample:
    mesh = box((1.9, 1.4, 1.0)).mesh
    return sample_shape(mesh, points=600, supervision=Supervision(dense=2000, space=1000))


@pytest.fixture(scope="module")
def smooth() -> Sample:
    mesh = sphere(0.9).mesh
    return sample_shape(mesh, points=600, supervision=Supervision(dense=2000, space=1000))


def rows_of(array: np.ndarray) -> np.ndarray:
    return array[np.lexsort(array.T)]


def test_the_published_npz_has_the_published_keys_and_shapes(tmp_path):
    sample = sample_shape(box().mesh)
    write_npz(sample, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        shapes = {key: file[key].shape for key in NPZ_KEYS}
        assert {file[key].dtype for key in NPZ_KEYS} == {np.dtype(np.float32)}
    assert shapes == {
        "fps_coarse_surface": (32768, 1, 6),
        "fps_sharp_surface": (32768, 1, 6),
        "rand_points": (600_000, 4),
        "sharp_near_surface": (131_072, 4),
    }


def test_the_published_npz_holds_near_rows_first_and_clouds_in_order(sample, tmp_path):
    write_npz(sample, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        assert np.array_equal(file["rand_points"][:4000], sample.coarse_near)
        assert np.array_equal(file["rand_points"][4000:], sample.space)
        ordered = sample.coarse_surface[sample.coarse_order]
        assert np.array_equal(file["fps_coarse_surface"][:, 0], ordered)


@pytest.mark.parametrize("kind", ["sample", "smooth"])
def test_the_npz_comes_back_without_loss(kind, request, tmp_path):
    sample = request.getfixturevalue(kind)
    write_npz(sample, tmp_path / "a.npz")
    back = read_npz(tmp_path / "a.npz")
    for name in ARRAYS:
        assert np.array_equal(rows_of(getattr(back, name)), rows_of(getattr(sample, name)))
    assert back.metadata == sample.metadata
    first = sample.coarse_surface[sample.coarse_order[:50]]
    assert np.array_equal(back.coarse_surface[back.coarse_order[:50]], first)


def test_a_file_of_the_release_is_read(sample, tmp_path):
    """No keys of ours, and two thirds of rand_points are near the surface."""
    np.savez(
        tmp_path / "b.npz",
        fps_coarse_surface=sample.coarse_surface[:, None],
        fps_sharp_surface=sample.sharp_surface[:, None],
        rand_points=np.concatenate([sample.coarse_near[:600], sample.space[:300]]),
        sharp_near_surface=sample.sharp_near,
    )
    back = read_npz(tmp_path / "b.npz")
    assert (len(back.coarse_near), len(back.space)) == (600, 300)
    assert np.array_equal(rows_of(back.space), rows_of(sample.space[:300]))
    assert back.metadata == {"id": "b"}


def test_equal_samples_give_equal_bytes(sample, tmp_path):
    for writer in (write_npz, write_vecset):
        writer(sample, tmp_path / "1.npz")
        writer(sample, tmp_path / "2.npz")
        assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


def test_hunyuan_has_its_two_files(sample, tmp_path):
    surface, sdf = write_hunyuan(sample, tmp_path / "sub" / "part.1")
    assert (surface.name, sdf.name) == ("part.1_surface.npz", "part.1_sdf.npz")
    with np.load(surface) as file:
        assert {k: file[k].shape for k in file} == {
            "random_surface": (300, 6),
            "sharp_surface": (300, 6),
        }
    with np.load(sdf) as file:
        assert {k: file[k].shape for k in file} == {
            "vol_points": (1000, 3),
            "vol_label": (1000,),
            "random_near_points": (4000, 3),
            "random_near_label": (4000,),
            "sharp_near_points": (1200, 3),
            "sharp_near_label": (1200,),
        }
        assert {file[k].dtype for k in file} == {np.dtype(np.float16)}
        points, label = file["vol_points"].astype(float), file["vol_label"]
    inside = (np.abs(points) < np.array([0.94, 0.69, 0.49])).all(axis=1)
    outside = (np.abs(points) > np.array([0.96, 0.71, 0.51])).any(axis=1)
    assert (label[inside] > 0).all()
    assert (label[outside] < 0).all()


def test_vecset_is_negative_inside(sample, tmp_path):
    write_vecset(sample, tmp_path / "v.npz")
    with np.load(tmp_path / "v.npz") as file:
        arrays = dict(file)
    assert {k: a.shape for k, a in arrays.items()} == {
        "vol_points": (1000, 3),
        "vol_sdf": (1000,),
        "vol_label": (1000,),
        "near_points": (5200, 3),
        "near_sdf": (5200,),
        "near_label": (5200,),
        "surface_points": (300, 3),
        "sharp_points": (300, 3),
        "shifts": (3,),
        "scale": (),
    }
    assert {a.dtype for a in arrays.values()} == {np.dtype(np.float32)}
    inside = (np.abs(arrays["vol_points"]) < np.array([0.95, 0.7, 0.5])).all(axis=1)
    assert np.array_equal(arrays["vol_sdf"] < 0, inside)
    assert np.array_equal(arrays["vol_label"] == 1, inside)


def test_a_bad_npz_is_refused(sample, tmp_path):
    write_npz(sample, tmp_path / "a.npz")
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    (tmp_path / "not.npz").write_bytes(b"hello")
    with open(tmp_path / "npy.npz", "wb") as handle:
        np.save(handle, sample.space)
    np.savez(tmp_path / "keys.npz", rand_points=sample.space)
    np.savez(tmp_path / "shape.npz", **dict.fromkeys(NPZ_KEYS, sample.space))
    for name in ("cut", "not", "npy", "keys", "shape"):
        with pytest.raises(SampleError) as caught:
            read_npz(tmp_path / f"{name}.npz")
        assert caught.value.reason == "bad-file"
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "absent.npz")
