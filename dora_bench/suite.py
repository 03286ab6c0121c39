"""A benchmark on disk: meshes in the normalised frame, their levels, and one hash of it all.

    suite.json      name, version, hash, seed, angle, thresholds, counts
    items.parquet   id, level, salient_edges, source, licence, sha256, split
    meshes/<id>.ply

The hash is sha256 over the sorted lines "id sha256-of-its-mesh-file": two suites with one hash
hold the same meshes, whatever their names.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from preprocessing.console import Progress, UsageError
from preprocessing.distance.queries import require_closed
from preprocessing.files import atomic_path, atomic_write, sha256_file
from preprocessing.mesh import frame_of_output, load_mesh, save_mesh
from preprocessing.points.edges import LEVELS, level_of, salient_edges
from preprocessing.running.known_eps import known_eps, require_one_eps
from preprocessing.running.manifest import Entry
from preprocessing.running.runner import Item, run
from preprocessing.seeds import generator

SCHEMA = 1
SPLITS = {"train": "train", "held-out": "held-out", "test": "held-out", "val": "held-out"}


@dataclass(frozen=True)
class Suite:
    """A suite that has been read: its folder, suite.json and items."""

    folder: Path
    record: dict[str, Any]
    items: pd.DataFrame

    @property
    def name(self) -> str:
        """The suite's name."""
        return str(self.record["name"])

    @property
    def hash(self) -> str:
        """sha256 over ids and mesh files, hex."""
        return str(self.record["hash"])

    def check_meshes(self) -> None:
        """Raise UsageError for a mesh file that is not the one the suite's hash was taken of."""
        with ThreadPoolExecutor() as pool:
            found = list(pool.map(sha256_file, map(self.mesh_path, self.items["id"])))
        changed = [
            n
            for n, a, b in zip(self.items["id"], found, self.items["sha256"], strict=True)
            if a != b
        ]
        if changed:
            raise UsageError(
                f"{self.folder}: {len(changed)} meshes are not those that the suite was built of, "
                f"the first {self.mesh_path(changed[0])}; bring the files back, or build another "
                "suite of them, which has another hash"
            )

    def mesh_path(self, item_id: str) -> Path:
        """Where an item's mesh lies."""
        return self.folder / "meshes" / f"{item_id}.ply"


@dataclass(frozen=True)
class Candidate:
    """A mesh that may enter a suite, as it will be written."""

    id: str
    salient_edges: int
    sha256: str


def load_suite(folder: str | Path) -> Suite:
    """Read a suite. Raises UsageError for a folder that is none, or whose meshes are incomplete."""
    folder = Path(folder)
    if not (folder / "suite.json").is_file():
        raise UsageError(f"{folder}: no suite here (suite.json is missing); see dora-bench build")
    record = json.loads((folder / "suite.json").read_text(encoding="utf-8"))
    if record["schema"] > SCHEMA:
        raise UsageError(f"{folder}: suite schema {record['schema']} is newer than {SCHEMA}")
    suite = Suite(folder, record, pd.read_parquet(folder / "items.parquet"))
    if suite_hash(suite.items) != suite.hash:
        raise UsageError(f"{folder}: items.parquet is not the one suite.json was written for")
    missing = [name for name in suite.items["id"] if not suite.mesh_path(name).is_file()]
    if missing:
        raise UsageError(f"{folder}: {len(missing)} meshes are missing, the first {missing[0]!r}")
    return suite


def suite_hash(items: pd.DataFrame) -> str:
    """sha256 over the sorted lines "id sha256", hex."""
    lines = sorted(f"{row.id} {row.sha256}\n" for row in items.itertuples())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class SuiteSettings:
    """What a suite depends on besides its meshes.

    Salient edges (dihedral angle > `angle` degrees) give each mesh its level by the published
    `thresholds` (20000 or 10000 between L2 and L3), or `levels` gives it; `per_level` of each level
    are drawn by `seed`. `sources` maps ids to (source, licence); `source` and `licence` are for the
    rest. An id in `train_ids`, or in a top folder named train, is marked split "train"; where there
    are such, all others are "held-out". Raises UsageError for unknown thresholds.
    """

    name: str = ""
    per_level: int = 800
    seed: int = 0
    angle: float = 15.0
    thresholds: str = "20000"
    levels: Mapping[str, int] = field(default_factory=dict)
    source: str = ""
    licence: str = ""
    sources: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    train_ids: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.thresholds not in LEVELS:
            raise UsageError(f"--thresholds {self.thresholds}: use one of {', '.join(LEVELS)}")

    def level_of(self, candidate: Candidate) -> int:
        """The level of a mesh, as given or by its salient edges."""
        given = self.levels.get(candidate.id)
        return level_of(candidate.salient_edges, self.thresholds) if given is None else given


def build_suite(
    entries: Iterable[Entry],
    out: Path,
    settings: SuiteSettings | None = None,
    *,
    workers: int = 0,
    quiet: bool = False,
) -> tuple[Suite, dict[str, str]]:
    """Build a suite from watertight meshes; return it and the reason for each mesh left out.

    Raises UsageError when nothing can be used.
    """
    settings = settings or SuiteSettings()
    found, left_out = admit_all(entries, out, settings.angle, workers, quiet)
    graded = {c.id: settings.level_of(c) for c in found}
    chosen = draw(graded, settings.per_level, settings.seed)
    for candidate in found:
        if candidate.id not in chosen:
            (out / "meshes" / f"{candidate.id}.ply").unlink()
    kept = sorted((c for c in found if c.id in chosen), key=lambda c: c.id)
    items = item_rows(kept, graded, settings)
    record = suite_record(items, left_out, settings, settings.name or out.name)
    (out / "suite.json").unlink(missing_ok=True)
    with atomic_path(out / "items.parquet") as temporary:
        items.to_parquet(temporary, index=False)
    atomic_write(out / "suite.json", json.dumps(record, indent=1, sort_keys=True) + "\n")
    return load_suite(out), left_out


def admit_all(
    entries: Iterable[Entry], out: Path, angle: float, workers: int, quiet: bool
) -> tuple[list[Candidate], dict[str, str]]:
    """`admit` over all meshes: those that may enter, and why the others may not, by id."""
    entries = list(entries)
    require_one_eps(known_eps(entries), "the meshes were")
    left_out = {e.id: f"bad-id: {e.refused}" for e in entries if e.refused}
    entries = [e for e in entries if not e.refused]
    jobs = [Item(e.id, (e.id, e.path, str(out / "meshes" / f"{e.id}.ply"), angle)) for e in entries]
    found: list[Candidate] = []
    with Progress(len(jobs), "suite", quiet) as progress:
        for outcome in run("dora_bench.suite:admit", jobs, workers=workers):
            if outcome.status == "ok":
                found.append(outcome.value)
            else:
                left_out[outcome.id] = f"{outcome.reason}: {outcome.detail}".rstrip(": ")
            progress.update(note=f"{len(left_out)} left out" if left_out else "")
    if not found:
        first = next(iter(left_out.values()), "no mesh found")
        raise UsageError(f"no mesh can enter the suite ({first})")
    return found, left_out


def item_rows(
    kept: Iterable[Candidate], graded: Mapping[str, int], settings: SuiteSettings
) -> pd.DataFrame:
    """The rows of items.parquet."""
    kept = list(kept)
    split = split_of([c.id for c in kept], set(settings.train_ids))
    elsewhere = (settings.source, settings.licence)
    rows = []
    for candidate in kept:
        source, licence = settings.sources.get(candidate.id, elsewhere)
        rows.append(
            {
                "id": candidate.id,
                "level": graded[candidate.id],
                "salient_edges": candidate.salient_edges,
                "source": source,
                "licence": licence,
                "sha256": candidate.sha256,
                "split": split(candidate.id),
            }
        )
    return pd.DataFrame(rows)


def suite_record(
    items: pd.DataFrame, left_out: Mapping[str, str], settings: SuiteSettings, name: str
) -> dict[str, Any]:
    """The content of suite.json."""
    counts = items["level"].value_counts(sort=False).items()
    return {
        "schema": SCHEMA,
        "name": name,
        "version": 1,
        "hash": suite_hash(items),
        "seed": settings.seed,
        "angle": settings.angle,
        "thresholds": list(LEVELS[settings.thresholds]),
        "per_level": settings.per_level,
        "counts": {f"L{level}": int(count) for level, count in counts},
        "left_out": dict(left_out),
    }


def admit(job: tuple[str, str, str, float]) -> Candidate:
    """Worker: check one mesh, write it into the suite, count its salient edges.

    The count is of the mesh as read back from the suite, so it belongs to the bytes that are
    hashed. Raises MeshError, not-closed among others.
    """
    item_id, source, target, angle = job
    mesh = load_mesh(source)
    mesh = frame_of_output(mesh).place(mesh)
    require_closed(mesh)
    save_mesh(mesh, target)
    edges = salient_edges(load_mesh(target), angle)
    return Candidate(item_id, len(edges), sha256_file(target))


def draw(graded: Mapping[str, int], per_level: int, seed: int) -> set[str]:
    """At most `per_level` ids of each level; the draw depends on the ids and the seed alone."""
    chosen: set[str] = set()
    for level in sorted(set(graded.values())):
        ids = sorted(name for name, its in graded.items() if its == level)
        order = generator(seed, f"level {level}", "suite").permutation(len(ids))
        chosen.update(ids[row] for row in order[:per_level])
    return chosen


def split_of(ids: Iterable[str], train_ids: set[str]) -> Callable[[str], str]:
    """Item id -> "train", "held-out", or "" where nothing says which."""
    ids = set(ids)
    unknown = sorted(train_ids - ids)
    if unknown and len(unknown) == len(train_ids):
        raise UsageError(f"no id of the training list is in the suite, for one {unknown[0]!r}")
    folders = {name: SPLITS.get(name.partition("/")[0], "") for name in ids}
    folders.update(dict.fromkeys(train_ids & ids, "train"))
    rest = "held-out" if "train" in folders.values() else ""
    return lambda name: folders[name] or rest


def read_train_list(path: Path) -> list[str]:
    """Ids used for training: one a line, or the sample files below a folder. Raises UsageError."""
    if path.is_dir():
        return [p.relative_to(path).with_suffix("").as_posix() for p in path.rglob("*.safetensors")]
    if not path.is_file():
        raise UsageError(f"{path}: no such list or folder")
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def read_sources(path: Path) -> dict[str, tuple[str, str]]:
    """Id -> (source, licence) from a CSV with these columns. Raises UsageError."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return {row.id: (row.source, row.licence) for row in table.itertuples()}
    except (FileNotFoundError, AttributeError, pd.errors.ParserError) as error:
        raise UsageError(f"{path}: a CSV with the columns id, source, licence ({error})") from error
