"""Samples packed into few large files: WebDataset tars and an index that finds a sample in them.

    shard-00000.tar   <key>.safetensors, <key>.json of each sample, in the order of ids
    index.parquet     id, shard, offset, bytes, sha256, eps

The index is written last: a folder that has one is complete. A key is the id with its dots written
%2E, because WebDataset ends a key at the first dot. Equal samples give equal bytes.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from preprocessing.console import Progress, UsageError
from preprocessing.files import atomic_path
from preprocessing.first_look import make_out_folder
from preprocessing.points.sample_at import SampleAt
from preprocessing.points.samples import read_metadata
from preprocessing.stores import systems
from preprocessing.stores.address import Place, StorePath

P = TypeVar("P", Path, Place)
INDEX = "index.parquet"
COLUMNS = pa.schema(
    {
        "id": pa.string(),
        "shard": pa.string(),
        "offset": pa.int64(),
        "bytes": pa.int64(),
        "sha256": pa.string(),
        "eps": pa.float64(),
    }
)
UNITS = {"": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4}
UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


@dataclass(frozen=True)
class Packing:
    """What was packed: samples, shards and bytes."""

    out: str
    samples: int
    shards: int
    bytes: int


def parse_size(text: str) -> int:
    """Bytes, as in 2GB, 500MB, 1.5GiB or 1000000. Raises UsageError."""
    found = re.fullmatch(r"\s*([0-9.]+)\s*([a-zA-Z]*)\s*", text)
    unit = UNITS.get(found[2].lower()) if found else None
    try:
        size = int(float(found[1]) * unit) if found and unit else 0
    except ValueError:
        size = 0
    if size < 1:
        raise UsageError(f"--shard-size {text}: a size such as 2GB, 500MB or 1.5GiB")
    return size


def pack_samples(
    samples: Mapping[str, P],
    out: Place,
    shard_size: int,
    quiet: bool = False,
    metadata_of: Callable[[P], Mapping[str, Any]] = read_metadata,
) -> Packing:
    """Pack sample files, by id, into shards of about `shard_size` bytes below `out`.

    metadata_of: what a file's json holds; of other files than samples (latents), theirs.

    A shard ends after the sample that brings it to that size. Shards of an earlier packing are
    replaced. Raises UsageError when `out` cannot be written and SampleError for a file that is no
    sample.
    """
    make_out_folder(out)
    (out / INDEX).unlink(missing_ok=True)  # from here on the folder is not complete
    rows: list[dict[str, Any]] = []
    left = iter(sorted(samples.items()))
    shards = 0
    with Progress(len(samples), "samples", quiet) as progress:
        while len(rows) < len(samples):
            name = f"shard-{shards:05d}.tar"
            with atomic_path(out / name) as temporary:
                for row in fill_shard(temporary, left, shard_size, metadata_of):
                    rows.append(row | {"shard": name})
                    progress.update()
            shards += 1
    for old in shard_names(out):
        if number(old) >= shards:
            (out / old).unlink()
    with atomic_path(out / INDEX) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=COLUMNS), temporary)
    return Packing(str(out), len(rows), shards, sum(row["bytes"] for row in rows))


def shard_names(folder: Place) -> list[str]:
    """Names of the shards that a folder has."""
    if isinstance(folder, StorePath):
        names = list(systems.listed(str(folder)))
    else:
        names = [path.name for path in folder.glob("*.tar")]
    return [name for name in names if re.fullmatch(r"shard-\d+\.tar", name)]


def number(shard: str) -> int:
    """The number in a shard's name."""
    return int(shard.removeprefix("shard-").removesuffix(".tar"))


def fill_shard(
    path: Path,
    samples: Iterator[tuple[str, P]],
    shard_size: int,
    metadata_of: Callable[[P], Mapping[str, Any]],
) -> Iterator[dict[str, Any]]:
    """Write samples into one tar until it is full; the index row of each, its shard apart."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, source in samples:
            metadata, data = metadata_of(source), source.read_bytes()
            key = name.replace("%", "%25").replace(".", "%2E")
            offset = add(tar, f"{key}.safetensors", data)
            add(tar, f"{key}.json", json.dumps({"id": name, **metadata}, sort_keys=True).encode())
            yield {
                "id": name,
                "offset": offset,
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "eps": float(metadata["eps"]) if metadata.get("eps") else None,
            }
            if tar.offset >= shard_size:
                return


def add(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    """Append a member without owner or time; where its data begin."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
    blocks = -(-len(data) // tarfile.BLOCKSIZE)
    return int(tar.offset) - blocks * tarfile.BLOCKSIZE


def is_packed(folder: Place) -> bool:
    """Whether a folder holds shards, complete."""
    return (folder / INDEX).is_file()


def find_packed(folder: Place) -> dict[str, SampleAt]:
    """Samples by id, sorted, of a folder of shards. Raises UsageError for one that is not whole."""
    table = read_index(folder, ["id", "shard", "offset", "bytes"])
    missing = sorted(set(table["shard"].to_pylist()) - set(shard_names(folder)))
    if missing:
        raise UsageError(f"{folder} lacks {len(missing)} shards of its index, as {missing[0]}")
    columns = (table[name].to_pylist() for name in table.column_names)
    return {
        name: SampleAt(folder / shard, offset, size)
        for name, shard, offset, size in sorted(zip(*columns, strict=True))
    }


def read_index(folder: Place, columns: list[str]) -> pa.Table:
    """Columns of a folder's index."""
    return pq.read_table(pa.BufferReader((folder / INDEX).read_bytes()), columns=columns)


def eps_of_packed(folder: Place) -> dict[str, float]:
    """eps by id of packed samples, where it is known."""
    table = read_index(folder, ["id", "eps"])
    pairs = zip(table["id"].to_pylist(), table["eps"].to_pylist(), strict=True)
    return {name: eps for name, eps in pairs if eps is not None}
