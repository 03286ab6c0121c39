"""Polygons to triangles: the area is the polygon's, no triangle folds, no corner is left out."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocessing.formats.polygon_kernels import clip_ears
from preprocessing.formats.polygons import (
    MOST_CONCAVE,
    ring_area,
    triangulate,
    triangulate_with_holes,
)
from preprocessing.mesh import MeshError, load_mesh

CASES = Path(__file__).parent.parent / "data" / "cases"
SQUARE = np.array([[-3.0, -3], [3, -3], [3, 3], [-3, 3]])
RIGHT = np.array([1.0, 0])
DIAMOND = np.array([[-0.5, 0], [0, -0.5], [0.5, 0], [0, 0.5]])


def turn(a, b, c) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def untangled(points: np.ndarray) -> np.ndarray:
    """A simple polygon through the points (n,2): crossings are undone until none is left."""
    order, moved = list(range(len(points))), True
    while moved:
        moved = False
        for i in range(len(order) - 1):
            for j in range(i + 2, len(order) - (i == 0)):
                a, b = points[order[i]], points[order[i + 1]]
                c, d = points[order[j]], points[order[(j + 1) % len(order)]]
                now = np.hypot(*(a - b)) + np.hypot(*(c - d))
                if np.hypot(*(a - c)) + np.hypot(*(b - d)) < now - 1e-12:
                    order[i + 1 : j + 1] = order[i + 1 : j + 1][::-1]
                    moved = True
    ring = points[order]
    return ring if ring_area(ring) > 0 else ring[::-1]


def plain_ears(ring: np.ndarray) -> list[tuple[int, int, int]]:
    """The twin: the first ear whose closed triangle holds no other corner, again and again."""
    left, triangles = list(range(len(ring))), []
    while len(left) > 3:
        for k in range(len(left)):
            a, b, c = left[k - 1], left[k], left[(k + 1) % len(left)]
            others = [ring[p] for p in left if p not in (a, b, c)]
            sides = [(ring[a], ring[b]), (ring[b], ring[c]), (ring[c], ring[a])]
            if turn(ring[a], ring[b], ring[c]) > 1e-14 and not any(
                all(turn(*side, p) >= -1e-14 for side in sides) for p in others
            ):
                break
        else:
            k = 0
            a, b, c = left[-1], left[0], left[1]
        triangles.append((a, b, c))
        del left[k]
    return [*triangles, tuple(left)]


def in_space(ring: np.ndarray, seed: int) -> np.ndarray:
    """The plane (n,2) turned, scaled and moved into space (n,3) by a seed; 0 leaves it be."""
    flat = np.column_stack([ring, np.zeros(len(ring))])
    if seed == 0:
        return flat
    rng = np.random.default_rng(seed)
    turned = flat @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return turned * 10.0 ** rng.integers(-3, 4) + rng.normal(size=3) * 10


def areas(places: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = places[triangles].transpose(1, 0, 2)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def assert_cut(ring: np.ndarray, seed: int) -> None:
    """The triangles have the ring's area and turn its way; all of its edges stay."""
    places, n = in_space(ring, seed), len(ring)
    triangles = triangulate(places, np.arange(n), np.array([n]))
    size = areas(places, np.array([[0, 1, 2]]))[0] / max(abs(turn(*ring[:3])) / 2, 1e-30)
    if abs(turn(*ring[:3])) > 1e-3:
        assert np.isclose(areas(places, triangles).sum(), abs(ring_area(ring)) * size, rtol=1e-9)
    assert all(turn(*ring[t]) > -1e-9 for t in triangles)
    ends = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    once = {tuple(e) for e in ends.tolist()} - {tuple(e[::-1]) for e in ends.tolist()}
    assert once == {(i, (i + 1) % n) for i in range(n)}
    assert len(triangles) == n - 2


@settings(max_examples=40)
@given(st.integers(4, 14), st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_any_simple_polygon_is_cut_into_its_area(corners: int, seed: int, grid: int) -> None:
    """Random ones, and (grid) ones full of corners in line with each other."""
    rng = np.random.default_rng(seed)
    points = rng.random((corners, 2))
    if grid:
        points = rng.permutation(np.unique(rng.integers(0, 3 + grid, (60, 2)), axis=0))[:corners]
    ring = untangled(points.astype(float))
    assert_cut(ring, seed % 3 * (seed % 1000))
    if ring_area(ring) > 1e-9:
        assert np.isclose(
            sum(abs(ring_area(ring[list(t)])) for t in plain_ears(ring / 8.0)),
            sum(abs(ring_area(ring[t])) for t in clip_ears(ring / 8.0)),
        )


def spiral(turns: int) -> np.ndarray:
    angle = np.linspace(0, turns * 2 * np.pi, 40 * turns)
    unit = np.column_stack([np.cos(angle), np.sin(angle)])
    return np.concatenate([unit * (1.5 + angle)[:, None], (unit * (1 + angle)[:, None])[::-1]])


def comb(teeth: int) -> np.ndarray:
    top = [(x, y) for k in range(teeth) for x, y in ((k, 1), (k, 9), (k + 0.5, 9), (k + 0.5, 1))]
    return np.array([*top, (teeth, 1), (teeth, 0), (0, 0)], float)[::-1]


@pytest.mark.parametrize("ring", [spiral(3), spiral(20), comb(4), comb(200)])
@pytest.mark.parametrize("seed", [0, 7])
def test_long_and_winding_polygons(ring: np.ndarray, seed: int) -> None:
    assert_cut(ring, seed)


@given(st.integers(3, 9), st.floats(0.3, 1.0), st.integers(0, 8))
def test_polygons_with_one_dent_are_cut_without_a_fold(corners, depth, dent) -> None:
    angle = 2 * np.pi * np.arange(corners) / corners
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    if corners > 3:
        ring[dent % corners] *= depth * np.cos(np.pi / corners)
    assert_cut(ring, 0)


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.02))
def test_a_bent_polygon_does_not_fold_seen_along_its_normal(seed: int, bend: float) -> None:
    """Not planar: what has to agree is the area seen along Newell's normal."""
    places = in_space(spiral(1) / 10, 0)
    places[:, 2] = bend * np.random.default_rng(seed).uniform(-1, 1, len(places))
    triangles = triangulate(places, np.arange(len(places)), np.array([len(places)]))
    normal = np.cross(places, np.roll(places, -1, axis=0)).sum(axis=0)
    normal /= np.linalg.norm(normal)
    a, b, c = places[triangles].transpose(1, 0, 2)
    seen = np.cross(b - a, c - a) @ normal / 2
    assert seen.min() > -1e-12
    whole = np.cross(places, np.roll(places, -1, axis=0)).sum(axis=0) @ normal / 2
    assert np.isclose(seen.sum(), whole)


def holes_of(seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """A square or a star, and holes in it that touch neither each other nor the outline."""
    rng = np.random.default_rng(seed)
    outline = SQUARE
    if seed % 2:
        angle = 2 * np.pi * np.arange(16) / 16
        outline = np.column_stack([np.cos(angle), np.sin(angle)]) * rng.uniform(4.5, 9, (16, 1))
    holes = []
    for x in range(-2, 3):
        for y in range(-2, 3):
            if rng.random() < 0.6:
                angle = 2 * np.pi * np.arange(m := int(rng.integers(3, 8))) / m
                hole = np.column_stack([np.cos(angle), np.sin(angle)]) * rng.uniform(0.1, 0.4)
                holes.append((hole + np.array([x, y]))[:: rng.choice([-1, 1])])
    return outline, holes


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_holes_are_left_out(seed: int) -> None:
    outline, holes = holes_of(seed)
    ends = np.cumsum([len(outline), *map(len, holes)])
    rings = [np.arange(end - n, end) for end, n in zip(ends, [len(outline), *map(len, holes)])]  # noqa: B905
    flat = np.concatenate([outline, *holes])
    places = in_space(flat, seed % 5)
    triangles = triangulate_with_holes(places, rings[0], rings[1:])
    wanted = ring_area(outline) - sum(abs(ring_area(hole)) for hole in holes)
    scale = areas(places, rings[0][None, :3])[0] / areas(in_space(flat, 0), rings[0][None, :3])[0]
    assert np.isclose(areas(places, triangles).sum(), wanted * scale)
    assert all(ring_area(flat[t]) > -1e-12 for t in triangles)
    assert len(triangles) == len(flat) + 2 * len(holes) - 2


def test_holes_that_touch_each_other() -> None:
    flat = np.concatenate([SQUARE, DIAMOND + RIGHT / 2, DIAMOND[::-1] + RIGHT * 1.5])
    places = in_space(flat, 0)
    triangles = triangulate_with_holes(places, np.arange(4), [np.arange(4, 8), np.arange(8, 12)])
    assert np.isclose(areas(places, triangles).sum(), 36 - 1)


@pytest.mark.parametrize("shift", [[9, 0], [3, 0], [2.7, 0.4]])
def test_a_hole_that_is_not_inside_is_refused(shift) -> None:
    places = in_space(np.concatenate([SQUARE, DIAMOND + shift]), 0)
    with pytest.raises(MeshError, match="not inside") as caught:
        triangulate_with_holes(places, np.arange(4), [np.arange(4, 8)])
    assert caught.value.reason == "unreadable"


def test_a_polygon_may_carry_its_hole_on_a_bridge() -> None:
    """As one long face: out along the bridge, round the hole, and back."""
    ring = np.concatenate([SQUARE, SQUARE[:1], DIAMOND[:1], DIAMOND[:0:-1], DIAMOND[:1]])
    by_index = np.array([0, 1, 2, 3, 0, 4, 7, 6, 5, 4])
    places = in_space(np.concatenate([SQUARE, DIAMOND]), 0)
    for cut in (
        areas(in_space(ring, 3), triangulate(in_space(ring, 3), np.arange(10), np.array([10])))
        / areas(in_space(SQUARE, 3), np.array([[0, 1, 2]]))
        * 18,
        areas(places, triangulate(places, by_index, np.array([10]))),
    ):
        assert np.isclose(cut.sum(), 35.5)


@pytest.mark.parametrize("ring", [comb(4), SQUARE, DIAMOND])
@pytest.mark.parametrize("length", [0.02, 0.2, 40.0])
def test_a_spike_without_area_costs_none(ring: np.ndarray, length: float) -> None:
    """The outline goes out along a line and comes back, over a corner on the way."""
    for corner, at in enumerate(ring):
        before, after = ring[corner - 1] - at, ring[(corner + 1) % len(ring)] - at
        away = -before / np.linalg.norm(before) - after / np.linalg.norm(after)
        if length > 1 and len(ring) > 4:  # it would cross the teeth
            continue
        tip = at + np.array([0.4, 1.0, 0.4, 0.0])[:, None] * away * length
        spiked = np.concatenate([ring[: corner + 1], tip, ring[corner + 1 :]])
        triangles = triangulate(
            in_space(spiked, 0), np.arange(len(spiked)), np.array([len(spiked)])
        )
        assert np.isclose(areas(in_space(spiked, 0), triangles).sum(), abs(ring_area(ring)))


def test_doubled_corners_cost_no_area() -> None:
    ring = np.repeat(comb(4), np.arange(19) % 3 + 1, axis=0)
    places = in_space(ring, 0)
    triangles = triangulate(places, np.arange(len(ring)), np.array([len(ring)]))
    assert np.isclose(areas(places, triangles).sum(), abs(ring_area(comb(4))))


def test_polygons_keep_their_order_and_small_ones_are_marked() -> None:
    places = in_space(np.concatenate([SQUARE, DIAMOND]), 0)
    corners, counts = np.array([0, 1, 2, 3, 4, 5, 4, 5, 6]), np.array([4, 2, 3])
    got = triangulate(places, corners, counts)
    assert got.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 5], [4, 5, 6]]
    assert triangulate(places, np.array([0, 1]), np.array([2])).shape == (0, 3)


def test_a_polygon_that_crosses_itself_still_ends() -> None:
    rng = np.random.default_rng(0)
    for n in (4, 5, 50, 600):
        triangles = triangulate(rng.normal(size=(n, 3)), np.arange(n), np.array([n]))
        assert triangles.shape == (n - 2, 3)


def test_a_concave_polygon_of_too_many_corners_is_refused() -> None:
    ring = in_space(spiral(MOST_CONCAVE // 80 + 1), 0)
    with pytest.raises(MeshError, match="corners") as caught:
        triangulate(ring, np.arange(len(ring)), np.array([len(ring)]))
    assert caught.value.reason == "too-large"


@pytest.mark.parametrize(
    ("name", "area", "volume"), [("letter_E.obj", 54, 13), ("gear_ngon.obj", 15.684, 1.6607)]
)
def test_concave_caps_of_a_file(name: str, area: float, volume: float) -> None:
    mesh = load_mesh(CASES / name)
    a, b, c = mesh.triangles.transpose(1, 0, 2)
    assert np.isclose(areas(mesh.vertices, mesh.faces).sum(), area, rtol=1e-4)
    assert np.isclose((a * np.cross(b, c)).sum() / 6, volume, rtol=1e-4)


def test_the_wall_with_a_hole(meshes_dir: Path) -> None:
    mesh = load_mesh(meshes_dir / "messy" / "wallhole_degenerate.obj")
    assert np.isclose(areas(mesh.vertices, mesh.faces).sum(), 580 + 100 * np.sqrt(2))
