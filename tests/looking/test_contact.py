"""Contact sheets: every file has its tile, whatever it holds; and a shape that turns in a page."""

import io
import json
import re
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preprocessing import shapes
from preprocessing.looking.contact import inspect_folder, spread
from preprocessing.looking.inspect import inspect_file
from preprocessing.looking.turntable import FRAMES
from preprocessing.mesh import normalise, save_mesh
from preprocessing.points.samples import write_sample
from preprocessing.points.sampling import sample_shape
from preprocessing.running.manifest import Entry


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two meshes, a sample, and a file that is none."""
    path = tmp_path_factory.mktemp("sheet")
    save_mesh(shapes.gear().mesh, path / "parts/gear.ply")
    save_mesh(shapes.sheet().mesh, path / "sheet.obj")
    write_sample(sample_shape(normalise(shapes.box().mesh)[0], points=512), path / "b.safetensors")
    (path / "broken.stl").write_bytes(b"solid nothing")
    return path


def test_every_file_has_its_tile(folder: Path, tmp_path: Path) -> None:
    sheet = inspect_folder(folder, tmp_path / "s.png", tmp_path / "s.html", quiet=True)
    tiles = {tile.id: tile for tile in sheet.tiles}
    assert sorted(tiles) == ["b", "broken", "parts/gear", "sheet"]
    assert "closed" in tiles["parts/gear"].facts
    assert "open" in tiles["sheet"].facts
    assert "256 + 256 points" in tiles["b"].facts
    assert (tiles["broken"].usable, tiles["broken"].picture.any()) == (False, False)
    assert "rejected" in tiles["broken"].facts
    for name in ("b", "parts/gear", "sheet"):
        shown = tiles[name].picture[..., 3] > 0
        assert 0.05 < shown.mean() < 0.9
    assert str(sheet).endswith("4 files, 1 cannot be used")
    assert json.loads(json.dumps(sheet.as_json()))["files"] == 4
    with Image.open(tmp_path / "s.png") as picture:
        assert 4 * 240 < picture.width < 5 * 240  # no more columns than files
    page = (tmp_path / "s.html").read_text()
    assert page.count("<figure>") == 4
    assert "http" not in page


def test_a_large_folder_is_spread_evenly() -> None:
    entries = [Entry(f"{i:04d}", "") for i in range(1000)]
    chosen = spread(entries, 120)
    assert (len(chosen), chosen[0], chosen[-1]) == (120, entries[0], entries[-1])
    steps = np.diff([int(entry.id) for entry in chosen])
    assert set(steps) <= {8, 9}
    assert spread(entries[:5], 120) == entries[:5]


def test_the_shape_turns(folder: Path, tmp_path: Path) -> None:
    """Every frame is another picture, clear around the shape, and the last leads to the first."""
    for name in ("parts/gear.ply", "b.safetensors"):
        inspect_file(folder / name, html=tmp_path / "p.html")
        page = (tmp_path / "p.html").read_text()
        (data,) = re.findall(r'<script type="application/json">(.*?)</script>', page)
        frames = [
            np.asarray(Image.open(io.BytesIO(b64decode(frame)))).astype(float)
            for frame in json.loads(data)
        ]
        assert len(frames) == FRAMES
        assert all(frame.shape[2] == 4 and (frame[0, 0, 3] == 0) for frame in frames)
        apart = [np.abs(a - b).mean() for a, b in zip(frames, frames[1:] + frames[:1], strict=True)]
        assert min(apart) > 0.1
        assert apart[-1] < 3 * np.median(apart)
