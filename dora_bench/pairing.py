"""Which prediction belongs to which truth: two files, or two folders matched by id.

An id is the path below the folder without its suffix. Where several files have one id, the one in
the truth's own format is taken; without such a clear choice that id alone is refused, by name.
"""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from preprocessing.console import UsageError


@dataclass(frozen=True)
class Match:
    """A truth and its prediction, None where there is none; `refused` says why one was not chosen.

    `note` names the files of the same id that were passed over.
    """

    id: str
    truth: str
    prediction: str | None
    refused: str = ""
    note: str = ""


@dataclass(frozen=True)
class Pairing:
    """Every truth, by id, and the ids of the files that have no partner on the other side."""

    matches: list[Match]
    truths_alone: list[str]
    predictions_alone: list[str]


def pair_up(truth: Path, prediction: Path, suffixes: Collection[str]) -> Pairing:
    """Pair two files, or two folders by id. Raises UsageError when nothing matches."""
    for path in (truth, prediction):
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
    if truth.is_dir() != prediction.is_dir():
        raise UsageError("give two meshes or two folders, not one of each")
    if not truth.is_dir():
        return Pairing([Match(readable(truth.stem), str(truth), str(prediction))], [], [])
    truths, predictions = files_by_id(truth, suffixes), files_by_id(prediction, suffixes)
    for folder, found in ((truth, truths), (prediction, predictions)):
        if not found:
            raise UsageError(f"{folder} holds no file with one of {' '.join(sorted(suffixes))}")
    if not set(truths) & set(predictions):
        raise UsageError(
            f"no mesh of {prediction} has the id of one of {truth} (the path below the folder, "
            f"without its suffix): {min(predictions)!r} and {min(truths)!r}, for two"
        )
    matches = [
        match for name in sorted(truths) for match in of_one_id(name, truths[name], predictions)
    ]
    alone = [m.id for m in matches if m.prediction is None and not m.refused]
    return Pairing(matches, alone, sorted(set(predictions) - set(truths)))


def of_one_id(name: str, truths: list[str], predictions: dict[str, list[str]]) -> Iterator[Match]:
    """The matches of all truths of one id; several keep their suffixes in theirs."""
    offered = predictions.get(name, [])
    for truth in truths:
        suffix = suffix_of(truth)
        identity = name if len(truths) == 1 else name + suffix
        alike = [path for path in offered if suffix_of(path) == suffix]
        choice = offered if len(offered) == 1 and len(truths) == 1 else alike
        if len(choice) == 1:
            others = (
                [base(path) for path in offered if path != choice[0]] if len(truths) == 1 else []
            )
            note = f"{base(choice[0])} was scored, not {', '.join(others)}" if others else ""
            yield Match(identity, truth, choice[0], note=note)
        elif not offered:
            yield Match(identity, truth, None)
        else:
            sides = [
                f"{' and '.join(map(base, paths))} {'are' if len(paths) > 1 else 'is'} the {side}"
                for paths, side in ((truths, "truth"), (offered, "prediction"))
            ]
            yield Match(
                identity,
                truth,
                None,
                f"{' and '.join(sides)} of the id {name!r}; keep one of each, or give both sides "
                "the same suffix",
            )


def files_by_id(folder: Path, suffixes: Collection[str]) -> dict[str, list[str]]:
    """Paths below a folder by their id, hidden ones left out, links followed."""
    found: dict[str, list[str]] = {}
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and suffix_of(name) in suffixes:
                path = os.path.join(root, name)
                stem = os.path.splitext(os.path.relpath(path, folder))[0]
                found.setdefault(readable(stem.replace(os.sep, "/")), []).append(path)
    return found


def readable(name: str) -> str:
    """A file name as text that any table can hold: bytes that are not UTF-8 escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def suffix_of(path: str) -> str:
    """The suffix in lower case, with its dot."""
    return os.path.splitext(path)[1].lower()


def base(path: str) -> str:
    """The file's own name, readable."""
    return readable(os.path.basename(path))
