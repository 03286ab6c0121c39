"""Whether a change that should change nothing changed nothing: every output's bytes, by hash.

    python -m benchmarks.same_bytes MESHES --out before.json        # before the change
    python -m benchmarks.same_bytes MESHES --against before.json    # after it

Of each mesh: the watertight mesh at 2/128 as its PLY file, the sample as its safetensors file, the
latents and field values of a checkpoint, and every score of the offset at 2/64 against it. Only
public names are used, so the file also runs on an older checkout (PYTHONPATH=OLD python FILE).
"""

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from dora_bench import score_meshes
from preprocessing import load_mesh, make_watertight, sample_shape, save_mesh, write_sample
from vae import DoraVAE

MODEL = Path(__file__).parent.parent / "tests" / "data" / "dora_small.ckpt"
COUNT = 20
SAMPLED, POINTS, TOKENS = 8_192, 20_000, 64


def digest(data: bytes) -> str:
    """The first 16 digits of a sha256."""
    return hashlib.sha256(data).hexdigest()[:16]


def hashes(path: Path, model: DoraVAE, work: Path) -> dict[str, str]:
    """One hash for each output of a mesh file."""
    mesh = load_mesh(path)
    solid = make_watertight(mesh, eps=2 / 128)
    save_mesh(solid.mesh, work / "solid.ply")
    solid_mesh = load_mesh(work / "solid.ply")
    sample = sample_shape(solid_mesh, points=SAMPLED, seed=0, item_id=path.stem)
    write_sample(sample, work / "sample.safetensors")
    clouds = [torch.tensor(cloud)[None] for cloud in (sample.coarse_surface, sample.sharp_surface)]
    with torch.no_grad():
        mean = model.encode(*clouds, tokens=TOKENS).mean
        values = model.query(model.decode(mean), torch.tensor(sample.space[None, :4096, :3]))
    coarser = make_watertight(mesh, eps=2 / 64).mesh
    scores = score_meshes(solid_mesh, coarser, points=POINTS)
    return {
        "mesh": digest((work / "solid.ply").read_bytes()),
        "audit": digest(repr(sorted(solid.audit.items())).encode()),
        "sample": digest((work / "sample.safetensors").read_bytes()),
        "latents": digest(mean.numpy().tobytes()),
        "field": digest(values.numpy().tobytes()),
        "scores": digest(repr(sorted((k, float(v)) for k, v in scores.items())).encode()),
    }


def main() -> None:
    """Write the hashes, or print what differs from those of an earlier run; exit code 1 then."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("meshes", nargs="+", type=Path, help="mesh files, or one folder of them")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--against", type=Path)
    options = parser.parse_args()
    files = [p for m in options.meshes for p in ([m] if m.is_file() else sorted(m.rglob("*.*")))]
    suffixes = {".stl", ".obj", ".ply", ".glb", ".off"}
    files = [p for p in files if p.suffix.lower() in suffixes and p.stat().st_size < 2_000_000]
    chosen = [files[i] for i in np.linspace(0, len(files) - 1, options.count).astype(int)]
    torch.set_num_threads(1)
    model = DoraVAE.from_pretrained(options.model).eval()
    found = {}
    for path in chosen:
        with tempfile.TemporaryDirectory() as work:
            found[path.name] = hashes(path, model, Path(work))
        print(path.name, *found[path.name].values(), flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))
    if options.against:
        before = json.loads(options.against.read_text())
        outputs = [(name, kind) for name in before for kind in before[name]]
        changed = [f"{n}: {k}" for n, k in outputs if found[n][k] != before[n][k]]
        print(f"{len(outputs) - len(changed)} of {len(outputs)} outputs identical", *changed)
        sys.exit(bool(changed))


if __name__ == "__main__":
    main()
