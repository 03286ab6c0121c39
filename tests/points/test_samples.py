"""The sample file: lossless, deterministic, whole or refused, read by windows."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from preprocessing.points.samples import (
    ARRAYS,
    ORDERS,
    Sample,
    SampleError,
    read_metadata,
    read_sample,
    read_window,
    write_sample,
)
from preprocessing.points.sampling import Supervision, sample_shape
from preprocessing.shapes import box, sphere

SMALL = Supervision(dense=2000, space=1000)
NAMES = (*ARRAYS, *ORDERS)


@pytest.fixture(scope="module")
def sample() -> Sample:
    return sample_shape(box().mesh, points=600, supervision=SMALL, item_id="parts/box")


@pytest.fixture
def path(sample, tmp_path):
    write_sample(sample, tmp_path / "box.safetensors")
    return tmp_path / "box.safetensors"


def test_written_and_read_is_the_same(sample, path):
    back = read_sample(path)
    for name in NAMES:
        assert np.array_equal(getattr(back, name), getattr(sample, name))
        assert getattr(back, name).dtype == getattr(sample, name).dtype
    assert back.metadata == sample.metadata
    assert read_metadata(path)["id"] == "parts/box"


def test_any_safetensors_reader_reads_it(sample, path):
    arrays = load_file(path)
    assert sorted(arrays) == sorted(NAMES)
    assert np.array_equal(arrays["space"], sample.space)


def test_the_bytes_do_not_depend_on_the_process(path, tmp_path):
    """Hash-ordered metadata would differ from process to process."""
    program = (
        "import sys; from preprocessing.points.samples import read_sample, write_sample\n"
        "write_sample(read_sample(sys.argv[1]), sys.argv[2])\n"
    )
    again = tmp_path / "again.safetensors"
    subprocess.run([sys.executable, "-c", program, str(path), str(again)], check=True)
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(path.read_bytes()).digest()


def test_windows_are_runs_of_rows_that_wrap(sample, path):
    counts = {"coarse_surface": 100, "sharp_near": 700, "space": 999}
    for seed in range(20):
        window = read_window(path, counts, np.random.default_rng(seed))
        draw = np.random.default_rng(seed)
        for name, count in counts.items():
            whole = getattr(sample, name)
            rows = (int(draw.integers(len(whole))) + np.arange(count)) % len(whole)
            assert np.array_equal(window[name], whole[rows])


def test_every_row_is_equally_likely(sample, path):
    """Over many windows the corners of the file come up as often as its middle."""
    draw = np.random.default_rng(0)
    seen = np.zeros(len(sample.space))
    place = {row.tobytes(): i for i, row in enumerate(sample.space)}
    for _ in range(400):
        for row in read_window(path, {"space": 100}, draw)["space"]:
            seen[place[row.tobytes()]] += 1
    assert seen.min() > 0
    ends = np.r_[seen[:100], seen[-100:]].mean()
    assert ends == pytest.approx(seen.mean(), rel=0.25)


def test_a_short_array_comes_whole_and_an_empty_one_empty(path, tmp_path):
    assert len(read_window(path, {"space": 10**6}, np.random.default_rng(0))["space"]) == 1000
    smooth = sample_shape(sphere(0.9).mesh, points=100, supervision=SMALL)
    write_sample(smooth, tmp_path / "smooth.safetensors")
    counts = {"sharp_surface": 50, "sharp_near": 50, "coarse_surface": 50}
    window = read_window(tmp_path / "smooth.safetensors", counts, np.random.default_rng(0))
    assert [len(window[name]) for name in counts] == [0, 0, 50]
    assert read_sample(tmp_path / "smooth.safetensors").sharp_order.shape == (0,)


def test_an_unknown_array_is_refused(path):
    with pytest.raises(KeyError, match="coarse"):
        read_window(path, {"surface": 3}, np.random.default_rng(0))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_a_file_cut_short_is_refused(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    for read in (read_sample, lambda p: read_window(p, {"space": 5}, np.random.default_rng(0))):
        with pytest.raises(SampleError) as caught:
            read(path)
        assert caught.value.reason == "bad-file"


def test_another_safetensors_file_is_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(SampleError, match="not a dora-sample"):
        read_sample(tmp_path / "x.safetensors")


def changed(array: np.ndarray, row: int, column: int, value: float) -> np.ndarray:
    array = array.copy()
    array[row, column] = value
    return array


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("space", lambda a: changed(a, 5, 3, np.nan), "not-finite"),
        ("space", lambda a: changed(a, 5, 0, np.inf), "not-finite"),
        ("space", lambda a: changed(a, 5, 0, 1.0501), "outside-cube"),
        ("space", lambda a: a.astype(np.float64), "bad-shape"),
        ("space", lambda a: a[:, :3], "bad-shape"),
        ("coarse_surface", lambda a: changed(a, 3, 4, 3.0), "bad-normal"),
        ("sharp_surface", lambda a: a[:-1], "bad-order"),
        ("coarse_surface", lambda a: a[:0], "empty"),
        ("coarse_order", lambda a: a[::-1].copy(), "bad-order"),
        ("coarse_order", lambda a: np.zeros_like(a), "bad-order"),
    ],
)
def test_a_bad_array_is_never_written(sample, tmp_path, name, change, reason):
    bad = replace(sample, **{name: change(getattr(sample, name))})
    with pytest.raises(SampleError) as caught:
        write_sample(bad, tmp_path / "bad.safetensors")
    assert caught.value.reason == reason
    assert list(tmp_path.iterdir()) == []
