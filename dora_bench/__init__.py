"""Models x token counts x meshes -> scores, reports, a page. Public names load on first use."""

from preprocessing.lazy import lazy_exports

_HOME = {
    "METRICS": "metrics",
    "score_meshes": "score",
    "evaluate": "evaluation",
    "build_suite": "suite",
    "ShapeModel": "protocol",
    "aggregate": "report",
    "write_leaderboard": "leaderboard",
}
__all__, __getattr__, __dir__ = lazy_exports(__name__, _HOME)
