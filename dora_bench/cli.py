"""dora-bench: suites, evaluation, scores, the leaderboard. Parses, calls, prints."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from preprocessing.console import (
    EXIT_SOME_FAILED,
    UsageError,
    add_version,
    run_command,
    stdout_for_results_only,
)
from preprocessing.options import (
    Executor,
    Inputs,
    Json,
    Memory,
    Out,
    Overwrite,
    Quiet,
    RayAddress,
    Seed,
    Timeout,
    Workers,
    run_limits,
)
from preprocessing.stores.address import Place, place

if TYPE_CHECKING:
    from dora_bench.placing import Align as AlignName

app = typer.Typer(
    name="dora-bench",
    help="Score shape reconstructions: any model, exact metrics, every failure counted.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
add_version(app, "dora-bench")

Angle = Annotated[
    float, typer.Option(min=0, max=179, help="Dihedral angle in degrees of a salient edge.")
]
Points = Annotated[int, typer.Option(min=1, help="Random points on each surface.")]
Align = Annotated[
    str,
    typer.Option(
        help="none: predictions as they lie; bbox: fit box centre and longest side; similarity: "
        "the best of 24 rotations between axes with scale and shift."
    ),
]


@app.command()
def build(
    inputs: Inputs,
    out: Out,
    name: Annotated[str, typer.Option(help="Of the suite. [default: the folder's]")] = "",
    per_level: Annotated[int, typer.Option(min=1, help="Meshes drawn from each level.")] = 800,
    thresholds: Annotated[
        str, typer.Option(help="Salient edges that end L2: 20000, or 10000 as one survey has it.")
    ] = "20000",
    angle: Angle = 15.0,
    train: Annotated[
        Path | None,
        typer.Option(
            help="Ids a model was trained on: a list, one a line, or the folder of its samples. A "
            "top folder named train says the same.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[str, typer.Option(help="Where the meshes come from.")] = "",
    licence: Annotated[str, typer.Option(help="Their licence.")] = "",
    sources: Annotated[
        Path | None,
        typer.Option(help="CSV with the columns id, source, licence.", show_default=False),
    ] = None,
    seed: Seed = 0,
    workers: Workers = 0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make a suite from watertight meshes: levels by salient edges, a seeded draw of each.

    \b
    Example:
      dora-bench build prepared/watertight --out suite-512 --per-level 800
    """
    from dora_bench.board.printed import show_suite
    from dora_bench.suite import SuiteSettings, build_suite, read_sources, read_train_list
    from preprocessing.first_look import check_out_folder
    from preprocessing.running.manifest import find_inputs, mesh_suffixes
    from preprocessing.stores.working import inputs_here, kept_folder

    with stdout_for_results_only(), kept_folder(out) as folder, inputs_here(inputs) as local:
        check_out_folder(folder)
        settings = SuiteSettings(
            name=name,
            per_level=per_level,
            seed=seed,
            angle=angle,
            thresholds=thresholds,
            sources=read_sources(sources) if sources else {},
            source=source,
            licence=licence,
            train_ids=frozenset(read_train_list(train)) if train else frozenset(),
        )
        entries = find_inputs(local, mesh_suffixes(), exclude=folder)
        suite, left_out = build_suite(
            entries, folder, settings, workers=workers, quiet=quiet or as_json
        )
    show_suite(suite, left_out, quiet, as_json)
    raise typer.Exit(EXIT_SOME_FAILED if left_out else 0)


@app.command()
def fetch(
    out: Annotated[
        Path | None, typer.Option(help="Folder of the suite. [default: the cache]")
    ] = None,
    workers: Workers = 0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Download the published Dora-bench (12 GB), check its sha256 and make it a suite.

    \b
    Example:
      dora-bench fetch --out suites/dora-bench-256
    """
    from dora_bench.board.printed import show_suite
    from dora_bench.fetch import fetch_suite
    from preprocessing.caches import cache_folder
    from preprocessing.first_look import check_out_folder

    with stdout_for_results_only():
        target = out or cache_folder() / "dora-bench-256"
        check_out_folder(target)
        suite, left_out = fetch_suite(target, workers=workers, quiet=quiet or as_json)
    show_suite(suite, left_out, quiet, as_json)
    raise typer.Exit(EXIT_SOME_FAILED if left_out else 0)


@app.command("eval")
def evaluate_command(
    model: Annotated[
        list[str],
        typer.Option(
            help="A checkpoint; dora-tiny; dora-1.1, hunyuan3d-2.1, triposg, step1x-3d or "
            "craftsman, alone or as NAME:PATH; identity, voxel-N, decimate-N, draco-Q or "
            "poisson-N; module:attribute; or an installed plug-in. Repeat it for several.",
            metavar="<str>",
        ),
    ],
    tokens: Annotated[str, typer.Option(help="Token counts, with commas.")] = "64,256,1024",
    suite: Annotated[
        Place | None,
        typer.Option(
            parser=place,
            metavar="DIR",
            help="A suite. [default: the mini-suite, built once]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Place, typer.Option(parser=place, metavar="DIR", help="Folder of results.")
    ] = Path("results"),
    resolution: Annotated[
        int, typer.Option(min=8, help="Grid cells per axis when a model reads its surface.")
    ] = 256,
    points: Points = 1_000_000,
    posterior: Annotated[str, typer.Option(help="Of a VAE: mean or sample.")] = "mean",
    align: Align = "none",
    gallery: Annotated[bool, typer.Option(help="Keep light meshes for the page.")] = True,
    accept_licence: Annotated[
        bool,
        typer.Option("--accept-licence", help="Of weights to fetch whose licence asks for more."),
    ] = False,
    seed: Seed = 0,
    workers: Workers = 0,
    executor: Executor = "auto",
    ray_address: RayAddress = None,
    timeout: Timeout = 3600.0,
    memory: Memory = 0.0,
    overwrite: Overwrite = False,
    retry: Annotated[bool, typer.Option("--retry", help="Do the failed rows again.")] = False,
    device: Annotated[str, typer.Option(help="cuda, cpu, or auto: a GPU where there is one.")] = (
        "auto"
    ),
    gpus: Annotated[
        float, typer.Option(help="GPUs a worker takes; with 0.5 two workers share one.")
    ] = 1.0,
    by: Annotated[
        str, typer.Option(help="Who runs it, for the model's card.", envvar="DORA_BENCH_BY")
    ] = "",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Run models over a suite at several token counts; go on where it stopped.

    \b
    Examples:
      dora-bench eval --model runs/tiny --tokens 64,256,1024
      dora-bench eval --model runs/tiny --model voxel-64 --model draco-10
      dora-bench eval --model hunyuan3d-2.1:/weights/model.fp16.ckpt --tokens 1024,4096
    """
    from dora_bench.board.printed import show_evaluations
    from dora_bench.evaluation import EvalSettings, Running, evaluate_all
    from dora_bench.mini_suite import mini_suite
    from dora_bench.models import find_model, settled
    from dora_bench.placing import ALIGNMENTS
    from dora_bench.rows.devices import Hardware
    from dora_bench.score import ScoreSettings
    from dora_bench.suite import load_suite
    from preprocessing.first_look import check_out_folder
    from preprocessing.stores.working import here, kept_folder

    one_of("--posterior", posterior, ("mean", "sample"))
    how = one_of("--align", align, ALIGNMENTS)
    counts = parse_tokens(tokens)
    with stdout_for_results_only(), contextlib.ExitStack() as stack:
        limits = run_limits(executor, workers, ray_address, timeout, memory, quiet or as_json)
        model = [settled(name, accept_licence) for name in model]
        for name in model:
            find_model(name)  # a misspelt one is told before a suite is built
        folder = stack.enter_context(kept_folder(out))
        check_out_folder(folder)
        chosen = load_suite(stack.enter_context(here(suite))) if suite else mini_suite(limits.quiet)
        settings = EvalSettings(
            score=ScoreSettings(seed=seed, angle=chosen.record["angle"], points=points),
            resolution=resolution,
            posterior=posterior,
            align=cast("AlignName", how),
            gallery=gallery,
        )
        running = Running(
            limits=limits,
            hardware=Hardware(device=device, gpus=gpus),
            by=by,
            retry=retry,
            overwrite=overwrite,
        )
        done = [
            replace(one, folder=out / one.folder.relative_to(folder))
            for one in evaluate_all(model, chosen, folder, counts, settings, running)
        ]
    n_ok, n_total = sum(e.n_ok for e in done), sum(e.n_total for e in done)
    show_evaluations(done, quiet, as_json)
    raise typer.Exit(0 if n_ok == n_total else EXIT_SOME_FAILED)


@app.command()
def score(
    truth: Annotated[
        Place, typer.Argument(parser=place, metavar="TRUTH", help="A mesh or a folder of meshes.")
    ],
    prediction: Annotated[
        Place, typer.Argument(parser=place, metavar="PREDICTION", help="The same, matched by id.")
    ],
    out: Annotated[
        Place | None,
        typer.Option(
            parser=place, metavar="FILE", help="Write the rows as CSV.", show_default=False
        ),
    ] = None,
    points: Points = 1_000_000,
    angle: Angle = 15.0,
    align: Align = "none",
    seed: Seed = 0,
    workers: Workers = 0,
    executor: Executor = "auto",
    ray_address: RayAddress = None,
    timeout: Timeout = 3600.0,
    memory: Memory = 0.0,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Score meshes of any tool. The truth's box sets frame and unit; nothing else is needed.

    \b
    Examples:
      dora-bench score truth.ply reconstruction.obj --json
      dora-bench score truths/ reconstructions/ --out scores.csv
    """
    from dora_bench.board.printed import show_scores
    from dora_bench.placing import ALIGNMENTS
    from dora_bench.score import ScoreSettings
    from dora_bench.score_files import score_paths
    from preprocessing.files import atomic_write
    from preprocessing.first_look import check_out_file
    from preprocessing.stores.working import here

    how = one_of("--align", align, ALIGNMENTS)
    if out is not None:
        for source in (truth, prediction):
            check_out_file(out, source=source)
    with stdout_for_results_only(), here(truth) as true, here(prediction) as predicted:
        scores = score_paths(
            true,
            predicted,
            ScoreSettings(seed=seed, angle=angle, points=points),
            run_limits(executor, workers, ray_address, timeout, memory, quiet or as_json),
            cast("AlignName", how),
        )
        rows = scores.rows
        if out is not None:
            atomic_write(out, rows.to_csv(index=False))
    show_scores(scores, quiet, as_json)
    raise typer.Exit(0 if (rows["status"] == "ok").all() else EXIT_SOME_FAILED)


@app.command("compare")
def compare_command(
    first: Annotated[
        Place,
        typer.Argument(parser=place, metavar="FIRST", help="Results of a model on a suite."),
    ],
    second: Annotated[
        Place, typer.Argument(parser=place, metavar="SECOND", help="Results of another on it.")
    ],
    metric: Annotated[
        str, typer.Option(help="Metrics, with commas.")
    ] = "surface_cd_l1,surface_f_0.005,edge_f_0.01,sne,iou",
    tokens: Annotated[
        str,
        typer.Option(help="Token count of the first and of the second, as 256,1024 or 256."),
    ] = "",
    items: Annotated[int, typer.Option(min=0, help="Items that differ most, of each metric.")] = 5,
    as_json: Json = False,
) -> None:
    """Compare two models item by item: paired differences with intervals, wins, a sign test.

    \b
    Example:
      dora-bench compare results/tiny results/voxel-64 --tokens 1024,0
    """
    from dora_bench.board.printed import show_comparison
    from dora_bench.board.strata import differences
    from dora_bench.compare import compare
    from dora_bench.report import load_results
    from preprocessing.stores.working import here

    tables = []
    for path in (first, second):
        with here(path) as local:
            found = load_results([local])
        if len(found) != 1:
            raise UsageError(f"{path} holds {len(found)} results; name the folder of one")
        tables.append(found[0])
    if tables[0].suite.get("hash") != tables[1].suite.get("hash"):
        raise UsageError("the two results are of different suites")
    if differing := differences(tables[0].settings, tables[1].settings):
        raise UsageError(f"the two results cannot be compared: {differing}")
    counts = parse_tokens(tokens, least=0) if tokens else []
    if len(counts) > 2:
        raise UsageError("--tokens: one count for both, or one for each")
    pair = (counts[0], counts[-1]) if counts else None
    rows = [
        compare(tables[0].items, tables[1].items, name, tokens=pair, items=items)
        for name in metric.split(",")
    ]
    show_comparison(tables[0].label, tables[1].label, rows, as_json)


@app.command()
def leaderboard(
    results: Annotated[
        list[Place],
        typer.Argument(parser=place, metavar="RESULTS...", help="results.json files, or folders."),
    ],
    out: Annotated[
        Place | None,
        typer.Option(
            parser=place,
            metavar="DIR",
            help="Folder of the tables and the page.",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only check a folder of submissions; see leaderboard/.")
    ] = False,
    shapes: Annotated[int, typer.Option(min=0, help="Shapes with pictures, of each suite.")] = 24,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the tables (CSV, Markdown, JSON) and the page, index.html, that needs no server.

    \b
    Examples:
      dora-bench leaderboard results --out site
      dora-bench leaderboard leaderboard --check
    """
    from preprocessing.stores.working import here, kept_folder

    if check:
        from dora_bench.board.printed import show_findings
        from dora_bench.board.submissions import check as check_submissions

        with contextlib.ExitStack() as stack:
            local = [stack.enter_context(here(path)) for path in results]
            count, findings = check_submissions(local)
        show_findings(count, findings, quiet, as_json)
        raise typer.Exit(EXIT_SOME_FAILED if any(each.wrong for each in findings) else 0)
    if out is None:
        raise UsageError("leaderboard: --out, the folder of the page, or --check")
    from dora_bench.leaderboard import write_leaderboard
    from preprocessing.first_look import check_out_folder

    with stdout_for_results_only(), contextlib.ExitStack() as stack:
        folder = stack.enter_context(kept_folder(out))
        check_out_folder(folder)
        if (folder / "index.html").exists() and not (folder / "leaderboard.json").exists():
            raise UsageError(f"{out} holds the index.html of something else: give another --out")
        local = [stack.enter_context(here(path)) for path in results]
        write_leaderboard(local, folder, gallery_shapes=shapes, quiet=quiet or as_json)
    at = out / "index.html"
    page = at.resolve().as_uri() if isinstance(at, Path) else str(at)
    if as_json:
        typer.echo(json.dumps({"out": str(out), "page": page}))
    elif not quiet:
        typer.echo(f"page: {page}")


def parse_tokens(text: str, least: int = 1) -> list[int]:
    """Token counts from "64,256,1024". Raises UsageError."""
    try:
        counts = [int(part.replace("_", "")) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--tokens {text}: whole numbers with commas, as 64,256,1024") from error
    if min(counts) < least:
        raise UsageError(f"--tokens {text}: counts must be at least {least}")
    return counts


def one_of(option: str, value: str, allowed: tuple[str, ...]) -> str:
    """The value. Raises UsageError unless it is allowed."""
    if value not in allowed:
        raise UsageError(f"{option} {value}: use one of {', '.join(allowed)}")
    return value


def main() -> None:
    """The entry point of `dora-bench`."""
    run_command(app)


if __name__ == "__main__":
    main()
