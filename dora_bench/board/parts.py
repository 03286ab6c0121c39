"""What the page loads when it is looked at: meshes and scores of single shapes, as small scripts.

A page opened from disk may not fetch files, but it may add a script. Each part is one call,
`doraPart(name, value)`, in a file named by the hash of what it was made from; so parts that are
there already are not made again, and equal ones are one file.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dora_bench.page_meshes import distances_to, pack_mesh
from preprocessing.distance.queries import TriangleTree
from preprocessing.files import atomic_write, sha256_file
from preprocessing.mesh import load_mesh

VERSION = "1"  # of what parts hold; another gives other names
NAME = re.compile(r"[0-9a-f]{20}\.js")


class Parts:
    """The folder of parts beside a page. `finish` removes those of earlier pages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: set[str] = set()
        self.hashes: dict[Path, str] = {}

    def add(self, key: Iterable[str], make: Callable[[], Any]) -> str:
        """The name of the part made from `key`; `make` gives its value if it is not there yet."""
        name = hashlib.sha256("\n".join([VERSION, *key]).encode()).hexdigest()[:20]
        if name not in self.used and not (self.folder / f"{name}.js").is_file():
            atomic_write(self.folder / f"{name}.js", f'doraPart("{name}",{embedded(make())});\n')
        self.used.add(name)
        return name

    def meshes(self, files: list[Path], truth: Path | None) -> str:
        """A part with the packed meshes of files, with their distances to a truth where given."""

        def make() -> list[dict[str, Any]]:
            tree = None if truth is None else TriangleTree.build(load_mesh(truth))
            packed = []
            for file in files:
                mesh = load_mesh(file)
                distances = None if tree is None else distances_to(mesh, tree)
                packed.append(pack_mesh(mesh, distances))
            return packed

        return self.add([self.hash(file) for file in (*files, *([truth] if truth else []))], make)

    def hash(self, file: Path) -> str:
        """sha256 of a file, taken once."""
        if file not in self.hashes:
            self.hashes[file] = sha256_file(file)
        return self.hashes[file]

    def finish(self) -> None:
        """Remove what no page of this folder uses any more."""
        if not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            if NAME.fullmatch(path.name) and path.stem not in self.used:
                path.unlink()


def embedded(value: Any) -> str:
    """JSON that cannot end a script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
