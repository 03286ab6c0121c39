"""Configuration: frozen dataclasses, the presets, and typed `key=value` overrides."""

import dataclasses
import difflib
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

Output = Literal["tsdf", "occupancy"]


class ConfigError(ValueError):
    """A setting that does not exist or has no such value."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes and the meaning of the output; everything needed to rebuild the module.

    `truncation`: under tsdf a logit of 1 stands for this distance (normalised frame); 0: unknown.
    """

    width: int = 768
    heads: int = 12
    encoder_layers: int = 8
    decoder_layers: int = 16
    embed: int = 64
    octaves: int = 8
    output: Output = "tsdf"
    truncation: float = 0.015

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ConfigError(f"width {self.width} does not divide into {self.heads} heads")
        if self.output not in typing.get_args(Output):
            raise ConfigError(f"output is tsdf or occupancy, not {self.output!r}")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What one step reads: points per cloud, supervision points per pool, token lengths.

    eps: offsets of the solids that the samples may come from; the first is the model's own, which
    `dora-vae encode` makes of a raw mesh. val_share: of the items, by the hash of their ids, that
    are held out and validated on.
    mean_share: of the items whose posterior mean is decoded in place of a sample. With few shapes
    latents can carry next to nothing, and a decoder that has seen only noise there misreads the
    mean (one CAD part: IoU 0.98 from samples, 0.50 from the mean). The published recipe has none.
    """

    eps: tuple[str, ...] = ("2/256",)
    val_share: float = 0.0
    coarse_points: int = 32768
    sharp_points: int = 32768
    sharp_near: int = 21384
    coarse_near: int = 10000
    space: int = 10000
    token_lengths: tuple[int, ...] = (256, 512, 768, 1024, 1280, 2048, 4096)
    token_weights: tuple[float, ...] = (0.1, 0.1, 0.1, 0.1, 0.1, 0.3, 0.2)
    rotate: bool = True
    mirror_probability: float = 0.75
    mean_share: float = 0.0

    def __post_init__(self) -> None:
        if len(self.token_lengths) != len(self.token_weights):
            raise ConfigError("token_lengths and token_weights differ in length")
        largest = max(self.token_lengths)
        if largest - largest // 2 > self.coarse_points or largest // 2 > self.sharp_points:
            raise ConfigError(f"{largest} tokens need {largest // 2} points of each cloud")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The optimisation. `batch` is per process; a step sees batch * processes * accumulate items.

    minutes > 0: the clock replaces `steps`: schedules follow it and training ends after that much
    time. Such a run is not repeatable to the bit; one by steps is.
    kl_warmup: steps over which the KL weight rises from 0. init_scale > 0: linear weights start
    from a Gaussian of init_scale / sqrt(width) in place of torch's default. ema 0: no averaging of
    the weights.
    start: `place` gives the untrained model what it must otherwise discover, see vae/start.py, with
    start_octaves of position and a factor start_alpha on them; `gaussian` is init_scale alone.
    resident: the whole set in the device's memory, see vae/resident.py; growing: what appears in
    the folder while the run goes is taken in (then a run is not repeatable to the bit).
    val_every: steps between two validations, which fall on checkpoints.
    loaders: worker processes that read ahead; 0 reads in the training process. threads: of torch
    on the CPU; 0 leaves them as they are. Small matrices on a busy machine want 1: threads that
    wait for each other made a step 2.9 processor seconds in place of 0.33.
    """

    steps: int = 100_000
    minutes: float = 0.0
    batch: int = 4
    accumulate: int = 1
    lr: float = 5e-5
    warmup: int = 1000
    final_lr_share: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.99
    adam_eps: float = 1e-6
    weight_decay: float = 0.01
    clip: float = 1.0
    sharp_weight: float = 2.0
    kl_weight: float = 1e-3
    kl_warmup: int = 0
    init_scale: float = 0.0
    ema: float = 0.999
    start: Literal["place", "gaussian"] = "gaussian"
    start_octaves: int = 5
    start_alpha: float = 1.0
    resident: bool = False
    growing: bool = False
    precision: Literal["no", "bf16"] = "bf16"
    checkpointing: bool = True
    seed: int = 0
    loaders: int = 4
    threads: int = 0
    save_every: int = 1000
    val_every: int = 1000
    keep_last: int = 3

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "save_every", "keep_last"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1")


@dataclass(frozen=True, kw_only=True)
class VAEConfig:
    """A preset: the model, what it reads, how it is trained."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


# What `tiny` and `small` need to converge was measured: docs/training.md holds the table.
TINY = VAEConfig(
    model=ModelConfig(
        width=128, heads=4, encoder_layers=1, decoder_layers=3, embed=48, truncation=0.05
    ),
    data=DataConfig(
        coarse_points=512,
        sharp_points=512,
        sharp_near=256,
        coarse_near=384,
        space=512,
        token_lengths=(64, 128, 256),
        token_weights=(0.5, 0.4, 0.1),
        rotate=False,
        mirror_probability=0.0,
        mean_share=0.25,
    ),
    train=TrainConfig(
        steps=3000,
        batch=4,
        lr=5e-4,
        warmup=30,
        init_scale=0.25,
        start="place",
        ema=0.99,
        precision="no",
        checkpointing=False,
        loaders=0,
        threads=1,
        kl_warmup=200,
        save_every=250,
    ),
)

# The model in the box, `dora-tiny`: one GPU, scenes without end (benchmarks/boxed/samples.py).
BOXED = VAEConfig(
    model=ModelConfig(
        width=256, heads=8, encoder_layers=1, decoder_layers=3, embed=48, truncation=0.05
    ),
    data=DataConfig(
        eps=("2/128", "2/256"),
        coarse_points=4096,
        sharp_points=4096,
        sharp_near=1024,
        coarse_near=1024,
        space=1024,
        token_lengths=(64, 128, 256, 512, 1024, 2048, 4096),
        token_weights=(0.08, 0.12, 0.25, 0.25, 0.15, 0.1, 0.05),
        mirror_probability=0.5,
        mean_share=0.25,
    ),
    train=TrainConfig(
        steps=20_000,
        batch=64,
        lr=1e-3,
        warmup=200,
        init_scale=0.25,
        start="place",
        checkpointing=False,
        kl_weight=1e-4,
        kl_warmup=500,
        resident=True,
        loaders=4,
        keep_last=1,
    ),
)

SMALL = VAEConfig(
    model=ModelConfig(
        width=384, heads=6, encoder_layers=4, decoder_layers=8, embed=32, truncation=0.03
    ),
    data=DataConfig(
        coarse_points=8192,
        sharp_points=8192,
        sharp_near=4096,
        coarse_near=4096,
        space=4096,
        token_lengths=(256, 512, 1024, 2048),
        token_weights=(0.3, 0.3, 0.3, 0.1),
        mean_share=0.25,
    ),
    train=TrainConfig(
        steps=200_000,
        batch=16,
        lr=3e-4,
        warmup=1000,
        init_scale=0.25,
        start="place",
        checkpointing=False,
    ),
)

V1_0 = VAEConfig(
    model=ModelConfig(output="occupancy"),
    data=DataConfig(
        coarse_points=16384,
        sharp_points=16384,
        token_lengths=(256, 1280),
        token_weights=(0.5, 0.5),
    ),
)

V1_1 = VAEConfig()
# The recipe of v1.1 on solids at half the offset; the model and the optimisation are the same.
V1_2 = VAEConfig(data=DataConfig(eps=("2/512",)))

PRESETS: dict[str, VAEConfig] = {
    "tiny": TINY,
    "dora-tiny": BOXED,
    "small": SMALL,
    "v1.0": V1_0,
    "v1.1": V1_1,
    "v1.2": V1_2,
}


def preset(name: str) -> VAEConfig:
    """The preset of that name. Raises ConfigError with the nearest name."""
    if name not in PRESETS:
        raise ConfigError(f"no preset {name!r}; {suggestion(name, list(PRESETS))}")
    return PRESETS[name]


def suggestion(word: str, known: list[str]) -> str:
    """'did you mean X?' or the list of what there is."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"


def override(config: VAEConfig, settings: list[str]) -> VAEConfig:
    """The config with `key=value` settings applied; a key may carry its section, `train.lr`.

    Values take the type of the field; tuples are comma-separated. Raises ConfigError for an
    unknown key (with the nearest one) or a value of the wrong type.
    """
    sections = {f.name: type(getattr(config, f.name)) for f in dataclasses.fields(config)}
    owner = {f.name: name for name, kind in sections.items() for f in dataclasses.fields(kind)}
    changes: dict[str, dict[str, Any]] = {name: {} for name in sections}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"{setting!r} is not key=value")
        section, _, name = key.strip().rpartition(".")
        if name not in owner or section not in ("", owner[name]):
            raise ConfigError(f"no setting {key!r}; {suggestion(name, sorted(owner))}")
        kind = typing.get_type_hints(sections[owner[name]])[name]
        changes[owner[name]][name] = parse_value(name, text.strip(), kind)
    replaced = {
        name: dataclasses.replace(getattr(config, name), **values)
        for name, values in changes.items()
    }
    return dataclasses.replace(config, **replaced)


def parse_value(name: str, text: str, kind: Any) -> Any:
    """`text` as a value of the annotated type."""
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ConfigError(f"{name} is true or false, not {text!r}")
        return text.lower() == "true"
    if typing.get_origin(kind) is Literal:
        if text not in typing.get_args(kind):
            raise ConfigError(f"{name} is one of {', '.join(typing.get_args(kind))}, not {text!r}")
        return text
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        return tuple(parse_value(name, part, item) for part in text.split(","))
    try:
        return kind(text)
    except ValueError:
        raise ConfigError(f"{name} is {kind.__name__}, not {text!r}") from None


def to_dict(config: VAEConfig) -> dict[str, Any]:
    """Plain nested dictionaries for JSON."""
    return dataclasses.asdict(config)


def from_dict(values: dict[str, Any]) -> VAEConfig:
    """The inverse of `to_dict`. Raises ConfigError naming unknown keys."""
    sections: dict[str, Any] = {}
    for f in dataclasses.fields(VAEConfig):
        kind = type(getattr(VAEConfig(), f.name))
        sections[f.name] = section_from_dict(kind, values.get(f.name, {}))
    return VAEConfig(**sections)


def section_from_dict(kind: type, values: dict[str, Any]) -> Any:
    """One section; JSON lists become tuples."""
    known = {f.name for f in dataclasses.fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(f"unknown settings {', '.join(unknown)} for {kind.__name__}")
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
