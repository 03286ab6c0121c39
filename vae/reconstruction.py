"""Encode, decode, read back: a shape through the VAE to a mesh."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from preprocessing.distance.morton import morton_order
from preprocessing.mesh import Mesh, MeshError
from preprocessing.points.samples import Sample
from preprocessing.solid.isosurface import extract_isosurface
from vae.checkpoint import weights_hash
from vae.latents import Draw, Latents, LatentsError, TokenSource, encode_shape
from vae.local import nearest_count, token_pyramid
from vae.model import DoraVAE
from vae.refine import Field, read_field

CHUNK_BYTES = 256 * 2**20  # of activations per chunk of field queries
OUTSIDE = np.float32(-1e-3)  # at most, where a network was never trained
FLOATS_PER_QUERY = 20  # activations of the decoder per query and channel, measured upper bound


@dataclass(frozen=True)
class Reconstruction:
    """What came back: the mesh (normalised frame), its latents, and what it took."""

    mesh: Mesh
    latents: Latents
    tokens: int
    resolution: int
    queries: int
    encode_s: float
    decode_s: float


def reconstruct(
    model: DoraVAE,
    shape: Mesh | Sample | TokenSource,
    tokens: int = 1024,
    resolution: int = 256,
    *,
    seed: int = 0,
    posterior: Draw = "mean",
    attention: str = "full",
) -> Reconstruction:
    """A shape through the model: encode to `tokens` tokens, decode, extract at `resolution`.

    shape: as `encode_shape`. attention: full, or local:K, quicker at tens of thousands of tokens
    and not exact (vae/local.py). The mesh has faces outward, closed, float64, normalised frame.
    Raises LatentsError (points), MeshError(empty-surface) when the field is nowhere inside.
    """
    hashed = weights_hash(model)
    started = time.perf_counter()
    latents = encode_shape(
        model,
        shape,
        tokens,
        seed=seed,
        posterior=posterior,
        model_hash=hashed,
        attention=attention,
    )
    encoded = time.perf_counter()
    mesh, queries = read_surface(model, latents, resolution, attention)
    decoded = time.perf_counter()
    return Reconstruction(
        mesh, latents, tokens, resolution, queries, encoded - started, decoded - encoded
    )


def decode_latents(
    model: DoraVAE, latents: Latents, resolution: int = 256, *, attention: str = "full"
) -> Mesh:
    """The mesh of latents that this model encoded; attention: as `reconstruct`.

    Raises LatentsError for latents of another model, MeshError(empty-surface).
    """
    if latents.model_hash != weights_hash(model):
        raise LatentsError("these latents were encoded by another model than the one given")
    return read_surface(model, latents, resolution, attention)[0]


def read_surface(
    model: DoraVAE,
    latents: Latents,
    resolution: int,
    attention: str = "full",
    *,
    chunk_bytes: int = CHUNK_BYTES,
) -> tuple[Mesh, int]:
    """The zero surface of the decoded field and the number of field queries.

    chunk_bytes: of activations at a time. Raises MeshError(empty-surface).
    """
    unit = model.config.truncation if model.config.output == "tsdf" else 0.0
    field = decoded_field(model, latents, attention, chunk_bytes)
    bricks, queries = read_field(field, resolution, unit=unit or None)
    if not len(bricks.bricks):
        raise MeshError("empty-surface", "the decoded field is nowhere inside: no surface")
    return extract_isosurface(bricks), queries


@torch.inference_mode()
def decoded_field(
    model: DoraVAE, latents: Latents, attention: str = "full", chunk_bytes: int = CHUNK_BYTES
) -> Field:
    """The field of latents: positions float32 (Q,3) -> logits float32 (Q,), in chunks by memory.

    Positions are in the normalised frame; what lies beyond the bound of a variant is outside.
    """
    variant = model.variant
    width = variant.decoder_width or model.config.width
    near, positions = nearest_count(attention), latents.positions.numpy()
    pyramid = token_pyramid(positions, latents.salient, near) if near else None
    plan = pyramid.plan(positions) if pyramid else None
    keys = model.keys(model.decode(latents.z[None].to(model.device), plan))
    chunk = max(1024, chunk_bytes // (4 * FLOATS_PER_QUERY * width))

    @torch.inference_mode()
    def field(points: np.ndarray) -> np.ndarray:
        values = np.empty(len(points), np.float32)
        scaled = points if variant.frame == 1.0 else points * np.float32(variant.frame)
        # Neighbours in one chunk: local attention groups them.
        order = morton_order(points) if pyramid else None
        for begin in range(0, len(points), chunk):
            part = slice(begin, begin + chunk) if order is None else order[begin : begin + chunk]
            plan = pyramid.plan(points[part]) if pyramid else None
            at = torch.tensor(scaled[part]).to(model.device)
            values[part] = model.query(keys, at[None], plan)[0].float().cpu().numpy()
        if variant.bound:
            beyond = np.abs(scaled).max(axis=1) > variant.bound
            values[beyond] = np.minimum(values[beyond], OUTSIDE)
        return values

    return field
