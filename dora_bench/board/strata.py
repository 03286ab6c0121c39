"""Which results may stand in one ranking: those of one scorer and of the same settings.

More points, another seed or grid, aligned predictions, or a scorer that was corrected since: each
moves every score a little, so rows that differ in one of them are never ranked together.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

# Settings of results.json that every score depends on, and what results that lack one were made by.
CONDITIONS: dict[str, Any] = {
    "scorer_version": 1,
    "points": None,
    "seed": None,
    "align": "none",
    "resolution": None,
    "angle": 15.0,
    "edge_points": None,
    "volume_cells": None,
    "sne": None,
}


def conditions(settings: Mapping[str, Any]) -> dict[str, str]:
    """What the scores of a result depend on, as text."""
    return {name: shown(name, settings.get(name, usual)) for name, usual in CONDITIONS.items()}


def shown(name: str, value: Any) -> str:
    """One setting in words."""
    if name == "sne" and isinstance(value, dict):
        version = str(value.get("version", ""))
        return json.dumps(value, sort_keys=True) if version.endswith("-modified") else version
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """What keeps two results from being compared, in words; "" when nothing does."""
    one, other = conditions(first), conditions(second)
    return ", ".join(f"{k} {one[k]} against {other[k]}" for k in CONDITIONS if one[k] != other[k])


def strata(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each of several results of one suite, what sets it apart from others; "" when all agree.

    Equal text: may be ranked together.
    """
    found = [conditions(each) for each in settings]
    apart = [name for name in CONDITIONS if len({each[name] for each in found}) > 1]
    return [", ".join(f"{name.replace('_', ' ')} {each[name]}" for name in apart) for each in found]
