"""The stages over many meshes: decide what is left, run it, record what became of it.

Deciding (deciding.py), running (runner.py, and stages.py in the child) and recording
(recording.py) know nothing of each other; this file leads each entry through them once.
"""

import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import psutil

from preprocessing.console import Interrupted, Progress, StopError, UsageError
from preprocessing.doctor import memory_limit
from preprocessing.files import FULL
from preprocessing.first_look import make_out_folder
from preprocessing.running.deciding import Decider, Refused, Task, extremes_first
from preprocessing.running.ids import Entry, readable
from preprocessing.running.ledger_columns import SAMPLES, WATERTIGHT
from preprocessing.running.one_setting import claim, spare
from preprocessing.running.recording import Recorder, open_stages
from preprocessing.running.run_settings import RunRecord, plan_told, settings_key
from preprocessing.running.runner import Item, run, run_batches
from preprocessing.running.stages import HEAVY, SAMPLE_ENDINGS
from preprocessing.running.summary import Summary
from preprocessing.running.system import available_cores
from preprocessing.running.tasks import Output, Plan, Work
from preprocessing.running.warming import Prepare, warm_kernels
from preprocessing.settings import Limits, SettingsError
from preprocessing.stores.address import Place, StorePath


def run_plan(
    entries: Sequence[Entry],
    plan: Plan,
    limits: Limits,
    *,
    again: Collection[str] | None = (),
    eps_of: Mapping[str, float] | None = None,
) -> Summary:
    """Prepare every entry as `plan` says; otherwise as `run_work`, which has the arguments."""
    require_fit(plan, limits.memory or default_memory(limits, len(entries)))
    return run_work(entries, work_of(plan), limits, again=again, eps_of=eps_of)


def work_of(plan: Plan) -> Work:
    """The work that a plan of preparation is."""
    outputs = []
    if plan.watertight is not None:
        key = settings_key(plan.watertight)
        ending = f".{plan.watertight.format}"
        outputs.append(Output("watertight", plan.watertight_folder, WATERTIGHT, key, (ending,)))
    if plan.samples is not None:
        key = settings_key(plan.watertight, plan.samples)
        endings = SAMPLE_ENDINGS[plan.samples.format]
        outputs.append(Output("samples", plan.samples_folder, SAMPLES, key, endings))
    return Work(
        out=plan.out,
        outputs=tuple(outputs),
        told=plan_told(plan),
        function=Prepare(plan),
        preload=HEAVY,
        begin=partial(warm_kernels, plan),
    )


def run_work(
    entries: Sequence[Entry],
    work: Work,
    limits: Limits,
    *,
    again: Collection[str] | None = (),
    eps_of: Mapping[str, float] | None = None,
) -> Summary:
    """Carry out the work for every entry, skipping what is done; a ledger row for every entry.

    again: ids to do in any case, None for all. eps_of: eps by input path, for sampling alone.
    Raises UsageError when `out` cannot be written, holds outputs of other settings or files that an
    output would replace (one_setting.py), StopError when the disk is full and Interrupted on
    Ctrl-C; the latter two leave everything finished in place.
    """
    summary = Summary(readable(str(work.out)), len(entries))
    started = time.monotonic()
    memory = limits.memory or default_memory(limits, len(entries))
    try:
        make_out_folder(work.out)
        spare(entries, work, overwrite=again is None)
        with ExitStack() as stack:
            stages = open_stages(stack, work.outputs, len(entries))
            limit_of = {"timeout": limits.timeout, "memory": memory}
            progress = Progress(len(entries), work.label, limits.quiet)
            run_record = RunRecord(work.out, work.told, limits, len(entries))
            recorder = Recorder(
                stages, version("dora-bench"), limit_of, summary, progress, run_record
            )
            removed = claim(recorder, work, eps_of, overwrite=again is None)
            if removed and not limits.quiet:
                print(f"removed {removed} outputs of other settings", file=sys.stderr)
            stack.enter_context(run_record.kept(summary.counts))
            work.begin(limits.quiet)
            decider = Decider(
                stages=stages,
                version=recorder.version,
                limit_of=limit_of,
                again=again,
                eps_of=eps_of or {},
            )
            with progress:
                carry_out(entries, work, replace(limits, memory=memory), decider, recorder)
    except KeyboardInterrupt:
        finished = sum(summary.counts.values())
        raise Interrupted(
            f"stopped after {finished} of {len(entries)} items; "
            "run the same command again to go on from there"
        ) from None
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise disk_full(work.out) from error
    summary.seconds = time.monotonic() - started
    return summary


def carry_out(
    entries: Sequence[Entry], work: Work, limits: Limits, decider: Decider, recorder: Recorder
) -> None:
    """Run what is left and record every outcome."""
    items = left(entries, decider, recorder)
    given = {"preload": work.preload, **limits.for_runner()}
    if work.batch == 1:
        outcomes = run(work.function, items, **given)
    else:
        outcomes = run_batches(partial(run, work.function, **given), items, work.batch)
    try:
        for outcome in outcomes:
            recorder.record(outcome)
    finally:
        outcomes.close()  # on an error this kills the children now


def left(entries: Sequence[Entry], decider: Decider, recorder: Recorder) -> Iterator[Item]:
    """Items that are not done, in `extremes_first` order; the others are counted on the way."""
    for entry, found in extremes_first(entries):
        decision = decider.decide(entry, found)
        recorder.remove_former(entry)
        if isinstance(decision, Task):
            recorder.begin(entry)
            yield Item(entry.id, decision)
        elif isinstance(decision, Refused):
            recorder.refuse(entry, decision.reason, decision.message)
        else:
            recorder.count(entry.id, decision.status, decision.reason, 0.0)


def default_memory(limits: Limits, items: int) -> float | None:
    """GB an item when none is asked for: nine tenths of this machine, shared by the slots.

    A slot is a child at work: no more than there are items, however many workers are allowed. None
    on a cluster, where each slot takes its share of the machine that it is on.
    """
    if limits.ray_address is not None:
        return None
    slots = max(1, min(limits.workers or available_cores(), items))
    return round(0.9 * memory_limit() / 2**30 / slots, 2)


def require_fit(plan: Plan, memory: float | None) -> None:
    """Raise UsageError when no mesh at all could be done within so many GB."""
    if plan.watertight is None or memory is None:
        return
    try:
        plan.watertight.check_memory(memory)
    except SettingsError as error:
        raise UsageError(f"--{error}") from error


def disk_full(out: Place) -> StopError:
    """The one error a full disk gives; of a run into a store, the disk that has its scratch."""
    if isinstance(out, StorePath):
        out = Path(tempfile.gettempdir())
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    free = psutil.disk_usage(str(there)).free / 2**20
    return StopError(
        f"the disk that holds {out} is full ({free:.1f} MB free). What is finished is in the "
        "ledger; make room and run the same command again."
    )
