"""The fault table: 200 items of which 32 misbehave, on both executors; then kill -9 at random."""

import argparse
import ctypes
import os
import time
from collections import Counter

from preprocessing.running.runner import Item, run
from preprocessing.seeds import generator

EXPECTED = {"segfault": "crashed", "hang": "timeout", "flood": "memory", "raise": "failed"}
EACH, TOTAL = 8, 200


def misbehave(kind: str) -> None:
    """Do what `kind` says; "fine" works for 50 ms."""
    if kind == "segfault":
        ctypes.string_at(0)
    elif kind == "hang":
        ctypes.PyDLL(None).sleep(1000)  # keeps the interpreter lock
    elif kind == "flood":
        kept = []
        while True:
            kept.append(b"x" * (1 << 24))
    elif kind == "raise":
        raise ValueError("as asked")
    else:
        time.sleep(0.05)


def main() -> None:
    """Print, for both executors, expected and found outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timeout", type=float, default=4.0)
    parser.add_argument("--memory", type=float, default=0.2)
    arguments = parser.parse_args()
    kinds = [kind for kind in EXPECTED for _ in range(EACH)]
    kinds += ["fine"] * (TOTAL - len(kinds))
    order = generator(0, "", "runner-faults").permutation(TOTAL)
    items = [Item(f"{kinds[i]}-{i}", kinds[i]) for i in order]
    for executor in ("inline", "ray"):
        started = time.monotonic()
        found = list(
            run(
                "benchmarks.runner_faults:misbehave",
                items,
                executor=executor,
                workers=os.cpu_count() or 1,
                timeout=arguments.timeout,
                memory=arguments.memory,
            )
        )
        wrong = [o for o in found if o.status != EXPECTED.get(o.id.split("-")[0], "ok")]
        counts = dict(sorted(Counter(o.status for o in found).items()))
        seconds = time.monotonic() - started
        print(f"{executor:7} {len(found)} outcomes, {counts}, {len(wrong)} wrong, {seconds:.1f} s")
        for outcome in wrong:
            print(f"  {outcome}")
    print("kill -9 at 20 random moments: pytest tests/running/test_pipeline.py -m slow -k kill_9")


if __name__ == "__main__":
    main()
