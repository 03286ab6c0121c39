"""Suites: levels, draws, splits, the hash, and the published set's lists and zip."""

import json
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from dora_bench.fetch import base_name, fetch_suite, import_published, match_names, verify
from dora_bench.suite import SuiteSettings, build_suite, draw, load_suite
from preprocessing.console import UsageError
from preprocessing.mesh import Mesh, save_mesh
from preprocessing.running.manifest import Entry
from preprocessing.shapes import box, sphere, torus, wedge


def written(folder: Path, **meshes: Mesh) -> list[Entry]:
    entries = []
    for name, mesh in meshes.items():
        path = folder / f"{name.replace('__', '/')}.obj"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_mesh(mesh, path)
        entries.append(Entry(name.replace("__", "/"), str(path)))
    return entries


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    cube = box().mesh
    return written(
        tmp_path_factory.mktemp("in"),
        train__box=Mesh(cube.vertices * 30 + 7, cube.faces),
        held__wedge=wedge().mesh,
        ball=sphere().mesh,
        ring=torus().mesh,
        open=Mesh(cube.vertices, cube.faces[1:]),
    )


def test_a_suite_of_what_is_closed(inputs: list[Entry], tmp_path: Path) -> None:
    settings = SuiteSettings(source="here", licence="CC0")
    suite, left_out = build_suite(inputs, tmp_path / "s", settings, workers=1, quiet=True)
    rows = suite.items.set_index("id")
    assert list(rows.index) == ["ball", "held/wedge", "ring", "train/box"]
    assert rows["level"].to_dict() == {"ball": 0, "held/wedge": 1, "ring": 0, "train/box": 1}
    assert rows.loc["train/box", "salient_edges"] == 12
    assert rows["split"].to_dict()["train/box"] == "train"
    assert rows["split"].to_dict()["ball"] == "held-out"
    assert list(left_out) == ["open"]
    assert left_out["open"].startswith("not-closed")
    assert load_suite(tmp_path / "s").hash == suite.hash
    again, _ = build_suite(
        inputs[::-1], tmp_path / "t", SuiteSettings(name="other"), workers=1, quiet=True
    )
    assert again.hash == suite.hash


def test_the_draw_depends_on_ids_and_seed_alone() -> None:
    graded = {f"m{i}": i % 3 for i in range(60)}
    chosen = draw(graded, 5, seed=1)
    assert len(chosen) == 15
    assert chosen == draw(dict(reversed(graded.items())), 5, seed=1) != draw(graded, 5, seed=2)


def test_a_changed_table_is_noticed(inputs: list[Entry], tmp_path: Path) -> None:
    build_suite(inputs[:2], tmp_path, workers=1, quiet=True)
    items = pd.read_parquet(tmp_path / "items.parquet")
    items.iloc[:1].to_parquet(tmp_path / "items.parquet")
    with pytest.raises(UsageError, match="not the one"):
        load_suite(tmp_path)


def test_names_and_zip_are_matched_by_base_name() -> None:
    members = ["dora/", "dora/a/x.1.obj", "dora/b/y.OBJ", "__MACOSX/a/._x.1.obj", "readme.txt"]
    assert match_names({1: ["x.1"], 2: ["y"]}, members) == {
        "x.1": "dora/a/x.1.obj",
        "y": "dora/b/y.OBJ",
    }
    with pytest.raises(UsageError, match="not in the zip, the first z"):
        match_names({1: ["z"]}, members)
    with pytest.raises(UsageError, match="two files"):
        match_names({1: ["x.1"]}, [*members, "more/x.1.obj"])
    with pytest.raises(UsageError, match="listed twice"):
        match_names({1: ["y"], 2: ["y"]}, members)
    assert base_name("a\\b/c.d.obj") == "c.d"


def test_the_published_files_become_a_suite(tmp_path: Path) -> None:
    entries = written(tmp_path / "in", a=box().mesh, b=sphere().mesh, unused=torus().mesh)
    archive = tmp_path / "dora.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for entry in entries:
            zipped.write(entry.path, f"dora-bench-256/some/{entry.id}.obj")
    lists = {1: ["somewhere/a.obj"], 4: ["b"]}
    for level, names in lists.items():
        (tmp_path / f"Level{level}.json").write_text(json.dumps(names))
    files = {level: tmp_path / f"Level{level}.json" for level in lists}
    suite, left_out = import_published(files, archive, tmp_path / "suite", workers=1, quiet=True)
    assert not left_out
    assert suite.items.set_index("id")["level"].to_dict() == {"a": 1, "b": 4}  # as published
    assert set(suite.items["licence"]) == {"CC-BY-4.0"}
    assert not (tmp_path / "suite/obj").exists()


def test_a_damaged_download_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(UsageError, match="delete it and fetch again"):
        verify(tmp_path / "f", "0" * 64)


def test_offline_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match=r"cannot reach huggingface\.co") as caught:
        fetch_suite(tmp_path / "suite")
    assert "\n" not in str(caught.value)
