"""How `watertight`, `sample` and `run` work: find the inputs, run the stages, print the summary."""

from collections import Counter
from typing import TYPE_CHECKING, NoReturn

import typer

from preprocessing.commands.stage_options import RunOptions
from preprocessing.console import stdout_for_results_only
from preprocessing.options import finish
from preprocessing.stores.address import Place

if TYPE_CHECKING:
    from preprocessing.running.tasks import Plan


def carry_out(
    inputs: list[str], plan: "Plan", how: RunOptions, packing: tuple[Place, str] | None = None
) -> NoReturn:
    """Find the inputs, run the stages, pack the samples if asked to (where, how large), print the
    summary, exit with its code."""
    from preprocessing.points.shards import parse_size
    from preprocessing.running.known_eps import known_eps
    from preprocessing.running.manifest import find_inputs, kinds, mesh_suffixes
    from preprocessing.running.packing import pack_folder
    from preprocessing.running.pipeline import run_plan

    limits = how.limits()
    if packing is not None:
        parse_size(packing[1])  # a mistake is told before the work
    with stdout_for_results_only():
        passed_over: Counter[str] = Counter()
        raw = plan.watertight is not None
        entries = find_inputs(inputs, mesh_suffixes(), plan.out, passed_over, raw)
        if passed_over and not limits.quiet:
            typer.echo(f"passed over: {kinds(passed_over)}", err=True)
        eps_of = known_eps(entries) if plan.watertight is None else None
        again = None if how.overwrite else ()
        summary = run_plan(entries, plan, limits, again=again, eps_of=eps_of)
        summary.passed_over = dict(passed_over)
        if packing is not None and summary.counts.keys() & {"ok", "skipped"}:
            pack_folder(plan.samples_folder, *packing, quiet=limits.quiet)
    finish(summary, how.quiet, how.as_json)
