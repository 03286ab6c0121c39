"""Models x token counts x meshes -> scores, reports, a page. Public names load on first use."""

from preprocessing.lazy import lazy_names

_HOME = {
    "METRICS": "metrics",
    "score_meshes": "score",
    "evaluate": "evaluate",
    "build_suite": "suite",
    "ShapeModel": "models",
    "aggregate": "report",
    "write_leaderboard": "leaderboard",
}
__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
