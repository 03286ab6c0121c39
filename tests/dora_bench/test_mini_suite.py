"""The suite without a download: built once into the cache, then read from there."""

import shutil
from pathlib import Path

import pytest

from dora_bench import mini_suite as module
from dora_bench.mini_suite import mini_suite, packaged_meshes
from preprocessing.console import UsageError
from preprocessing.half_edges import edge_faults
from preprocessing.mesh import frame_of_output, load_mesh


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mini-suite of three meshes, in a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module, "GENERATED", 2)
    monkeypatch.setattr(module, "PACKAGED", ("bone.ply",))
    return tmp_path / "dora-bench" / f"mini-{module.VERSION}"


def test_built_once_with_closed_meshes_in_the_frame(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = mini_suite()
    assert "building the mini-suite" in capsys.readouterr().err
    assert suite.folder == small
    items = suite.items.set_index("id")
    assert len(items) == 3
    assert items.loc["bone", "source"] == "pymeshlab package, tests/sample_meshes/bone.ply"
    assert (items.drop(index="bone")["licence"] == "Apache-2.0").all()
    for name in items.index:
        mesh = load_mesh(suite.mesh_path(name))
        assert edge_faults(mesh.faces).unbalanced_edges == 0
        assert frame_of_output(mesh).scale == 1.0
    written = (small / "suite.json").stat().st_mtime_ns
    again = mini_suite()
    assert capsys.readouterr().err == ""
    assert again.hash == suite.hash
    assert (small / "suite.json").stat().st_mtime_ns == written
    assert [p.name for p in small.parent.glob("tmp*")] == []


def test_a_half_built_one_is_built_anew(small: Path) -> None:
    whole = mini_suite(quiet=True)
    (small / "suite.json").unlink()
    shutil.rmtree(small / "meshes")
    assert mini_suite(quiet=True).hash == whole.hash


def test_every_packaged_mesh_is_there_and_a_missing_one_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert len(packaged_meshes()) == len(module.PACKAGED)
    monkeypatch.setattr(module, "PACKAGED", ("bone.ply", "gone.ply"))
    with pytest.raises(UsageError, match=r"lacks gone\.ply"):
        packaged_meshes()
