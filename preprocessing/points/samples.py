"""The sample file: everything a VAE trains on from one mesh, read by random windows.

A safetensors file of float32 (or, asked for, float16) arrays whose rows are shuffled at write, so
that any run of rows is a random subset; the farthest point order of each cloud, from its row 0, is
stored beside it.
"""

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from preprocessing.files import atomic_path
from preprocessing.frame import HALF_WIDTH
from preprocessing.mesh import MeshError
from preprocessing.points.sample_at import SampleSource, open_arrays
from preprocessing.stores import systems
from preprocessing.stores.address import Place, StorePath

ARRAYS = ("coarse_surface", "sharp_surface", "sharp_near", "coarse_near", "space")
COLUMNS = {"coarse_surface": 6, "sharp_surface": 6, "sharp_near": 4, "coarse_near": 4, "space": 4}
ORDERS = {"coarse_order": "coarse_surface", "sharp_order": "sharp_surface"}
CODES = {"float32": "F32", "float16": "F16", "int32": "I32"}
FORMAT = "dora-sample-1"


class SampleError(MeshError):
    """A sample that cannot be made, or a sample file that cannot be used; `reason` is stable."""


@dataclass(frozen=True)
class Sample:
    """Clouds and supervision of one mesh in the normalised frame, all float32.

    `coarse_surface` (N,6) and `sharp_surface` (M,6): xyz and unit outward normal, M = 0 where the
    mesh has no salient edge. `sharp_near`, `coarse_near`, `space` (.,4): xyz and signed distance,
    positive inside. `coarse_order` int32 (N,) and `sharp_order` int32 (M,): the row of the i-th
    point of the farthest point order, so the rows order[: T // 2] are the token queries for T
    tokens; order[0] is 0. `metadata`: strings.
    """

    coarse_surface: np.ndarray
    sharp_surface: np.ndarray
    sharp_near: np.ndarray
    coarse_near: np.ndarray
    space: np.ndarray
    coarse_order: np.ndarray
    sharp_order: np.ndarray
    metadata: dict[str, str] = field(default_factory=dict)


def check_sample(sample: Sample) -> None:
    """Raise SampleError unless every array is what `Sample` promises.

    Reasons: bad-shape, not-finite, outside-cube (of [-1.05, 1.05]^3), bad-normal (not unit),
    bad-order (not a permutation), empty.
    """
    for name in ARRAYS:
        array = getattr(sample, name)
        if array.ndim != 2 or array.shape[1] != COLUMNS[name] or array.dtype != np.float32:
            raise SampleError(
                "bad-shape",
                f"{name} is {array.dtype} {array.shape}, not float32 (.,{COLUMNS[name]})",
            )
        if not np.isfinite(array).all():
            raise SampleError("not-finite", f"{name} holds a value that is not finite")
        if len(array) and np.abs(array[:, :3]).max() > np.float32(HALF_WIDTH):
            raise SampleError("outside-cube", f"{name} holds a point outside [-1.05, 1.05]^3")
        if COLUMNS[name] == 6:
            norms = np.sqrt(np.einsum("ij,ij->i", array[:, 3:], array[:, 3:]))
            if len(array) and np.abs(norms - 1).max() > 1e-5:
                raise SampleError("bad-normal", f"{name} holds a normal that is not unit")
    if len(sample.coarse_surface) == 0:
        raise SampleError("empty", "the sample has no surface points")
    for name, cloud in ORDERS.items():
        order, count = getattr(sample, name), len(getattr(sample, cloud))
        whole = order.dtype == np.int32 and np.array_equal(np.sort(order), np.arange(count))
        if not whole or (count and order[0] != 0):
            raise SampleError("bad-order", f"{name} is not an order of {cloud} that begins at 0")


def widened(array: np.ndarray) -> np.ndarray:
    """An array as a `Sample` holds it: float16 rows as float32, their normals made unit again."""
    if array.dtype != np.float16:
        return array
    wide = array.astype(np.float32)
    if wide.shape[1] == 6 and len(wide):
        wide[:, 3:] /= np.linalg.norm(wide[:, 3:], axis=1, keepdims=True)
    return wide


def rounded(array: np.ndarray, dtype: str) -> np.ndarray:
    """float32 rows as they will be read from a file of `dtype`, float32 or float16."""
    return widened(array.astype(dtype))


def write_sample(sample: Sample, path: str | Path) -> None:
    """Check a sample and write it to `path` (safetensors), atomically; equal samples, equal bytes.

    Rows are written in the type that the metadata's `dtype` names, float32 without. Raises
    SampleError as `check_sample`. The header is written here because the safetensors library orders
    metadata by a hash that changes from process to process.
    """
    check_sample(sample)
    dtype = sample.metadata.get("dtype", "float32")
    arrays = {name: getattr(sample, name).astype(dtype) for name in ARRAYS}
    arrays |= {name: getattr(sample, name) for name in ORDERS}
    header: dict[str, object] = {
        "__metadata__": dict(sorted((sample.metadata | {"format": FORMAT}).items()))
    }
    offset = 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": CODES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        handle.write(struct.pack("<Q", len(text)))
        handle.write(text)
        for array in arrays.values():
            handle.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)


def read_sample(path: SampleSource) -> Sample:
    """Read and check a whole sample file, or one in a shard.

    Raises SampleError(bad-file) for a file that is cut short or not a sample, FileNotFoundError,
    and SampleError as `check_sample`.
    """
    arrays, metadata = read_arrays(path, (*ARRAYS, *ORDERS))
    metadata.pop("format")
    sample = Sample(**arrays, metadata=metadata)
    check_sample(sample)
    return sample


def read_clouds(path: SampleSource) -> Sample:
    """The surface clouds and orders of a sample, checked, its supervision left unread (and empty):
    what encoding takes, an eighth of the bytes. Raises as `read_sample`."""
    arrays, metadata = read_arrays(path, ("coarse_surface", "sharp_surface", *ORDERS))
    metadata.pop("format")
    none = {name: np.zeros((0, COLUMNS[name]), np.float32) for name in ARRAYS if name not in arrays}
    sample = Sample(**arrays, **none, metadata=metadata)
    check_sample(sample)
    return sample


def read_metadata(path: SampleSource) -> dict[str, str]:
    """The metadata of a sample file without its arrays. Raises as `read_sample`."""
    return read_arrays(path, ())[1]


def read_arrays(
    path: SampleSource, names: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Named arrays and the metadata of a sample file."""
    try:
        with open_arrays(path) as file:
            metadata = file.metadata() or {}
            require_format(path, metadata)
            return {name: widened(file.get_tensor(name)) for name in names}, metadata
    except SafetensorError as error:
        raise SampleError("bad-file", f"{path} is not a whole sample file: {error}") from error


def read_window(
    path: SampleSource, counts: dict[str, int], generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """A random run of rows of each named array: a random subset, since rows are shuffled.

    `counts` maps names of `ARRAYS` to numbers of rows. Each array starts at its own random row and
    goes on from row 0 after the last. An array with fewer rows than asked for comes whole, so an
    empty salient cloud comes empty. Reads only the rows it returns, float32 whatever the file's
    type. Raises SampleError(bad-file)
    and KeyError for an unknown name.
    """
    window = {}
    try:
        with open_arrays(path) as file:
            require_format(path, file.metadata() or {})
            for name, count in counts.items():
                if name not in COLUMNS:
                    raise KeyError(f"{name} is not one of {ARRAYS}")
                rows = file.get_slice(name)
                total = rows.get_shape()[0]
                if total <= count:
                    window[name] = file.get_tensor(name)
                    continue
                begin = int(generator.integers(total))
                end = begin + count
                if end <= total:
                    window[name] = rows[begin:end]
                else:
                    window[name] = np.concatenate([rows[begin:], rows[: end - total]])
    except SafetensorError as error:
        raise SampleError("bad-file", f"{path} is not a whole sample file: {error}") from error
    return {name: widened(rows) for name, rows in window.items()}


def require_format(path: SampleSource, metadata: dict[str, str]) -> None:
    """Raise SampleError(bad-file) for a safetensors file that is no sample."""
    if metadata.get("format") != FORMAT:
        raise SampleError("bad-file", f"{path} is a safetensors file but not a {FORMAT}")


def sample_files(folder: Place) -> dict[str, Place]:
    """Sample files by id, sorted, of a folder of samples or of `run`, which keeps them below it."""
    root = folder / "samples" if (folder / "samples").is_dir() else folder
    names: Iterable[str]
    if isinstance(root, StorePath):
        names = systems.listed(str(root))
    else:
        names = (path.relative_to(root).as_posix() for path in root.rglob("*.safetensors"))
    found = {
        name.removesuffix(".safetensors"): root / name
        for name in names
        # What a run is writing, or was when it was killed, is hidden.
        if name.endswith(".safetensors") and not name.rpartition("/")[2].startswith(".")
    }
    return dict(sorted(found.items()))
