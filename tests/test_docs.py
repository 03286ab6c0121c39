"""The Python of the guides runs as written, and the site is built of them and the docstrings."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from preprocessing.mesh import save_mesh
from preprocessing.points.sampling import Supervision, sample_shape
from preprocessing.shapes import gear
from vae.bulk.statistics import write_statistics
from vae.checkpoint import write_run
from vae.config import TINY, override
from vae.latents import encode_shape, write_latents
from vae.model import DoraVAE

ROOT = Path(__file__).parent.parent
SMALL = ["width=16", "heads=2", "encoder_layers=1", "decoder_layers=1", "embed=3"]


def python_of(guide: str) -> str:
    """All Python blocks of a guide, one after the other."""
    text = (ROOT / "docs" / f"{guide}.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    return "\n".join(blocks)


def test_the_python_of_the_guides_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_mesh(gear().mesh, "car.glb")
    Path("notes.txt").write_text("no mesh")
    torch.manual_seed(0)
    config = override(TINY, SMALL)
    model = DoraVAE(config.model)
    model.decoder.output_proj.bias.data.fill_(0.05)  # somewhere inside
    write_run("runs/tiny", model.state_dict(), config)
    names: dict = {}
    sample = sample_shape(gear().mesh, points=256, supervision=Supervision(dense=500, space=100))
    latents = encode_shape(model, sample, 9)
    write_latents(latents, "latents/car.safetensors")
    write_statistics({"car": Path("latents/car.safetensors")}, {}, Path("latents"), quiet=True)
    for guide in ("python", "samples-in-pytorch", "latents"):
        exec(compile(python_of(guide), guide, "exec"), names)
    assert names["z"].shape == latents.mean.shape
    assert abs(names["z"].mean()) < 1e-5  # one file is the whole set
    assert abs(names["z"].std(dim=0, correction=0) - 1).max() < 1e-4
    assert Path("car_solid.ply").stat().st_size > 1000
    assert names["solid"].audit["watertight"]
    assert names["inside"].shape == (1,)
    assert set(names["scores"]) >= {"iou", "sne", "surface_cd_l1"}
    shapes = {name: tuple(rows.shape) for name, rows in names["batch"].items()}
    assert shapes == {
        "coarse_surface": (4, 2048, 6),
        "coarse_near": (4, 2048, 4),
        "space": (4, 2048, 4),
    }


def test_links_between_files_of_ours_lead_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("pdoc") is None, reason="needs the extra docs")
def test_the_site_is_built(tmp_path: Path) -> None:
    build = [sys.executable, ROOT / "docs/build_site.py", tmp_path]
    done = subprocess.run(build, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "api/preprocessing.html").read_text()
    for name in ("make_watertight", "sample_shape", "MeshError"):
        assert f'id="{name}"' in reference
    assert (tmp_path / "api/dora_bench/score.html").is_file()
    for page in tmp_path.glob("*.html"):
        for link in re.findall(r'(?:href|src)="([^"#]+)[^"]*"', page.read_text()):
            if "://" not in link:
                assert (tmp_path / link).exists(), f"{page.name}: {link}"
