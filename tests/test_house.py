"""The rules no single module can check: import direction, public names, a light `--help`."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "preprocessing": set(),
    "vae": {"preprocessing"},
    "dora_bench": {"preprocessing", "vae"},
    "benchmarks": {"preprocessing", "vae", "dora_bench"},
}


def imported_packages(path: Path) -> set[str]:
    """Top-level names of our packages that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names & {*ALLOWED, "tests"}


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        wrong = imported_packages(path) - ALLOWED[package] - {package}
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def module_name(path: Path) -> str:
    """The dotted name of a file of ours; a package's `__init__.py` has the package's."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(path: Path, known: set[str]) -> set[str]:
    """Which of the `known` modules a file imports, anywhere in it, under absolute names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write the whole name"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
            found.add(node.module or "")
    return found & known


def test_no_file_imports_itself_in_a_circle() -> None:
    """Nor by way of others: the files of all packages can be put in one order."""
    files = [p for package in ALLOWED for p in (ROOT / package).rglob("*.py")]
    known = {module_name(p) for p in files}
    graph = {module_name(p): imported_modules(p, known) - {module_name(p)} for p in files}
    # A package's own name counts where something is taken from its __init__; nothing in it is
    # needed to import a module of the package.
    packages = {module_name(p) for p in files if p.name == "__init__.py"}
    order = TopologicalSorter({m: needs - packages for m, needs in graph.items()})
    assert len(list(order.static_order())) == len(files)


def test_no_folder_holds_more_than_25_files() -> None:
    folders = {p.parent for p in ROOT.glob("*/**/*.py") if ".venv" not in p.parts}
    crowded = {str(f): n for f in folders if (n := len(list(f.glob("*.py")))) > 25}
    assert not crowded


def test_few_parameters() -> None:
    """At most 10 a function: more are a sign that settings should travel as one object. The
    functions that Typer reads are left out, an option each."""
    long = []
    for path in (p for package in ALLOWED for p in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not any(
                "app.command" in ast.unparse(one) for one in node.decorator_list
            ):
                given = node.args
                count = len(given.posonlyargs + given.args + given.kwonlyargs)
                if count > 10:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {count}")
    assert not long


def test_functions_are_short() -> None:
    """Half of them under ten lines, docstring included, and 95 of 100 under forty."""
    lines = sorted(
        (node.end_lineno or 0) - node.lineno + 1
        for package in ("preprocessing", "vae", "dora_bench")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert lines[len(lines) // 2] < 10
    assert lines[len(lines) * 95 // 100] < 40


def test_files_that_comments_and_documents_name_are_there() -> None:
    """Paths with their folder, such as docs/formats.md; the changelog may name old ones."""
    folders = ("preprocessing", "vae", "dora_bench", "benchmarks", "tests", "docs")
    files = [p for folder in folders for p in (ROOT / folder).rglob("*") if p.is_file()]
    known = [p.relative_to(ROOT).as_posix() for p in files]
    texts = [p for p in files if p.suffix in (".py", ".md")]
    texts += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    missing = []
    for text in texts:
        for named in re.findall(rf"(?:{'|'.join(folders)})/[\w/]+\.(?:py|md)\b", text.read_text()):
            if not any(path.endswith(named) for path in known):
                missing.append(f"{text.relative_to(ROOT)} names {named}")
    assert not missing


def test_pymeshlab_is_imported_in_one_module_only() -> None:
    """pymeshlab is GPL-3: one module imports it, lazily."""
    importing = []
    for package in ALLOWED:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                if any(name.split(".")[0] == "pymeshlab" for name in names):
                    importing.append(str(path.relative_to(ROOT)))
                    assert node.col_offset > 0, f"{path}: import it inside a function"
    assert set(importing) <= {"preprocessing/formats/meshlab.py"}


@pytest.mark.parametrize("package", ["preprocessing", "vae", "dora_bench"])
def test_public_names_exist_and_are_documented(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name).__doc__, f"{package}.{name} has no docstring"
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name


@pytest.mark.parametrize("command", ["preprocessing.cli", "vae.cli", "dora_bench.cli"])
def test_help_imports_nothing_heavy(command: str) -> None:
    code = (
        f"import sys, {command}\n"
        "heavy = {'torch', 'ray', 'open3d', 'pymeshlab', 'numba', 'trimesh', 'pandas', 'scipy'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["preprocessing.cli", "vae.cli", "dora_bench.cli"])
def test_every_command_shows_an_example(command: str) -> None:
    app = importlib.import_module(command).app
    for registered in app.registered_commands:
        assert "Example" in registered.callback.__doc__, registered.callback.__name__


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("dora-prep", "preprocessing.cli"),
        ("dora-vae", "vae.cli"),
        ("dora-bench", "dora_bench.cli"),
    ],
)
def test_every_command_says_its_version_and_completes(name: str, module: str) -> None:
    line = [sys.executable, "-m", module]
    done = subprocess.run([*line, "--version"], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == f"{name} {version('dora-bench')}\n"
    done = subprocess.run([*line, "--help"], capture_output=True, text=True, cwd=ROOT)
    assert "--install-completion" in done.stdout


def test_version_is_the_one_in_pyproject() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version("dora-bench") == declared
