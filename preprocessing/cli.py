"""dora-prep: raw meshes to watertight meshes to point samples. Parses, calls, prints."""

import json
from pathlib import Path
from typing import Annotated

import typer

from preprocessing.commands.carrying_out import carry_out
from preprocessing.commands.gathering import gathering
from preprocessing.commands.stage_options import (
    Angle,
    CloudOptions,
    RunOptions,
    ShardOptions,
    SolidOptions,
    UnusedSeed,
)
from preprocessing.console import (
    EXIT_SOME_FAILED,
    add_version,
    run_command,
    stdout_for_results_only,
)
from preprocessing.options import (
    Inputs,
    Json,
    Out,
    Quiet,
    Seed,
    ShardSize,
    Workers,
    finish,
    options_checked,
)
from preprocessing.stores.address import Place, place

app = typer.Typer(
    name="dora-prep",
    help="Raw meshes to watertight meshes to point samples, nothing lost on the way.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
add_version(app, "dora-prep")


@app.command()
@gathering()
def watertight(
    inputs: Inputs, out: Out, solid: SolidOptions, seed: UnusedSeed = 0, *, how: RunOptions
) -> None:
    """Turn meshes into watertight ones: the surface at distance eps around each.

    \b
    Example:
      dora-prep watertight scans/ --out watertight --eps 2/512
      dora-prep watertight parts/ --out crisp --eps 2/512 --corners sharp
    """
    from preprocessing.running.tasks import Plan

    carry_out(inputs, Plan(out=out, watertight=solid.settings(), samples=None), how)


@app.command()
@gathering()
def sample(
    inputs: Inputs, out: Out, clouds: CloudOptions, packed: ShardOptions, how: RunOptions
) -> None:
    """Sample watertight meshes: uniform and salient clouds, and points with signed distances.

    \b
    Example:
      dora-prep sample watertight/ --out samples --points 65536
    """
    from preprocessing.running.tasks import Plan

    plan = Plan(out=out, watertight=None, samples=clouds.settings())
    carry_out(inputs, plan, how, packed.packing())


@app.command()
@gathering(clouds={"format": "sample_format"})
def run(
    inputs: Inputs,
    out: Out,
    solid: SolidOptions,
    clouds: CloudOptions,
    packed: ShardOptions,
    how: RunOptions,
) -> None:
    """Do both in one pass per mesh; writes OUT/watertight and OUT/samples.

    \b
    Example:
      dora-prep run meshes/ --out prepared --eps 2/256
    """
    from preprocessing.running.tasks import Plan

    samples = clouds.settings(format_option="sample_format")
    with options_checked():
        plan = Plan(out=out, watertight=solid.settings(), samples=samples)
    carry_out(inputs, plan, how, packed.packing())


@app.command()
def ledger(
    folder: Annotated[
        Place, typer.Argument(parser=place, metavar="DIR", help="A folder that a command wrote.")
    ],
    only: Annotated[
        str | None,
        typer.Option(help="Statuses to show, with commas: failed,crashed,...", show_default=False),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Do the shown items again.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Show what became of each item; do some again with the settings they had.

    \b
    Examples:
      dora-prep ledger prepared --only failed,crashed
      dora-prep ledger prepared --only timeout --retry
    """
    from preprocessing.running.ledger_view import ledger_rows, retry_items, show_rows

    statuses = tuple(only.split(",")) if only else ()
    rows = ledger_rows(folder, statuses)
    if retry:
        with stdout_for_results_only():
            summary = retry_items(folder, rows, quiet or as_json)
        finish(summary, quiet, as_json)
    typer.echo(json.dumps(rows) if as_json else show_rows(rows, only))


@app.command()
def status(
    folder: Annotated[
        Place, typer.Argument(parser=place, metavar="DIR", help="A folder that a run writes.")
    ],
    as_json: Json = False,
) -> None:
    """Say how a run is doing, while it runs and after: done, rate, time left, failures, machines.

    \b
    Example:
      dora-prep status prepared
    """
    from preprocessing.running.status import run_status, status_text

    told = run_status(folder)
    typer.echo(json.dumps(told) if as_json else status_text(told))


@app.command()
def pack(
    folder: Annotated[
        Place, typer.Argument(parser=place, metavar="DIR", help="A folder of samples.")
    ],
    out: Out,
    shard_size: ShardSize = "2GB",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Pack samples into few large files, WebDataset tars, that training reads like the folder.

    \b
    Example:
      dora-prep pack prepared/samples --out shards --shard-size 2GB
    """
    from dataclasses import asdict

    from preprocessing.running.packing import pack_folder

    packed = pack_folder(folder, out, shard_size, quiet or as_json)
    if as_json:
        typer.echo(json.dumps(asdict(packed)))
    elif not quiet:
        size_gb = packed.bytes / 1e9
        typer.echo(f"{packed.samples} samples in {packed.shards} shards, {size_gb:.3g} GB: {out}")


@app.command()
def inspect(
    file: Annotated[
        Place,
        typer.Argument(parser=place, metavar="FILE", help="A mesh, a sample, or a folder of them."),
    ],
    html: Annotated[
        Place | None,
        typer.Option(
            parser=place, metavar="FILE", help="Write a self-contained page.", show_default=False
        ),
    ] = None,
    png: Annotated[
        Place | None,
        typer.Option(parser=place, metavar="FILE", help="Write a picture.", show_default=False),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(help="A second mesh for the pictures: the result.", show_default=False),
    ] = None,
    angle: Angle = 15.0,
    as_json: Json = False,
) -> None:
    """Say what is in a mesh or sample: counts, faults, salient edges, level, a picture.

    Of a folder it makes a contact sheet: a line and a small picture for each file.

    \b
    Examples:
      dora-prep inspect car.glb --beside watertight/car.ply --html car.html
      dora-prep inspect watertight/ --png sheet.png
    """
    from dataclasses import asdict, replace

    from preprocessing.first_look import check_out_file
    from preprocessing.looking.inspect import format_report, inspect_file
    from preprocessing.mesh_errors import MeshError
    from preprocessing.stores.working import here

    for out, option, suffixes in ((html, "--html", ()), (png, "--png", (".png",))):
        if out is not None:
            check_out_file(out, suffixes, option, file)
    if file.is_dir():
        with here(file) as folder:
            show_folder(folder, png, html, angle, as_json)
    try:
        with stdout_for_results_only(), here(file) as path:
            report = inspect_file(path, png=png, html=html, beside=beside, angle=angle)
    except (MeshError, FileNotFoundError) as error:
        reason = f"{error.reason}: " if isinstance(error, MeshError) else ""
        typer.echo(f"{file} cannot be used: {reason}{error}", err=True)
        raise typer.Exit(EXIT_SOME_FAILED) from error
    report = replace(report, path=str(file))  # not the copy of what lies in a store
    typer.echo(json.dumps(asdict(report)) if as_json else format_report(report))


def show_folder(
    folder: Path, png: Place | None, html: Place | None, angle: float, as_json: bool
) -> None:
    """Make the contact sheet of a folder, print its lines, exit with its code."""
    from preprocessing.looking.contact import inspect_folder

    with stdout_for_results_only():
        sheet = inspect_folder(folder, png, html, angle, quiet=as_json)
    typer.echo(json.dumps(sheet.as_json()) if as_json else str(sheet))
    raise typer.Exit(0 if all(tile.usable for tile in sheet.tiles) else EXIT_SOME_FAILED)


@app.command()
def shapes(
    out: Out,
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    seed: Seed = 0,
    workers: Workers = 0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Generate scenes like artists' meshes, to train on or to test with: files 000000.ply, ...

    Scene i depends on the seed and i alone: a larger count leaves the first ones as they are.

    \b
    Examples:
      dora-prep shapes --count 10000 --seed 1 --out scenes
      dora-prep run scenes --out prepared --eps 2/128 --points 16384
    """
    from preprocessing.scenes import write_scenes
    from preprocessing.stores.working import kept_folder

    with stdout_for_results_only(), kept_folder(out) as folder:
        write_scenes(count, seed, folder, workers=workers, quiet=quiet or as_json)
    if as_json:
        typer.echo(json.dumps({"count": count, "seed": seed, "out": str(out)}))
    elif not quiet:
        typer.echo(f"{count} scenes of seed {seed} in {out}")


@app.command()
def doctor(
    ray: Annotated[bool, typer.Option("--ray/--no-ray", help="Also start and stop Ray.")] = True,
    as_json: Json = False,
) -> None:
    """Say what this machine has and lacks, and the command that mends each lack.

    \b
    Example:
      dora-prep doctor
    """
    from dataclasses import asdict

    from preprocessing.doctor import checks, format_checks

    with stdout_for_results_only():
        found = checks(start_ray=ray)
    typer.echo(json.dumps([asdict(one) for one in found]) if as_json else format_checks(found))
    raise typer.Exit(0 if all(one.ok for one in found) else EXIT_SOME_FAILED)


def main() -> None:
    """The entry point of `dora-prep`."""
    run_command(app)


if __name__ == "__main__":
    main()
