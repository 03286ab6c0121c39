"""Kernels of the distance field over bricks; offset_field.py explains the steps.

A triangle is a record of 30 float64 numbers: corner a; edges e = b - a and f = c - a; unit normal;
the two covectors that give barycentric coordinates (zero for a triangle too thin to have a plane,
which then counts as its three edges); |e|^2, |f|^2, |c - b|^2, their inverses; box low and high.
Rows after those of the triangles may be the edges and corners of a mitred distance, which have a
negative number for |e|^2 (distance/mitre_kernels.py).
Every quantity that the distance needs is linear along a grid row but one, which is quadratic, so a
row of 8 corners costs one short vectorised loop.
"""

import math

import numba as nb
import numpy as np

from preprocessing.distance.mitre_kernels import BEYOND, KIND
from preprocessing.frame import HALF_WIDTH

RECORD = 30
# Height over longest edge below which a triangle's plane is rounding noise.
THIN = 1e-10


@nb.njit(parallel=True, cache=True)
def triangle_records(vertices, faces):  # type: ignore[no-untyped-def]
    """Records float64 (F,30) of the triangles."""
    records = np.empty((faces.shape[0], RECORD), np.float64)
    for t in nb.prange(faces.shape[0]):
        record = records[t]
        a = vertices[faces[t, 0]]
        b = vertices[faces[t, 1]]
        c = vertices[faces[t, 2]]
        ee = ff = gg = 0.0
        for x in range(3):
            record[x] = a[x]
            record[3 + x] = b[x] - a[x]
            record[6 + x] = c[x] - a[x]
            ee += (b[x] - a[x]) ** 2
            ff += (c[x] - a[x]) ** 2
            gg += (c[x] - b[x]) ** 2
            record[24 + x] = min(a[x], min(b[x], c[x]))
            record[27 + x] = max(a[x], max(b[x], c[x]))
        ex, ey, ez = record[3], record[4], record[5]
        fx, fy, fz = record[6], record[7], record[8]
        nx, ny, nz = ey * fz - ez * fy, ez * fx - ex * fz, ex * fy - ey * fx
        nn = nx * nx + ny * ny + nz * nz
        longest = max(ee, max(ff, gg))
        if nn > (THIN * longest) ** 2 and nn > 0.0:
            size = math.sqrt(nn)
            record[9], record[10], record[11] = nx / size, ny / size, nz / size
            record[12] = (fy * nz - fz * ny) / nn
            record[13] = (fz * nx - fx * nz) / nn
            record[14] = (fx * ny - fy * nx) / nn
            record[15] = (ny * ez - nz * ey) / nn
            record[16] = (nz * ex - nx * ez) / nn
            record[17] = (nx * ey - ny * ex) / nn
        else:
            record[9:18] = 0.0
        record[18], record[19], record[20] = ee, ff, gg
        record[21] = 1.0 / ee if ee > 0.0 else 0.0
        record[22] = 1.0 / ff if ff > 0.0 else 0.0
        record[23] = 1.0 / gg if gg > 0.0 else 0.0
    return records


@nb.njit(cache=True)
def _clip(polygon, count, axis, low, high, clipped):  # type: ignore[no-untyped-def]
    """Part of a convex polygon with low <= coordinate <= high; returns its corner count."""
    for side in range(2):
        source, target = (polygon, clipped) if side == 0 else (clipped, polygon)
        found = 0
        for i in range(count):
            j = i + 1 if i + 1 < count else 0
            one = source[i, axis] - low if side == 0 else high - source[i, axis]
            two = source[j, axis] - low if side == 0 else high - source[j, axis]
            if one >= 0.0:
                target[found, 0] = source[i, 0]
                target[found, 1] = source[i, 1]
                target[found, 2] = source[i, 2]
                found += 1
            if (one > 0.0) != (two > 0.0) and one != 0.0 and two != 0.0:
                t = one / (one - two)
                for x in range(3):
                    target[found, x] = source[i, x] + t * (source[j, x] - source[i, x])
                found += 1
        count = found
    return count


@nb.njit(cache=True)
def _cover(record, margin, width, n, keys, write, work):  # type: ignore[no-untyped-def]
    """Bricks whose box, widened by `margin`, meets the triangle; written to keys when asked.

    The triangle is cut into slabs along x, these along y; the z range of a piece is then exact.
    """
    x0 = max(0, math.floor((record[24] - margin + HALF_WIDTH) / width))
    x1 = min(n - 1, math.floor((record[27] + margin + HALF_WIDTH) / width))
    y0 = max(0, math.floor((record[25] - margin + HALF_WIDTH) / width))
    y1 = min(n - 1, math.floor((record[28] + margin + HALF_WIDTH) / width))
    z0 = max(0, math.floor((record[26] - margin + HALF_WIDTH) / width))
    z1 = min(n - 1, math.floor((record[29] + margin + HALF_WIDTH) / width))
    found = 0
    if record[KIND] < 0.0:
        margin += record[BEYOND]
    if (x1 - x0) + (y1 - y0) + (z1 - z0) <= 2:
        for x in range(x0, x1 + 1):
            for y in range(y0, y1 + 1):
                for z in range(z0, z1 + 1):
                    if write:
                        keys[found] = (x * n + y) * n + z
                    found += 1
        return found
    slab, column, spare = work[0], work[1], work[2]
    for x in range(x0, x1 + 1):
        for axis in range(3):
            slab[0, axis] = record[axis]
            slab[1, axis] = record[axis] + record[3 + axis]
            slab[2, axis] = record[axis] + record[6 + axis]
        low = -HALF_WIDTH + x * width - margin
        corners = _clip(slab, 3, 0, low, low + width + 2 * margin, spare)
        if corners == 0:
            continue
        for y in range(y0, y1 + 1):
            column[:corners] = slab[:corners]
            low = -HALF_WIDTH + y * width - margin
            left = _clip(column, corners, 1, low, low + width + 2 * margin, spare)
            if left == 0:
                continue
            bottom = column[0, 2]
            top = bottom
            for i in range(1, left):
                bottom = min(bottom, column[i, 2])
                top = max(top, column[i, 2])
            for z in range(
                max(0, math.floor((bottom - margin + HALF_WIDTH) / width)),
                min(n - 1, math.floor((top + margin + HALF_WIDTH) / width)) + 1,
            ):
                if write:
                    keys[found] = (x * n + y) * n + z
                found += 1
    return found


@nb.njit(parallel=True, cache=True)
def count_cover(records, margin, width, n):  # type: ignore[no-untyped-def]
    """How many bricks each triangle reaches, int64 (F,)."""
    counts = np.empty(records.shape[0], np.int64)
    chunks = (records.shape[0] + 1023) // 1024
    for chunk in nb.prange(chunks):
        work = np.empty((3, 16, 3), np.float64)
        keys = np.empty(0, np.int32)
        for t in range(chunk * 1024, min((chunk + 1) * 1024, records.shape[0])):
            counts[t] = _cover(records[t], margin, width, n, keys, False, work)
    return counts


@nb.njit(parallel=True, cache=True)
def fill_cover(records, margin, width, n, starts):  # type: ignore[no-untyped-def]
    """Linear brick numbers of every (triangle, brick) pair, int32, ordered by triangle."""
    keys = np.empty(starts[-1], np.int32)
    chunks = (records.shape[0] + 1023) // 1024
    for chunk in nb.prange(chunks):
        work = np.empty((3, 16, 3), np.float64)
        for t in range(chunk * 1024, min((chunk + 1) * 1024, records.shape[0])):
            _cover(records[t], margin, width, n, keys[starts[t] : starts[t + 1]], True, work)
    return keys


@nb.njit(cache=True)
def group_pairs(keys, starts, cells):  # type: ignore[no-untyped-def]
    """Present bricks in ascending order and the triangles of each.

    Returns (numbers int32 (B,), offsets int64 (B + 1,), triangles int32 (pairs,)).
    """
    counts = np.zeros(cells, np.int32)
    for key in keys:
        counts[key] += 1
    present = 0
    for cell in range(cells):
        if counts[cell] > 0:
            present += 1
    numbers = np.empty(present, np.int32)
    offsets = np.zeros(present + 1, np.int64)
    present = 0
    for cell in range(cells):
        if counts[cell] > 0:
            numbers[present] = cell
            offsets[present + 1] = offsets[present] + counts[cell]
            counts[cell] = present
            present += 1
    place = offsets[:-1].copy()
    triangles = np.empty(keys.shape[0], np.int32)
    for t in range(starts.shape[0] - 1):
        for pair in range(starts[t], starts[t + 1]):
            brick = counts[keys[pair]]
            triangles[place[brick]] = t
            place[brick] += 1
    return numbers, offsets, triangles


@nb.njit(parallel=True, cache=True, fastmath={"nnan", "nsz", "contract"})
def fill_corners(values, rows, bricks, offsets, triangles, records, lengths):  # type: ignore[no-untyped-def]
    """Fill values[rows], float32 (B,9,9,9): eps minus distance, cut at eps - margin.

    On the 8x8x8 owned corners; the rest stays. lengths: (eps, margin, step).
    """
    eps, margin, step = lengths
    limit = margin * margin
    for at in nb.prange(rows.shape[0]):
        b = rows[at]
        best = np.full((64, 8), limit, np.float64)
        ox = -HALF_WIDTH + step * (8 * bricks[b, 0])
        oy = -HALF_WIDTH + step * (8 * bricks[b, 1])
        oz = -HALF_WIDTH + step * (8 * bricks[b, 2])
        for pair in range(offsets[b], offsets[b + 1]):
            r = records[triangles[pair]]
            if r[KIND] < 0.0:
                continue
            i0 = max(0, math.ceil((r[24] - margin - ox) / step))
            i1 = min(7, math.floor((r[27] + margin - ox) / step))
            j0 = max(0, math.ceil((r[25] - margin - oy) / step))
            j1 = min(7, math.floor((r[28] + margin - oy) / step))
            nx, ny, nz = r[9], r[10], r[11]
            ee, ff, gg = r[18], r[19], r[20]
            ie, jf, kg = r[21], r[22], r[23]
            ef = 0.5 * (ee + ff - gg)
            vz = oz - r[2]
            e_step, f_step = r[5] * step, r[8] * step
            beta_step, gamma_step, n_step = r[14] * step, r[17] * step, nz * step
            reach = margin + 3.5 * abs(n_step)
            for i in range(i0, i1 + 1):
                x = ox + step * i
                away = max(0.0, max(r[24] - x, x - r[27]))
                vx = x - r[0]
                for j in range(j0, j1 + 1):
                    y = oy + step * j
                    aside = max(0.0, max(r[25] - y, y - r[28]))
                    if away * away + aside * aside >= limit:
                        continue
                    vy = y - r[1]
                    vn = vx * nx + vy * ny + vz * nz
                    if abs(vn + 3.5 * n_step) >= reach:
                        continue
                    ve = vx * r[3] + vy * r[4] + vz * r[5]
                    vf = vx * r[6] + vy * r[7] + vz * r[8]
                    beta0 = vx * r[12] + vy * r[13] + vz * r[14]
                    gamma0 = vx * r[15] + vy * r[16] + vz * r[17]
                    flat = vx * vx + vy * vy
                    row = best[i * 8 + j]
                    for k in range(8):
                        z = vz + k * step
                        vv = flat + z * z
                        e = ve + k * e_step
                        f = vf + k * f_step
                        beta = beta0 + k * beta_step
                        gamma = gamma0 + k * gamma_step
                        n = vn + k * n_step
                        t = min(max(e * ie, 0.0), 1.0)
                        d = vv - t * (2.0 * e - t * ee)
                        t = min(max(f * jf, 0.0), 1.0)
                        d = min(d, vv - t * (2.0 * f - t * ff))
                        g = f - e - ef + ee
                        t = min(max(g * kg, 0.0), 1.0)
                        d = min(d, vv - 2.0 * e + ee - t * (2.0 * g - t * gg))
                        within = min(beta, min(gamma, 1.0 - beta - gamma)) > 0.0
                        d = n * n if within else d
                        row[k] = min(row[k], d)
        for i in range(8):
            for j in range(8):
                for k in range(8):
                    values[b, i, j, k] = eps - math.sqrt(max(0.0, best[i * 8 + j, k]))


@nb.njit(parallel=True, cache=True)
def share_corners(bricks, lookup, values, outside):  # type: ignore[no-untyped-def]
    """Copy the corners with an index 8 from their owners.

    `outside` where the owner is absent: -1 in the lookup (n,n,n), or beyond the grid. Where the
    lookup has less, the owner is enclosed: 1.
    """
    n = lookup.shape[0]
    for b in nb.prange(bricks.shape[0]):
        near = np.empty(8, np.int32)
        for slot in range(8):
            x = bricks[b, 0] + (slot >> 2)
            y = bricks[b, 1] + ((slot >> 1) & 1)
            z = bricks[b, 2] + (slot & 1)
            near[slot] = lookup[x, y, z] if x < n and y < n and z < n else -1
        for i in range(9):
            for j in range(9):
                lowest = 8 if i < 8 and j < 8 else 0
                for k in range(lowest, 9):
                    owner = near[(i >> 3) * 4 + (j >> 3) * 2 + (k >> 3)]
                    if owner < 0:
                        values[b, i, j, k] = outside if owner == -1 else np.float32(1)
                    else:
                        values[b, i, j, k] = values[owner, i & 7, j & 7, k & 7]
