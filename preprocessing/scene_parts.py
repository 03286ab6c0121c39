"""The parts that generated scenes are made of, beside the kinds of `preprocessing.shapes`.

Each maker takes a generator and gives a mesh of about unit size around the origin. Parts may be
open and may cut themselves: scenes are raw input, and making a solid of them is another stage.
"""

from collections.abc import Callable

import numpy as np

from preprocessing.mesh import Mesh
from preprocessing.shape_builders import Patches, extrude, joined, revolve
from preprocessing.shapes import KINDS, between, sphere

FAULTY = ("flipped_faces", "duplicated_faces", "box_in_box", "seam", "scattered_parts")
"""Kinds of `shapes.KINDS` that show a fault of files, or are scenes themselves."""

Maker = Callable[[np.random.Generator], Mesh]


def known_kind(g: np.random.Generator) -> Mesh:
    """One of the kinds with known edges (box, gear, cup, ...) of random sizes."""
    names = [name for name in KINDS if name not in FAULTY]
    return KINDS[names[int(g.integers(len(names)))]](g, np.eye(3)).mesh


def smooth_curve(knots: np.ndarray, count: int, closed: bool = False) -> np.ndarray:
    """A Catmull-Rom curve (count, D) through knots (K, D), K >= 2; closed: back to the first."""
    if closed:
        padded = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    spans = len(padded) - 3
    at = np.linspace(0, spans, count, endpoint=not closed)
    span = np.minimum(at.astype(int), spans - 1)
    t = (at - span)[:, None]
    p0, p1, p2, p3 = (padded[span + i] for i in range(4))
    return 0.5 * (
        2 * p1
        + (p2 - p0) * t
        + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )


def tube(path: np.ndarray, radii: np.ndarray, sides: int = 16, closed: bool = False) -> Mesh:
    """A round tube along path (N,3) of radius radii (N,), its ends capped unless `closed`.

    The frame is carried along by the smallest rotation from step to step (double reflection would
    be finer; a tube shows no twist).
    """
    along = np.gradient(path, axis=0)
    if closed:
        along = np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    side = np.cross(along[0], np.eye(3)[np.argmin(np.abs(along[0]))])
    rings = []
    turn = 2 * np.pi * np.arange(sides) / sides
    for centre, radius, forward in zip(path, radii, along, strict=True):
        side = side - (side @ forward) * forward
        side /= max(float(np.linalg.norm(side)), 1e-12)
        up = np.cross(forward, side)
        rings.append(centre + radius * (np.outer(np.cos(turn), side) + np.outer(np.sin(turn), up)))
    count = len(path)
    ring = np.arange(count if closed else count - 1)[:, None] * sides
    here, after = np.arange(sides), (np.arange(sides) + 1) % sides
    beyond = (ring + sides) % (count * sides)
    a, b, c, d = (x.ravel() for x in (ring + here, ring + after, beyond + after, beyond + here))
    faces = [np.column_stack([a, b, c]), np.column_stack([a, c, d])]
    if not closed:
        fan = np.column_stack([np.zeros(sides - 2, int), here[1:-1], here[2:]])
        faces += [fan[:, ::-1], fan + (count - 1) * sides]
    return Mesh(np.concatenate(rings), np.concatenate(faces))


def pipe(g: np.random.Generator) -> Mesh:
    """A swept pipe along a random smooth path, sometimes closed to a loop, sometimes tapering."""
    closed = bool(g.random() < 0.2)
    knots = np.cumsum(g.normal(size=(int(g.integers(2, 6)) + 2 * closed, 3)), axis=0)
    path = smooth_curve(unit_box(knots), 64, closed)
    radius = between(g, 0.04, 0.18)
    taper = 1.0 if closed or g.random() < 0.5 else between(g, 0.2, 1.0)
    sides = 16 if g.random() < 0.7 else int(g.integers(3, 7))
    return tube(path, np.linspace(radius, radius * taper, len(path)), sides, closed)


def helix(g: np.random.Generator) -> Mesh:
    """A coil spring."""
    turns, radius = between(g, 1.5, 5.0), between(g, 0.3, 0.8)
    at = np.linspace(0, 2 * np.pi * turns, int(24 * turns))
    path = np.column_stack(
        [radius * np.cos(at), radius * np.sin(at), np.linspace(-0.9, 0.9, len(at))]
    )
    return tube(path, np.full(len(at), between(g, 0.05, 0.14)), 12)


def limb(g: np.random.Generator) -> Mesh:
    """A soft rod whose thickness swells and shrinks: an arm, a vase's neck, a branch."""
    steps = g.normal(size=(4, 3)) + np.array([0.8, 0, 0])
    path = smooth_curve(unit_box(np.cumsum(steps, axis=0)), 48)
    swell = smooth_curve(g.uniform(0.08, 0.32, (5, 1)), 48)[:, 0]
    ends = np.sqrt(np.clip(1 - np.linspace(-1, 1, 48) ** 8, 1e-4, 1))
    return tube(path, np.maximum(swell, 0.03) * ends, 24)


def lathe(g: np.random.Generator) -> Mesh:
    """A turned solid: a random smooth or stepped profile about an axis."""
    count = int(g.integers(3, 8))
    radii, heights = g.uniform(0.1, 0.8, count), np.sort(g.uniform(-0.9, 0.9, count))
    if g.random() < 0.5:
        curve = smooth_curve(np.column_stack([radii, heights]), 40)
        radii, heights = np.maximum(curve[:, 0], 0.03), curve[:, 1]
    else:
        radii, heights = np.repeat(radii, 2)[:-1], np.repeat(heights, 2)[1:]
    profile = np.column_stack([[0, *radii, 0], [heights[0], *heights, heights[-1]]])
    return without_labels(revolve(profile, np.zeros(len(profile) - 1, int), 64))


def shell(g: np.random.Generator) -> Mesh:
    """An open turned surface without thickness: a bowl, a dome, a funnel, a lamp shade."""
    curve = smooth_curve(
        np.column_stack([g.uniform(0.15, 0.9, 4), np.linspace(-0.8, 0.8, 4) * between(g, 0.4, 1)]),
        32,
    )
    profile = np.column_stack([np.maximum(curve[:, 0], 0.05), curve[:, 1]])
    if g.random() < 0.5:
        profile = np.concatenate([[[0.0, profile[0, 1]]], profile])
    return without_labels(revolve(profile, np.zeros(len(profile) - 1, int), 64))


def panel(g: np.random.Generator) -> Mesh:
    """A bent sheet without thickness."""
    u, v = np.meshgrid(np.linspace(-1, 1, 25), np.linspace(-1, 1, 25), indexing="ij")
    bend = g.normal(size=5) * 0.25
    z = bend[0] * u**2 + bend[1] * u * v + bend[2] * v**2 + bend[3] * np.sin(2 * u + 6 * bend[4])
    points = np.stack([u, between(g, 0.3, 1.0) * v, z], axis=-1).reshape(-1, 3)
    at = (np.arange(24)[:, None] * 25 + np.arange(24)).ravel()
    faces = [[at, at + 25, at + 26], [at, at + 26, at + 1]]
    return Mesh(points, np.concatenate([np.column_stack(f) for f in faces]))


def blob(g: np.random.Generator) -> Mesh:
    """A smooth closed lump: a sphere whose radius follows a few slow waves."""
    ball = sphere(1.0, subdivisions=4).mesh
    radius = np.ones(len(ball.vertices))
    for _ in range(int(g.integers(2, 7))):
        wave = g.normal(size=3) * between(g, 1.0, 3.5)
        radius += between(g, 0.05, 0.25) * np.sin(ball.vertices @ wave + between(g, 0, 2 * np.pi))
    return Mesh(ball.vertices * np.maximum(radius, 0.25)[:, None] * 0.8, ball.faces)


def star(g: np.random.Generator) -> Mesh:
    """An extruded outline around a centre: a star, a cam, a leaf, a shard."""
    corners = int(g.integers(4, 14))
    reach = g.uniform(0.35, 1.0, corners)
    turn = 2 * np.pi * np.arange(corners) / corners
    if g.random() < 0.4:
        curve = smooth_curve(reach[:, None], 6 * corners, closed=True)[:, 0]
        reach, turn = np.maximum(curve, 0.2), 2 * np.pi * np.arange(6 * corners) / (6 * corners)
    outline = reach[:, None] * np.column_stack([np.cos(turn), np.sin(turn)])
    return without_labels(extrude(outline, between(g, 0.1, 0.9)))


def glyph(g: np.random.Generator) -> Mesh:
    """A letter-like solid: a connected walk over a grid of square cells, extruded."""
    size = (int(g.integers(2, 5)), int(g.integers(2, 6)))
    cells = {(0, int(g.integers(size[1])))}
    at = next(iter(cells))
    for _ in range(int(g.integers(4, 4 * size[0] * size[1]))):
        axis, step = int(g.integers(2)), int(g.choice([-1, 1]))
        to = (at[0] + step * (axis == 0), at[1] + step * (axis == 1))
        if 0 <= to[0] < size[0] and 0 <= to[1] < size[1]:
            cells.add(at := to)
    depth, cell = between(g, 0.1, 0.4), 1.8 / max(size)
    middle = np.array([size[0] - 1, size[1] - 1]) / 2
    return joined(
        cuboid([cell, cell, depth], [*(cell * (np.array(c) - middle)), 0.0]) for c in sorted(cells)
    )


def lattice(g: np.random.Generator) -> Mesh:
    """Square struts along the edges of a grid: a cage, a scaffold, a rack."""
    counts = g.integers(1, 4, 3)
    width, pitch = between(g, 0.05, 0.14), 1.6 / counts.max()
    parts = []
    for axis in range(3):
        others = [i for i in range(3) if i != axis]
        for i in range(counts[others[0]] + 1):
            for j in range(counts[others[1]] + 1):
                centre, size = np.zeros(3), np.full(3, width)
                centre[others] = (np.array([i, j]) - counts[others] / 2) * pitch
                size[axis] = counts[axis] * pitch + width
                parts.append(cuboid(size, centre))
    return joined(parts)


def furniture(g: np.random.Generator) -> Mesh:
    """A top on legs, with a back or shelves: tables, chairs, shelves."""
    x, y, z = between(g, 0.8, 1.8), between(g, 0.6, 1.4), between(g, 0.6, 1.6)
    thick, leg = between(g, 0.06, 0.18), between(g, 0.07, 0.2)
    parts = [cuboid([x, y, thick], [0, 0, z / 2])]
    for sx in (-1, 1):
        for sy in (-1, 1):
            at = [sx * (x - leg) / 2, sy * (y - leg) / 2, 0]
            round_leg = tube(np.array([[*at[:2], -z / 2], [*at[:2], z / 2]]), np.full(2, leg / 2))
            parts.append(round_leg if g.random() < 0.3 else cuboid([leg, leg, z], at))
    if g.random() < 0.5:
        parts.append(cuboid([x, thick, between(g, 0.4, 1.0)], [0, (y - thick) / 2, z / 2 + 0.35]))
    for _ in range(int(g.integers(0, 3))):
        parts.append(cuboid([x - leg, y - leg, thick], [0, 0, between(g, -z / 2, z / 3)]))
    return joined(parts)


MAKERS: tuple[tuple[Maker, float], ...] = (
    (known_kind, 6.0),
    (lathe, 1.5),
    (pipe, 1.5),
    (limb, 1.0),
    (blob, 2.0),
    (star, 1.0),
    (glyph, 1.0),
    (shell, 1.0),
    (panel, 0.7),
    (lattice, 0.6),
    (furniture, 1.0),
    (helix, 0.5),
)
"""Every maker and how often it is chosen, in shares."""


def random_part(g: np.random.Generator) -> Mesh:
    """A part of a random kind, its longest side 2, centred."""
    shares = np.array([share for _, share in MAKERS])
    maker = MAKERS[int(g.choice(len(MAKERS), p=shares / shares.sum()))][0]
    mesh = maker(g)
    return Mesh(unit_box(mesh.vertices), mesh.faces)


def unit_box(points: np.ndarray) -> np.ndarray:
    """Points (N,3) moved and scaled so that the longest side of their box spans [-1, 1]."""
    low, high = points.min(axis=0), points.max(axis=0)
    return (points - (low + high) / 2) * (2 / max(float((high - low).max()), 1e-9))


def cuboid(size: np.ndarray | list[float], centre: np.ndarray | list[float]) -> Mesh:
    """An axis-parallel box."""
    solid = extrude(np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]), 1.0)
    return Mesh(solid.vertices * np.asarray(size) + np.asarray(centre), solid.faces)


def without_labels(patches: Patches) -> Mesh:
    """The mesh of patches."""
    return Mesh(patches.vertices, patches.faces)
