"""The doctor: every lack names what mends it, and a machine that runs the tests has few."""

import subprocess
import sys

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
def test_ray_starts() -> None:
    check = doctor.check_ray()
    assert check.ok, check.detail
