"""The doctor: every lack names what mends it, and a machine that runs the tests has few."""

import subprocess
import sys
from pathlib import Path

import pytest

from preprocessing import doctor
from preprocessing.doctor import Check, checks, format_checks


@pytest.fixture(scope="module")
def found() -> dict[str, Check]:
    return {check.name: check for check in checks()}


def test_a_machine_that_runs_these_tests_has_what_they_use(found: dict[str, Check]) -> None:
    for name in ("python", "numpy", "torch", "open3d", "import open3d", "import pymeshlab"):
        assert found[name].ok, found[name]
    assert found["numpy"].detail[0].isdigit()


def test_every_lack_and_only_a_lack_says_what_mends_it(found: dict[str, Check]) -> None:
    for check in found.values():
        assert bool(check.mend) == (not check.ok), check
        assert check.detail


def test_a_missing_library_names_its_package() -> None:
    check = doctor.check_shared_library("libnotthere.so.9", "libnotthere9")
    assert not check.ok
    assert check.mend == "sudo apt-get install -y libnotthere9"


def test_a_package_that_is_not_there_or_dies_on_import(tmp_path, monkeypatch) -> None:
    assert doctor.check_import("no_such_package").mend == "pip install no_such_package"
    (tmp_path / "dying.py").write_text("import os; os.abort()")
    (tmp_path / "lacking.py").write_text(
        "raise ImportError('libusb-1.0.so.0: cannot open shared object file')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    died = doctor.check_import("dying")
    assert not died.ok
    assert died.mend
    assert doctor.check_import("lacking").mend == "sudo apt-get install -y libusb-1.0-0"


def fake_torch(folder: Path, monkeypatch: pytest.MonkeyPatch, cuda: str, devices: list) -> None:
    """A torch that says what these say, in this process and in the doctor's."""
    (folder / "torch.py").write_text(
        f"__version__ = '9.9'\nclass version: cuda = {cuda!r} or None\n"
        f"class cuda:\n    device_count = staticmethod(lambda: {len(devices)})\n"
        f"    get_device_name = staticmethod({devices!r}.__getitem__)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.parametrize(
    ("driver", "cuda", "devices", "ok", "words"),
    [
        (True, "13.0", ["H100", "H100"], True, "H100, H100; torch 9.9, CUDA 13.0"),
        (True, "", [], False, "a build without CUDA"),
        (True, "13.0", [], False, "finds no device"),
        (False, "13.0", [], True, "no NVIDIA driver; torch 9.9 computes on the CPU"),
    ],
)
def test_what_cuda_there_is(
    tmp_path, monkeypatch, driver: bool, cuda: str, devices: list, ok: bool, words: str
) -> None:
    fake_torch(tmp_path, monkeypatch, cuda, devices)
    monkeypatch.setattr(doctor.shutil, "which", lambda _: "/usr/bin/nvidia-smi" if driver else None)
    check = doctor.check_cuda()
    assert (check.ok, bool(check.mend)) == (ok, not ok)
    if driver or not doctor.Path("/proc/driver/nvidia/version").exists():
        assert words in check.detail


def test_a_package_that_only_some_things_need_says_what_is_lost(monkeypatch) -> None:
    looked_up = doctor.importlib.metadata.version

    def version(name: str) -> str:
        if name in ("pymeshlab", "ray"):
            raise doctor.importlib.metadata.PackageNotFoundError(name)
        return looked_up(name)

    monkeypatch.setattr(doctor.importlib.metadata, "version", version)
    lacking = {check.name: check for check in doctor.check_packages() if not check.ok}
    assert "alpha-wrap" in lacking["pymeshlab"].detail
    assert "--executor ray" in lacking["ray"].detail


def test_another_system_says_what_is_lost(monkeypatch) -> None:
    assert doctor.check_system().ok
    monkeypatch.setattr(sys, "platform", "darwin")
    check = doctor.check_system()
    assert not check.ok
    assert "inline" in check.detail


def test_another_cluster_is_told_and_let_be(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(doctor.tempfile, "tempdir", str(tmp_path))
    assert doctor.other_ray() == ""
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray/ray_current_cluster").write_text("10.0.0.1:6379")
    assert "10.0.0.1:6379" in doctor.other_ray()
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.2:6379")
    assert "10.0.0.2:6379" in doctor.other_ray()


def test_a_cache_folder_that_cannot_be_made(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "cache"))
    check = doctor.check_numba_cache()
    assert not check.ok
    assert "NUMBA_CACHE_DIR" in check.mend
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "new"))
    assert doctor.check_numba_cache().ok


def test_looking_imports_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys\nfrom preprocessing.doctor import checks\nchecks()\n"
        "sys.exit(', '.join({'open3d', 'pymeshlab', 'torch', 'ray'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_text_puts_the_mend_under_the_lack() -> None:
    text = format_checks([Check("a", True, "fine"), Check("long", False, "gone", "fetch it")])
    assert text.splitlines() == [
        "ok    a     fine",
        "LACK  long  gone",
        "            mend: fetch it",
    ]


@pytest.mark.slow
def test_ray_starts_beside_another_and_leaves_it_running() -> None:
    code = (
        "import ray, sys\nray.init('local', num_cpus=1, include_dashboard=False)\n"
        "print('up', flush=True)\nsys.stdin.read()\n"
        "print(ray.get(ray.remote(lambda: 'alive').remote()))"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) as other:
        while (line := other.stdout.readline()) and line.strip() != "up":
            continue
        check = doctor.check_ray()
        assert check.ok, check.detail
        assert other.communicate("")[0].strip().endswith("alive")
