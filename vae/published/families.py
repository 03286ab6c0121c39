"""The published families: what differs from Dora, where the weights are, under which licence."""

from dataclasses import dataclass

from vae.blocks import BlockStyle
from vae.variant import Variant


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family. truncation: the distance that a logit of 1 stands for; 0 where it is unknown.

    repo, files: on the Hugging Face hub, the weights first. permissive: the licence asks for
    nothing but its notice.
    """

    variant: Variant
    truncation: float = 0.0
    repo: str
    files: tuple[str, ...]
    licence: str
    permissive: bool = True

    @property
    def url(self) -> str:
        """The page of the weights, where the licence stands."""
        return f"https://huggingface.co/{self.repo}"


FAMILIES = {
    "dora": Family(
        variant=Variant(),
        truncation=0.015,
        repo="Seed3D/Dora-VAE-1.1",
        files=("dora_vae_1_1.ckpt",),
        licence="Apache-2.0",
    ),
    "hunyuan3d-2.1": Family(
        variant=Variant(
            clouds=1,
            features=4,
            style=BlockStyle(head_norm=True, eps=1e-6),
            points=81920,
            per_token=20,
            frame=0.9999,
            bound=1.01,
        ),
        repo="tencent/Hunyuan3D-2.1",
        files=("hunyuan3d-vae-v2-1/model.fp16.ckpt",),
        licence="Tencent Hunyuan 3D 2.1 Community License, not for use in the European Union, the "
        "United Kingdom and South Korea",
        permissive=False,
    ),
    "triposg": Family(
        variant=Variant(clouds=1, points=204800, per_token=4, bound=1.005, negated=True),
        repo="VAST-AI/TripoSG",
        files=("vae/diffusion_pytorch_model.safetensors", "vae/config.json"),
        licence="MIT",
    ),
    "step1x-3d": Family(
        variant=Variant(),
        repo="stepfun-ai/Step1X-3D",
        files=(
            "Step1X-3D-Geometry-1300m/vae/diffusion_pytorch_model.safetensors",
            "Step1X-3D-Geometry-1300m/vae/config.json",
        ),
        licence="Apache-2.0",
    ),
    "craftsman": Family(
        variant=Variant(points=16384),
        truncation=0.015,
        repo="craftsman3d/craftsman-doravae",
        files=("model.ckpt",),
        licence="MIT",
    ),
}
ALIASES = {"dora-1.1": "dora"}


def family_name(name: str) -> str | None:
    """The family that a model's name stands for, or None."""
    known = ALIASES.get(name, name)
    return known if known in FAMILIES else None
