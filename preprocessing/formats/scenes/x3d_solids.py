"""X3D's solids by formula: box, sphere, cylinder, cone, extrusion, height field.

Round ones are cut into SIDES; their corners lie on the true surface.
"""

import numpy as np

from preprocessing.formats.polygons import triangulate
from preprocessing.formats.scenes.placing import Scene, Triangles, rotation
from preprocessing.formats.scenes.x3d_fields import flag, number, numbers, rows
from preprocessing.formats.scenes.xml_tree import Element
from preprocessing.mesh_errors import MeshError

SIDES = 128
"""A cylinder of so many sides has 0.04 % less volume than a round one."""
MOST_CELLS = 1 << 21
"""Cells of a height field or an extrusion: the latter has as many as two lists multiplied."""


def quads(vertices: np.ndarray, corners: np.ndarray) -> Triangles:
    """A mesh of quads (Q,4) over vertices (V,3)."""
    return vertices, triangulate(vertices, corners.ravel(), np.full(len(corners), 4))


def grid_quads(rows_count: int, columns: int, wrap: bool) -> np.ndarray:
    """Quads (Q,4) over a grid of vertices; `wrap` joins its last column to its first."""
    row = np.arange(rows_count - 1)[:, None]
    column = np.arange(columns if wrap else columns - 1)[None, :]
    here, beside = row * columns + column, row * columns + (column + 1) % columns
    return np.stack([here, beside, beside + columns, here + columns], axis=2).reshape(-1, 4)


def box(element: Element) -> Triangles:
    """<Box>."""
    half = positive(numbers(element, "size", (2.0, 2.0, 2.0)), "Box") / 2
    signs = np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)], float)
    faces = np.array(
        [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]
    )
    return quads(signs * half, faces)


def positive(sizes: np.ndarray, what: str) -> np.ndarray:
    """Sizes as they are. Raises MeshError(unreadable) where one is negative or not a number."""
    if not (sizes >= 0).all():
        raise MeshError("unreadable", f"a <{what}> of the X3D has a negative size")
    return sizes


def turned(profile: np.ndarray) -> Triangles:
    """The surface of a profile (P,2) of radius and height, turned about y, top to bottom.

    Rings of radius 0 are single points in one place; loading joins them.
    """
    angles = 2 * np.pi * np.arange(SIDES) / SIDES
    ring = np.stack([np.sin(angles), np.zeros(SIDES), np.cos(angles)], axis=1)
    places = (
        profile[:, None, :1] * ring
        + np.stack([0 * profile[:, 1], profile[:, 1], 0 * profile[:, 1]], axis=1)[:, None, :]
    )
    vertices = places.reshape(-1, 3)
    corners = grid_quads(len(profile), SIDES, wrap=True)[:, ::-1]
    faces = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])
    corner = vertices[faces]
    doubled = (corner == corner[:, [1, 2, 0]]).all(axis=2).any(axis=1)
    return vertices, faces[~doubled]


def sphere(element: Element) -> Triangles:
    """<Sphere>."""
    radius = positive(np.array([number(element, "radius", 1.0)]), "Sphere")[0]
    angle = np.linspace(0, np.pi, SIDES // 2 + 1)
    profile = radius * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    profile[[0, -1], 0] = 0.0
    return turned(profile)


def cylinder(element: Element) -> Triangles:
    """<Cylinder>, without the parts that it switches off."""
    size = np.array([number(element, "radius", 1.0), number(element, "height", 2.0) / 2])
    radius, half = positive(size, "Cylinder")
    rims = [(0.0, half), (radius, half), (radius, -half), (0.0, -half)]
    return parts(element, rims, ("top", "side", "bottom"))


def cone(element: Element) -> Triangles:
    """<Cone>, without the parts that it switches off."""
    size = np.array([number(element, "bottomRadius", 1.0), number(element, "height", 2.0) / 2])
    radius, half = positive(size, "Cone")
    rims = [(0.0, half), (radius, -half), (0.0, -half)]
    return parts(element, rims, ("side", "bottom"))


def parts(element: Element, rims: list[tuple[float, float]], names: tuple[str, ...]) -> Triangles:
    """The turned pieces between neighbouring rims whose switches are on."""
    shown = Scene()
    for k, name in enumerate(names):
        if flag(element, name, True):
            shown.add(*turned(np.array(rims[k : k + 2])), None)
    return shown.triangles()


def elevation_grid(element: Element) -> Triangles:
    """<ElevationGrid>: heights over a grid in x and z, facing up."""
    wide, deep = (number(element, f"{a}Dimension", 0) for a in "xz")
    if not 0 <= wide * deep <= MOST_CELLS:
        raise MeshError("too-large", f"an <ElevationGrid> of {wide:g} by {deep:g} heights")
    columns, lines = int(wide), int(deep)
    heights = numbers(element, "height", ())
    if len(heights) < columns * lines:
        what = f"an <ElevationGrid> holds {len(heights)} of {columns * lines} heights"
        raise MeshError("truncated", what)
    x = np.tile(np.arange(columns), lines) * number(element, "xSpacing", 1.0)
    z = np.repeat(np.arange(lines), columns) * number(element, "zSpacing", 1.0)
    vertices = np.stack([x, heights[: columns * lines], z], axis=1)
    corners = grid_quads(max(lines, 1), max(columns, 1), wrap=False)
    return wound(element, *quads(vertices, corners[:, ::-1]))


def wound(element: Element, vertices: np.ndarray, faces: np.ndarray) -> Triangles:
    """Faces turned round where the element says ccw="false"."""
    return vertices, faces if flag(element, "ccw", True) else faces[:, ::-1]


def extrusion(element: Element) -> Triangles:
    """<Extrusion>: a cross-section carried along a spine (ISO/IEC 19775-1, 13.3.5)."""
    section = rows(element, "crossSection", 2, (1, 1, 1, -1, -1, -1, -1, 1, 1, 1))
    spine = rows(element, "spine", 3, (0, 0, 0, 0, 1, 0))
    if len(section) < 2 or len(spine) < 2 or len(section) * len(spine) > MOST_CELLS:
        raise MeshError("unreadable", "an <Extrusion> needs two points of section and spine each")
    scales = per_point(rows(element, "scale", 2, (1, 1)), len(spine))
    turns = per_point(rows(element, "orientation", 4, (0, 0, 1, 0)), len(spine))
    local = np.stack([section[:, 0], 0 * section[:, 0], section[:, 1]], axis=1)
    vertices = []
    for place, frame, scale, turn in zip(spine, spine_frames(spine), scales, turns, strict=True):
        flat = local * [scale[0], 1.0, scale[1]] @ rotation(turn[:3], turn[3])[:3, :3].T
        vertices.append(flat @ frame.T + place)
    return wound(element, *closed_tube(element, np.concatenate(vertices), len(section), len(spine)))


def per_point(values: np.ndarray, count: int) -> np.ndarray:
    """One row a point of the spine; a single row serves them all. Raises MeshError(truncated)."""
    if len(values) == 1:
        return np.repeat(values, count, axis=0)
    if len(values) < count:
        raise MeshError("truncated", f"an <Extrusion> of {count} points has {len(values)} settings")
    return values[:count]


def closed_tube(element: Element, vertices: np.ndarray, around: int, along: int) -> Triangles:
    """The skin between sections, and the caps that the element does not switch off.

    A section runs counter-clockwise seen from the end of the spine, so the skin faces out.
    """
    _, skin = quads(vertices, grid_quads(along, around, wrap=False))
    first = np.arange(around)
    last = first + (along - 1) * around
    caps = []
    for ring, name in ((first[::-1], "beginCap"), (last, "endCap")):
        # A section that ends where it starts names that corner once.
        closed = np.array_equal(vertices[ring[0]], vertices[ring[-1]])
        ring = ring[:-1] if closed else ring
        if flag(element, name, True):
            caps.append(triangulate(vertices, ring, np.array([len(ring)])))
    return vertices, np.concatenate([skin, *caps])


def spine_frames(spine: np.ndarray) -> list[np.ndarray]:
    """The axes (3,3), as columns, in which each section lies: y along the spine, z to its inside.

    Where the spine is straight z is the last one that was found, as the standard says.
    """
    closed = np.array_equal(spine[0], spine[-1])
    before, after = np.roll(spine, 1, axis=0), np.roll(spine, -1, axis=0)
    if closed:
        before[0], after[-1] = spine[-2], spine[1]
    else:
        before[0], after[-1] = spine[0], spine[-1]
    along = unit_rows(after - before)
    inside = unit_rows(np.cross(after - spine, before - spine))
    if not closed and len(spine) > 2:
        inside[0], inside[-1] = inside[1], inside[-2]
    return [
        np.stack([np.cross(y, z), y, z], axis=1)
        for y, z in zip(*carried(along, inside), strict=True)
    ]


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows (N,3) of length 1; those without a direction stay zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(lengths > 1e-12, vectors / np.where(lengths > 0, lengths, 1.0), 0.0)


def carried(along: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Missing directions taken over from a neighbour, and z kept on one side of the spine."""
    known = np.flatnonzero(along.any(axis=1))
    if len(known) == 0:
        raise MeshError("unreadable", "the spine of an <Extrusion> is one point")
    for k in range(len(along)):
        if not along[k].any():
            along[k] = along[k - 1] if k else along[known[0]]
    bent = np.flatnonzero(inside.any(axis=1))
    if len(bent) == 0:
        # A straight spine: turn the y axis onto it and take z along.
        y = along[known[0]]
        axis = np.cross([0.0, 1.0, 0.0], y)
        turn = rotation(axis, float(np.arctan2(np.linalg.norm(axis), y[1])))
        if not axis.any() and y[1] < 0:
            turn = rotation(np.array([1.0, 0.0, 0.0]), np.pi)
        return along, np.repeat(turn[:3, 2][None], len(along), axis=0)
    for k in range(len(inside)):
        if not inside[k].any():
            inside[k] = inside[k - 1] if k > bent[0] else inside[bent[0]]
        if k and inside[k] @ inside[k - 1] < 0:
            inside[k] = -inside[k]
    # A z carried over need not be square to its own y.
    return along, unit_rows(inside - (inside * along).sum(axis=1, keepdims=True) * along)
