"""From a shape to latents: which points become tokens, and the latents as a file.

Notable:
- A sample holds its clouds with their farthest point orders; every token count takes a prefix of
  the same order, so a sweep over counts orders the points once.
- Where a count asks for more points than the clouds hold, denser clouds are drawn from the mesh.
  Which clouds serve a count depends on the count alone, not on the sweep it is part of.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from preprocessing.files import atomic_path
from preprocessing.memory import available_memory
from preprocessing.mesh import Mesh
from preprocessing.points.edges import salient_edges
from preprocessing.points.fps import farthest_points
from preprocessing.points.sample_at import SampleSource, open_arrays
from preprocessing.points.samples import Sample
from preprocessing.points.sampling import salient_cloud, sample_surface
from preprocessing.seeds import generator
from preprocessing.stores.address import Place
from vae.blocks import EXACT
from vae.checkpoint import weights_hash
from vae.local import encoder_attends, nearest_count
from vae.model import DoraVAE, Posterior, split_tokens, subset_queries

Draw = Literal["mean", "sample"]
BASE = 32768  # points of each cloud drawn from a mesh, the published count
# Measured on the CPU, 1,000 to 100,000 tokens at width 128: 9 KB a token. Attention keeps no table.
FLOATS_PER_TOKEN = 16  # activations per channel
POINT_BYTES_PER_TOKEN = 1024  # the points that the tokens are chosen from
FORMAT = "dora-latents-1"


class LatentsError(ValueError):
    """A token count or a latents file that cannot be used; the message says what can."""


@dataclass(frozen=True)
class Clouds:
    """Points with normals, float32: coarse (N,6), sharp (M,6), and their farthest point orders."""

    coarse: np.ndarray
    sharp: np.ndarray
    coarse_order: np.ndarray
    sharp_order: np.ndarray

    @property
    def most_tokens(self) -> int:
        """The largest token count these clouds serve."""
        if len(self.sharp) == 0:
            return len(self.coarse)
        return min(2 * len(self.coarse), 2 * len(self.sharp) + 1)

    def rows(self, tokens: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of coarse and of sharp that become the tokens."""
        from_coarse, from_sharp = split_tokens(tokens, len(self.sharp))
        return self.coarse_order[:from_coarse], self.sharp_order[:from_sharp]


class TokenSource:
    """The points of one shape for any token count; make one per shape and reuse it in a sweep."""

    def __init__(
        self,
        shape: Mesh | Sample,
        *,
        mesh: Mesh | None = None,
        angle: float = 15.0,
        seed: int = 0,
        item_id: str = "",
        points: int = BASE,
    ) -> None:
        """shape: a sample, or a watertight mesh in the normalised frame to draw clouds from.

        mesh: where a sample's denser clouds come from. angle, seed, item_id: of such clouds; a
        sample brings its own. points: of each cloud of a mesh, where tokens do not ask for more.
        """
        self.mesh = shape if isinstance(shape, Mesh) else mesh
        self.angle, self.seed, self.item_id = angle, seed, item_id
        self.points = points
        self.drawn: dict[int, Clouds] = {}
        self.scattered: dict[int, np.ndarray] = {}
        self.ordered: dict[tuple[int, int, int], np.ndarray] = {}
        self.base: Clouds | None = None
        if isinstance(shape, Sample):
            self.angle = float(shape.metadata.get("angle", angle))
            self.seed = int(shape.metadata.get("seed", seed))
            self.item_id = shape.metadata.get("id", item_id)
            self.base = Clouds(
                shape.coarse_surface, shape.sharp_surface, shape.coarse_order, shape.sharp_order
            )

    def clouds(self, tokens: int) -> Clouds:
        """The clouds that serve `tokens`. Raises LatentsError naming the largest count possible."""
        if tokens < 1:
            raise LatentsError(f"tokens must be at least 1, not {tokens}")
        if self.base is not None and tokens <= self.base.most_tokens:
            return self.base
        if self.mesh is None:
            most = self.base.most_tokens if self.base is not None else 0
            raise LatentsError(
                f"{tokens} tokens need more points than this sample holds: at most {most} are "
                "possible without the mesh; give the mesh, or sample with more --points"
            )
        count = self.points
        while self.draw(count).most_tokens < tokens:
            count *= 2
        return self.draw(count)

    def draw(self, count: int) -> Clouds:
        """Clouds of `count` points each from the mesh, in farthest point order."""
        if count not in self.drawn:
            assert self.mesh is not None
            edges = salient_edges(self.mesh, self.angle)
            stage = f"tokens {count}"
            points, normals, _ = sample_surface(
                self.mesh,
                max(200_000, 4 * count),
                generator(self.seed, self.item_id, f"{stage} surface"),
            )
            order = farthest_points(points, count)
            coarse = np.concatenate([points[order], normals[order]], axis=1).astype(np.float32)
            sharp = salient_cloud(
                self.mesh, edges, count, generator(self.seed, self.item_id, f"{stage} salient")
            ).astype(np.float32)
            self.drawn[count] = Clouds(coarse, sharp, np.arange(count), np.arange(len(sharp)))
        return self.drawn[count]

    def scatter(self, count: int) -> np.ndarray:
        """`count` random surface points with normals, float32 (count,6), for models of one cloud.

        Raises LatentsError for a sample without its mesh: its clouds are farthest points.
        """
        if self.mesh is None:
            raise LatentsError(
                f"this model takes {count} random points of the surface, which a sample does not "
                "hold: give the mesh"
            )
        if count not in self.scattered:
            stage = generator(self.seed, self.item_id, f"scatter {count}")
            points, normals, _ = sample_surface(self.mesh, count, stage)
            self.scattered[count] = np.concatenate([points, normals], axis=1).astype(np.float32)
        return self.scattered[count]

    def queries(self, count: int, tokens: int, per_token: int) -> np.ndarray:
        """Rows of `scatter(count)` that become the tokens, int64 (tokens,)."""
        key = (count, tokens, per_token)
        if key not in self.ordered:
            random = generator(self.seed, self.item_id, f"queries {tokens}")
            points = self.scatter(count)[:, :3]
            self.ordered[key] = subset_queries(points, tokens, per_token, random)
        return self.ordered[key]


@dataclass(frozen=True)
class Latents:
    """The posterior of one shape: what a diffusion trainer takes and `decode_latents` reads.

    mean, logvar float32 (T,embed); positions float32 (T,3) of the points that became the tokens,
    normalised frame, uniform ones first; salient: how many of the last tokens are salient points;
    draw: whether `z` is the mean or a sample; seed: of that sample; model_hash: sha256 of weights.
    attention: how they were encoded, full or local:K.
    """

    mean: Tensor
    logvar: Tensor
    positions: Tensor
    salient: int
    draw: Draw
    seed: int
    model_hash: str
    item_id: str = ""
    attention: str = "full"

    @property
    def z(self) -> Tensor:
        """What is decoded, (T,embed): the mean, or the sample that `seed` draws."""
        if self.draw == "mean":
            return self.mean
        noise = generator(self.seed, self.item_id, "posterior")
        drawn = noise.standard_normal(tuple(self.mean.shape), np.float32)
        return self.mean + torch.exp(0.5 * self.logvar) * torch.tensor(drawn)


@torch.inference_mode()
def encode_shape(
    model: DoraVAE,
    shape: Mesh | Sample | TokenSource,
    tokens: int,
    *,
    seed: int = 0,
    posterior: Draw = "mean",
    model_hash: str | None = None,
    attention: str = "full",
) -> Latents:
    """Latents of one shape at any token count.

    shape: a sample, a watertight mesh in the normalised frame, or a TokenSource of either (which a
    sweep over counts should make once). model_hash: `weights_hash(model)` where it is known, since
    it takes a second of a large model. attention: full, or local:K, quicker at tens of thousands
    of tokens and not exact (vae/local.py). Raises LatentsError when the points do not suffice,
    ConfigError for another attention.
    """
    near = nearest_count(attention)
    check_draw(posterior)
    check_tokens(model, tokens)
    source = shape
    if not isinstance(source, TokenSource):
        source = TokenSource(source, seed=seed, points=model.variant.points)
    encode = encode_cloud if model.variant.clouds == 1 else encode_clouds
    found, positions, salient = encode(model, source, tokens, near)
    return latents_of(
        found.mean[0],
        found.logvar[0],
        positions,
        salient=salient,
        posterior=posterior,
        seed=seed,
        model_hash=model_hash or weights_hash(model),
        item_id=source.item_id,
        attention=attention,
    )


def latents_of(
    mean: Tensor, logvar: Tensor, positions: np.ndarray, *, posterior: Draw, **told: Any
) -> Latents:
    """What `encode_shape` returns, from the posterior of one shape on any device; told: the rest
    of the fields."""
    # Contiguous, as they come back from a file: the last bit of a product follows the layout.
    mean, logvar = (values.float().cpu().contiguous() for values in (mean, logvar))
    return Latents(mean, logvar, torch.tensor(positions), draw=posterior, **told)


def draw_points(model: DoraVAE, source: TokenSource, tokens: int) -> tuple[int, int]:
    """Draw and order now what `encode_shape` will take; what is kept for other counts, as a key.

    Counts of one key share all that was drawn. Raises LatentsError when the points, or this
    machine's memory, do not suffice.
    """
    check_tokens(model, tokens)
    if model.variant.clouds == 2:
        return len(source.clouds(tokens).coarse), 0
    count = max(model.variant.points, tokens)
    source.queries(count, tokens, model.variant.per_token)
    return count, tokens


def encode_clouds(
    model: DoraVAE, source: TokenSource, tokens: int, near: int | None
) -> tuple[Posterior, np.ndarray, int]:
    """Posterior, positions (T,3) and the number of salient tokens of a model of two clouds."""
    clouds = source.clouds(tokens)
    rows = clouds.rows(tokens)
    device = model.device
    positions = np.concatenate([clouds.coarse[rows[0], :3], clouds.sharp[rows[1], :3]])
    attends = EXACT
    if near:
        both = [
            (clouds.coarse[:, :3], clouds.coarse_order),
            (clouds.sharp[:, :3], clouds.sharp_order),
        ]
        attends = encoder_attends(both, positions, len(rows[1]), near)
    found = model.encode(
        torch.tensor(clouds.coarse)[None].to(device),
        torch.tensor(clouds.sharp)[None].to(device),
        query_index=(batched(rows[0], device), batched(rows[1], device)),
        attends=attends,
    )
    return found, positions, len(rows[1])


def encode_cloud(
    model: DoraVAE, source: TokenSource, tokens: int, near: int | None
) -> tuple[Posterior, np.ndarray, int]:
    """The same for a model of one cloud, in its frame; a sharp flag is 0, as published."""
    if tokens < 1:
        raise LatentsError(f"tokens must be at least 1, not {tokens}")
    variant, device = model.variant, model.device
    count = max(variant.points, tokens)
    cloud, rows = source.scatter(count), source.queries(count, tokens, variant.per_token)
    flags = np.zeros((len(cloud), max(0, variant.features - 3)), np.float32)
    features = np.concatenate([cloud[:, 3:], flags], axis=1)[:, : variant.features]
    points = np.concatenate([cloud[:, :3] * np.float32(variant.frame), features], axis=1)
    attends = EXACT
    if near:  # the cloud is random points: every prefix of it thins it evenly
        order = np.arange(len(cloud))
        attends = encoder_attends([(cloud[:, :3], order)], cloud[rows, :3], 0, near)
    found = model.encode(
        torch.tensor(points)[None].to(device), query_index=batched(rows, device), attends=attends
    )
    return found, cloud[rows, :3], 0


def check_tokens(model: DoraVAE, tokens: int) -> None:
    """Raise LatentsError, naming the most that fit, for more tokens than there is memory for."""
    floats = 4 * FLOATS_PER_TOKEN * model.config.width
    on_gpu = model.device.type == "cuda"
    here = POINT_BYTES_PER_TOKEN + (0 if on_gpu else floats)
    needs = [("this machine", available_memory(), here)]
    if on_gpu:
        needs.append(("the GPU", torch.cuda.mem_get_info(model.device)[0], floats))
    for place, free, each in needs:
        if tokens * each > free:
            raise LatentsError(
                f"{tokens:,} tokens need about {tokens * each / 2**30:,.0f} GiB; {place} has "
                f"{free / 2**30:.1f} free, enough for {free // each:,}"
            )


def check_draw(name: str) -> Draw:
    """`name` as a Draw. Raises LatentsError unless it is mean or sample."""
    if name == "mean":
        return "mean"
    if name == "sample":
        return "sample"
    raise LatentsError(f"the posterior is mean or sample, not {name!r}")


def redrawn(latents: Latents, posterior: str | None, seed: int | None) -> Latents:
    """The same posterior with another draw or seed; None keeps what it has."""
    return replace(
        latents,
        draw=latents.draw if posterior is None else check_draw(posterior),
        seed=latents.seed if seed is None else seed,
    )


def batched(rows: np.ndarray, device: torch.device) -> Tensor:
    """int64 (1,K) on the device."""
    return torch.from_numpy(rows.astype(np.int64))[None].to(device)


def write_latents(latents: Latents, path: str | Place) -> None:
    """One safetensors file: mean, logvar, positions; the rest as JSON under the
    metadata key `latents`. Atomic."""
    header = {
        "format": FORMAT,
        "salient": latents.salient,
        "posterior": latents.draw,
        "seed": latents.seed,
        "model_sha256": latents.model_hash,
        "id": latents.item_id,
    }
    if latents.attention != "full":
        header["attention"] = latents.attention
    # One key: safetensors writes several in an order that changes, and equal latents equal bytes.
    metadata = {"latents": json.dumps(header)}
    arrays = {"mean": latents.mean, "logvar": latents.logvar, "positions": latents.positions}
    with atomic_path(path) as temporary:
        save_file({k: v.contiguous() for k, v in arrays.items()}, temporary, metadata=metadata)


def latents_header(handle: Any, path: SampleSource) -> dict[str, Any]:
    """What an open latents file says of itself. Raises LatentsError for any other file."""
    header: dict[str, Any] = json.loads((handle.metadata() or {}).get("latents", "{}"))
    if header.get("format") != FORMAT:
        raise LatentsError(f"{path}: not a latents file; `dora-vae encode` writes them")
    return header


def read_latents(path: SampleSource) -> Latents:
    """Latents from a file or from a part of a shard. Raises LatentsError for any other file."""
    try:
        with open_arrays(path) as handle:
            metadata = latents_header(handle, path)
            # Copied: see `vae.model` on memory that is not torch's own.
            names = ("mean", "logvar", "positions")
            arrays = {name: torch.tensor(handle.get_tensor(name)) for name in names}
    except SafetensorError as error:
        raise LatentsError(f"{path}: not a latents file ({error})") from error
    return Latents(
        **arrays,
        salient=metadata["salient"],
        draw=check_draw(metadata["posterior"]),
        seed=metadata["seed"],
        model_hash=metadata["model_sha256"],
        item_id=metadata["id"],
        attention=metadata.get("attention", "full"),
    )
