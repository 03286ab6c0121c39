"""Compiled building of the bounding-volume hierarchies that distances and winding numbers walk.

Notable:
- two hierarchies over one order of triangles: a binary one of axis-aligned boxes (rays of the
  winding number), and a 16-wide one of oriented boxes, which lie along the surface (nearest
  triangle): a point far from a fine mesh opens few of them, where axis-aligned boxes all seem
  equally near;
- a node of the latter is a float32 block (ROWS, WIDE) with one child to a column, so that one loop
  over the columns measures all children at once in vector registers. A leaf's columns are its
  triangles;
- such a block is relative to the centre of its own box and in units of the tree, so that rounding
  is a share of the box's size: `SLACK` in `distance_kernels` allows for it.
"""

import numba
import numpy as np

LEAF = WIDE = 16  # triangles to a leaf, children to a wide node: float32 columns of a vector or two
BOX = 8  # triangles to a leaf of the binary tree
# Of a leaf: corners a, b, c, unit normal, inverse squared lengths of ab, bc, ca.
# Of an inner node: three unit axes, the last the mean normal, low and high limits along them.
ROWS = 15
SHORTEST = 1e-30  # squared length below which an edge counts as a point (1e-15 of the mesh)


@numba.njit(cache=True, nogil=True)
def face_centres(vertices, faces):  # type: ignore[no-untyped-def]
    """Three times the centre of each face: x, y, z float64 (F,)."""
    x, y, z = np.empty(len(faces)), np.empty(len(faces)), np.empty(len(faces))
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        x[f] = vertices[a, 0] + vertices[b, 0] + vertices[c, 0]
        y[f] = vertices[a, 1] + vertices[b, 1] + vertices[c, 1]
        z[f] = vertices[a, 2] + vertices[b, 2] + vertices[c, 2]
    return x, y, z


@numba.njit(cache=True, nogil=True)
def gather(vertices, faces, order):  # type: ignore[no-untyped-def]
    """Corners float64 (F,3,3) and vertex rows int64 (F,3) of the faces in `order` (F,)."""
    rows = np.empty((len(order), 3), np.int64)
    triangles = np.empty((len(order), 3, 3))
    for t in range(len(order)):
        for corner in range(3):
            rows[t, corner] = faces[order[t], corner]
            for axis in range(3):
                triangles[t, corner, axis] = vertices[rows[t, corner], axis]
    return triangles, rows


@numba.njit(cache=True, nogil=True)
def build_boxes(triangles, leaves):  # type: ignore[no-untyped-def]
    """Boxes float64 (2 leaves - 1, 6) of the implicit binary tree: low xyz, high xyz.

    `triangles` float64 (F,3,3) in tree order, `BOX` of them to a leaf, `leaves` a power of two;
    children of node i are 2i + 1 and 2i + 2. Empty leaves get a box that nothing is in.
    """
    boxes = np.empty((2 * leaves - 1, 6))
    boxes[:, :3] = np.inf
    boxes[:, 3:] = -np.inf
    for t in range(len(triangles)):
        node = leaves - 1 + t // BOX
        for corner in range(3):
            for axis in range(3):
                value = triangles[t, corner, axis]
                boxes[node, axis] = min(boxes[node, axis], value)
                boxes[node, 3 + axis] = max(boxes[node, 3 + axis], value)
    for node in range(leaves - 2, -1, -1):
        for axis in range(3):
            boxes[node, axis] = min(boxes[2 * node + 1, axis], boxes[2 * node + 2, axis])
            boxes[node, 3 + axis] = max(
                boxes[2 * node + 1, 3 + axis], boxes[2 * node + 2, 3 + axis]
            )
    return boxes


@numba.njit(cache=True, nogil=True)
def place_box(triangles, begin, end, scale, centre):  # type: ignore[no-untyped-def]
    """Fill `centre` (4,): middle of the box of triangles[begin:end], squared half diagonal in units
    of the tree."""
    lx = ly = lz = np.inf
    hx = hy = hz = -np.inf
    for t in range(begin, end):
        for corner in range(3):
            x, y, z = triangles[t, corner, 0], triangles[t, corner, 1], triangles[t, corner, 2]
            lx, hx = min(lx, x), max(hx, x)
            ly, hy = min(ly, y), max(hy, y)
            lz, hz = min(lz, z), max(hz, z)
    centre[0], centre[1], centre[2] = lx + (hx - lx) / 2, ly + (hy - ly) / 2, lz + (hz - lz) / 2
    x, y, z = (hx - lx) / 2 * scale, (hy - ly) / 2 * scale, (hz - lz) / 2 * scale
    centre[3] = x * x + y * y + z * z


@numba.njit(cache=True, parallel=True, nogil=True)
def build_leaves(triangles, scale, blocks, centres):  # type: ignore[no-untyped-def]
    """Fill `blocks` float32 (leaves,ROWS,WIDE) and `centres` float64 (leaves,4) of the leaves.

    A unit of the tree is 1 / scale units of the mesh.
    """
    for n in numba.prange(len(blocks)):
        begin, end = n * LEAF, min((n + 1) * LEAF, len(triangles))
        place_box(triangles, begin, end, scale, centres[n])
        block = blocks[n]
        block[:] = np.float32(0)
        for t in range(begin, end):
            j = t - begin
            for corner in range(3):
                for axis in range(3):
                    value = (triangles[t, corner, axis] - centres[n, axis]) * scale
                    block[3 * corner + axis, j] = np.float32(value)
            ux, uy, uz = side(triangles, t, 0, 1)
            vx, vy, vz = side(triangles, t, 0, 2)
            nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
            size = np.sqrt(nx * nx + ny * ny + nz * nz)
            if size > 0:
                block[9, j], block[10, j], block[11, j] = nx / size, ny / size, nz / size
            for k in range(3):
                squared = np.float32(0)
                for axis in range(3):
                    d = block[3 * ((k + 1) % 3) + axis, j] - block[3 * k + axis, j]
                    squared += d * d
                if squared > SHORTEST:
                    block[12 + k, j] = np.float32(1) / squared


@numba.njit(cache=True, inline="always")
def side(triangles, t, start, stop):  # type: ignore[no-untyped-def]
    """Vector from one corner of a triangle to another."""
    return (
        triangles[t, stop, 0] - triangles[t, start, 0],
        triangles[t, stop, 1] - triangles[t, start, 1],
        triangles[t, stop, 2] - triangles[t, start, 2],
    )


@numba.njit(cache=True, nogil=True)
def surface_axes(triangles, begin, end, axes):  # type: ignore[no-untyped-def]
    """Fill `axes` (9,): three unit axes of triangles[begin:end], the last their mean normal."""
    nx = ny = nz = 0.0
    tx, ty, tz, longest = 1.0, 0.0, 0.0, 0.0
    for t in range(begin, end):
        ux, uy, uz = side(triangles, t, 0, 1)
        vx, vy, vz = side(triangles, t, 0, 2)
        nx += uy * vz - uz * vy
        ny += uz * vx - ux * vz
        nz += ux * vy - uy * vx
        if ux * ux + uy * uy + uz * uz > longest:
            longest = ux * ux + uy * uy + uz * uz
            tx, ty, tz = ux, uy, uz
    size = np.sqrt(nx * nx + ny * ny + nz * nz)
    if size > 0:
        nx, ny, nz = nx / size, ny / size, nz / size
    else:
        nx, ny, nz = 0.0, 0.0, 1.0
    dot = tx * nx + ty * ny + tz * nz
    tx, ty, tz = tx - dot * nx, ty - dot * ny, tz - dot * nz
    size = np.sqrt(tx * tx + ty * ty + tz * tz)
    if not (size > 1e-3 * np.sqrt(longest) and size > 0):
        # Any axis across the normal: start from the coordinate axis farthest from it.
        if abs(nx) <= abs(ny) and abs(nx) <= abs(nz):
            tx, ty, tz = 0.0, -nz, ny
        elif abs(ny) <= abs(nz):
            tx, ty, tz = nz, 0.0, -nx
        else:
            tx, ty, tz = -ny, nx, 0.0
        size = np.sqrt(tx * tx + ty * ty + tz * tz)
    tx, ty, tz = tx / size, ty / size, tz / size
    axes[0], axes[1], axes[2] = tx, ty, tz
    axes[3], axes[4], axes[5] = ny * tz - nz * ty, nz * tx - nx * tz, nx * ty - ny * tx
    axes[6], axes[7], axes[8] = nx, ny, nz


@numba.njit(cache=True, parallel=True, nogil=True)
def build_nodes(triangles, scale, span, blocks, centres):  # type: ignore[no-untyped-def]
    """Fill one level of inner nodes: `blocks` (N,ROWS,WIDE) and `centres` (N,4) as of leaves.

    `span`: triangles below each child.
    """
    for n in numba.prange(len(blocks)):
        begin, end = n * span * WIDE, min((n + 1) * span * WIDE, len(triangles))
        place_box(triangles, begin, end, scale, centres[n])
        cx, cy, cz = centres[n, 0], centres[n, 1], centres[n, 2]
        axes = np.empty(9, np.float32)
        for j in range(WIDE):
            first, last = begin + j * span, min(begin + (j + 1) * span, end)
            if first >= last:
                blocks[n, :, j] = np.float32(0)
                continue
            surface_axes(triangles, first, last, axes)
            la = lb = lc = np.inf
            ha = hb = hc = -np.inf
            for t in range(first, last):
                for corner in range(3):
                    x = triangles[t, corner, 0] - cx
                    y = triangles[t, corner, 1] - cy
                    z = triangles[t, corner, 2] - cz
                    a = axes[0] * x + axes[1] * y + axes[2] * z
                    b = axes[3] * x + axes[4] * y + axes[5] * z
                    c = axes[6] * x + axes[7] * y + axes[8] * z
                    la, ha = min(la, a), max(ha, a)
                    lb, hb = min(lb, b), max(hb, b)
                    lc, hc = min(lc, c), max(hc, c)
            for row in range(9):
                blocks[n, row, j] = axes[row]
            blocks[n, 9, j], blocks[n, 10, j], blocks[n, 11, j] = la * scale, lb * scale, lc * scale
            blocks[n, 12, j], blocks[n, 13, j], blocks[n, 14, j] = (
                ha * scale,
                hb * scale,
                hc * scale,
            )
