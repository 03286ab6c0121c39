"""The published Dora-bench from the Hugging Face hub, checked and turned into a suite.

`aruichen/Dora-bench-256` (CC-BY-4.0) holds Level1.json to Level4.json, flat lists of names, and one
zip with 3,202 OBJ files of unique base names. Names and files are matched by base name.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from dora_bench.suite import Suite, SuiteSettings, build_suite
from preprocessing.console import Progress, UsageError
from preprocessing.files import atomic_path, sha256_file
from preprocessing.running.manifest import Entry

REPOSITORY = "aruichen/Dora-bench-256"
ARCHIVE = "dora-bench-256.zip"
LEVEL_FILES = {level: f"Level{level}.json" for level in (1, 2, 3, 4)}
LICENCE = "CC-BY-4.0"


def fetch_suite(
    out: Path, *, workers: int = 0, quiet: bool = False
) -> tuple[Suite, dict[str, str]]:
    """Download what is not there yet, verify it, build the suite; as `build_suite` otherwise.

    Raises UsageError with one line when the hub cannot be reached or a file is not the published
    one.
    """
    files = download([*LEVEL_FILES.values(), ARCHIVE])
    return import_published(
        {level: files[name] for level, name in LEVEL_FILES.items()},
        files[ARCHIVE],
        out,
        workers=workers,
        quiet=quiet,
    )


def download(names: list[str]) -> dict[str, Path]:
    """Files of the dataset in the hub's own cache; those kept under their sha256 are verified."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        paths = {name: hf_hub_download(REPOSITORY, name, repo_type="dataset") for name in names}
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"cannot reach huggingface.co for {REPOSITORY} ({line}); go online, or build a suite "
            "from your own meshes with dora-bench build"
        ) from error
    for path in map(Path, paths.values()):
        # The cache names large files by the sha256 the hub publishes, small ones by a git hash.
        if len(path.resolve().name) == 64:
            verify(path, path.resolve().name)
    return {name: Path(path) for name, path in paths.items()}


def verify(path: Path, expected: str) -> None:
    """Raise UsageError unless the file has the published sha256."""
    found = sha256_file(path)
    if found != expected:
        raise UsageError(
            f"{path} has the sha256 {found[:12]}..., published is {expected[:12]}...; delete it "
            "and fetch again"
        )


def import_published(
    level_files: Mapping[int, Path],
    archive: Path,
    out: Path,
    *,
    workers: int = 0,
    quiet: bool = False,
) -> tuple[Suite, dict[str, str]]:
    """Level lists and zip to a suite in `out`; every mesh keeps its published level.

    Raises UsageError for a name without file, two files of one base name, or unreadable input.
    """
    try:
        lists = {level: read_names(path) for level, path in level_files.items()}
        with zipfile.ZipFile(archive) as opened:
            members = match_names(lists, opened.namelist())
            entries = extract(opened, members, out / "obj", quiet)
    except (zipfile.BadZipFile, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the published files cannot be read: {error}") from error
    levels = {name: level for level, names in lists.items() for name in names}
    settings = SuiteSettings(
        name="dora-bench-256",
        per_level=len(levels),
        source=f"huggingface.co/datasets/{REPOSITORY}",
        licence=LICENCE,
        levels=levels,
    )
    suite, left_out = build_suite(entries, out, settings, workers=workers, quiet=quiet)
    for entry in entries:
        Path(entry.path).unlink()
    (out / "obj").rmdir()
    return suite, left_out


def read_names(path: Path) -> list[str]:
    """Base names without suffix from a flat JSON list of strings. Raises UsageError."""
    names = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{path}: a flat list of strings was expected")
    return [base_name(name) for name in names]


def base_name(text: str) -> str:
    """The last part of a path without the suffix of a mesh: "a/b/x.y.obj" gives "x.y"."""
    name = PurePosixPath(text.replace("\\", "/")).name
    return name[: -len(".obj")] if name.lower().endswith(".obj") else name


def match_names(lists: Mapping[int, list[str]], members: list[str]) -> dict[str, str]:
    """Base name -> zip member, for every listed name. Raises UsageError where that cannot be."""
    found: dict[str, str] = {}
    for member in members:
        if not member.lower().endswith(".obj") or member.startswith("__MACOSX/"):
            continue
        name = base_name(member)
        if name in found:
            raise UsageError(f"two files of the zip are called {name}: {found[name]}, {member}")
        found[name] = member
    listed = [name for level in sorted(lists) for name in lists[level]]
    twice = sorted({name for name in listed if listed.count(name) > 1}) if has_twice(listed) else []
    if twice:
        raise UsageError(f"{twice[0]} is listed twice")
    missing = [name for name in listed if name not in found]
    if missing:
        raise UsageError(f"{len(missing)} listed meshes are not in the zip, the first {missing[0]}")
    return {name: found[name] for name in listed}


def has_twice(names: list[str]) -> bool:
    """Whether a name repeats."""
    return len(set(names)) < len(names)


def extract(
    archive: zipfile.ZipFile, members: Mapping[str, str], folder: Path, quiet: bool
) -> list[Entry]:
    """Write the members below `folder` under their base names; those already whole stay."""
    entries = []
    with Progress(len(members), "unpack", quiet) as progress:
        for name, member in members.items():
            path = folder / f"{name}.obj"
            if not path.is_file() or path.stat().st_size != archive.getinfo(member).file_size:
                with atomic_path(path) as temporary:
                    temporary.write_bytes(archive.read(member))
            entries.append(Entry(name, str(path)))
            progress.update()
    return entries
