"""Objects in and out of a store: whole, with their times, and with clear words when it fails."""

import os
import pickle
from pathlib import Path

import pytest
from s3_server import SECRET, spoiling_proxy

from preprocessing.console import UsageError
from preprocessing.files import atomic_path, atomic_write, sha256_file
from preprocessing.first_look import (
    check_in_file,
    check_out_file,
    check_out_folder,
    make_out_folder,
)
from preprocessing.stores import systems
from preprocessing.stores.address import StorePath, place
from preprocessing.stores.scratch import at_hand, folder_at_hand, scratch_folder
from preprocessing.stores.systems import StoreError
from preprocessing.stores.working import kept_folder


def test_an_address_is_used_like_a_path() -> None:
    path = place("s3://bucket/a/b.ply")
    assert isinstance(path, StorePath)
    assert str(path) == "s3://bucket/a/b.ply"
    assert str(path.parent / "c") == "s3://bucket/a/c"
    assert (path.name, path.suffix, path.stem) == ("b.ply", ".ply", "b")
    assert str(path.relative_to(path.parent)) == "b.ply"
    assert pickle.loads(pickle.dumps(path)) == path
    assert {path: 1}[place("s3://bucket/a/b.ply")] == 1
    assert place("a/b") == Path("a/b")
    with pytest.raises(TypeError, match="no file of this machine"):
        os.stat(path)


@pytest.mark.parametrize(
    "text",
    [
        f"s3://key:{SECRET}@bucket/a",
        f"s3://bucket/a?X-Amz-Signature={SECRET}",
        f"az://box/a?sig={SECRET}",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="credentials") as caught:
        place(text)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("text", ["ftp://a/b", "s3://", "s3:///a", "s3://bucket//a"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        place(text)


def test_commands_for_folders_refuse_addresses_by_name(tmp_path: Path) -> None:
    for text in ("s3://bucket/x", Path("s3://bucket/x")):
        with pytest.raises(UsageError, match="takes no s3:// address"):
            check_out_folder(text)
        with pytest.raises(UsageError, match="takes no s3:// address"):
            check_in_file(text)
    assert not Path("s3:").exists()


def test_a_hub_is_no_place_to_write_to() -> None:
    hub = place("hf://datasets/somebody/meshes")
    for check in (make_out_folder, check_out_file):
        with pytest.raises(UsageError, match="commit"):
            check(hub)
    with pytest.raises(UsageError, match="commit"), kept_folder(hub):
        pass


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_objects_come_back_with_their_bytes_and_times(
    bucket: str, size: int, tmp_path: Path
) -> None:
    data = os.urandom(size)
    atomic_write(place(f"{bucket}/a/b.bin"), data)
    path = place(f"{bucket}/a/b.bin")
    assert path.read_bytes() == data
    found = systems.get(str(path), tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data
    assert (tmp_path / "copy").stat().st_mtime_ns == found.st_mtime_ns == path.stat().st_mtime_ns
    assert systems.listed(bucket) == {"a/b.bin": found}
    assert sha256_file(path) == sha256_file(tmp_path / "copy")
    assert path.is_file()
    assert path.parent.is_dir()
    path.unlink()
    path.unlink(missing_ok=True)
    assert not path.exists()
    with pytest.raises(FileNotFoundError, match=str(path)):
        path.unlink()


def test_large_objects_go_in_parts(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems, "PART", 6 * 2**20)
    data = os.urandom(20 * 2**20)
    (tmp_path / "large").write_bytes(data)
    systems.put(tmp_path / "large", f"{bucket}/large")
    assert systems.read(f"{bucket}/large") == data


def test_nothing_appears_when_writing_fails(bucket: str) -> None:
    with pytest.raises(RuntimeError), atomic_path(place(f"{bucket}/half")) as path:
        path.write_bytes(b"half")
        raise RuntimeError
    assert systems.listed(bucket) == {}


def test_a_bucket_that_is_not_there_is_told_from_an_object_that_is_not(bucket: str) -> None:
    for work in (systems.read, systems.facts, systems.delete):
        with pytest.raises(FileNotFoundError, match="is not there"):
            work(f"{bucket}/nothing")
        with pytest.raises(StoreError, match="there is no bucket no-such"):
            work("s3://no-such/nothing")
    with pytest.raises(StoreError, match="NO_SUCH_BUCKET"):
        systems.write(b"x", "s3://no-such/x")
    assert systems.listed(f"{bucket}/nothing") == {}
    with pytest.raises(StoreError, match="there is no bucket no-such"):
        systems.listed("s3://no-such")


@pytest.mark.parametrize("kind", ["503", "cut"])
def test_passing_faults_are_tried_again(
    kind: str, bucket: str, port: int, use_port, tmp_path: Path
) -> None:
    """Every second request fails; the bytes are right all the same."""
    seen = []

    def every_second(method: str, path: str) -> str | None:
        seen.append(method)
        return kind if len(seen) % 2 and method in ("GET", "PUT") else None

    data = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(data)
    with spoiling_proxy(port, every_second) as spoilt:
        use_port(spoilt)
        systems.put(tmp_path / "a", f"{bucket}/a")
        assert systems.read(f"{bucket}/a") == data
        systems.get(f"{bucket}/a", tmp_path / "b")
        assert list(systems.listed(bucket)) == ["a"]
    assert (tmp_path / "b").read_bytes() == data
    assert len(seen) > 6


def test_a_store_that_stays_away_is_one_clear_error(
    bucket: str, port: int, use_port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems, "REQUEST_TRIES", 1)
    monkeypatch.setattr(systems, "TRIES", 2)
    seen = []

    def always(method: str, path: str) -> str:
        seen.append(path)
        return "503"

    with spoiling_proxy(port, always) as spoilt:
        use_port(spoilt)
        with pytest.raises(StoreError, match=r"s3://bucket\d+/a: .*SLOW_DOWN|503") as caught:
            systems.write(b"x", f"{bucket}/a")
    assert len(seen) >= 2
    assert SECRET not in str(caught.value)


def test_what_a_store_says_is_shown_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", SECRET)
    assert systems.plain(OSError(f"bad key\n {SECRET} (Request ID: 5)")) == "bad key ***"


def test_a_gltf_comes_with_its_buffers(bucket: str, tmp_path: Path) -> None:
    from small_runs import write_gltf

    write_gltf(tmp_path / "box.gltf")
    for name in ("box.gltf", "box.bin"):
        systems.put(tmp_path / name, f"{bucket}/deep/{name}")
    with at_hand(f"{bucket}/deep/box.gltf") as path:
        beside = Path(path).parent / "box.bin"
        assert beside.read_bytes() == (tmp_path / "box.bin").read_bytes()
    assert not Path(path).parent.exists()


def test_a_folder_comes_whole(bucket: str) -> None:
    for name in ("a/b", "a/c/d"):
        atomic_write(place(f"{bucket}/{name}"), name)
    with folder_at_hand(place(f"{bucket}/a")) as folder:
        assert (folder / "b").read_text() == "a/b"
        assert (folder / "c/d").read_text() == "a/c/d"


def test_scratch_of_a_killed_process_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess
    import sys
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import os, signal, tempfile\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        "from preprocessing.stores.scratch import scratch_folder\n"
        "with scratch_folder() as folder:\n"
        "    (folder / 'x').write_text('x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    (left,) = tmp_path.rglob("x")
    with scratch_folder() as folder:
        assert not left.exists()
        assert folder.is_dir()
    assert not folder.exists()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
