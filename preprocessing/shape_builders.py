"""Solids from outlines and profiles, made of named patches so that their true edges are known.

A patch is a piece of surface that is smooth by design: the facets of a cylinder's wall are one
patch, its caps two more. A true edge lies between two patches, so the small angles between the
facets that stand for one curved patch never count as edges.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from preprocessing.mesh import Mesh

SMALLEST_ANGLE = 1.0
"""Degrees below which a line between two patches is no edge (tangent patches meet there)."""

BOUNDARY_ANGLE = 180.0
"""Degrees of a rim of an open sheet: the surface around the sheet turns back on itself there."""


@dataclass(frozen=True)
class Shape:
    """A mesh whose edges are known.

    `true_edges` float64 (K,2,3) are segments in the mesh's own frame, `true_angles` float64 (K,)
    the angles between the two face normals in degrees. Only edges that can be seen from outside
    are listed; the rim of an open sheet counts with 180 degrees. `smooth` shapes have none.
    """

    id: str
    kind: str
    mesh: Mesh
    true_edges: np.ndarray
    true_angles: np.ndarray
    smooth: bool


@dataclass(frozen=True)
class Patches:
    """Vertices (V,3), faces (F,3) and the patch (F,) that each face belongs to."""

    vertices: np.ndarray
    faces: np.ndarray
    labels: np.ndarray


def extrude(outline: np.ndarray, height: float, labels: np.ndarray | None = None) -> Patches:
    """A solid over a simple counter-clockwise outline (N,2), between z = -height/2 and height/2.

    `labels` (N,) name the patch of the wall over outline edge i -> i+1; by default each wall is a
    patch of its own. The caps are two more patches.
    """
    count = len(outline)
    labels = np.arange(count) if labels is None else np.asarray(labels)
    low = np.column_stack([outline, np.full(count, -height / 2)])
    high = np.column_stack([outline, np.full(count, height / 2)])
    here, after = np.arange(count), (np.arange(count) + 1) % count
    walls = np.concatenate(
        [
            np.column_stack([here, after, after + count]),
            np.column_stack([here, after + count, here + count]),
        ]
    )
    cap = clip_ears(outline)
    bottom, top = labels.max() + 1, labels.max() + 2
    return Patches(
        np.concatenate([low, high]),
        np.concatenate([walls, cap[:, ::-1], cap + count]),
        np.concatenate([labels, labels, np.full(len(cap), bottom), np.full(len(cap), top)]),
    )


def revolve(
    profile: np.ndarray, labels: np.ndarray, segments: int, closed: bool = False
) -> Patches:
    """Turn a profile (N,2) of (radius, z) around z. Radius 0 closes onto the axis.

    The solid lies to the left of the profile. `labels` name the patch of each profile segment:
    N - 1 of them, or N when the profile is `closed` (a ring that never meets the axis).
    """
    profile = np.asarray(profile, np.float64)
    turn = 2 * np.pi * np.arange(segments) / segments
    sizes = np.where(profile[:, 0] == 0, 1, segments)
    starts = np.cumsum(sizes) - sizes
    vertices = []
    for radius, z in profile:
        if radius == 0:
            vertices.append(np.array([[0.0, 0.0, z]]))
        else:
            vertices.append(
                np.column_stack(
                    [radius * np.cos(turn), radius * np.sin(turn), np.full(segments, z)]
                )
            )
    here, after = np.arange(segments), (np.arange(segments) + 1) % segments
    faces, face_labels = [], []
    for index, label in enumerate(labels):
        beyond = (index + 1) % len(profile) if closed else index + 1
        low, high = starts[index], starts[beyond]
        if profile[index, 0] == 0:
            part = np.column_stack([np.full(segments, low), high + after, high + here])
        elif profile[beyond, 0] == 0:
            part = np.column_stack([low + here, low + after, np.full(segments, high)])
        else:
            part = np.concatenate(
                [
                    np.column_stack([low + here, low + after, high + after]),
                    np.column_stack([low + here, high + after, high + here]),
                ]
            )
        faces.append(part)
        face_labels.append(np.full(len(part), label))
    return Patches(np.concatenate(vertices), np.concatenate(faces), np.concatenate(face_labels))


def clip_ears(outline: np.ndarray) -> np.ndarray:
    """Triangulate a simple counter-clockwise polygon (N,2) by ear clipping: faces (N-2, 3).

    The fattest ear goes first: thin ears leave corners on one line behind, which cannot be cut.
    """
    remaining = list(range(len(outline)))
    faces = []
    while len(remaining) > 3:
        ears = [ear_at(outline, remaining, position) for position in range(len(remaining))]
        fattest = int(np.argmax(ears))
        if ears[fattest] <= 1e-6:
            raise ValueError("the outline is not a simple counter-clockwise polygon")
        after = remaining[(fattest + 1) % len(remaining)]
        faces.append((remaining[fattest - 1], remaining.pop(fattest), after))
    faces.append((remaining[0], remaining[1], remaining[2]))
    return np.array(faces)


def ear_at(outline: np.ndarray, remaining: list[int], position: int) -> float:
    """Twice the area over the squared longest side of the ear at a corner; 0 where none is."""
    trio = [
        remaining[position - 1],
        remaining[position],
        remaining[(position + 1) % len(remaining)],
    ]
    a, b, c = outline[trio]
    others = outline[[i for i in remaining if i not in trio]]
    area = float(cross(b - a, c - a))
    if area <= 0 or inside_triangle(others, a, b, c).any():
        return 0.0
    return area / float(max(((b - a) ** 2).sum(), ((c - b) ** 2).sum(), ((a - c) ** 2).sum()))


def inside_triangle(points: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Which of `points` (N,2) lie in or on the counter-clockwise triangle."""
    return (
        (cross(b - a, points - a) >= 0)
        & (cross(c - b, points - b) >= 0)
        & (cross(a - c, points - c) >= 0)
    )


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The z component of the cross product of plane vectors (...,2)."""
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def finish(kind: str, patches: Patches, pose: np.ndarray | None = None) -> Shape:
    """Find the true edges of patches and turn the whole by a rotation matrix `pose` (3,3)."""
    vertices = patches.vertices if pose is None else patches.vertices @ np.asarray(pose).T
    edges, angles = edges_between_patches(Patches(vertices, patches.faces, patches.labels))
    return Shape(
        kind, kind, Mesh(vertices, patches.faces), vertices[edges], angles, len(edges) == 0
    )


def edges_between_patches(patches: Patches) -> tuple[np.ndarray, np.ndarray]:
    """Edges (K,2) between patches, or with one face only, and their angles (K,) in degrees."""
    faces = patches.faces
    corners = patches.vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    halves = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    owner = np.tile(np.arange(len(faces)), 3)
    order = np.lexsort((owner, halves[:, 1], halves[:, 0]))
    edges, first, uses = np.unique(halves[order], axis=0, return_index=True, return_counts=True)
    if uses.max() > 2:
        raise ValueError("more than two faces meet at an edge")
    one = owner[order[first]]
    two = owner[order[np.minimum(first + 1, len(order) - 1)]]
    sine = np.linalg.norm(np.cross(normals[one], normals[two]), axis=1)
    angles = np.degrees(np.arctan2(sine, (normals[one] * normals[two]).sum(axis=1)))
    angles[uses == 1] = BOUNDARY_ANGLE
    true = (uses == 1) | ((patches.labels[one] != patches.labels[two]) & (angles > SMALLEST_ANGLE))
    return edges[true], angles[true]


def joined(parts: Iterable[Mesh]) -> Mesh:
    """Several meshes as one, vertices and faces in the order of the parts."""
    meshes = list(parts)
    offsets = np.cumsum([0] + [len(m.vertices) for m in meshes])
    faces = [m.faces + o for m, o in zip(meshes, offsets[:-1], strict=True)]
    return Mesh(np.concatenate([m.vertices for m in meshes]), np.concatenate(faces))


def combine(kind: str, parts: list[Shape], hidden: list[Shape] | None = None) -> Shape:
    """Several shapes as one mesh. `hidden` parts add faces, but no edges that can be seen."""
    return Shape(
        kind,
        kind,
        joined(part.mesh for part in parts + (hidden or [])),
        np.concatenate([part.true_edges for part in parts]),
        np.concatenate([part.true_angles for part in parts]),
        all(part.smooth for part in parts),
    )


def moved(shape: Shape, shift: np.ndarray, pose: np.ndarray | None = None) -> Shape:
    """The shape turned by `pose` (3,3) about the origin and then shifted by `shift` (3,)."""
    turn = np.eye(3) if pose is None else np.asarray(pose)
    return Shape(
        shape.id,
        shape.kind,
        Mesh(shape.mesh.vertices @ turn.T + shift, shape.mesh.faces),
        shape.true_edges @ turn.T + shift,
        shape.true_angles,
        shape.smooth,
    )
