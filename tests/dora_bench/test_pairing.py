"""Which file is scored against which."""

from pathlib import Path

import pytest

from dora_bench.pairing import Pairing, pair_up
from preprocessing.console import UsageError


def pairing(tmp_path: Path, truths: str, predictions: str) -> Pairing:
    for side, names in (("t", truths), ("p", predictions)):
        for name in names.split():
            path = tmp_path / side / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return pair_up(tmp_path / "t", tmp_path / "p", {".ply", ".obj", ".stl"})


def pairs(found: Pairing) -> dict[str, str | None]:
    return {m.id: m.prediction and Path(m.prediction).name for m in found.matches}


def test_ids_pair_and_both_sides_list_what_is_left(tmp_path: Path) -> None:
    found = pairing(
        tmp_path, "a.ply parts/b.obj c.stl .hidden.ply", "a.obj parts/b.PLY d.ply e.txt"
    )
    assert pairs(found) == {"a": "a.obj", "c": None, "parts/b": "b.PLY"}
    assert (found.truths_alone, found.predictions_alone) == (["c"], ["d"])


def test_the_truths_own_format_is_the_clear_choice(tmp_path: Path) -> None:
    found = pairing(tmp_path, "chair.ply a.ply", "chair.ply chair.stl a.stl")
    assert pairs(found) == {"a": "a.stl", "chair": "chair.ply"}
    (note,) = [m.note for m in found.matches if m.note]
    assert note == "chair.ply was scored, not chair.stl"


def test_without_one_both_are_named_and_the_others_go_on(tmp_path: Path) -> None:
    found = pairing(tmp_path, "chair.obj a.ply", "chair.ply chair.stl a.stl")
    assert pairs(found) == {"a": "a.stl", "chair": None}
    (refused,) = [m.refused for m in found.matches if m.refused]
    assert "chair.ply and chair.stl" in refused
    assert found.truths_alone == []


def test_two_truths_of_one_id_pair_by_suffix(tmp_path: Path) -> None:
    found = pairing(tmp_path, "chair.obj chair.stl", "chair.obj chair.stl")
    assert pairs(found) == {"chair.obj": "chair.obj", "chair.stl": "chair.stl"}
    found = pairing(tmp_path / "other", "chair.obj chair.stl", "chair.ply")
    assert all("chair.obj and chair.stl are the truth" in m.refused for m in found.matches)


def test_a_name_that_is_not_utf8_is_a_row(tmp_path: Path) -> None:
    name = b"caf\xe9.ply".decode(errors="surrogateescape")
    for side in "tp":
        (tmp_path / side).mkdir()
        (tmp_path / side / name).touch()
    found = pair_up(tmp_path / "t", tmp_path / "p", {".ply"})
    assert found.matches[0].id == "caf\\xe9"
    assert found.matches[0].prediction is not None


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no mesh of"):
        pairing(tmp_path, "a.ply", "b.ply")
    with pytest.raises(UsageError, match="holds no file"):
        pairing(tmp_path / "x", "a.ply", "b.txt")
