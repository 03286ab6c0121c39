"""Packing what a run has written: a folder of samples into shards."""

from collections.abc import Mapping

from preprocessing.console import UsageError
from preprocessing.points.sample_at import SampleSource
from preprocessing.points.samples import SampleError, read_metadata, sample_files
from preprocessing.points.shards import Packing, pack_samples, parse_size
from preprocessing.running.known_eps import eps_of_samples, require_one_eps
from preprocessing.stores.address import Place


def pack_folder(folder: Place, out: Place, shard_size: str, quiet: bool = False) -> Packing:
    """Pack a folder's samples into shards of about `shard_size` (2GB, 500MB) below `out`.

    Raises UsageError for a folder without samples, for samples of several eps or types, for one
    that cannot be read, and when `out` cannot be written.
    """
    size = parse_size(shard_size)
    found = sample_files(folder)
    if not found:
        raise UsageError(f"{folder} holds no samples (*.safetensors); dora-prep run writes them")
    try:
        require_one_eps(eps_of_samples(found), "the samples are of solids")
        require_one_dtype(found)
        return pack_samples(found, out, size, quiet)
    except SampleError as error:
        raise UsageError(str(error)) from error


def require_one_dtype(samples: Mapping[str, SampleSource]) -> None:
    """Raise UsageError, naming one of each, for samples of float32 and of float16 together."""
    example = {read_metadata(path).get("dtype", "float32"): name for name, path in samples.items()}
    if len(example) > 1:
        told = " and ".join(f"{dtype} (as {name})" for dtype, name in sorted(example.items()))
        raise UsageError(f"the samples are {told}, which do not mix: make them with one --dtype")
