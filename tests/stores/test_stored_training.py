"""Training from samples and shards in a store sees what it sees in a folder, to the bit."""

from pathlib import Path

import numpy as np
import pytest
from vae_samples import write_boxes

from preprocessing.points.samples import SampleError, read_sample, read_window, sample_files
from preprocessing.points.shards import find_packed, pack_samples
from preprocessing.running.packing import pack_folder
from preprocessing.stores import systems
from preprocessing.stores.address import place
from vae.config import TINY, override
from vae.data import DataError, batches, find_samples

SETTINGS = ["coarse_points=32", "sharp_points=32", "coarse_near=24", "space=24", "sharp_near=16"]
SETTINGS += ["token_lengths=6,9", "token_weights=0.5,0.5", "batch=2", "width=16", "heads=2"]


@pytest.fixture
def loose(tmp_path: Path) -> Path:
    return write_boxes(tmp_path / "loose", points=100)


def seen(folder: str, loaders: int) -> list[dict[str, np.ndarray]]:
    """What four steps read."""
    config = override(TINY, [*SETTINGS, f"loaders={loaders}"])
    return [
        {"ids": np.array(batch.ids), "near": batch.near.numpy(), "coarse": batch.coarse.numpy()}
        for batch in batches(find_samples(folder), config, 0, 4)
    ]


@pytest.mark.parametrize("loaders", [0, 2])
def test_steps_read_the_same_from_folders_stores_and_shards_in_stores(
    bucket: str, loose: Path, loaders: int
) -> None:
    for name, path in sample_files(loose).items():
        systems.put(path, f"{bucket}/run/samples/{name}.safetensors")
    pack_samples(sample_files(loose), place(f"{bucket}/shards"), 10_000, quiet=True)
    assert len(systems.listed(f"{bucket}/shards")) > 2
    wanted = seen(str(loose), 0)
    for folder in (f"{bucket}/run", f"{bucket}/shards"):
        found = seen(folder, loaders)
        for one, other in zip(found, wanted, strict=True):
            assert all(np.array_equal(one[name], other[name]) for name in other)


def test_samples_of_a_store_are_packed_like_those_of_a_folder(
    bucket: str, loose: Path, tmp_path: Path
) -> None:
    for name, path in sample_files(loose).items():
        systems.put(path, f"{bucket}/in/{name}.safetensors")
    pack_folder(loose, tmp_path / "here", "10kB", quiet=True)
    pack_folder(place(f"{bucket}/in"), place(f"{bucket}/out"), "10kB", quiet=True)
    for path in (tmp_path / "here").iterdir():
        assert systems.read(f"{bucket}/out/{path.name}") == path.read_bytes()
    pack_folder(loose, place(f"{bucket}/out"), "1GB", quiet=True)
    assert list(systems.listed(f"{bucket}/out")) == ["index.parquet", "shard-00000.tar"]


def test_whole_samples_and_windows_of_a_store(bucket: str, loose: Path) -> None:
    pack_samples(sample_files(loose), place(f"{bucket}/shards"), 10_000, quiet=True)
    parts = find_packed(place(f"{bucket}/shards"))
    for name, path in sample_files(loose).items():
        systems.put(path, f"{bucket}/loose/{name}.safetensors")
        for source in (parts[name], place(f"{bucket}/loose/{name}.safetensors")):
            whole, expected = read_sample(source), read_sample(path)
            assert np.array_equal(whole.space, expected.space)
            windows = [
                read_window(one, {"coarse_surface": 70}, np.random.default_rng(1))
                for one in (source, path)
            ]
            assert np.array_equal(*(one["coarse_surface"] for one in windows))


def test_what_is_no_sample_says_so(bucket: str) -> None:
    systems.write(b"x" * 20, f"{bucket}/a.safetensors")
    with pytest.raises(SampleError, match="safetensors is not a whole sample"):
        read_sample(place(f"{bucket}/a.safetensors"))
    with pytest.raises(DataError, match="no samples"):
        find_samples(f"{bucket}/nothing")
