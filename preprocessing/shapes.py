"""A seeded generator of shapes whose true edges are known, for the demo, tests and the suite.

Every constructor takes sizes and a `pose` (rotation matrix) and gives a closed, outward shape,
centred near the origin and about two units long, except where its name says otherwise (sheets are
open; the last three kinds carry the faults of artists' files on purpose).
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from preprocessing import seeds
from preprocessing.formats.scenes.placing import of_quaternion
from preprocessing.mesh import Mesh
from preprocessing.shape_builders import (
    Patches,
    Shape,
    combine,
    extrude,
    finish,
    moved,
    revolve,
)

Pose = np.ndarray | None


def random_rotation(generator: np.random.Generator) -> np.ndarray:
    """A uniformly random rotation matrix (3,3) (Shoemake 1992, from a unit quaternion)."""
    w, x, y, z = (q := generator.normal(size=4)) / np.linalg.norm(q)
    return of_quaternion(x, y, z, w)


def circle(radius: float, segments: int, start: float = 0.0, stop: float = 360.0) -> np.ndarray:
    """Points (N,2) on an arc in degrees; a full circle does not repeat its first point."""
    whole = stop - start == 360.0
    turn = np.radians(np.linspace(start, stop, segments + (not whole), endpoint=not whole))
    return radius * np.column_stack([np.cos(turn), np.sin(turn)])


def box(size: tuple[float, float, float] = (2.0, 1.4, 1.0), pose: Pose = None) -> Shape:
    """A box with 12 edges of 90 degrees."""
    x, y = size[0] / 2, size[1] / 2
    outline = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
    return finish("box", extrude(outline, size[2]), pose)


def wedge(angle: float = 40.0, length: float = 1.6, depth: float = 1.4, pose: Pose = None) -> Shape:
    """A prism over an isosceles triangle whose apex opens by `angle` degrees.

    The dihedral angle (between normals) at the apex edge is 180 - angle, at the two others
    90 + angle / 2.
    """
    half = np.radians(angle / 2)
    tip, far, side = 0.0, length * np.cos(half), length * np.sin(half)
    outline = np.array([[tip, 0.0], [far, -side], [far, side]]) - [far / 2, 0.0]
    return finish("wedge", extrude(outline, depth), pose)


def prism(sides: int = 6, radius: float = 0.9, height: float = 1.4, pose: Pose = None) -> Shape:
    """A regular prism; its walls meet at 360 / sides degrees."""
    return finish("prism", extrude(circle(radius, sides), height), pose)


def cylinder(
    radius: float = 0.6, height: float = 1.8, segments: int = 128, pose: Pose = None
) -> Shape:
    """A cylinder: two round edges of 90 degrees, a smooth wall."""
    half = height / 2
    profile = np.array([[0, -half], [radius, -half], [radius, half], [0, half]])
    return finish("cylinder", revolve(profile, np.arange(3), segments), pose)


def cone(
    radius: float = 0.8,
    height: float = 1.6,
    top: float = 0.0,
    segments: int = 128,
    pose: Pose = None,
) -> Shape:
    """A cone, or a frustum when the `top` radius is not 0."""
    half = height / 2
    profile = [[0, -half], [radius, -half], [top, half]] + ([[0, half]] if top else [])
    return finish("cone", revolve(np.array(profile), np.arange(len(profile) - 1), segments), pose)


def capsule(
    radius: float = 0.45, height: float = 1.0, segments: int = 96, pose: Pose = None
) -> Shape:
    """A cylinder of `height` between two half spheres: smooth everywhere."""
    cap = circle(radius, segments // 4, 0, 90)
    low = np.column_stack([cap[::-1, 0], -cap[::-1, 1] - height / 2])
    high = np.column_stack([cap[:, 0], cap[:, 1] + height / 2])
    profile = np.concatenate([low, high])
    profile[[0, -1], 0] = 0.0
    return finish("capsule", revolve(profile, np.zeros(len(profile) - 1, int), segments), pose)


def sphere(radius: float = 1.0, subdivisions: int = 5, pose: Pose = None) -> Shape:
    """A sphere from a subdivided icosahedron: 20 * 4^subdivisions faces, all near equilateral."""
    golden = (1 + np.sqrt(5)) / 2
    vertices = np.array(
        [[s * 1.0, t * golden, 0.0] for s in (-1, 1) for t in (-1, 1)]
        + [[0.0, s * 1.0, t * golden] for s in (-1, 1) for t in (-1, 1)]
        + [[t * golden, 0.0, s * 1.0] for s in (-1, 1) for t in (-1, 1)]
    )
    gaps = np.linalg.norm(vertices[:, None] - vertices, axis=2)
    near = np.abs(gaps - 2.0) < 1e-9
    triples = [
        (a, b, c)
        for a in range(12)
        for b in range(a + 1, 12)
        for c in range(b + 1, 12)
        if near[a, b] and near[b, c] and near[a, c]
    ]
    faces = np.array([t if np.linalg.det(vertices[list(t)]) > 0 else t[::-1] for t in triples])
    for _ in range(subdivisions):
        vertices, faces = subdivide(vertices, faces)
        vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
    vertices *= radius / np.linalg.norm(vertices, axis=1, keepdims=True)
    return finish("sphere", Patches(vertices, faces, np.zeros(len(faces), int)), pose)


def subdivide(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each triangle into four at its edges' middles, shared between neighbours."""
    halves = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges, which = np.unique(halves, axis=0, return_inverse=True)
    middle = which.reshape(3, -1) + len(vertices)
    a, b, c = faces.T
    ab, bc, ca = middle
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return (
        np.concatenate([vertices, vertices[edges].mean(axis=1)]),
        np.concatenate([np.column_stack(part) for part in parts]),
    )


def torus(
    major: float = 0.7, minor: float = 0.28, segments: int = 128, rings: int = 64, pose: Pose = None
) -> Shape:
    """A torus around z: smooth, genus 1."""
    profile = circle(minor, rings) + np.array([major, 0.0])
    return finish("torus", revolve(profile, np.zeros(rings, int), segments, closed=True), pose)


def washer(
    outer: float = 0.9,
    inner: float = 0.4,
    height: float = 0.4,
    segments: int = 128,
    pose: Pose = None,
) -> Shape:
    """A ring of rectangular section: four round edges of 90 degrees."""
    half = height / 2
    profile = np.array([[inner, -half], [outer, -half], [outer, half], [inner, half]])
    return finish("washer", revolve(profile, np.arange(4), segments, closed=True), pose)


def cup(
    radius: float = 0.7,
    height: float = 1.5,
    wall: float = 0.12,
    segments: int = 128,
    pose: Pose = None,
) -> Shape:
    """A solid cup, open at the top: a concavity that must stay open, a thin wall with two rims."""
    half, hole = height / 2, radius - wall
    profile = np.array(
        [
            [0, -half],
            [radius, -half],
            [radius, half],
            [hole, half],
            [hole, wall - half],
            [0, wall - half],
        ]
    )
    return finish("cup", revolve(profile, np.arange(5), segments), pose)


def gear(
    teeth: int = 12,
    radius: float = 0.95,
    depth: float = 0.18,
    height: float = 0.5,
    pose: Pose = None,
) -> Shape:
    """A spur gear with straight flanks: every outline corner is a sharp edge."""
    root, pitch = radius - depth, 360.0 / teeth
    corners = [(0.00, root), (0.30, root), (0.42, radius), (0.78, radius), (0.90, root)]
    turn = np.radians([(tooth + part) * pitch for tooth in range(teeth) for part, _ in corners[1:]])
    reach = np.array([r for _ in range(teeth) for _, r in corners[1:]])
    outline = np.column_stack([reach * np.cos(turn), reach * np.sin(turn)])
    return finish("gear", extrude(outline, height), pose)


def l_bracket(
    size: float = 1.8,
    thickness: float = 0.35,
    depth: float = 1.1,
    fillet: float = 0.25,
    pose: Pose = None,
) -> Shape:
    """An L profile whose inner corner is a tangent fillet: sharp and smooth features together."""
    t, s = thickness, size
    arc = np.array([t + fillet, t + fillet]) + circle(fillet, 16, 270, 180)
    outline = np.concatenate([[[0, 0], [s, 0], [s, t]], arc, [[t, s], [0, s]]]) - s / 2
    labels = np.concatenate([[0, 1], np.full(len(arc) + 1, 2), [3, 4]])
    return finish("l_bracket", extrude(outline, depth, labels), pose)


def stairs(steps: int = 4, size: float = 1.8, depth: float = 1.0, pose: Pose = None) -> Shape:
    """A staircase: as many convex as concave edges of 90 degrees."""
    rise = size / steps
    treads = [
        corner
        for step in range(steps)
        for corner in ([size - step * rise, step * rise], [size - step * rise, (step + 1) * rise])
    ]
    outline = np.array([[0.0, 0.0], *treads, [0.0, size]])
    return finish("stairs", extrude(outline - size / 2, depth), pose)


def plate_with_holes(
    columns: int = 3,
    rows: int = 2,
    pitch: float = 0.6,
    radius: float = 0.18,
    thickness: float = 0.2,
    segments: int = 64,
    pose: Pose = None,
) -> Shape:
    """A flat plate with columns x rows round holes (genus columns * rows); segments % 8 == 0."""
    turn = 2 * np.pi * np.arange(segments) / segments
    ray = np.column_stack([np.cos(turn), np.sin(turn)])
    square = pitch / 2 * ray / np.abs(ray).max(axis=1, keepdims=True)
    here, after = np.arange(segments), (np.arange(segments) + 1) % segments
    top = thickness / 2
    vertices, faces, labels = [], [], []
    for index in range(columns * rows):
        column, row = index % columns, index // columns
        middle = pitch * (np.array([column, row]) - np.array([columns - 1, rows - 1]) / 2)
        start = 4 * segments * index
        rings = [(square, top), (radius * ray, top), (radius * ray, -top), (square, -top)]
        vertices += [np.column_stack([ring + middle, np.full(segments, z)]) for ring, z in rings]
        strips = [(0, 1, here, 0), (1, 2, here, 2 + index), (2, 3, here, 1)]
        outside = 2 + columns * rows
        for axis, side, label in [(0, 1, 0), (0, -1, 1), (1, 1, 2), (1, -1, 3)]:
            if (column, row)[axis] == ((columns, rows)[axis] - 1 if side > 0 else 0):
                on_side = np.isclose(side * square[:, axis], pitch / 2)
                strips.append((3, 0, here[on_side & on_side[after]], outside + label))
        for low, high, where, label in strips:
            a, b = start + low * segments + where, start + low * segments + after[where]
            c, d = start + high * segments + after[where], start + high * segments + where
            faces += [np.column_stack([a, b, c]), np.column_stack([a, c, d])]
            labels.append(np.full(2 * len(where), label))
    merged, which = np.unique(
        np.round(np.concatenate(vertices), 12) + 0.0, axis=0, return_inverse=True
    )
    patches = Patches(merged, which.reshape(-1)[np.concatenate(faces)], np.concatenate(labels))
    return finish("plate_with_holes", patches, pose)


def sheet(
    width: float = 1.8, depth: float = 1.2, wave: float = 0.15, cells: int = 48, pose: Pose = None
) -> Shape:
    """An open sheet of no thickness, waved by a sine of height `wave` (0: flat).

    Its rim is a true edge of 180 degrees: any solid around the sheet turns back there.
    """
    u, v = np.meshgrid(np.linspace(-0.5, 0.5, cells + 1), np.linspace(-0.5, 0.5, cells + 1))
    vertices = np.column_stack(
        [u.ravel() * width, v.ravel() * depth, wave * np.sin(2 * np.pi * u.ravel())]
    )
    index = np.arange((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    a, b = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    c, d = index[1:, 1:].ravel(), index[1:, :-1].ravel()
    faces = np.concatenate([np.column_stack([a, b, c]), np.column_stack([a, c, d])])
    return finish("sheet", Patches(vertices, faces, np.zeros(len(faces), int)), pose)


def wheel_on_axle(
    wheel: float = 0.6,
    width: float = 0.25,
    axle: float = 0.14,
    track: float = 1.6,
    pose: Pose = None,
) -> Shape:
    """Two ring wheels that turn freely on an axle: three closed parts that touch nowhere."""
    parts = [cylinder(axle, track + 2 * width)]
    for side in (-1, 1):
        parts.append(moved(washer(wheel, axle + 0.1, width), np.array([0, 0, side * track / 2])))
    whole = combine("wheel_on_axle", parts)
    return moved(whole, np.zeros(3), pose)


def box_in_box(
    outer: float = 1.8, inner: float = 0.9, cavity: bool = False, pose: Pose = None
) -> Shape:
    """A closed box inside a closed box: only the outer one can be seen, only its edges are true.

    With `cavity` the inner box is wound inwards, which makes it the wall of a void.
    """
    hidden = box((inner, inner, inner))
    if cavity:
        hidden = replace(hidden, mesh=Mesh(hidden.mesh.vertices, hidden.mesh.faces[:, ::-1]))
    whole = combine("box_in_box", [box((outer, outer, outer))], hidden=[hidden])
    return moved(whole, np.zeros(3), pose)


def scattered_parts(count: int = 5, seed: int = 0, pose: Pose = None) -> Shape:
    """`count` closed parts of several kinds that touch nowhere, each in a pose of its own."""
    generator = seeds.generator(seed, "scattered_parts", "shapes")
    makers: list[Callable[..., Shape]] = [box, sphere, cylinder, wedge, torus, prism, capsule]
    side = int(np.ceil(count ** (1 / 3)))
    parts = []
    for index in range(count):
        part = makers[index % len(makers)](pose=random_rotation(generator))
        scale = 0.42 / np.linalg.norm(part.mesh.vertices, axis=1).max() / side * 2
        cell = np.array([index % side, index // side % side, index // side**2])
        shift = (cell - (side - 1) / 2) * 2.0 / side
        part = replace(
            part,
            mesh=Mesh(part.mesh.vertices * scale, part.mesh.faces),
            true_edges=part.true_edges * scale,
        )
        parts.append(moved(part, shift))
    return moved(combine("scattered_parts", parts), np.zeros(3), pose)


def flipped_faces(fraction: float = 0.3, seed: int = 0, pose: Pose = None) -> Shape:
    """A stepped block, a random part of whose faces is wound the wrong way round."""
    shape = stairs(pose=pose)
    faces = shape.mesh.faces.copy()
    wrong = seeds.generator(seed, "flipped_faces", "shapes").random(len(faces)) < fraction
    faces[wrong] = faces[wrong, ::-1]
    return replace(
        shape, id="flipped_faces", kind="flipped_faces", mesh=Mesh(shape.mesh.vertices, faces)
    )


def duplicated_faces(fraction: float = 0.3, seed: int = 0, pose: Pose = None) -> Shape:
    """A bracket, a random part of whose faces is there twice."""
    shape = l_bracket(pose=pose)
    faces = shape.mesh.faces
    twice = seeds.generator(seed, "duplicated_faces", "shapes").random(len(faces)) < fraction
    return replace(
        shape,
        id="duplicated_faces",
        kind="duplicated_faces",
        mesh=Mesh(shape.mesh.vertices, np.concatenate([faces, faces[twice]])),
    )


def seam(size: tuple[float, float, float] = (2.0, 1.4, 1.0), pose: Pose = None) -> Shape:
    """A box cut open at every edge, as texture seams do: closed only by position."""
    shape = box(size, pose)
    corners = shape.mesh.triangles.reshape(-1, 3)
    return replace(
        shape, id="seam", kind="seam", mesh=Mesh(corners, np.arange(len(corners)).reshape(-1, 3))
    )


def between(generator: np.random.Generator, low: float, high: float) -> float:
    """One uniform number, as a float that prints and compares plainly."""
    return float(generator.uniform(low, high))


KINDS: dict[str, Callable[[np.random.Generator, np.ndarray], Shape]] = {
    "box": lambda g, p: box((2.0, between(g, 0.6, 1.8), between(g, 0.3, 1.4)), p),
    "gear": lambda g, p: gear(int(g.integers(8, 20)), height=between(g, 0.25, 0.8), pose=p),
    "sphere": lambda g, p: sphere(between(g, 0.6, 1.0), pose=p),
    "l_bracket": lambda g, p: l_bracket(thickness=between(g, 0.25, 0.5), pose=p),
    "wheel_on_axle": lambda g, p: wheel_on_axle(between(g, 0.4, 0.8), pose=p),
    "cup": lambda g, p: cup(between(g, 0.5, 0.8), wall=between(g, 0.1, 0.2), pose=p),
    "cylinder": lambda g, p: cylinder(between(g, 0.3, 0.8), between(g, 0.6, 2.0), pose=p),
    "torus": lambda g, p: torus(0.7, between(g, 0.15, 0.4), pose=p),
    "plate_with_holes": lambda g, p: plate_with_holes(
        int(g.integers(2, 5)), 2, 0.5, between(g, 0.1, 0.2), between(g, 0.1, 0.3), pose=p
    ),
    "sheet": lambda g, p: sheet(depth=between(g, 0.8, 1.6), wave=between(g, 0.0, 0.25), pose=p),
    "wedge": lambda g, p: wedge(between(g, 20.0, 100.0), pose=p),
    "scattered_parts": lambda g, p: scattered_parts(
        int(g.integers(3, 8)), int(g.integers(1 << 30)), p
    ),
    "stairs": lambda g, p: stairs(int(g.integers(3, 7)), depth=between(g, 0.6, 1.4), pose=p),
    "cone": lambda g, p: cone(between(g, 0.5, 0.9), top=between(g, 0.0, 0.4), pose=p),
    "capsule": lambda g, p: capsule(between(g, 0.3, 0.6), pose=p),
    "prism": lambda g, p: prism(int(g.integers(3, 9)), pose=p),
    "box_in_box": lambda g, p: box_in_box(inner=between(g, 0.5, 1.2), pose=p),
    "flipped_faces": lambda g, p: flipped_faces(seed=int(g.integers(1 << 30)), pose=p),
    "duplicated_faces": lambda g, p: duplicated_faces(seed=int(g.integers(1 << 30)), pose=p),
    "washer": lambda g, p: washer(inner=between(g, 0.2, 0.7), height=between(g, 0.2, 0.9), pose=p),
    "seam": lambda _, p: seam(pose=p),
}
"""Kind -> maker(generator, pose) with random sizes, in the order generate_shapes uses them."""


def generate_shapes(count: int, seed: int = 0) -> list[Shape]:
    """`count` shapes of all kinds in turn, each with random sizes in a random pose.

    Shape i depends on (seed, i) alone: asking for more shapes leaves the first ones as they are.
    Ids are `000-box`, `001-gear`, ...
    """
    shapes = []
    names = list(KINDS)
    for index in range(count):
        name = names[index % len(names)]
        item_id = f"{index:03d}-{name}"
        generator = seeds.generator(seed, item_id, "shapes")
        pose = random_rotation(generator)
        shapes.append(replace(KINDS[name](generator, pose), id=item_id))
    return shapes
