"""A folder at a glance: one small picture and one line for each mesh or sample in it.

Each file is looked at in a child process, so one that brings its reader down is a line, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.console import Progress
from preprocessing.files import atomic_write
from preprocessing.looking.inspect import MeshReport, inspect_mesh, inspect_sample
from preprocessing.looking.page import clear_mesh, clear_points, contact_page, dots
from preprocessing.looking.render import png_bytes, side_by_side
from preprocessing.mesh import frame_of_output, load_mesh
from preprocessing.points.layouts import SAMPLE_READERS
from preprocessing.running.manifest import Entry, find_inputs, mesh_suffixes
from preprocessing.running.runner import Item, run
from preprocessing.stores.address import Place

MOST = 120
"""Pictures on a sheet; of more files as many, evenly spread over their order, are shown."""
WIDTH, HEIGHT = 240, 200
COLUMNS = 6
SECONDS = 120.0


@dataclass(frozen=True)
class Tile:
    """One file of a sheet: a line of facts, or the reason why it cannot be used.

    picture: uint8 (HEIGHT, WIDTH, 4), clear where nothing is; all clear for an unusable file.
    """

    id: str
    path: str
    usable: bool
    facts: str
    picture: np.ndarray


@dataclass(frozen=True)
class Sheet:
    """A folder's tiles in order of their ids, and how many files it holds in all."""

    folder: str
    files: int
    tiles: list[Tile]

    def as_json(self) -> dict[str, Any]:
        """Plain values, pictures left out."""
        rows = [
            {name: value for name, value in vars(tile).items() if name != "picture"}
            for tile in self.tiles
        ]
        return {"folder": self.folder, "files": self.files, "shown": rows}

    def __str__(self) -> str:
        width = max(len(tile.id) for tile in self.tiles)
        lines = [f"{tile.id:<{width}}  {tile.facts}" for tile in self.tiles]
        return "\n".join([*lines, self.heading])

    @property
    def heading(self) -> str:
        """How many files there are and are shown, and how many cannot be used."""
        bad = sum(not tile.usable for tile in self.tiles)
        shown = "" if len(self.tiles) == self.files else f", {len(self.tiles)} of them shown"
        unusable = f", {bad} cannot be used" if bad else ""
        return f"{self.folder}: {self.files} files{shown}{unusable}"


def inspect_folder(
    folder: str | Path,
    png: str | Place | None = None,
    html: str | Place | None = None,
    angle: float = 15.0,
    quiet: bool = False,
) -> Sheet:
    """Look at the meshes and samples below a folder and write the contact sheets asked for.

    angle: degrees above which an edge is salient. Raises UsageError for a folder without any.
    """
    entries = find_inputs([str(folder)], {*mesh_suffixes(), *SAMPLE_READERS})
    chosen = spread(entries, MOST)
    items = [Item(str(i), (entry, angle)) for i, entry in enumerate(chosen)]
    tiles: dict[int, Tile] = {}
    with Progress(len(items), "inspect", quiet) as progress:
        outcomes = run(
            "preprocessing.looking.contact:look", items, executor="inline", timeout=SECONDS
        )
        for outcome in outcomes:
            entry = chosen[int(outcome.id)]
            reason = f"{outcome.status}, {outcome.reason}"
            tile = outcome.value if outcome.status == "ok" else unusable(entry, reason)
            tiles[int(outcome.id)] = tile
            progress.update()
    sheet = Sheet(str(folder), len(entries), [tiles[i] for i in range(len(chosen))])
    pictures = [(f"{tile.id}: {tile.facts}", tile.picture) for tile in sheet.tiles]
    if png is not None:
        atomic_write(png, png_bytes(side_by_side(pictures, COLUMNS)))
    if html is not None:
        atomic_write(html, contact_page(escape(sheet.heading), pictures))
    return sheet


def spread(entries: Sequence[Entry], most: int) -> list[Entry]:
    """At most `most` of them, the first and the last among them, evenly spread."""
    if len(entries) <= most:
        return list(entries)
    return [entries[round(i * (len(entries) - 1) / (most - 1))] for i in range(most)]


def look(job: tuple[Entry, float]) -> Tile:
    """Worker: the tile of one file. Raises MeshError for one that cannot be used."""
    entry, angle = job
    path = Path(entry.path)
    reader = SAMPLE_READERS.get(path.suffix.lower())
    if reader is not None:
        sample = reader(path)
        report = inspect_sample(path, sample)
        facts = f"{report.rows['coarse_surface']:,} + {report.salient_points:,} points"
        return Tile(entry.id, entry.path, True, facts, clear_points(dots(sample), WIDTH, HEIGHT))
    mesh = load_mesh(path)
    picture = clear_mesh(mesh, WIDTH, HEIGHT, frame=frame_of_output(mesh))
    return Tile(entry.id, entry.path, True, mesh_facts(inspect_mesh(path, angle)), picture)


def mesh_facts(report: MeshReport) -> str:
    """Faces, level, and whether it is closed."""
    level = f"L{report.level}" if report.level else "no salient edge"
    return f"{report.faces:,} faces, {level}, {'closed' if report.closed else 'open'}"


def unusable(entry: Entry, reason: str) -> Tile:
    """The tile of a file that cannot be used."""
    return Tile(entry.id, entry.path, False, reason, np.zeros((HEIGHT, WIDTH, 4), np.uint8))
