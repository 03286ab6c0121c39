"""The options that all commands share, defined once, and how a run ends; `vae` and `dora_bench`
import them too."""

import contextlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from preprocessing.console import UsageError
from preprocessing.stores.address import Place, place

if TYPE_CHECKING:
    from preprocessing.running.summary import Summary
    from preprocessing.settings import Limits

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        show_default=False,
        help="Files, folders (recursive), globs, or lists of paths (.txt, .csv, .parquet, .json); "
        "addresses such as s3://bucket/folder likewise.",
    ),
]
Out = Annotated[
    Place,
    typer.Option(
        "--out",
        parser=place,
        metavar="DIR",
        help="Folder to write to, or an address such as s3://bucket/folder.",
        show_default=False,
    ),
]
Workers = Annotated[int, typer.Option(min=0, help="Cores to use; 0 for all.")]
Executor = Annotated[
    str, typer.Option(help="auto, inline (this process) or ray; auto takes ray for many items.")
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address", envvar="RAY_ADDRESS", help="Join this Ray cluster.", show_default=False
    ),
]
Timeout = Annotated[float, typer.Option(min=0, help="Seconds an item may take; 0 for no limit.")]
Memory = Annotated[
    float,
    typer.Option(min=0, help="GB an item may take; 0 for 90 % of the machine over the workers."),
]
Gpus = Annotated[
    float,
    typer.Option(min=0, help="Of a GPU, what Ray gives each worker; 0 for a quarter of one."),
]
Shards = Annotated[
    Place | None,
    typer.Option(
        parser=place,
        metavar="DIR",
        help="Pack the outputs into shards below this folder or address.",
        show_default=False,
    ),
]
ShardSize = Annotated[str, typer.Option(help="Bytes a shard: 2GB, 500MB.")]
MeshFormat = Annotated[str, typer.Option(help="ply, obj, glb or stl.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of every random draw.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Do everything again.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no summary.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@contextlib.contextmanager
def options_checked(**option_of: str) -> Iterator[None]:
    """Turn a SettingsError into a UsageError that names the option.

    option_of: setting -> option, where the names differ.
    """
    try:
        yield
    except ValueError as error:
        from preprocessing.settings import SettingsError

        if not isinstance(error, SettingsError):
            raise
        option = option_of.get(error.name, error.name).replace("_", "-")
        raise UsageError(f"--{option} {error.message}") from error


def run_limits(
    executor: str,
    workers: int,
    ray_address: str | None,
    timeout: float,
    memory: float,
    quiet: bool,
    gpus: float = 0.0,
) -> "Limits":
    """The common options as every run takes them. Raises UsageError."""
    from preprocessing.settings import Limits

    with options_checked():
        return Limits(
            executor=executor,
            workers=workers,
            ray_address=ray_address,
            timeout=timeout or None,
            memory=memory or None,
            gpus=gpus,
            quiet=quiet,
        )


def finish(summary: "Summary", quiet: bool, as_json: bool) -> NoReturn:
    """Print a run's summary and exit with its code."""
    if as_json:
        typer.echo(json.dumps(summary.as_json()))
    elif not quiet:
        typer.echo(str(summary))
    raise typer.Exit(summary.exit_code)
