"""What became of the items of one run: for people, as JSON, and as a counter of Ray's."""

import heapq
import shlex
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from preprocessing.console import EXIT_OK, EXIT_SOME_FAILED
from preprocessing.running.ids import readable

LISTED = 1000  # failures kept for the summary; the ledger has them all


@dataclass
class Summary:
    """What became of the items of one run."""

    out: str
    total: int
    counts: Counter[str] = field(default_factory=Counter)
    slowest: list[tuple[float, str]] = field(default_factory=list)  # a heap of ten
    failed: list[dict[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    passed_over: dict[str, int] = field(default_factory=dict)  # find_inputs counts them

    def add(self, name: str, status: str, reason: str, seconds: float) -> None:
        """Count one item."""
        self.counts[status] += 1
        if status not in ("ok", "skipped") and len(self.failed) < LISTED:
            self.failed.append({"id": name, "status": status, "reason": readable(reason)})
        if seconds > 0:
            push = heapq.heappush if len(self.slowest) < 10 else heapq.heappushpop
            push(self.slowest, (seconds, name))

    @property
    def exit_code(self) -> int:
        """0, or 3 when an item has neither ok nor skipped."""
        return EXIT_SOME_FAILED if self.counts.keys() - {"ok", "skipped"} else EXIT_OK

    def as_json(self) -> dict[str, Any]:
        """The machine-readable summary of `--json`."""
        return {
            "out": self.out,
            "total": self.total,
            "counts": dict(sorted(self.counts.items())),
            "seconds": round(self.seconds, 3),
            "slowest": [
                {"id": name, "seconds": round(seconds, 3)}
                for seconds, name in sorted(self.slowest, reverse=True)
            ],
            "passed_over": dict(sorted(self.passed_over.items())),
            "failed": sorted(self.failed, key=lambda row: row["id"]),
        }

    def __str__(self) -> str:
        """The summary for people."""
        counts = ", ".join(f"{n} {status}" for status, n in sorted(self.counts.items()))
        lines = [f"{self.total} items in {self.seconds:.1f} s: {counts or 'none'}"]
        if self.slowest:
            lines.append("slowest:")
            for seconds, name in sorted(self.slowest, reverse=True):
                lines.append(f"  {seconds:9.2f} s  {name}")
        if self.failed:
            lines.append("not ok:")
            for row in sorted(self.failed, key=lambda row: row["id"])[:50]:
                lines.append(f"  {row['status']:9} {row['id']}: {row['reason']}")
            hidden = sum(self.counts.values()) - self.counts["ok"] - self.counts["skipped"] - 50
            more = f"and {hidden} more, " if hidden > 0 else ""
            lines.append(f"  {more}paths and details: dora-prep ledger {shlex.quote(self.out)}")
        return "\n".join(lines)


def count_for_ray(status: str) -> None:
    """Count an item as dora_items_total{status=...}, which Ray's dashboard and whatever scrapes Ray
    show, where the run goes through Ray."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        ray_counter(ray.get_runtime_context().get_job_id()).inc(1, {"status": status})


@lru_cache(maxsize=1)
def ray_counter(job: str) -> Any:
    """The counter of a Ray job, made once."""
    from ray.util.metrics import Counter as RayCounter

    return RayCounter("dora_items", description=f"Items of job {job}", tag_keys=("status",))
