"""Bulk encoding and decoding: find the inputs, let the runner do them, sum up what came out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from preprocessing.files import atomic_write
from preprocessing.formats.readers import SUFFIXES as MESHES
from preprocessing.points.layouts import SAMPLE_READERS
from preprocessing.points.sample_at import open_arrays
from preprocessing.points.shards import Packing, pack_samples, parse_size
from preprocessing.running.ids import Entry
from preprocessing.running.ledger import read_ledger
from preprocessing.running.ledger_columns import DECODED, LATENTS
from preprocessing.running.manifest import mesh_suffixes
from preprocessing.running.pipeline import run_work
from preprocessing.running.run_settings import settings_key
from preprocessing.running.stages import HEAVY
from preprocessing.running.summary import Summary
from preprocessing.running.supervisor import ForkServer
from preprocessing.running.system import available_cores
from preprocessing.running.tasks import Output, Plan, Work
from preprocessing.running.warming import compile_cold, warm_kernels
from preprocessing.settings import Limits, SampleSettings, WatertightSettings
from preprocessing.stores.address import Place
from vae.bulk.decoding import READING, Decoder, warm_reading
from vae.bulk.encoding import Encoder
from vae.bulk.settings import DecodeSettings, EncodeSettings, ModelSource
from vae.bulk.sources import find_entries
from vae.bulk.statistics import LATENTS_JSON, write_statistics
from vae.checkpoint import weights_hash
from vae.latents import check_tokens, latents_header
from vae.local import nearest_count
from vae.model import DoraVAE

LATENT_SUFFIXES = {".safetensors"}
GPU_SHARE = 0.25  # of a GPU a worker takes


def encode_many(
    inputs: Sequence[str],
    out: Place,
    settings: EncodeSettings,
    source: ModelSource,
    limits: Limits,
    packing: tuple[Place, str] | None = None,
    overwrite: bool = False,
    server: ForkServer | None = None,
    batch: int = 1,
) -> Summary:
    """Latents of every sample or mesh that `inputs` names, as out/<id>.safetensors.

    A ledger row for every one, and out/latents.json over all that are ok; done ones are skipped.
    packing: pack the latents into shards, where and how large (2GB). server: a fork server that is
    starting already. batch: shapes a pass; limits are then of a batch.
    Raises UsageError for inputs that are not there and for outputs of other settings (unless
    `overwrite`), and what `run_work` raises.
    """
    nearest_count(settings.attention)
    if packing is not None:
        parse_size(packing[1])  # a mistake is told before the work
    passed_over: Counter[str] = Counter()
    entries = find_entries(inputs, {*mesh_suffixes(), *SAMPLE_READERS}, out, passed_over)
    kernels = kernels_for(entries)
    work = Work(
        out=out,
        outputs=(Output("latents", out, LATENTS, settings_key(settings), (".safetensors",)),),
        told={"encode": asdict(settings)},
        function=Encoder(settings, source, out, kernels),
        preload=server or ("vae.bulk.encoding", *(HEAVY if kernels else ())),
        begin=partial(begin_encoding, out, kernels),
        label="shapes",
        batch=batch,
    )
    summary = run_work(entries, work, limits, again=None if overwrite else ())
    summary.passed_over = dict(passed_over)
    found = finished(out)
    if found:
        told = {"model": source.name, "model_sha256": source.sha256, "tokens": settings.tokens}
        write_statistics(found, told, out, limits.quiet)
    if found and packing is not None:
        pack_latents(out, packing[0], parse_size(packing[1]), limits.quiet)
    return summary


def decode_many(
    inputs: Sequence[str],
    out: Place,
    settings: DecodeSettings,
    source: ModelSource,
    limits: Limits,
    overwrite: bool = False,
    server: ForkServer | None = None,
) -> Summary:
    """A mesh of every latents file that `inputs` names, as out/<id>.<format>; as `encode_many`."""
    nearest_count(settings.attention)
    passed_over: Counter[str] = Counter()
    entries = find_entries(inputs, LATENT_SUFFIXES, out, passed_over)
    work = Work(
        out=out,
        outputs=(
            Output("decoded", out, DECODED, settings_key(settings), (f".{settings.format}",)),
        ),
        told={"decode": asdict(settings)},
        function=Decoder(settings, source, out),
        preload=server or ("vae.bulk.decoding",),
        begin=partial(compile_cold, READING, [warm_reading]),
        label="latents",
    )
    summary = run_work(entries, work, limits, again=None if overwrite else ())
    summary.passed_over = dict(passed_over)
    return summary


def kernels_for(entries: Sequence[Entry]) -> Plan | None:
    """The stages whose kernels making solids and drawing clouds takes; None without a mesh."""
    if not any(Path(entry.path).suffix.lower() in MESHES for entry in entries):
        return None
    solid = WatertightSettings(eps=2 / 256)
    return Plan(out=Path(), watertight=solid, samples=SampleSettings())


def begin_encoding(out: Place, kernels: Plan | None, quiet: bool) -> None:
    """Take latents.json away, which is written last: a folder that has one is complete."""
    (out / LATENTS_JSON).unlink(missing_ok=True)
    if kernels is not None:
        warm_kernels(kernels, quiet)


def finished(out: Place) -> dict[str, Place]:
    """The outputs of a folder that are ok, by id, sorted."""
    table = read_ledger(out)
    columns = (table[name].to_pylist() for name in ("id", "status", "output"))
    return {name: out / file for name, status, file in zip(*columns, strict=True) if status == "ok"}


def pack_latents(out: Place, shards: Place, size: int, quiet: bool = False) -> Packing:
    """Pack a folder's latents into shards of about `size` bytes, latents.json beside them."""
    packing = pack_samples(finished(out), shards, size, quiet, metadata_of=header_of)
    atomic_write(shards / LATENTS_JSON, (out / LATENTS_JSON).read_bytes())
    return packing


def header_of(path: Place) -> dict[str, Any]:
    """What a latents file says of itself."""
    with open_arrays(path) as handle:
        return latents_header(handle, path)


def model_source(
    model: str | Path, heads: int | None, device: str, limits: Limits, tokens: int = 1
) -> tuple[ModelSource, Limits]:
    """Where children get the model, and limits that fit the device.

    device: auto is decided here, on a cluster on every machine. tokens: refused where they cannot
    fit. Raises CheckpointError, LatentsError.
    """
    net = DoraVAE.from_pretrained(model, heads=heads)
    check_tokens(net, tokens)
    if device == "auto" and limits.ray_address is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    name = str(Path(model).absolute()) if Path(model).exists() else str(model)
    source = ModelSource(name=name, heads=heads, device=device, sha256=weights_hash(net))
    return source, gpu_limits(limits, device)


def gpu_limits(limits: Limits, device: str) -> Limits:
    """Limits with a share of a GPU for each worker, where the device is cuda.

    Without a cluster there are as many workers as shares: each holds a model and a context. Several
    GPUs are told apart by Ray alone.
    """
    if device != "cuda":
        return limits
    count, share = torch.cuda.device_count(), limits.gpus or GPU_SHARE
    workers, executor = limits.workers, limits.executor
    if limits.ray_address is None:
        workers = workers or max(1, min(available_cores(), int(count / share)))
        executor = "ray" if count > 1 and executor == "auto" else executor
    return replace(limits, gpus=share, workers=workers, executor=executor)
