"""A soak: many small items through Ray on two cores, 1 % of each fault, interrupted five times.

Real runs of the watertight stage on rods and slats; the child misbehaves where an item's name says
so. It prints what was interrupted when, whether every row is what it must be, the driver's memory
as the run grows, and how long reading the ledger takes.

    python -m benchmarks.scale.soak --items 100000 --out soak
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from benchmarks.runner_faults import misbehave
from preprocessing.formats.ply import write_ply
from preprocessing.running import pipeline
from preprocessing.running.ledger import read_ledger
from preprocessing.running.manifest import find_inputs, mesh_suffixes
from preprocessing.running.stages import prepare
from preprocessing.running.tasks import Plan, Task
from preprocessing.running.warming import Prepare
from preprocessing.seeds import generator
from preprocessing.settings import Limits, WatertightSettings
from preprocessing.shapes import box

# Of each hundred items, those with these last two digits; all others are fine.
FAULTS = {3: "segfault", 17: "hang", 31: "flood", 45: "raise", 59: "broken", 73: "missing"}
EXPECTED = {
    "segfault": "crashed",
    "hang": "timeout",
    "flood": "memory",
    "raise": "failed",
    "broken": "rejected",
    "missing": "rejected",
    "fine": "ok",
}
SETTINGS = WatertightSettings(eps=2 / 42, resolution=42)
INTERRUPTIONS = 5
LOOK_SECONDS = 5.0  # between two looks at how far a run is: each reads the whole ledger


def kind_of(number: int) -> str:
    """What is the matter with an item."""
    return FAULTS.get(number % 100, "fine")


class Spoilt(Prepare):
    """`prepare`, but that items misbehave whose names say so."""

    def __call__(self, task: Task) -> dict[str, Any]:
        kind = Path(task.id).name.partition("-")[0]
        if kind in ("segfault", "hang", "flood", "raise"):
            misbehave(kind)
        return prepare(self.plan, task)


def main() -> None:
    """Write the items, run them with interruptions, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=Path("soak"))
    parser.add_argument("--timeout", type=float, default=10.0)
    parser.add_argument("--leg", action="store_true", help="Be one run, to be interrupted.")
    arguments = parser.parse_args()
    if arguments.leg:
        leg(arguments.out, arguments.timeout)
        return
    started = time.monotonic()
    write_items(arguments.out, arguments.items)
    print(f"{arguments.items} items written in {time.monotonic() - started:.0f} s", flush=True)
    for number in range(INTERRUPTIONS + 1):
        until = arguments.items * (number + 1) // (INTERRUPTIONS + 1)
        run_leg(arguments, until if number < INTERRUPTIONS else None, number)
    check_rows(arguments.out, arguments.items)


def write_items(folder: Path, count: int) -> None:
    """Thin boxes of random sides, and what is broken or missing; a list names them all."""
    (folder / "meshes").mkdir(parents=True, exist_ok=True)
    draw, names = generator(0, "", "soak"), []
    for i in range(count):
        kind = kind_of(i)
        name = f"{i // 1000:04d}/{kind}-{i:06d}.ply"
        names.append(name)
        path = folder / "meshes" / name
        sides = (1.0, *draw.uniform(0.03, 0.25, 2))
        path.parent.mkdir(exist_ok=True)
        if kind == "broken":
            path.write_bytes(b"ply\nformat ascii 1.0\n")
        elif kind != "missing":
            mesh = box(sides).mesh
            path.write_bytes(write_ply(mesh.vertices, mesh.faces))  # `save_mesh` flushes each file
    (folder / "meshes/list.txt").write_text("\n".join(names) + "\n")


def leg(out: Path, timeout: float) -> None:
    """One run of what is left."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
    os.environ.setdefault("RAY_worker_niceness", "0")  # a time limit of seconds, and others at work
    pipeline.Prepare = Spoilt  # type: ignore[misc, assignment]
    entries = find_inputs([str(out / "meshes/list.txt")], mesh_suffixes())
    limits = Limits(executor="ray", workers=2, timeout=timeout, memory=0.4, quiet=True)
    plan = Plan(out=out / "done", watertight=SETTINGS, samples=None)
    print(pipeline.run_plan(entries, plan, limits).counts)


def run_leg(arguments: argparse.Namespace, until: int | None, number: int) -> None:
    """Run until so many rows are there, then kill the run (or press its Ctrl-C); None: to its end.

    Prints the driver's resident memory at a quarter and at the end of the leg.
    """
    given = ["--out", str(arguments.out), "--timeout", str(arguments.timeout)]
    command = [sys.executable, "-m", "benchmarks.scale.soak", "--leg", *given]
    started, sizes, before = time.monotonic(), [], rows_written(arguments.out)
    how = signal.SIGKILL if number % 2 else signal.SIGINT
    with open(arguments.out / f"leg-{number}.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        driver = psutil.Process(process.pid)
        while process.poll() is None:
            time.sleep(LOOK_SECONDS)
            sizes.append(resident(driver))
            if until is not None and rows_written(arguments.out) >= until:
                below = driver.children(recursive=True)
                process.send_signal(how)
                process.wait(timeout=300)
                end_ray(below)
                break
    rows, seconds = rows_written(arguments.out), time.monotonic() - started
    quarter = sizes[len(sizes) // 4]
    ended = "ran to its end" if until is None else f"ended by {how.name}"
    print(
        f"leg {number}: {rows - before} new rows in {seconds:.0f} s, {ended}; driver "
        f"{quarter:.0f} MB after a quarter, at most {max(sizes):.0f} MB, "
        f"{sizes[-2:][0]:.0f} MB last",
        flush=True,
    )


def resident(process: psutil.Process) -> float:
    """Resident MB of a process; 0 when it has ended."""
    try:
        return process.memory_info().rss / 2**20
    except psutil.NoSuchProcess:
        return 0.0


def end_ray(processes: list[psutil.Process]) -> None:
    """End what a killed driver leaves: Ray of this run, as a scheduler that ends a job would."""
    for process in processes:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def rows_written(out: Path) -> int:
    """Different items with a row so far."""
    return len(read_ledger(out / "done")["id"]) if (out / "done").exists() else 0


def check_rows(out: Path, count: int) -> None:
    """Print whether there is one right row an item, and how long the ledger takes to read."""
    started = time.monotonic()
    table = read_ledger(out / "done")
    seconds = time.monotonic() - started
    ids, statuses = table["id"].to_pylist(), table["status"].to_pylist()
    wrong = [
        (name, status)
        for name, status in zip(ids, statuses, strict=True)
        if status != EXPECTED[name.split("/")[1].partition("-")[0]]
    ]
    exact = len(ids) == len(set(ids)) == count and not wrong
    print(
        f"{len(ids)} rows of {count}, {dict(sorted(Counter(statuses).items()))}: "
        f"{'exact' if exact else 'NOT EXACT'}, {len(wrong)} wrong {wrong[:5]}; ledger read in "
        f"{seconds:.2f} s, {sum(p.stat().st_size for p in (out / 'done').glob('ledger.*'))} bytes"
    )


if __name__ == "__main__":
    main()
