"""The options of the stages and of a run, each said once, and the settings that they make."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from preprocessing.options import (
    Executor,
    Json,
    Memory,
    MeshFormat,
    Overwrite,
    Quiet,
    RayAddress,
    Seed,
    Shards,
    ShardSize,
    Timeout,
    Workers,
    options_checked,
    run_limits,
)
from preprocessing.stores.address import Place

if TYPE_CHECKING:
    from preprocessing.settings import Limits, SampleSettings, WatertightSettings

UnusedSeed = Annotated[
    int, typer.Option("--seed", min=0, help="For symmetry: no method here draws at random.")
]
Angle = Annotated[
    float,
    typer.Option(min=0, max=180, help="Dihedral angle in degrees above which an edge is salient."),
]


@dataclass(frozen=True)
class SolidOptions:
    """What `watertight` and `run` make solids by."""

    eps: Annotated[
        str, typer.Option(help="Offset in the normalised frame, [-1, 1]: 2/512 or a decimal.")
    ] = "2/256"
    resolution: Annotated[
        int | None,
        typer.Option(
            min=1, help="Grid cells per axis. [default: round(2 / eps)]", show_default=False
        ),
    ] = None
    method: Annotated[str, typer.Option(help="offset, alpha-wrap or manifold.")] = "offset"
    format: MeshFormat = "ply"
    keep_cavities: Annotated[
        bool,
        typer.Option("--keep-cavities", help="Keep voids that the input bounds as true cavities."),
    ] = False
    close_holes: Annotated[
        float | None,
        typer.Option(
            metavar="TAU",
            help="Fill voids whose openings are narrower than about 2 TAU (normalised).",
            show_default=False,
        ),
    ] = None
    simplify: Annotated[
        float | None,
        typer.Option(
            metavar="E", help="Decimate; the surface moves at most E eps.", show_default=False
        ),
    ] = None
    tolerance: Annotated[
        float,
        typer.Option(metavar="T", help="Share of eps that an edge one cell long may be off."),
    ] = 0.025
    remesh: Annotated[
        bool,
        typer.Option(
            "--remesh/--no-remesh",
            help="Without (`watertight` alone): marching cubes' triangles in a sixth of the time, "
            "off by 5% of eps (RMS) on crowded meshes, with edges that are not the shape's.",
        ),
    ] = True
    corners: Annotated[
        str,
        typer.Option(help="round (Euclidean offset), or sharp: edges and corners stay sharp."),
    ] = "round"
    mitre: Annotated[
        float,
        typer.Option(
            metavar="M", help="With sharp corners: edges with tips beyond M eps are bevelled."
        ),
    ] = 2.0
    audit: Annotated[
        str, typer.Option(help="basic, or full: the share of visible points lost, too.")
    ] = "basic"

    def settings(self) -> "WatertightSettings":
        """As the stage takes them. Raises UsageError."""
        from preprocessing.settings import WatertightSettings, parse_eps

        with options_checked():
            given = vars(self) | {"eps": parse_eps(self.eps), "resolution": self.resolution or 0}
            return WatertightSettings(**given)


@dataclass(frozen=True)
class CloudOptions:
    """What `sample` and `run` draw points by."""

    points: Annotated[
        int, typer.Option(min=2, help="Points in all: half uniform, up to half on salient edges.")
    ] = 65536
    angle: Angle = 15.0
    edge_spread: Annotated[
        str, typer.Option(help="length: salient points spread by length; edge: evenly per edge.")
    ] = "length"
    near: Annotated[int, typer.Option(min=0, help="Supervision points near the surface.")] = 400_000
    space: Annotated[int, typer.Option(min=0, help="Supervision points in the whole cube.")] = (
        200_000
    )
    format: Annotated[
        str, typer.Option(help="safetensors, npz (the published layout), hunyuan or vecset.")
    ] = "safetensors"
    dtype: Annotated[
        str, typer.Option(help="float32, or float16: half the bytes, points off by up to 0.0005.")
    ] = "float32"
    seed: Seed = 0

    def settings(self, format_option: str = "format") -> "SampleSettings":
        """As the stage takes them; `format_option`: the format's name. Raises UsageError."""
        from preprocessing.settings import SampleSettings

        with options_checked(format=format_option):
            return SampleSettings(**vars(self))


@dataclass(frozen=True)
class ShardOptions:
    """Where samples are packed, if they are."""

    shards: Shards = None
    shard_size: ShardSize = "2GB"

    def packing(self) -> tuple[Place, str] | None:
        """Where to, and bytes a shard; None where samples stay files."""
        return None if self.shards is None else (self.shards, self.shard_size)


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out, and what it prints."""

    workers: Workers = 0
    executor: Executor = "auto"
    ray_address: RayAddress = None
    timeout: Timeout = 3600.0
    memory: Memory = 0.0
    overwrite: Overwrite = False
    quiet: Quiet = False
    as_json: Json = False

    def limits(self, gpus: float = 0.0) -> "Limits":
        """As a run takes them; gpus: of `--gpus`, where a command has it. Raises UsageError."""
        return run_limits(
            self.executor,
            self.workers,
            self.ray_address,
            self.timeout,
            self.memory,
            self.quiet or self.as_json,
            gpus,
        )
