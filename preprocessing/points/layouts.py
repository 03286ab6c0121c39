"""Other trainers' sample files: the published npz (both ways), Hunyuan3D-2.1, 3DShape2VecSet.

Every array stays in the normalised frame, longest side [-1, 1]; only keys, types and the sign
differ. docs/formats.md lists keys, shapes and types.
"""

import contextlib
import json
import zipfile
from pathlib import Path

import numpy as np

from preprocessing.files import atomic_path
from preprocessing.points.samples import Sample, SampleError, check_sample, read_sample
from preprocessing.points.sampling import shuffled_cloud
from preprocessing.seeds import generator

NPZ_KEYS = ("fps_coarse_surface", "fps_sharp_surface", "rand_points", "sharp_near_surface")


def write_npz(sample: Sample, path: str | Path) -> None:
    """The published layout of one shape, float32, atomically; equal samples give equal bytes.

    `fps_coarse_surface` (N,1,6) and `fps_sharp_surface` (M,1,6) in farthest point order,
    `rand_points` (.,4) with the near-surface rows first, `sharp_near_surface` (.,4); sdf positive
    inside. Two further keys, which the published loader does not look at, make the file readable
    without loss: `near_count` int64 () and `metadata`, JSON text. Raises SampleError as
    `samples.check_sample`.
    """
    check_sample(sample)
    arrays = {
        "fps_coarse_surface": sample.coarse_surface[sample.coarse_order][:, None],
        "fps_sharp_surface": sample.sharp_surface[sample.sharp_order][:, None],
        "rand_points": np.concatenate([sample.coarse_near, sample.space]),
        "sharp_near_surface": sample.sharp_near,
        "near_count": np.int64(len(sample.coarse_near)),
        "metadata": np.array(json.dumps(sample.metadata, sort_keys=True)),
    }
    with atomic_path(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)


def read_npz(path: str | Path) -> Sample:
    """A sample from the published layout; the result can be written with `write_sample`.

    Rows are shuffled by a seed of the file's name, and the farthest point order is computed anew
    from the first row of each cloud. Without `near_count` the first two thirds of `rand_points`
    are near-surface rows, as published (400,000 of 600,000). Raises SampleError(bad-file) for a
    file that lacks a key, is cut short or has another shape, and as `samples.check_sample`.
    """
    path = Path(path)
    try:
        # Opened here: np.load leaves a broken file open.
        with open(path, "rb") as handle, contextlib.ExitStack() as opened:
            file = np.load(handle, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise SampleError("bad-file", f"{path} is one array (npy), not an npz file")
            opened.enter_context(file)
            missing = [key for key in NPZ_KEYS if key not in file]
            if missing:
                raise SampleError("bad-file", f"{path} lacks {', '.join(missing)}")
            coarse, sharp, rand, sharp_near = (np.asarray(file[k], np.float32) for k in NPZ_KEYS)
            near_count = int(file["near_count"]) if "near_count" in file else len(rand) * 2 // 3
            metadata = json.loads(str(file["metadata"])) if "metadata" in file else {}
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        if isinstance(error, SampleError):
            raise
        raise SampleError("bad-file", f"{path} is not a whole npz file: {error}") from error
    if rand.ndim != 2 or coarse.shape[-1:] != (6,) or sharp.shape[-1:] != (6,):
        raise SampleError("bad-file", f"{path} has arrays of another shape than published")
    shuffle = generator(0, path.stem, "import")
    coarse_rows, coarse_order = shuffled_cloud(coarse.reshape(-1, 6), shuffle)
    sharp_rows, sharp_order = shuffled_cloud(sharp.reshape(-1, 6), shuffle)
    sample = Sample(
        coarse_surface=coarse_rows,
        sharp_surface=sharp_rows,
        sharp_near=shuffle.permutation(sharp_near),
        coarse_near=shuffle.permutation(rand[:near_count]),
        space=shuffle.permutation(rand[near_count:]),
        coarse_order=coarse_order,
        sharp_order=sharp_order,
        metadata={"id": path.stem} | metadata,
    )
    check_sample(sample)
    return sample


SAMPLE_READERS = {".safetensors": read_sample, ".npz": read_npz}


def write_hunyuan(sample: Sample, stem: str | Path) -> tuple[Path, Path]:
    """Hunyuan3D-2.1's two files `<stem>_surface.npz` and `<stem>_sdf.npz`, float16; their paths.

    Surface and volume points share the normalised frame, [-1, 1] (its own tool mixes [0, 0.99] and
    ±1.05). Labels are signed distances, positive inside, taken at the float32 points: rounding to
    float16 moves a point by up to 0.00025 (0.0005 beyond ±1). Raises as `samples.check_sample`.
    """
    check_sample(sample)
    stem = Path(stem)
    surface, sdf = (stem.with_name(f"{stem.name}_{part}.npz") for part in ("surface", "sdf"))
    write_arrays(
        surface,
        np.float16,
        random_surface=sample.coarse_surface,
        sharp_surface=sample.sharp_surface,
    )
    write_arrays(
        sdf,
        np.float16,
        vol_points=sample.space[:, :3],
        vol_label=sample.space[:, 3],
        random_near_points=sample.coarse_near[:, :3],
        random_near_label=sample.coarse_near[:, 3],
        sharp_near_points=sample.sharp_near[:, :3],
        sharp_near_label=sample.sharp_near[:, 3],
    )
    return surface, sdf


def write_vecset(sample: Sample, path: str | Path) -> None:
    """One npz for 3DShape2VecSet and sdf_gen, float32, sdf NEGATIVE inside.

    `vol_points` (.,3), `vol_sdf` (.,), `vol_label` (.,); `near_points` (.,3), `near_sdf`,
    `near_label`: the uniform near-surface points and, after them, the salient ones;
    `surface_points` (N,3) and `sharp_points` (M,3). Labels are float32 occupancy, 1 inside.
    `shifts` (3,) and `scale` () map the normalised frame onto itself: 0 and 1. Raises as
    `samples.check_sample`.
    """
    check_sample(sample)
    near = np.concatenate([sample.coarse_near, sample.sharp_near])
    write_arrays(
        path,
        np.float32,
        vol_points=sample.space[:, :3],
        vol_sdf=-sample.space[:, 3],
        vol_label=sample.space[:, 3] >= 0,
        near_points=near[:, :3],
        near_sdf=-near[:, 3],
        near_label=near[:, 3] >= 0,
        surface_points=sample.coarse_surface[:, :3],
        sharp_points=sample.sharp_surface[:, :3],
        shifts=np.zeros(3),
        scale=np.ones(()),
    )


def write_arrays(path: str | Path, dtype: type[np.floating], **arrays: np.ndarray) -> None:
    """Arrays of one type as an uncompressed npz, atomically."""
    with atomic_path(path) as temporary:
        cast = {name: array.astype(dtype) for name, array in arrays.items()}
        np.savez(temporary, allow_pickle=False, **cast)
