"""Half-edges, counts of edges and components against dictionaries and scipy."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from preprocessing.half_edge_kernels import BOUNDARY, COLLAPSED, NONMANIFOLD, match_half_edges
from preprocessing.half_edges import count_components, duplicate_faces, edge_faults, open_edges
from preprocessing.shapes import box

Edges = dict[tuple[int, int], list[tuple[int, bool]]]


def plain_edges(faces: np.ndarray) -> Edges:
    """Edge -> its half-edges and whether each runs from the lower vertex, by a dictionary."""
    edges: Edges = {}
    for f, face in enumerate(faces.tolist()):
        for k in range(3):
            a, b = face[k], face[(k + 1) % 3]
            if len(set(face)) == 3:
                edges.setdefault((min(a, b), max(a, b)), []).append((3 * f + k, a < b))
    return edges


def random_faces(seed: int, count: int, vertices: int) -> np.ndarray:
    """Faces that share edges in every way, some of them naming a vertex twice."""
    return np.random.default_rng(seed).integers(0, vertices, (count, 3))


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(3, 7))
def test_random_faces_against_dictionaries(seed: int, count: int, vertices: int) -> None:
    faces = random_faces(seed, count, vertices)
    edges, found = plain_edges(faces), edge_faults(faces)
    uses = {edge: len(halves) for edge, halves in edges.items()}
    balance = {e: sum(1 if up else -1 for _, up in halves) for e, halves in edges.items()}
    assert found.edges == len(edges)
    assert found.open_edges == sum(n == 1 for n in uses.values())
    assert found.nonmanifold_edges == sum(n > 2 for n in uses.values())
    assert found.flipped_edges == sum(uses[e] == 2 and balance[e] != 0 for e in edges)
    assert found.unbalanced_edges == sum(b != 0 for b in balance.values())
    assert [tuple(e) for e in open_edges(faces)] == sorted(e for e in edges if uses[e] == 1)
    expected = np.full(3 * count, COLLAPSED)
    for halves in edges.values():
        rows = [h for h, _ in halves]
        code = BOUNDARY if len(rows) == 1 else NONMANIFOLD
        expected[rows] = rows[::-1] if len(rows) == 2 else code
    np.testing.assert_array_equal(match_half_edges(faces, vertices).mates, expected)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(3, 30))
def test_components_against_scipy(seed: int, count: int, vertices: int) -> None:
    faces = random_faces(seed, count, vertices)
    rows, columns = faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel()
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), (vertices, vertices))
    groups = connected_components(graph, directed=False)[0]
    unused = vertices - len(np.unique(faces))
    assert count_components(faces, vertices) == groups - unused


def test_a_fan_of_more_than_64_edges_round_a_vertex() -> None:
    """The longer of the kernel's two ways of sorting."""
    rim = np.arange(1, 101)
    faces = np.stack([np.zeros(100, int), rim, np.roll(rim, -1)], axis=1)
    found = edge_faults(np.random.default_rng(0).permutation(faces))
    assert (found.edges, found.open_edges, found.flipped_edges) == (200, 100, 0)


def test_a_face_given_twice_in_another_order_is_a_copy() -> None:
    faces = box().mesh.faces
    assert duplicate_faces(faces) == 0
    assert duplicate_faces(np.vstack([faces, np.roll(faces[:3], 1, axis=1)])) == 3
