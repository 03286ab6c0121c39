"""The kernels' cache: a changed kernel changes its callers, any machine has a place for it."""

import ast
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from preprocessing import compiling

ROOT = Path(__file__).parent.parent
SAYS = """
from preprocessing.compiling import announce_compilation
from preprocessing.solid.audit_kernels import signed_volume
import numpy as np
announce_compilation(signed_volume)
signed_volume(np.eye(3), np.array([[0, 1, 2]]))
announce_compilation(signed_volume)
print(sum(signed_volume.stats.cache_misses.values()), signed_volume.stats.cache_path)
"""


def python(code: str, root: Path = ROOT, **environment: str) -> tuple[str, str]:
    """What a fresh interpreter with this environment and nothing else of it prints: out, err."""
    variables = {"PATH": "", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=variables | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip(), done.stderr


def copied(folder: Path) -> Path:
    """A copy of the package and of the tests of one caller of a kernel."""
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "preprocessing", folder / "preprocessing", ignore=unwanted)
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    shutil.copy(ROOT / "tests" / "distance" / "test_queries.py", folder / "tests")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.mark.slow
def test_a_broken_kernel_fails_the_tests_of_its_callers(tmp_path: Path) -> None:
    copy = copied(tmp_path / "copy")
    broken = copy / "preprocessing" / "distance" / "triangle_kernels.py"
    command = [sys.executable, "-m", "pytest", "-k", "unsigned_distance_of_a_soup", "tests"]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(copy)}

    def tested() -> tuple[int, str]:
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout

    code, said = tested()
    assert code == 0, said
    assert "1 passed" in said
    text = broken.read_text()
    assert text.count("return dx * dx") == 1
    broken.write_text(text.replace("return dx * dx", "return 99 * dx * dx"))
    code, said = tested()
    assert code == 1, said
    assert "1 failed" in said


def test_a_change_in_one_kernel_module_compiles_all_anew(tmp_path: Path) -> None:
    copy = copied(tmp_path / "copy")
    other = copy / "preprocessing" / "distance" / "triangle_kernels.py"
    first = python(SAYS, copy, NUMBA_CACHE_DIR=str(tmp_path))
    other.write_text(other.read_text() + "# changed\n")
    changed = [python(SAYS, copy, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
    assert [out.split()[0] for out, _ in [first, *changed]] == ["1", "1", "0"]


def test_said_with_a_cold_cache_and_never_with_a_warm_one(tmp_path: Path) -> None:
    runs = [python(SAYS, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
    assert [err.count("compiling kernels, once") for _, err in runs] == [1, 0]
    assert [out.split()[0] for out, _ in runs] == ["1", "0"]
    folder = Path(runs[0][0].split()[1])
    assert folder.parent.parent == tmp_path
    assert str(folder.parent) in runs[0][1]


def test_without_a_home_the_temporary_folder_serves(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home, temporary = str(tmp_path / "file"), tmp_path / "t"
    temporary.mkdir()
    runs = [python(SAYS, HOME=home, TMPDIR=str(temporary)) for _ in range(2)]
    assert [out.split()[0] for out, _ in runs] == ["1", "0"]
    assert Path(runs[0][0].split()[1]).is_relative_to(temporary)


def test_an_installation_is_never_written_to(tmp_path: Path) -> None:
    copy = copied(tmp_path / "copy")
    before = sorted(copy.rglob("*"))
    for path in before:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        runs = [python(SAYS, copy, HOME=str(tmp_path / "home")) for _ in range(2)]
    finally:
        for path in before:
            path.chmod(0o755)
    assert [out.split()[0] for out, _ in runs] == ["1", "0"]
    assert sorted(copy.rglob("*")) == before
    assert (tmp_path / "home/.cache/dora-bench").is_dir()


def test_a_child_and_a_numba_that_was_there_first_use_the_same_folder(tmp_path: Path) -> None:
    code = (
        "import numba, preprocessing, os, subprocess, sys\n"
        "print(numba.config.CACHE_DIR)\n"
        "print(os.environ['NUMBA_CACHE_DIR'])\n"
        "print(subprocess.run([sys.executable, '-c', 'import preprocessing, os; "
        'print(os.environ["NUMBA_CACHE_DIR"])\'], capture_output=True, text=True).stdout)'
    )
    out, _ = python(code, NUMBA_CACHE_DIR=str(tmp_path))
    one, *others = out.split()
    assert Path(one).parent == tmp_path
    assert others == [one, one]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = tmp_path / "home"
    out, err = python(SAYS, NUMBA_CACHE_DIR=str(tmp_path / "file/x"), HOME=str(home))
    assert f"NUMBA_CACHE_DIR={tmp_path / 'file/x'} cannot be written" in err
    assert Path(out.split()[1]).is_relative_to(home)


def test_kernels_are_cold_until_they_are_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    compiling.choose_cache()
    assert compiling.kernels_are_cold("audit_kernels")
    assert not compiling.kernels_are_cold()
    python(SAYS, NUMBA_CACHE_DIR=str(tmp_path))
    assert not compiling.kernels_are_cold("audit_kernels")
    assert compiling.kernels_are_cold("audit_kernels", "brick_kernels")


def test_old_versions_go_when_nobody_has_used_them_for_a_week(tmp_path: Path) -> None:
    now = time.time()
    for days in range(12):
        folder = tmp_path / f"kernels-{days:016x}"
        folder.mkdir()
        os.utime(folder, (now - 86_400 * days, now - 86_400 * days))
    (tmp_path / "mini-1").mkdir()
    compiling.prune(tmp_path / f"kernels-{11:016x}")
    kept = sorted(int(path.name[8:], 16) for path in tmp_path.glob("kernels-*"))
    assert kept == [0, 1, 2, 3, 4, 5, 6, 11]
    for path in tmp_path.glob("kernels-*"):
        os.utime(path, (0, 0))
    compiling.prune(tmp_path / "kernels-new")
    assert len(list(tmp_path.glob("kernels-*"))) == compiling.KEPT - 1
    assert (tmp_path / "mini-1").is_dir()


def test_what_kernels_import_is_in_the_hash() -> None:
    """Or a change there would leave compiled kernels as they are."""
    known = {p.relative_to(ROOT).as_posix() for p in compiling.kernel_sources()}
    for path in compiling.kernel_sources():
        for node in ast.walk(ast.parse(path.read_text())):
            module = getattr(node, "module", None) or ""
            if isinstance(node, ast.ImportFrom) and module.split(".")[0] in compiling.PACKAGES:
                assert f"{module.replace('.', '/')}.py" in known, f"{path} imports {module}"


def test_every_compiled_function_stands_in_a_kernel_module() -> None:
    for package in compiling.PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            compiled = "njit" in path.read_text() or "numba.jit" in path.read_text()
            assert not compiled or path.stem.endswith("_kernels"), path
