"""What running many items costs: milliseconds an item, and the driver's memory and start."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from preprocessing.running.runner import Item, run


def tiny(value: int) -> int:
    """As little work as there can be."""
    return value


def main() -> None:
    """Print one line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=200_000)
    arguments = parser.parse_args()
    for executor in ("inline", "ray"):
        overhead(executor, arguments.items)
    driver(arguments.rows)


def overhead(executor: str, count: int) -> None:
    """Wall time an item of items that do nothing, start-up apart."""
    items = (Item(str(i), i) for i in range(count))
    asked = time.monotonic()
    outcomes = run("benchmarks.runner_overhead:tiny", items, executor=executor, workers=2)
    next(outcomes)
    first = time.monotonic()
    rest = sum(outcome.status == "ok" for outcome in outcomes)
    last = time.monotonic()
    assert rest == count - 1
    print(
        f"{executor:7} {count} tiny items: {1000 * (last - first) / rest:.3f} ms an item "
        f"(asked: 3), first outcome after {first - asked:.1f} s"
    )


DRIVER = """
import sys, time
from pathlib import Path
import psutil
from preprocessing.running import pipeline
from preprocessing.running.manifest import find_inputs, mesh_suffixes
from preprocessing.running.recording import Recorder
from preprocessing.running.tasks import Plan
from preprocessing.settings import Limits, WatertightSettings

listed, out = sys.argv[1:]
peak, first = 0, None
started = time.monotonic()
watch = Recorder.record

def record(self, outcome):
    global first
    first = first or time.monotonic() - started
    watch(self, outcome)

Recorder.record = record
entries = find_inputs([listed], mesh_suffixes())
found = time.monotonic() - started
limits = Limits(executor="ray", workers=2, quiet=True)
settings = WatertightSettings(eps=2 / 48, resolution=48)
plan = Plan(out=Path(out), watertight=settings, samples=None)
summary = pipeline.run_plan(entries, plan, limits)
text = Path("/proc/self/status").read_text()
peak = int(text.split("VmHWM:")[1].split()[0]) / 1024
print(f"{found:.1f} {first if first is not None else float('nan'):.1f} {peak:.0f} "
      f"{summary.seconds:.1f} {summary.total}")
"""


def driver(rows: int) -> None:
    """A manifest of so many files: start of work, and the driver's peak memory, also on resume."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for part in range(0, rows, 1000):
            shard = folder / f"meshes/{part // 1000:03d}"
            shard.mkdir(parents=True)
            for i in range(part, min(part + 1000, rows)):
                (shard / f"{i:06d}-a-name-as-long-as-those-of-collections.obj").write_bytes(b"")
        for label in ("first run", "run again"):
            command = [sys.executable, "-c", DRIVER, str(folder / "meshes"), str(folder / "out")]
            environment = {**os.environ, "PYTHONPATH": os.getcwd()}
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if done.returncode != 0:
                raise SystemExit(done.stderr)
            found, first, peak, seconds, total = done.stdout.split()
            print(
                f"{label}: {total} manifest rows listed in {found} s, first outcome after {first} "
                f"s (asked: 20), driver's peak {peak} MB (asked: 500), all in {seconds} s"
            )


if __name__ == "__main__":
    main()
