"""Kernels on closed surfaces: connected components, their volumes, which lies in which."""

import math

import numba as nb
import numpy as np

from preprocessing.frame import HALF_WIDTH


@nb.njit(cache=True)
def component_volumes(vertices, faces, component, count):  # type: ignore[no-untyped-def]
    """Signed volume and first face of each component, float64 (C,) and int64 (C,)."""
    volume = np.zeros(count, np.float64)
    first = np.full(count, -1, np.int64)
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        shell = component[a]
        if first[shell] < 0:
            first[shell] = f
        o = faces[first[shell], 0]
        ox, oy, oz = vertices[o, 0], vertices[o, 1], vertices[o, 2]
        ax, ay, az = vertices[a, 0] - ox, vertices[a, 1] - oy, vertices[a, 2] - oz
        bx, by, bz = vertices[b, 0] - ox, vertices[b, 1] - oy, vertices[b, 2] - oz
        cx, cy, cz = vertices[c, 0] - ox, vertices[c, 1] - oy, vertices[c, 2] - oz
        volume[shell] += (
            ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
        )
    return volume / 6.0, first


@nb.njit(cache=True)
def _crossing(vertices, faces, f, x, y, z):  # type: ignore[no-untyped-def]
    """Sign with which the ray from (x, y, z) towards +z leaves face f, 0 for a miss."""
    ax, ay = vertices[faces[f, 0], 0] - x, vertices[faces[f, 0], 1] - y
    bx, by = vertices[faces[f, 1], 0] - x, vertices[faces[f, 1], 1] - y
    cx, cy = vertices[faces[f, 2], 0] - x, vertices[faces[f, 2], 1] - y
    u = bx * cy - by * cx
    v = cx * ay - cy * ax
    w = ax * by - ay * bx
    if not ((u > 0 and v > 0 and w > 0) or (u < 0 and v < 0 and w < 0)):
        return 0
    area = u + v + w
    height = (
        u * vertices[faces[f, 0], 2] + v * vertices[faces[f, 1], 2] + w * vertices[faces[f, 2], 2]
    ) / area
    if height <= z:
        return 0
    return 1 if area > 0 else -1


@nb.njit(parallel=True, cache=True)
def windings(points, own, vertices, faces, component, weight, first_face, lookup, width):  # type: ignore[no-untyped-def]
    """Sum over the components, but each point's own, of weight times winding number, int64 (P,).

    Faces are grouped by brick (first_face) and lie inside their brick, so a ray along z meets only
    the bricks of one column.
    """
    found = np.zeros(points.shape[0], np.int64)
    n = lookup.shape[0]
    for p in nb.prange(points.shape[0]):
        x, y, z = points[p, 0], points[p, 1], points[p, 2]
        bx = min(max(int((x + HALF_WIDTH) / width), 0), n - 1)
        by = min(max(int((y + HALF_WIDTH) / width), 0), n - 1)
        for bz in range(min(max(int((z + HALF_WIDTH) / width), 0), n - 1), n):
            b = lookup[bx, by, bz]
            if b < 0:
                continue
            for f in range(first_face[b], first_face[b + 1]):
                shell = component[faces[f, 0]]
                if shell != own[p] and weight[shell] != 0:
                    found[p] += weight[shell] * _crossing(vertices, faces, f, x, y, z)
    return found


@nb.njit(parallel=True, cache=True)
def solid_angles(points, triangles):  # type: ignore[no-untyped-def]
    """Generalised winding number float64 (P,) of triangles (F,3,3) by summing solid angles.

    Van Oosterom and Strackee 1983; any mesh, open or not.
    """
    found = np.empty(points.shape[0], np.float64)
    for p in nb.prange(points.shape[0]):
        total = 0.0
        for t in range(triangles.shape[0]):
            ax, ay, az = triangles[t, 0] - points[p]
            bx, by, bz = triangles[t, 1] - points[p]
            cx, cy, cz = triangles[t, 2] - points[p]
            a = math.sqrt(ax * ax + ay * ay + az * az)
            b = math.sqrt(bx * bx + by * by + bz * bz)
            c = math.sqrt(cx * cx + cy * cy + cz * cz)
            volume = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
            flat = (
                a * b * c
                + (ax * bx + ay * by + az * bz) * c
                + (bx * cx + by * cy + bz * cz) * a
                + (cx * ax + cy * ay + cz * az) * b
            )
            total += math.atan2(volume, flat)
        found[p] = total / (2.0 * math.pi)
    return found


@nb.njit(cache=True)
def keep_components(faces, component, kept, first_vertex, first_face):  # type: ignore[no-untyped-def]
    """Vertices and faces of the kept components, renumbered; ranges per brick likewise.

    Returns (old vertex of each new one int32, faces int32, first_vertex, first_face).
    """
    bricks = first_vertex.shape[0] - 1
    new = np.full(component.shape[0], -1, np.int32)
    old = np.empty(component.shape[0], np.int32)
    chosen = np.empty_like(faces)
    starts = np.zeros(bricks + 1, np.int64)
    face_starts = np.zeros(bricks + 1, np.int64)
    v = 0
    for b in range(bricks):
        for i in range(first_vertex[b], first_vertex[b + 1]):
            if kept[component[i]]:
                new[i] = v
                old[v] = i
                v += 1
        starts[b + 1] = v
    f = 0
    for b in range(bricks):
        for i in range(first_face[b], first_face[b + 1]):
            if kept[component[faces[i, 0]]]:
                for corner in range(3):
                    chosen[f, corner] = new[faces[i, corner]]
                f += 1
        face_starts[b + 1] = f
    return old[:v].copy(), chosen[:f].copy(), starts, face_starts
