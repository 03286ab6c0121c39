"""The columns of every ledger: what became of an item, its own figures, and what proves it done."""

from collections.abc import Iterable

import pyarrow as pa

TEXT, WHOLE, REAL, TRUTH = pa.string(), pa.int64(), pa.float64(), pa.bool_()
ITEM: dict[str, pa.DataType] = {
    "id": TEXT,
    "path": TEXT,
    "status": TEXT,
    "reason": TEXT,
    "seconds": REAL,
    "peak_memory_mb": REAL,
}
# Beyond the design's columns: what tells a finished item from one that must be done again.
PROOF: dict[str, pa.DataType] = {
    "detail": TEXT,
    "settings": TEXT,
    "limit": REAL,
    "companions": TEXT,
    "node": TEXT,
    "input_bytes": WHOLE,
    "input_mtime_ns": WHOLE,
    "output": TEXT,
    "output_bytes": WHOLE,
    "output_mtime_ns": WHOLE,
    "output_sha256": TEXT,
}
WATERTIGHT = pa.schema(
    ITEM
    | {
        "vertices": WHOLE,
        "faces": WHOLE,
        "components": WHOLE,
        "watertight": TRUTH,
        "edge_manifold": TRUTH,
        "vertex_manifold": TRUTH,
        "volume": REAL,
        "euler": WHOLE,
        "offset_rms": REAL,
        "offset_max": REAL,
        "eps": REAL,
        "resolution": WHOLE,
        "method": TEXT,
        "scale": REAL,
        "center_x": REAL,
        "center_y": REAL,
        "center_z": REAL,
        "input_sha256": TEXT,
        "version": TEXT,
        "coincident": WHOLE,
        "self_intersections": WHOLE,
        "surface_rms": REAL,
        "surface_max": REAL,
        "lost": REAL,
        "frame_ratio": REAL,
        "dropped_faces": WHOLE,
        "welded_vertices": WHOLE,
        "weld_gap": REAL,
    }
    | PROOF
)
SAMPLES = pa.schema(
    ITEM
    | {
        "salient_edges": WHOLE,
        "salient_length": REAL,
        "boundary_edges": WHOLE,
        "nonmanifold_edges": WHOLE,
        "level": WHOLE,
        "coarse_points": WHOLE,
        "sharp_points": WHOLE,
        "near_points": WHOLE,
        "space_points": WHOLE,
        "angle": REAL,
        "eps": REAL,
        "seed": WHOLE,
        "input_sha256": TEXT,
        "version": TEXT,
    }
    | PROOF
)
PLACE: dict[str, pa.DataType] = {
    "eps": REAL,
    "scale": REAL,
    "center_x": REAL,
    "center_y": REAL,
    "center_z": REAL,
}
LATENTS = pa.schema(
    ITEM
    | {"tokens": WHOLE, "salient_tokens": WHOLE, "channels": WHOLE}
    | PLACE
    | {"input_sha256": TEXT, "version": TEXT}
    | PROOF
)
DECODED = pa.schema(
    ITEM
    | {
        "vertices": WHOLE,
        "faces": WHOLE,
        "components": WHOLE,
        "watertight": TRUTH,
        "queries": WHOLE,
        "input_sha256": TEXT,
        "version": TEXT,
    }
    | PROOF
)
STAGES = {"watertight": WATERTIGHT, "samples": SAMPLES, "latents": LATENTS, "decoded": DECODED}
OWN = {
    "watertight": "offset_rms",
    "samples": "sharp_points",
    "latents": "salient_tokens",
    "decoded": "queries",
}
"""A column that a stage has had in every version, and no other stage has."""


def stage_of(names: Iterable[str]) -> str:
    """Whose ledger has these columns."""
    held = set(names)
    return next((stage for stage, own in OWN.items() if own in held), "watertight")
