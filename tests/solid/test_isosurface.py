"""Marching cubes over bricks: closed and manifold for every sign pattern, whatever the values."""

import itertools

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_offset import plain_topology

from preprocessing.mesh import Mesh
from preprocessing.solid.audit import topology
from preprocessing.solid.bricks import BrickField, grid_points, spacing
from preprocessing.solid.isosurface import extract_isosurface, extract_surface, open_neighbours
from preprocessing.solid.isosurface_tables import (
    EDGE_CORNERS,
    FACE_CYCLES,
    FACE_EDGES,
    cell_loops,
    face_segments,
    triangle_table,
)


def dense_field(values: np.ndarray, kind: type = np.float64) -> BrickField:
    """A field on all bricks of a cube of corner values (8n+1,)*3."""
    count = (values.shape[0] - 1) // 8
    bricks = np.array(list(itertools.product(range(count), repeat=3)))
    cut = [values[8 * x : 8 * x + 9, 8 * y : 8 * y + 9, 8 * z : 8 * z + 9] for x, y, z in bricks]
    return BrickField(8 * count, bricks, np.array(cut, kind))


def ball(resolution: int, radius: float = 0.7, center: float = 0.0) -> BrickField:
    """radius - |x - center| on all bricks."""
    count = -(-resolution // 8)
    bricks = np.array(list(itertools.product(range(count), repeat=3)))
    points = grid_points(resolution, bricks)
    return BrickField(resolution, bricks, radius - np.linalg.norm(points - center, axis=-1))


def assert_sound(mesh: Mesh) -> None:
    found = topology(mesh)
    assert found.watertight
    assert found.edge_manifold
    assert found.vertex_manifold
    assert found.volume > 0
    assert found.vertices == len(mesh.vertices)


def test_every_pattern_uses_each_crossed_edge_on_one_loop() -> None:
    for pattern in range(256):
        crossed = {
            edge
            for edge, (a, b) in enumerate(EDGE_CORNERS)
            if (pattern >> a & 1) != (pattern >> b & 1)
        }
        on_loops = [edge for loop in cell_loops(pattern) for edge in loop]
        assert sorted(on_loops) == sorted(crossed)
        counts, edges = triangle_table()
        used = set(edges[pattern, : counts[pattern]].ravel().tolist())
        assert used == crossed


def test_neighbours_draw_the_same_segments_on_their_common_face() -> None:
    """Cell faces 2i and 2i + 1 lie opposite; corner c of one is corner c ^ step of the other."""
    for face in (0, 2, 4):
        step = FACE_CYCLES[face][0] ^ min(FACE_CYCLES[face + 1])
        shift = {
            edge: EDGE_CORNERS.index((a | step, b | step))
            for edge, (a, b) in enumerate(EDGE_CORNERS)
            if edge in FACE_EDGES[face]
        }
        for signs in itertools.product((0, 1), repeat=4):
            low = sum(on << c for on, c in zip(signs, FACE_CYCLES[face], strict=True))
            high = sum(on << (c | step) for on, c in zip(signs, FACE_CYCLES[face], strict=True))
            here = {(shift[b], shift[a]) for a, b in face_segments(low, face)}
            assert here == set(face_segments(high, face + 1))


@pytest.mark.parametrize("join", ["inside", "outside"])
def test_no_triangle_edge_inside_a_cell_lies_in_a_cell_face(join: str) -> None:
    """Such a diagonal could be drawn by the neighbour as well: an edge with four triangles."""
    counts, edges = triangle_table(join)
    for pattern in range(256):
        drawn = pattern if join == "inside" else 255 - pattern
        segments = {frozenset(s) for face in range(6) for s in face_segments(drawn, face)}
        for triangle in edges[pattern, : counts[pattern]].tolist():
            for pair in itertools.combinations(triangle, 2):
                in_face = any({*pair} <= face for face in FACE_EDGES)
                assert not in_face or frozenset(pair) in segments


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]), st.floats(0.05, 0.95))
def test_random_signs_give_a_closed_manifold(seed: int, kind: type, share: float) -> None:
    generator = np.random.default_rng(seed)
    values = generator.random((17, 17, 17)) - (1 - share)
    values[[0, -1]] = values[:, [0, -1]] = values[:, :, [0, -1]] = -1
    mesh = extract_isosurface(dense_field(values, kind))
    assert_sound(mesh)
    assert plain_topology(mesh.faces) == (True, True, True)
    other = extract_surface(dense_field(values, kind), join="outside")
    assert_sound(Mesh(other.vertices, other.faces))
    assert plain_topology(other.faces) == (True, True, True)


def test_two_corners_across_a_face_are_joined_or_not() -> None:
    """Two corners inside across a cell face: one part or two; of two outside the reverse."""
    values = np.full((9, 9, 9), -1.0)
    values[4, 4, 4] = values[4, 5, 5] = 1.0
    for sign, joined in ((1, "inside"), (-1, "outside")):
        for join in ("inside", "outside"):
            field = values if sign > 0 else -values
            if sign < 0:
                field[[0, -1]] = field[:, [0, -1]] = field[:, :, [0, -1]] = -1
            found = extract_surface(dense_field(field.copy()), join=join)
            shells = 1 if sign > 0 else 2  # the outer shell of the block besides
            parts = topology(Mesh(found.vertices, found.faces)).components
            assert parts == shells + (join != joined)


def test_values_equal_to_the_level_do_not_open_the_surface() -> None:
    values = np.random.default_rng(0).integers(-1, 2, (17, 17, 17)).astype(float)
    values[[0, -1]] = values[:, [0, -1]] = values[:, :, [0, -1]] = -1
    assert_sound(extract_isosurface(dense_field(values)))


@pytest.mark.parametrize("resolution", [24, 30, 64])
def test_a_ball_is_a_ball(resolution: int) -> None:
    mesh = extract_isosurface(ball(resolution))
    assert_sound(mesh)
    assert topology(mesh).euler == 2
    radii = np.linalg.norm(mesh.vertices, axis=1)
    assert np.abs(radii - 0.7).max() < spacing(resolution) ** 2
    normal = np.cross(
        mesh.triangles[:, 1] - mesh.triangles[:, 0], mesh.triangles[:, 2] - mesh.triangles[:, 0]
    )
    assert ((normal * mesh.triangles.mean(axis=1)).sum(axis=1) > -1e-12).all()


def test_the_level_shifts_the_surface() -> None:
    radii = np.linalg.norm(extract_isosurface(ball(64), level=0.2).vertices, axis=1)
    assert np.abs(radii - 0.5).max() < spacing(64) ** 2


def test_brick_order_changes_nothing_but_the_numbering() -> None:
    field = ball(32)
    order = np.random.default_rng(0).permutation(len(field.bricks))
    shuffled = extract_isosurface(BrickField(32, field.bricks[order], field.values[order]))
    mesh = extract_isosurface(field)
    assert {tuple(v) for v in mesh.vertices} == {tuple(v) for v in shuffled.vertices}
    assert len(mesh.faces) == len(shuffled.faces)
    assert_sound(shuffled)


def test_open_neighbours_names_exactly_the_missing_brick() -> None:
    field = ball(24, center=0.2)
    missing = np.flatnonzero((field.bricks == [1, 2, 1]).all(axis=1))[0]
    rest = np.delete(np.arange(len(field.bricks)), missing)
    cut = BrickField(24, field.bricks[rest], field.values[rest])
    np.testing.assert_array_equal(open_neighbours(cut), [[1, 2, 1]])
    with pytest.raises(ValueError, match="open_neighbours"):
        extract_isosurface(cut)
    assert open_neighbours(field).shape == (0, 3)


def test_adding_open_neighbours_from_one_brick_finds_the_whole_surface() -> None:
    whole = ball(48)
    lookup = {tuple(brick): row for row, brick in enumerate(whole.bricks.tolist())}
    rows = [lookup[4, 3, 3]]
    while True:
        field = BrickField(48, whole.bricks[rows], whole.values[rows])
        more = open_neighbours(field)
        if not len(more):
            break
        rows += [lookup[tuple(brick)] for brick in more.tolist()]
    assert len(rows) < len(lookup)
    assert len(extract_isosurface(field).faces) == len(extract_isosurface(whole).faces)


def test_a_surface_through_the_border_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves the bricks"):
        extract_isosurface(ball(24, radius=1.2))


def test_nothing_inside_gives_an_empty_mesh() -> None:
    mesh = extract_isosurface(ball(24, radius=-0.1))
    assert mesh.faces.shape == (0, 3)


def test_clearance_keeps_vertices_off_the_corners() -> None:
    cells = (extract_surface(ball(64), clearance=0.1).vertices + 1.05) / spacing(64)
    assert np.abs(cells - np.round(cells)).max(axis=1).min() > 0.1 - 1e-9


def test_thread_count_changes_no_byte() -> None:
    before = extract_isosurface(ball(40))
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        after = extract_isosurface(ball(40))
    finally:
        numba.set_num_threads(threads)
    assert before.vertices.tobytes() == after.vertices.tobytes()
    assert before.faces.tobytes() == after.faces.tobytes()
