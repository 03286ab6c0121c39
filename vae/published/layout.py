"""Our parameter names in the words of each published layout.

The module's own names are Dora's. Hunyuan3D-2.1 calls the decoder `geo_decoder`; Step1X-3D and
CraftsMan3D say `_sharp` where Dora says `1`; TripoSG is in diffusers' layout, with q, k and v as
layers of their own. It splits their *concatenation* into heads, so putting the rows one below the
other gives the fused projection of the others, head-major order included.
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

ATTENTION = {
    "attn.c_qkv": ("attn1.to_q", "attn1.to_k", "attn1.to_v"),
    "attn.c_proj": ("attn1.to_out.0",),
    "ln_1": ("norm1",),
    "ln_2": ("norm3",),
}
CROSS_ATTENTION = {
    "attn.c_q": ("attn2.to_q",),
    "attn.c_kv": ("attn2.to_k", "attn2.to_v"),
    "attn.c_proj": ("attn2.to_out.0",),
    "ln_1": ("norm2",),
    "ln_2": ("attn2.norm_cross",),
    "ln_3": ("norm3",),
}
MLP = {"mlp.c_fc": ("ff.net.0.proj",), "mlp.c_proj": ("ff.net.2",)}
TRIPOSG = {
    "encoder.input_proj": "encoder.proj_in",
    "encoder.ln_post": "encoder.norm_out",
    "pre_kl": "quant",
    "post_kl": "post_quant",
    "decoder.query_proj": "decoder.proj_query",
    "decoder.ln_post": "decoder.norm_out",
    "decoder.output_proj": "decoder.proj_out",
}
BLOCK = re.compile(
    r"(encoder\.cross_attn|encoder\.self_attn\.resblocks\.\d+|transformer\.resblocks\.\d+"
    r"|decoder\.cross_attn_decoder)\.(.+)"
)


def published_names(family: str, name: str, decoder_layers: int) -> tuple[str, ...]:
    """What a family calls our parameter `name`; several names where its rows are apart there."""
    if family == "triposg":
        return triposg_names(name, decoder_layers)
    if family == "hunyuan3d-2.1":
        return (re.sub(r"^decoder\.", "geo_decoder.", name),)
    if family in ("step1x-3d", "craftsman"):
        return (re.sub(r"^encoder\.(input_proj|cross_attn)1\.", r"encoder.\1_sharp.", name),)
    return (name,)


def triposg_names(name: str, decoder_layers: int) -> tuple[str, ...]:
    """Diffusers' names: block 0 of the encoder and the last of the decoder attend across."""
    module, _, leaf = name.rpartition(".")
    found = BLOCK.fullmatch(module)
    if found is None:
        return (f"{TRIPOSG.get(module, module)}.{leaf}",)
    stem, part = found.groups()
    number = int(stem.rpartition(".")[2]) if "resblocks" in stem else 0
    if stem.startswith("encoder.self_attn"):
        block = f"encoder.blocks.{number + 1}"
    elif stem.startswith("transformer"):
        block = f"decoder.blocks.{number}"
    elif stem == "encoder.cross_attn":
        block = "encoder.blocks.0"
    else:
        block = f"decoder.blocks.{decoder_layers}"
    known = (ATTENTION if "resblocks" in stem else CROSS_ATTENTION) | MLP
    return tuple(f"{block}.{theirs}.{leaf}" for theirs in known.get(part, (part,)))


def renamed(family: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A file of Step1X-3D or CraftsMan3D that keeps Dora's names, in the family's own."""
    if family not in ("step1x-3d", "craftsman"):
        return dict(tensors)
    return {published_names(family, name, 0)[0]: value for name, value in tensors.items()}


def published_shapes(
    family: str, parameters: Mapping[str, Tensor], decoder_layers: int
) -> dict[str, Tensor]:
    """Every tensor that a family's file must hold, by its published name; rows split as there."""
    shapes: dict[str, Tensor] = {}
    for name, value in parameters.items():
        names = published_names(family, name, decoder_layers)
        shapes.update(zip(names, value.chunk(len(names)), strict=True))
    return shapes


def gathered(
    family: str, tensors: Mapping[str, Tensor], names: Iterable[str], decoder_layers: int
) -> dict[str, Tensor]:
    """A family's tensors under our names, float32, in memory of torch's own."""
    theirs = {name: published_names(family, name, decoder_layers) for name in names}
    return {name: torch.cat([tensors[t].float() for t in parts]) for name, parts in theirs.items()}
