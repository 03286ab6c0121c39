"""Shards hold the samples' own bytes, and a window of one is that of its file."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError

from preprocessing.console import UsageError
from preprocessing.files import sha256_file
from preprocessing.points.sample_at import SampleAt, open_arrays
from preprocessing.points.samples import (
    ARRAYS,
    ORDERS,
    SampleError,
    read_arrays,
    read_sample,
    read_window,
    sample_files,
    write_sample,
)
from preprocessing.points.sampling import Supervision, sample_shape
from preprocessing.points.shards import (
    eps_of_packed,
    find_packed,
    is_packed,
    pack_samples,
    parse_size,
)
from preprocessing.shapes import box, sphere

IDS = ("a", "b/chair.obj", "b/100%", "long-" + "x" * 150, "z")


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sample files under names that a tar or WebDataset may stumble over."""
    folder = tmp_path_factory.mktemp("loose")
    for row, name in enumerate(IDS):
        mesh = sphere().mesh if row == 2 else box((1, 1 + row / 9, 1)).mesh  # a ball has no edges
        few = Supervision(dense=200, space=50)
        sample = sample_shape(mesh, points=64, item_id=name, eps=2 / 64, supervision=few)
        write_sample(sample, folder / f"{name}.safetensors")
    return folder


@pytest.fixture(scope="module")
def packed(loose: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in shards of two or three."""
    out = tmp_path_factory.mktemp("packed")
    size = (loose / "a.safetensors").stat().st_size
    told = pack_samples(sample_files(loose), out, int(1.5 * size), quiet=True)
    assert (told.samples, told.shards) == (5, 3)
    return out


def test_a_sample_and_every_window_of_it_are_those_of_the_file(loose: Path, packed: Path) -> None:
    files, parts = sample_files(loose), find_packed(packed)
    assert list(files) == list(parts) == sorted(IDS)
    counts = {"coarse_surface": 7, "sharp_surface": 9, "space": 49, "coarse_near": 10**6}
    for name, path in files.items():
        one, other = read_sample(path), read_sample(parts[name])
        assert one.metadata == other.metadata
        for array in (*ARRAYS, *ORDERS):
            np.testing.assert_array_equal(getattr(one, array), getattr(other, array))
        for seed in range(20):
            windows = [
                read_window(source, counts, np.random.default_rng(seed))
                for source in (path, parts[name])
            ]
            for array in counts:
                np.testing.assert_array_equal(windows[0][array], windows[1][array])
                assert windows[1][array].flags.writeable


def test_shards_are_webdataset_tars_of_the_files_own_bytes(loose: Path, packed: Path) -> None:
    found = {}
    for shard in sorted(packed.glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                key, _, kind = member.name.rpartition("/")[2].partition(".")
                folder = member.name.rpartition("/")[0]
                data = tar.extractfile(member)
                assert data is not None
                found[f"{folder}/{key}".lstrip("/"), kind] = data.read()
    assert len(found) == 2 * len(IDS)
    for (key, kind), data in found.items():
        if kind == "json":
            name = json.loads(data)["id"]
            assert found[key, "safetensors"] == (loose / f"{name}.safetensors").read_bytes()


def test_equal_samples_equal_bytes_and_old_shards_go(loose: Path, packed: Path, tmp_path: Path):
    before = {path.name: sha256_file(path) for path in packed.iterdir()}
    pack_samples(sample_files(loose), tmp_path, 1, quiet=True)
    assert len(list(tmp_path.glob("*.tar"))) == 5
    size = (loose / "a.safetensors").stat().st_size
    pack_samples(sample_files(loose), tmp_path, int(1.5 * size), quiet=True)
    assert {path.name: sha256_file(path) for path in tmp_path.iterdir()} == before


def test_a_packing_cut_short_is_not_taken_for_one(loose: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "z"):
        (tmp_path / f"in/{name}.safetensors").write_bytes(
            (loose / f"{name}.safetensors").read_bytes()
        )
    pack_samples(sample_files(tmp_path / "in"), tmp_path / "out", 1, quiet=True)
    assert is_packed(tmp_path / "out")
    (tmp_path / "in/z.safetensors").write_bytes(b"cut")
    with pytest.raises(SampleError, match=r"z\.safetensors"):
        pack_samples(sample_files(tmp_path / "in"), tmp_path / "out", 1, quiet=True)
    assert not is_packed(tmp_path / "out")


def test_a_lost_or_cut_shard_is_named(loose: Path, tmp_path: Path) -> None:
    pack_samples(sample_files(loose), tmp_path, 10**9, quiet=True)
    parts = find_packed(tmp_path)
    (shard,) = tmp_path.glob("*.tar")
    shard.write_bytes(shard.read_bytes()[: parts["z"].offset + 100])
    with pytest.raises(SampleError, match=r"shard-00000\.tar"):
        read_sample(parts["z"])
    with pytest.raises(SampleError):
        read_sample(SampleAt(shard, 3, 500))
    shard.unlink()
    with pytest.raises(UsageError, match="lacks 1 shards"):
        find_packed(tmp_path)


def test_the_index_knows_eps(packed: Path) -> None:
    assert eps_of_packed(packed) == dict.fromkeys(IDS, 2 / 64)


def test_an_array_that_is_not_there(packed: Path) -> None:
    with open_arrays(find_packed(packed)["a"]) as file, pytest.raises(SafetensorError):
        file.get_slice("nothing")
    assert read_arrays(find_packed(packed)["a"], ())[0] == {}


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2 * 10**9), ("1.5 GiB", 3 * 2**29), ("500mb", 5 * 10**8), ("7", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "0", "-1GB", "2 elephants", "1.2.3MB"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--shard-size"):
        parse_size(text)


def test_training_reads_shards_as_it_reads_files(loose: Path, packed: Path) -> None:
    from vae.config import TINY, override
    from vae.data import StepData, check_eps, find_samples

    points = ["coarse_points=16", "sharp_points=16", "coarse_near=32", "sharp_near=8", "space=16"]
    config = override(TINY, [*points, "batch=2", "token_lengths=4,8", "token_weights=0.5,0.5"])
    steps = [StepData(find_samples(folder), config) for folder in (loose, packed)]
    check_eps(find_samples(packed), config)
    for step in range(4):
        one, other = (data[step] for data in steps)
        assert one.ids == other.ids
        assert all((getattr(one, n) == getattr(other, n)).all() for n in ("coarse", "near", "rows"))
