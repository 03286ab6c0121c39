"""Speed-up of two workers over one, on real meshes at eps 2/256."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from preprocessing.running.manifest import find_inputs, mesh_suffixes


def main() -> None:
    """Print seconds for one and two workers, seconds and MB a mesh, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--meshes", default=os.environ.get("DORA_MESHES", "../shared/meshes"))
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--eps", default="2/256")
    parser.add_argument("--executor", default="auto", choices=("auto", "ray", "inline"))
    parser.add_argument("--command", default="run", choices=("run", "watertight"))
    arguments = parser.parse_args()
    root = Path(arguments.meshes)
    entries = [e for e in find_inputs([str(root)], mesh_suffixes()) if "/broken/" not in e.path]
    with tempfile.TemporaryDirectory() as temporary:
        listed = Path(temporary) / "meshes.json"
        listed.write_text(json.dumps([entry.path for entry in entries[: arguments.count]]))
        warm(listed, Path(temporary), arguments)
        seconds = {n: measure(listed, Path(temporary), n, arguments) for n in (1, 2)}
    print(f"speed-up of 2 workers over 1: {seconds[1] / seconds[2]:.2f} (asked: 1.85)")


def warm(listed: Path, folder: Path, arguments: argparse.Namespace) -> None:
    """Compile the kernels and read the files once, so that both runs find the same."""
    few = folder / "few.json"
    few.write_text(json.dumps(json.loads(listed.read_text())[:2]))
    measure(few, folder, 1, arguments, show=False)


def measure(
    listed: Path, folder: Path, workers: int, arguments: argparse.Namespace, show: bool = True
) -> float:
    """Wall seconds of one run, the command's start included."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-c", "from preprocessing.cli import main; main()"]
    command += [arguments.command, str(listed), "--out", str(out), "--eps", arguments.eps]
    command += ["--workers", str(workers), "--executor", arguments.executor, "--json"]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)
    told = json.loads(done.stdout)
    if show:
        each = told["seconds"] * workers / told["total"]
        print(
            f"{workers} workers: {seconds:.1f} s, the items {told['seconds']:.1f} s "
            f"({each:.2f} core seconds each), {told['counts']}"
        )
    return float(told["seconds"])


if __name__ == "__main__":
    main()
