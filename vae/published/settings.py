"""A family's published settings as our configuration.

What shapes tell is taken from the shapes (and a setting that says otherwise shows as tensors of the
wrong shape, by name); heads, pi and epsilons come from the settings, else from the family.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from vae.checkpoint import CheckpointError, count_blocks
from vae.config import ConfigError, ModelConfig
from vae.published.families import FAMILIES
from vae.published.layout import published_names
from vae.variant import Variant

# Published name of a setting -> ours. Those of `ModelConfig`, of `Variant`, of `BlockStyle`.
MODEL = {
    "width": "width",
    "width_encoder": "width",
    "heads": "heads",
    "num_attention_heads": "heads",
    "embed_dim": "embed",
    "latent_channels": "embed",
    "num_encoder_layers": "encoder_layers",
    "num_layers_encoder": "encoder_layers",
    "num_decoder_layers": "decoder_layers",
    "num_layers_decoder": "decoder_layers",
    "num_freqs": "octaves",
    "embed_frequency": "octaves",
    "truncation": "truncation",
    "output": "output",
}
VARIANT = {
    "width_decoder": "decoder_width",
    "point_feats": "features",
    "include_pi": "pi",
    "embed_include_pi": "pi",
    "use_ln_post": "encoder_norm",
    "geo_decoder_ln_post": "decoder_norm",
    "geo_decoder_downsample_ratio": "query_shrink",
    "geo_decoder_mlp_expand_ratio": "query_expansion",
    "downsample_ratio": "per_token",
}
STYLE = {"qkv_bias": "bias", "qk_norm": "head_norm"}
# Settings of which only these values are the same network.
FIXED = {
    "embed_type": "fourier",
    "embedding_type": "frequency",
    "embed_point_feats": False,
    "use_downsample": True,
    "normal_pe": False,
    "in_channels": 3,
    "out_dim": 1,
    "out_channels": 1,
    "use_multi_reso": False,
}
# Settings that change no number of ours: of training, of other readers, of a latent diffusion.
UNUSED = {
    *("family", "note", "num_latents", "n_samples", "pc_size", "pc_sharpedge_size", "scale_factor"),
    *("z_scale_factor", "init_scale", "use_flash", "flash", "use_checkpoint", "checkpointing"),
    *("resolutions", "sampling_prob", "volume_decoder_type", "surface_extractor_type"),
    *("volume_decoder", "surface_extractor", "label_type", "drop_path_rate", "ckpt_path"),
    *("pretrained_model_name_or_path", "subfolder", "supervision_type", "mc_level"),
}

TWINS = {"step1x-3d", "craftsman"}  # one layout and one meaning of the settings


def read_settings(
    family: str, tensors: Mapping[str, Tensor], given: Mapping[str, Any]
) -> tuple[ModelConfig, Variant]:
    """The configuration of a family's tensors and settings.

    Raises CheckpointError for a setting that is unknown, or that makes another network.
    """
    check_settings(family, given)
    model = model_sizes(family, tensors)
    variant = FAMILIES[family].variant
    changes, style = variant_of_shapes(family, tensors, model["width"])
    for theirs, value in given.items():
        if theirs in MODEL:
            model[MODEL[theirs]] = value
        elif theirs in VARIANT and not (theirs == "downsample_ratio" and variant.per_token == 0):
            changes[VARIANT[theirs]] = value
        elif theirs in STYLE:
            style[STYLE[theirs]] = value
    if "with_sharp_data" in given:
        changes["clouds"] = 2 if given["with_sharp_data"] else 1
    epsilons(given.get("eps"), changes, style)
    if model.get("heads") is None:
        model["heads"] = default_heads(family, tensors, model["width"])
    try:
        changes["style"] = replace(variant.style, **style)
        return ModelConfig(**model), replace(variant, **changes)
    except (ConfigError, TypeError) as error:
        raise CheckpointError(f"settings of {family}: {error}") from error


def check_settings(family: str, given: Mapping[str, Any]) -> None:
    """Raise CheckpointError for settings that are unknown or that we have no network for."""
    named = given.get("family", family)
    if named != family and {named, family} != TWINS:
        raise CheckpointError(f"these settings are of {named}, not of {family}")
    known = {*MODEL, *VARIANT, *STYLE, *FIXED, *UNUSED, "with_sharp_data", "eps"}
    unknown = sorted(k for k in given if k not in known and not k.startswith("_"))
    if unknown:
        raise CheckpointError(f"settings of {family}: unknown {', '.join(unknown)}")
    for name, value in FIXED.items():
        if given.get(name, value) not in (value, None):
            raise CheckpointError(
                f"settings of {family}: {name}={given[name]!r} is another network; only {value!r} "
                "is read"
            )


def tensor_of(family: str, tensors: Mapping[str, Tensor], name: str) -> Tensor:
    """The first published part of our parameter `name`. Raises CheckpointError naming it."""
    theirs = published_names(family, name, 0)[0]
    if theirs not in tensors:
        raise CheckpointError(f"{family}: tensors missing: {theirs}")
    return tensors[theirs]


def model_sizes(family: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The fields of ModelConfig that shapes tell, and the family's truncation."""
    moments = tensor_of(family, tensors, "pre_kl.weight")
    query = tensor_of(family, tensors, "decoder.query_proj.weight")
    if family == "triposg":  # one block of either stack attends across
        encoder = count_blocks(tensors, "encoder", "blocks") - 1
        decoder = count_blocks(tensors, "decoder", "blocks") - 1
    else:
        encoder = count_blocks(tensors, "encoder.self_attn")
        decoder = count_blocks(tensors, "transformer")
    return {
        "width": moments.shape[1],
        "embed": moments.shape[0] // 2,
        "octaves": (query.shape[1] - 3) // 6,
        "encoder_layers": encoder,
        "decoder_layers": decoder,
        "truncation": FAMILIES[family].truncation,
    }


def variant_of_shapes(
    family: str, tensors: Mapping[str, Tensor], width: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the tensors tell of `Variant` and of its `BlockStyle`.

    Only what they have beyond the family's own: a tensor that is not there is missing, never a
    sign of another variant.
    """
    latents = tensor_of(family, tensors, "post_kl.weight").shape[0]
    query = tensor_of(family, tensors, "decoder.query_proj.weight")
    points = tensor_of(family, tensors, "encoder.input_proj.weight").shape[1]
    changes = {
        "features": points - query.shape[1],
        "decoder_width": 0 if latents == width else latents,
        "query_shrink": max(1, latents // query.shape[0]),
    }
    if family != "triposg":
        mlp = tensor_of(family, tensors, "decoder.cross_attn_decoder.mlp.c_fc.weight")
        changes["query_expansion"] = max(1, mlp.shape[0] // mlp.shape[1])
    style = {}
    if any(name.endswith((".c_q.bias", ".to_q.bias")) for name in tensors):
        style["bias"] = True
    if any(name.endswith(".q_norm.weight") for name in tensors):
        style["head_norm"] = True
    return changes, style


def has(family: str, tensors: Mapping[str, Tensor], name: str) -> bool:
    """Whether the family's tensors hold our parameter `name`."""
    return published_names(family, name, 0)[0] in tensors


def epsilons(given: Any, changes: dict[str, Any], style: dict[str, Any]) -> None:
    """`eps` of the settings: one number, or {"blocks", "qk_norm", "ln_post"}."""
    if isinstance(given, (int, float)):
        given = dict.fromkeys(("blocks", "qk_norm", "ln_post"), given)
    for theirs, value in (given or {}).items():
        if theirs not in ("blocks", "qk_norm", "ln_post"):
            raise CheckpointError(f"settings: unknown eps {theirs!r}")
        if theirs == "ln_post":
            changes["post_eps"] = float(value)
        else:
            style["eps" if theirs == "blocks" else "head_eps"] = float(value)


def default_heads(family: str, tensors: Mapping[str, Tensor], width: int) -> int:
    """Heads where no setting says: the norms of heads tell, else the rule of all published files.

    64 channels a head where the width is a multiple of 64 and at least 256, else 4 heads.
    """
    name = "encoder.cross_attn.attn.attention.q_norm.weight"
    if has(family, tensors, name):
        return width // tensor_of(family, tensors, name).shape[0]
    return width // 64 if width >= 256 and width % 64 == 0 else 4
