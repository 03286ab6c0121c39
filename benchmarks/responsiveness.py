"""How long a user waits: for `--help`, for Ctrl-C, for a ledger of 20,000 rows to be known.

    python -m benchmarks.responsiveness

Targets, on a quiet machine: every `--help` under 1 s, stopping under 5 s, rows under 2 s.
Exit code 1 when one is missed.
"""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from preprocessing.mesh import save_mesh
from preprocessing.running.ledger import Ledger
from preprocessing.running.ledger_columns import WATERTIGHT
from preprocessing.shapes import generate_shapes

COMMANDS = ("preprocessing.cli", "vae.cli", "dora_bench.cli")
ROWS = 20_000


def help_seconds(module: str) -> float:
    """Wall time of `--help`, the better of two: the first reads the files from disk."""
    times = []
    for _ in range(2):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - started)
    return min(times)


def stop_seconds(folder: Path) -> float:
    """From an interrupt to the end of a run that has begun to write."""
    for shape in generate_shapes(40, seed=1):
        save_mesh(shape.mesh, folder / "in" / f"{shape.id}.ply")
    command = ["watertight", folder / "in", "--out", folder / "out", "--eps", "2/256", "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-m", "preprocessing.cli", *map(str, command)], stderr=subprocess.DEVNULL
    )
    while not (folder / "out/ledger.journal.jsonl").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    asked = time.perf_counter()
    code = process.wait()
    if code != 130:
        raise SystemExit(f"the run ended with {code} before it could be interrupted")
    return time.perf_counter() - asked


def known_seconds(folder: Path) -> float:
    """Opening a ledger of many rows and looking each of them up."""
    ledger = Ledger(folder, WATERTIGHT)
    for number in range(ROWS):
        ledger.record({"id": str(number), "path": f"{number}.ply", "status": "ok"})
    ledger.close()
    started = time.perf_counter()
    ledger = Ledger(folder, WATERTIGHT)
    for number in range(ROWS):
        ledger.known(str(number))
    taken = time.perf_counter() - started
    ledger.close()
    return taken


def main() -> None:
    """Print each figure beside its target."""
    figures = [(f"{module} --help", help_seconds(module), 1.0) for module in COMMANDS]
    with tempfile.TemporaryDirectory() as folder:
        figures.append((f"{ROWS:,} rows known", known_seconds(Path(folder) / "ledger"), 2.0))
        figures.append(("interrupt to end", stop_seconds(Path(folder)), 5.0))
    for name, seconds, target in figures:
        print(f"{name:28} {seconds:6.2f} s   target {target:.0f} s")
    sys.exit(any(seconds > target for _, seconds, target in figures))


if __name__ == "__main__":
    main()
