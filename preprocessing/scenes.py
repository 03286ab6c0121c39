"""Generated scenes: artist-like objects without end, for training and for held-out tests.

A scene is a few parts (`preprocessing.scene_parts`) put together as modellers do: one part alone,
a union of posed parts, parts along the axes, a mirrored half, a row or a ring of copies. Scene i
of a seed depends on (seed, i) alone, whatever the count.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from preprocessing import seeds
from preprocessing.console import Progress, UsageError
from preprocessing.files import atomic_write
from preprocessing.mesh import Mesh, save_mesh
from preprocessing.scene_parts import random_part, unit_box
from preprocessing.shape_builders import joined
from preprocessing.shapes import between, random_rotation


def scene(seed: int, index: int) -> Mesh:
    """Scene `index` of `seed`: a raw mesh whose longest side spans [-1, 1], in a random pose or,
    half of the time, upright."""
    g = seeds.generator(seed, f"{index}", "scene")
    arrange, shares = zip(*ARRANGEMENTS, strict=True)
    mesh = arrange[int(g.choice(len(shares), p=shares))](g)
    if g.random() < 0.5:
        mesh = Mesh(mesh.vertices @ random_rotation(g).T, mesh.faces)
    return Mesh(unit_box(mesh.vertices), mesh.faces)


def generate_scenes(count: int, seed: int = 0) -> Iterator[tuple[str, Mesh]]:
    """`count` scenes as (id, mesh); ids are `000000`, `000001`, ..."""
    for index in range(count):
        yield f"{index:06d}", scene(seed, index)


def write_scenes(
    count: int, seed: int, out: str | Path, *, workers: int = 0, quiet: bool = False
) -> None:
    """Write scenes as binary PLY files `out`/<id>.ply, each whole or absent; workers 0: all cores.

    A folder holds one seed, which `out`/seed.txt tells: what is there already is left as it is.
    Raises UsageError for a folder of another seed.
    """
    out = Path(out)
    note = out / "seed.txt"
    if note.exists() and note.read_text().strip() != str(seed):
        raise UsageError(f"{out} holds scenes of seed {note.read_text().strip()}; take another")
    atomic_write(note, f"{seed}\n")
    missing = [i for i in range(count) if not scene_path(out, i).exists()]
    with Progress(count, "scenes", quiet) as progress:
        progress.update(count - len(missing))
        if workers == 1 or len(missing) < 64:
            for index in missing:
                write_scene(index, seed, out)
                progress.update()
            return
        # Made afresh: a forked child would inherit whatever threads the caller runs.
        with ProcessPoolExecutor(workers or os.cpu_count(), get_context("forkserver")) as pool:
            for _ in pool.map(write_scene, missing, repeat(seed), repeat(out), chunksize=16):
                progress.update()


def scene_path(out: Path, index: int) -> Path:
    """Where a scene lies."""
    return out / f"{index:06d}.ply"


def write_scene(index: int, seed: int, out: Path) -> None:
    """One file."""
    save_mesh(scene(seed, index), scene_path(out, index))


def placed(g: np.random.Generator, part: Mesh, spread: float, turned: bool) -> Mesh:
    """A part with sides of its own lengths, turned, moved."""
    points = part.vertices * g.uniform(0.3, 1.0) * g.uniform(0.45, 1.0, 3)
    if turned:
        points = points @ random_rotation(g).T
    return Mesh(points + g.normal(size=3) * spread, part.faces)


def alone(g: np.random.Generator) -> Mesh:
    """One part, its sides scaled apart."""
    part = random_part(g)
    return Mesh(part.vertices * g.uniform(0.4, 1.0, 3), part.faces)


def union(g: np.random.Generator) -> Mesh:
    """Two to seven parts that overlap or float near each other."""
    count = int(g.choice([2, 3, 4, 5, 7], p=[0.3, 0.3, 0.2, 0.1, 0.1]))
    return joined(placed(g, random_part(g), 0.35, g.random() < 0.7) for _ in range(count))


def axes(g: np.random.Generator) -> Mesh:
    """Parts stacked along one axis without a turn, as machines and buildings are."""
    parts, height = [], 0.0
    for _ in range(int(g.integers(2, 6))):
        part = random_part(g)
        points = part.vertices * g.uniform(0.25, 1.0, 3) * [1, 1, 0.6]
        half = points[:, 2].max()
        points = points + np.array([*(g.normal(size=2) * 0.1), height + half * 0.95])
        height += 1.9 * half
        parts.append(Mesh(points, part.faces))
    return joined(parts)


def mirror(g: np.random.Generator) -> Mesh:
    """A middle part and others twice, left and right."""
    parts = [alone(g)]
    for _ in range(int(g.integers(1, 4))):
        side = placed(g, random_part(g), 0.4, True)
        points = side.vertices * 0.6 + np.array([between(g, 0.3, 0.9), 0, 0])
        parts += [Mesh(points, side.faces), Mesh(points * [-1, 1, 1], side.faces[:, ::-1])]
    return joined(parts)


def array(g: np.random.Generator) -> Mesh:
    """Copies of one part in a row or a ring, with something to hold them half of the time."""
    part, count = alone(g), int(g.integers(3, 9))
    points = part.vertices * between(g, 0.25, 0.55)
    copies = []
    ring = g.random() < 0.5
    for k in range(count):
        if ring:
            turn = 2 * np.pi * k / count
            c, s = np.cos(turn), np.sin(turn)
            copy = (points + np.array([0.75, 0, 0])) @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        else:
            copy = points + np.array([2 * (k / (count - 1)) - 1, 0, 0])
        copies.append(Mesh(copy, part.faces))
    if g.random() < 0.8:
        base = random_part(g)
        copies.append(
            Mesh(base.vertices * [1.0, 0.5 + 0.4 * ring, between(g, 0.05, 0.4)], base.faces)
        )
    return joined(copies)


ARRANGEMENTS: tuple[tuple[Callable[[np.random.Generator], Mesh], float], ...] = (
    (alone, 0.2),
    (union, 0.4),
    (axes, 0.15),
    (mirror, 0.15),
    (array, 0.1),
)
"""How the parts of a scene stand together, and how often."""
