"""cod-vae through its adapter: really installed, with random weights, scored."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pandas as pd
import pytest
import torch

from dora_bench.models import resolve_model
from preprocessing.console import UsageError
from preprocessing.mesh import save_mesh
from preprocessing.shapes import wedge

ROOT = Path(__file__).parents[2]
MAKE = """
from cod_vae import CODVAE, CODVAEConfig
small = CODVAEConfig(latent_dim=4, num_latents=6, embed_dim=32, query_dim=4, num_heads=2,
    point_embed_hidden_dim=12, num_latent_layers=1, encoder_num_patches=24, encoder_num_blocks=1,
    encoder_num_layers_per_block=1, decoder_output_resolution=32, decoder_num_layers=1,
    decoder_num_merged_tokens=2)
CODVAE.from_random(small, seed=1, backend="torch").save("random.npz")
"""


def test_the_adapter_is_short_and_says_what_is_missing() -> None:
    assert len((ROOT / "dora_bench/adapters/cod_vae.py").read_text().splitlines()) < 60
    if "cod_vae" not in sys.modules:
        try:
            import cod_vae  # noqa: F401
        except ImportError:
            with pytest.raises(UsageError, match="pip install"):
                resolve_model("cod-vae:x.npz")


@pytest.mark.slow
def test_installed_and_scored(tmp_path: Path) -> None:
    """`pip install cod-vae[torch]` beside this environment, whose torch stays what it is."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env/bin/python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (Path(site) / "outer.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")

    def run(*words: object) -> str:
        done = subprocess.run(
            [python, *map(str, words)], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode in (0, 3), done.stderr
        return done.stdout

    run("-m", "pip", "install", "-q", "cod-vae[torch]")
    assert run("-c", "import torch; print(torch.__version__)").strip() == torch.__version__
    run("-c", MAKE)
    save_mesh(wedge().mesh, tmp_path / "meshes/wedge.ply")
    dora_bench = ("-c", "from dora_bench.cli import main; main()")
    run(*dora_bench, "build", "meshes", "--out", "suite")
    quick = ("--points", 2000, "--resolution", 16, "--no-gallery", "--executor", "inline")
    run(*dora_bench, "eval", "--model", "cod-vae:random.npz", "--suite", "suite", *quick)
    folder = next((tmp_path / "results/cod-vae-6x4").iterdir())
    rows = pd.read_parquet(folder / "items.parquet")
    assert list(rows["tokens"]) == [0]
    assert list(rows["latent_floats"]) == [24]
    assert list(rows["status"]) == ["ok"]
    assert rows["surface_cd_l1"].between(0, 1).all()
    record = json.loads((folder / "results.json").read_text())
    assert record["model"]["config"]["points"] == 2048
