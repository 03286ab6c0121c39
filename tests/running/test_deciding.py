"""What is done again: everything whose result may have changed, and nothing else."""

import os
import shutil
from pathlib import Path

from small_runs import rows, run_watertight, write_box, write_gltf

from preprocessing.formats.companions import companions


def test_a_result_depends_on_every_buffer_and_on_no_texture(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    path = write_gltf(source / "box.gltf", size=1.0)
    write_box(source / "other.obj")
    (source / "skin.png").write_bytes(b"1")
    assert run_watertight(source, out).counts == {"ok": 2}
    wide = rows(out)["box"]["volume"]
    (source / "skin.png").write_bytes(b"22")
    assert run_watertight(source, out).counts == {"skipped": 2}
    before = path.stat()
    write_gltf(path, size=3.0)  # the same names and sizes; only the buffer's bytes differ
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run_watertight(source, out).counts == {"ok": 1, "skipped": 1}
    assert rows(out)["box"]["volume"] < 0.5 * wide
    path.with_suffix(".bin").touch()
    assert run_watertight(source, out).counts == {"skipped": 2}
    assert run_watertight(source, out).counts == {"skipped": 2}
    path.with_suffix(".bin").unlink()
    assert run_watertight(source, out).counts == {"rejected": 1, "skipped": 1}


def test_what_was_missing_is_looked_at_again(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    path = write_gltf(source / "box.gltf")
    kept = shutil.move(path.with_suffix(".bin"), tmp_path / "kept")
    (source / "list.txt").write_text("box.gltf\nlater.obj\n")
    assert run_watertight(source / "list.txt", out).counts == {"rejected": 2}
    assert {row["reason"] for row in rows(out).values()} == {"missing"}
    shutil.move(kept, path.with_suffix(".bin"))
    write_box(source / "later.obj")
    assert run_watertight(source / "list.txt", out).counts == {"ok": 2}


def test_companions_of_odd_files(tmp_path: Path) -> None:
    cases = {
        "a.gltf": b'{"buffers": [{"uri": "b%20c.bin"}, {"uri": "data:,x"}, {}]}',
        "b.gltf": b"\xef\xbb\xbf" + b'{"buffers": [{"uri": "x.bin"}, {"uri": "x.bin"}]}',
        "c.gltf": b'{"buffers": 7}',
        "d.gltf": b"[1, 2]",
        "e.gltf": b"not JSON",
        "f.gltf": b'{"buffers": [{"uri": "http://there/x.bin"}, {"uri": 3}]}',
        "g.glb": b"glTF\2\0\0\0\x2c\0\0\0\x20\0\0\0JSON" + b'{"buffers":[{"uri":"far.bin"}]} ',
        "h.glb": b"glTF",
        "i.obj": b"mtllib a.mtl\n",
    }
    found = {}
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        found[name[0]] = companions(tmp_path / name)
    none: list[str] = []
    assert found == {
        **dict.fromkeys("cdefhi", none),
        "a": ["b c.bin"],
        "b": ["x.bin"],
        "g": ["far.bin"],
    }
