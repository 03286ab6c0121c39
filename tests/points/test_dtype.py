"""Samples of float16: half the bytes, distances of the stored points, read as float32."""

from pathlib import Path

import numpy as np
import pytest

from preprocessing.console import UsageError
from preprocessing.distance.queries import SignedDistance
from preprocessing.points.samples import (
    ARRAYS,
    Sample,
    read_clouds,
    read_sample,
    read_window,
    write_sample,
)
from preprocessing.points.sampling import Supervision, sample_shape
from preprocessing.points.shards import find_packed, pack_samples
from preprocessing.running.packing import pack_folder
from preprocessing.settings import SampleSettings, SettingsError
from preprocessing.shapes import box

MESH = box((1.9, 1.2, 0.7)).mesh


def sampled(dtype: str) -> Sample:
    return sample_shape(
        MESH, points=2000, supervision=Supervision(dense=3000, space=2000), dtype=dtype
    )


@pytest.fixture(scope="module")
def pair() -> tuple[Sample, Sample]:
    return sampled("float32"), sampled("float16")


def test_points_move_by_half_a_step_and_distances_are_those_of_where_they_are(
    pair: tuple[Sample, Sample],
) -> None:
    whole, half = pair
    for name in ARRAYS:
        a, b = getattr(whole, name), getattr(half, name)
        beyond = np.where(np.abs(a[:, :3]) > 1, 2.0**-11, 2.0**-12)
        assert (np.abs(a[:, :3] - b[:, :3]) <= beyond).all()
    exact = SignedDistance(MESH)
    for name in ("sharp_near", "coarse_near", "space"):
        rows = getattr(half, name)
        truth = exact(rows[:, :3])
        assert (np.abs(rows[:, 3] - truth) <= 2.0**-11 * np.abs(truth) + 2.0**-24).all()


def test_a_file_holds_half_the_bytes_and_comes_back(
    pair: tuple[Sample, Sample], tmp_path: Path
) -> None:
    for sample, name in zip(pair, ("whole", "half"), strict=True):
        write_sample(sample, tmp_path / f"{name}.safetensors")
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("whole", "half")]
    assert 0.5 < sizes[1] / sizes[0] < 0.55  # the orders stay int32
    back = read_sample(tmp_path / "half.safetensors")
    for name in ARRAYS:
        rows = getattr(back, name)
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows[:, :3], getattr(pair[1], name)[:, :3])
        np.testing.assert_allclose(rows, getattr(pair[1], name), atol=5e-4)
    assert back.metadata["dtype"] == "float16"
    np.testing.assert_array_equal(
        read_clouds(tmp_path / "half.safetensors").coarse_surface, back.coarse_surface
    )


def test_windows_of_files_and_shards_are_float32(
    pair: tuple[Sample, Sample], tmp_path: Path
) -> None:
    path = tmp_path / "half.safetensors"
    write_sample(pair[1], path)
    pack_samples({"half": path}, tmp_path / "shards", 2**30, quiet=True)
    counts = {"coarse_surface": 700, "space": 1900}
    windows = [
        read_window(source, counts, np.random.default_rng(3))
        for source in (path, find_packed(tmp_path / "shards")["half"])
    ]
    for name, count in counts.items():
        assert windows[0][name].dtype == np.float32
        assert len(windows[0][name]) == count
        np.testing.assert_array_equal(windows[0][name], windows[1][name])
    normals = windows[0]["coarse_surface"][:, 3:]
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)


def test_types_do_not_mix_and_only_our_layout_has_them(
    pair: tuple[Sample, Sample], tmp_path: Path
) -> None:
    for sample, name in zip(pair, ("whole", "half"), strict=True):
        write_sample(sample, tmp_path / "in" / f"{name}.safetensors")
    with pytest.raises(UsageError, match=r"float16 \(as half\) and float32 \(as whole\)"):
        pack_folder(tmp_path / "in", tmp_path / "shards", "1GB")
    with pytest.raises(SettingsError, match="npz has a type of its own"):
        SampleSettings(dtype="float16", format="npz")
    with pytest.raises(SettingsError, match="float32, float16"):
        SampleSettings(dtype="float64")
