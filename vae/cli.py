"""The command `dora-vae`: parses, calls one public function, prints."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from preprocessing.commands.gathering import gathering
from preprocessing.commands.stage_options import RunOptions, ShardOptions
from preprocessing.console import (
    add_version,
    run_command,
    stdout_for_results_only,
    without_collecting,
)
from preprocessing.options import (
    Gpus,
    Inputs,
    Json,
    MeshFormat,
    Overwrite,
    Quiet,
    Seed,
    finish,
    options_checked,
)
from preprocessing.stores.address import Place, place
from vae.commands import (
    ahead,
    check_device,
    chosen_eps,
    forewarn,
    load,
    placed,
    report,
    usage_errors,
)

app = typer.Typer(
    name="dora-vae",
    help="Train a Dora-VAE on samples, turn shapes into latents and latents into meshes.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
add_version(app, "dora-vae")

Run = Annotated[
    Place,
    typer.Option(
        "--out", parser=place, metavar="DIR", help="The run's folder.", show_default=False
    ),
]
Out = Annotated[
    Place,
    typer.Option("--out", parser=place, metavar="FILE", help="File to write.", show_default=False),
]
FileOrFolder = Annotated[
    Place,
    typer.Option(
        "--out",
        parser=place,
        metavar="PATH",
        help="File to write; of several inputs, the folder.",
        show_default=False,
    ),
]
Folder = Annotated[Path, typer.Option("--out", help="Folder to write to.", show_default=False)]
Model = Annotated[
    Path, typer.Option("--model", help="dora-tiny, a run, a .safetensors, a .ckpt, or FAMILY:PATH.")
]
Heads = Annotated[
    int | None, typer.Option("--heads", help="Head count of a .ckpt that does not say it.")
]
Tokens = Annotated[int, typer.Option(min=1, help="Latent tokens, any number.")]
Resolution = Annotated[int, typer.Option(min=8, help="Grid cells per axis to read at.")]
PosteriorOption = Annotated[str, typer.Option("--posterior", help="mean or sample.")]
Eps = Annotated[
    str | None,
    typer.Option(
        help="Offset of the solid made of a raw mesh, as 2/256. [default: the model's]",
        show_default=False,
    ),
]
Raw = Annotated[bool, typer.Option("--raw", help="Encode a mesh as it is, not its offset solid.")]
Attention = Annotated[
    str, typer.Option(help="full, or local:K: close to the K nearest, coarse beyond; not exact.")
]
Batch = Annotated[
    int, typer.Option(min=1, help="Shapes a worker encodes in one pass; limits are of a batch.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]


@app.command()
def train(
    out: Run,
    data: Annotated[
        Place,
        typer.Option(
            "--data",
            parser=place,
            metavar="DIR",
            help="Samples or shards: a folder, what `dora-prep run` wrote, an s3:// address.",
        ),
    ],
    preset: Annotated[str, typer.Option(help="tiny, small, v1.0, v1.1 or v1.2.")] = "tiny",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value over the preset; repeatable.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Stop after this many steps in all; the same command with more goes on. The "
            "schedules keep the preset's length, which --set steps=N changes.",
        ),
    ] = None,
    val: Annotated[
        Place | None,
        typer.Option(
            "--val",
            parser=place,
            metavar="DIR",
            help="Samples to validate on.",
            show_default=False,
        ),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--resume-from",
            help="Begin with the weights of this model (a run, a file, dora-tiny).",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[str | None, typer.Option(help="no or bf16.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of every random draw.")] = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Train a preset; the same command again goes on where it stopped.

    \b
    Examples:
      dora-vae train --preset tiny --data prepared/samples --out runs/tiny --set val_share=0.1
      dora-vae train --preset dora-tiny --resume-from dora-tiny --data mine/samples --out runs/mine
    """
    from preprocessing.first_look import check_out_folder
    from preprocessing.stores.working import kept_folder
    from vae.config import override
    from vae.config import preset as named
    from vae.train import train as run

    changes = list(settings or [])
    changes += [f"precision={precision}"] if precision is not None else []
    changes += [f"seed={seed}"] if seed is not None else []
    with usage_errors(), stdout_for_results_only(), kept_folder(out) as folder:
        config = override(named(preset), changes)
        check_out_folder(folder)
        if check_device(device) == "cuda":
            device = "auto"
        if steps and steps > config.train.steps and not config.train.minutes:
            print(
                f"training ends after {config.train.steps} steps, where the schedules end; "
                f"--set steps={steps} lengthens them",
                file=sys.stderr,
            )
        figures = run(
            config,
            data,
            folder,
            val=val,
            start_from=start_from,
            until=steps,
            device=device,
            overwrite=overwrite,
            quiet=quiet,
        )
    report({"run": str(out), **figures}, quiet, as_json)


@app.command()
@gathering()
def encode(
    inputs: Inputs,
    model: Model,
    out: FileOrFolder,
    tokens: Tokens = 1024,
    eps: Eps = None,
    raw: Raw = False,
    posterior: PosteriorOption = "mean",
    seed: Seed = 0,
    heads: Heads = None,
    attention: Attention = "full",
    device: Device = "auto",
    *,
    batch: Batch = 1,
    packed: ShardOptions,
    gpus: Gpus = 0.0,
    how: RunOptions,
) -> None:
    """Shapes to latents: mean, log-variance and token positions as safetensors.

    A raw mesh is made watertight first, at the eps the model was trained at. Of one file, --out is
    the file to write. Folders, lists, patterns and shards go through the runner into the folder
    --out, with a ledger, and latents.json for a diffusion trainer; the same command again goes on.

    \b
    Examples:
      dora-vae encode car.safetensors --model runs/tiny --tokens 1024 --out car.latents.safetensors
      dora-vae encode prepared/samples --model runs/tiny --tokens 1024 --out latents
    """
    from vae.bulk.sources import is_bulk

    if is_bulk(inputs):
        limits = how.limits(gpus)
        with ahead(limits, "vae.bulk.encoding") as server:
            with without_collecting():
                from vae.bulk.many import encode_many, model_source
                from vae.bulk.settings import EncodeSettings
                from vae.latents import check_draw
            with usage_errors(), stdout_for_results_only():
                check_device(device)
                origin, limits = model_source(model, heads, device, limits, tokens)
                settings = EncodeSettings(
                    model_sha256=origin.sha256,
                    tokens=tokens,
                    eps=chosen_eps(eps, model),
                    raw=raw,
                    posterior=check_draw(posterior),
                    seed=seed,
                    attention=attention,
                )
                summary = encode_many(
                    inputs,
                    out,
                    settings,
                    origin,
                    limits,
                    packed.packing(),
                    how.overwrite,
                    server,
                    batch,
                )
        finish(summary, how.quiet, how.as_json)
    from preprocessing.first_look import check_in_file, check_out_file
    from preprocessing.stores.working import here
    from vae.inputs import check_solid, read_input
    from vae.latents import check_draw, check_tokens, encode_shape, write_latents
    from vae.local import nearest_count

    source = place(inputs[0])
    with usage_errors(), stdout_for_results_only():
        check_in_file(source)
        check_solid(source)
        check_out_file(out, source=source)
        nearest_count(attention)
        draw, vae = check_draw(posterior), load(model, heads, device)
        check_tokens(vae, tokens)
        forewarn(vae, tokens, None, attention)
        with here(source) as path:
            given = read_input(path, chosen_eps(eps, model), raw=raw)
        latents = encode_shape(
            vae, given.shape, tokens, seed=seed, posterior=draw, attention=attention
        )
        write_latents(latents, out)
    figures = {"tokens": tokens, "latent_floats": latents.mean.numel(), "posterior": draw}
    hashed = {"model_sha256": latents.model_hash}
    report({"latents": str(out), **figures, **hashed, **placed(given)}, how.quiet, how.as_json)


@app.command()
@gathering()
def decode(
    inputs: Inputs,
    model: Model,
    out: FileOrFolder,
    resolution: Resolution = 256,
    posterior: Annotated[
        str | None, typer.Option(help="mean or sample; as encoded when not given.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the sample.")] = None,
    heads: Heads = None,
    attention: Attention = "full",
    device: Device = "auto",
    format: MeshFormat = "ply",
    gpus: Gpus = 0.0,
    *,
    how: RunOptions,
) -> None:
    """Latents to meshes in the normalised frame.

    INPUT is what `encode` wrote: of one file, --out is the mesh; of folders, lists, patterns and
    shards the folder of meshes, with a ledger. The same command again goes on.

    \b
    Examples:
      dora-vae decode car.latents.safetensors --model runs/tiny --out car.ply
      dora-vae decode latents --model runs/tiny --resolution 256 --out decoded
    """
    from vae.bulk.sources import is_bulk

    if is_bulk(inputs):
        limits = how.limits(gpus)
        with ahead(limits, "vae.bulk.decoding") as server:
            with without_collecting():
                from vae.bulk.many import decode_many, model_source
                from vae.bulk.settings import DecodeSettings
            with usage_errors(), stdout_for_results_only(), options_checked():
                check_device(device)
                origin, limits = model_source(model, heads, device, limits)
                settings = DecodeSettings(
                    model_sha256=origin.sha256,
                    resolution=resolution,
                    posterior=posterior,
                    seed=seed,
                    attention=attention,
                    format=format,
                )
                summary = decode_many(inputs, out, settings, origin, limits, how.overwrite, server)
        finish(summary, how.quiet, how.as_json)
    from preprocessing.first_look import check_in_file, check_out_file
    from preprocessing.mesh import WRITERS, save_mesh
    from vae.latents import read_latents, redrawn
    from vae.reconstruction import decode_latents

    source = place(inputs[0])
    with usage_errors(), stdout_for_results_only():
        check_in_file(source)
        check_out_file(out, WRITERS, source=source)
        latents = redrawn(read_latents(source), posterior, seed)
        vae = load(model, heads, device)
        mesh = decode_latents(vae, latents, resolution, attention=attention)
        save_mesh(mesh, out)
    figures = {"vertices": len(mesh.vertices), "faces": len(mesh.faces)}
    report({"mesh": str(out), **figures, "posterior": latents.draw}, how.quiet, how.as_json)


@app.command()
def reconstruct(
    source: Annotated[
        Place, typer.Argument(parser=place, metavar="INPUT", help="A mesh or a sample file.")
    ],
    model: Model,
    out: Out,
    tokens: Tokens = 1024,
    resolution: Resolution = 256,
    eps: Eps = None,
    raw: Raw = False,
    posterior: PosteriorOption = "mean",
    seed: Seed = 0,
    heads: Heads = None,
    attention: Attention = "full",
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """A shape through the model and back to a mesh in the normalised frame.

    A raw mesh is made watertight first, at the eps the model was trained at. The printed scale and
    center lead back to its own frame: x / scale + center.

    \b
    Example:
      dora-vae reconstruct car.glb --model runs/tiny --tokens 4096 --out car.ply
    """
    from preprocessing.first_look import check_in_file, check_out_file
    from preprocessing.mesh import WRITERS, save_mesh
    from preprocessing.stores.working import here
    from vae.inputs import check_solid, read_input
    from vae.latents import check_draw, check_tokens
    from vae.local import nearest_count
    from vae.reconstruction import reconstruct as run

    with usage_errors(), stdout_for_results_only():
        check_in_file(source)
        check_solid(source)
        check_out_file(out, WRITERS, source=source)
        nearest_count(attention)
        draw, vae = check_draw(posterior), load(model, heads, device)
        check_tokens(vae, tokens)
        forewarn(vae, tokens, resolution, attention)
        with here(source) as path:
            given = read_input(path, chosen_eps(eps, model), raw=raw)
        done = run(
            vae, given.shape, tokens, resolution, seed=seed, posterior=draw, attention=attention
        )
        save_mesh(done.mesh, out)
    figures = {
        "tokens": tokens,
        "resolution": resolution,
        "posterior": draw,
        "vertices": len(done.mesh.vertices),
        "faces": len(done.mesh.faces),
        "queries": done.queries,
        "encode_s": round(done.encode_s, 3),
        "decode_s": round(done.decode_s, 3),
    }
    report({"mesh": str(out), **figures, **placed(given)}, quiet, as_json)


@app.command()
def convert(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CKPT", help="A published .ckpt; or a run, a .safetensors.")
    ],
    out: Folder,
    heads: Heads = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """A published .ckpt to safetensors and config, or ours to a published .ckpt; bit for bit.

    \b
    Example:
      dora-vae convert dora_vae_1_1.ckpt --out runs/v1.1
    """
    from preprocessing.first_look import check_out_folder
    from vae.conversion import convert as run

    with usage_errors(), stdout_for_results_only():
        check_out_folder(out)
        written = run(checkpoint, out, heads=heads)
    report({"written": str(written)}, quiet, as_json)


def main() -> None:
    """Entry point of `dora-vae`."""
    run_command(app)


if __name__ == "__main__":
    main()
