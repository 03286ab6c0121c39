"""The two loops of EXT_meshopt_compression that must be fast: vertex bytes and triangle codes.

Source: the extension's specification, appendix A (bitstream) of the Khronos glTF registry.
Each kernel returns False when the data ends too early.
"""

import numba
import numpy as np


@numba.njit(cache=True)
def decode_vertices(data: np.ndarray, out: np.ndarray, block: int) -> bool:
    """Fill `out` uint8 (count, stride) from `data` uint8, the bytes after the header.

    Bytes are stored column by column in blocks, in groups of 16, as zigzag differences.
    """
    count, stride = out.shape
    end = len(data) - max(stride, 32)  # the tail, whose last bytes are the vertex before the first
    if end < 0:
        return False
    before = data[len(data) - stride :].copy()
    group = np.zeros(256 + 16, np.uint8)
    at = 0
    for start in range(0, count, block):
        size = min(block, count - start)
        groups = (size + 15) // 16
        for column in range(stride):
            header = at
            at += (groups + 3) // 4
            if at > end:
                return False
            for index in range(groups):
                mode = (data[header + index // 4] >> np.uint8(index % 4 * 2)) & 3
                place = index * 16
                if mode == 0:
                    group[place : place + 16] = 0
                elif mode == 3:
                    if at + 16 > end:
                        return False
                    group[place : place + 16] = data[at : at + 16]
                    at += 16
                else:
                    bits = 2 * mode
                    per_byte = 8 // bits
                    mask = (1 << bits) - 1
                    extra = at + 16 // per_byte
                    if extra > end:
                        return False
                    for item in range(16):
                        shift = 8 - bits * (item % per_byte + 1)
                        value = (int(data[at + item // per_byte]) >> shift) & mask
                        if value == mask:
                            if extra >= end:
                                return False
                            value = int(data[extra])
                            extra += 1
                        group[place + item] = value
                    at = extra
            last = int(before[column])
            for index in range(size):
                code = int(group[index])
                last = (last + ((code >> 1) ^ -(code & 1))) & 255
                out[start + index, column] = last
            before[column] = last
    return True


@numba.njit(cache=True)
def variable_integer(data: np.ndarray, at: int) -> tuple[int, int]:
    """A base-128 integer and the place after it; the place is past the end when it is cut short."""
    result = 0
    for shift in range(0, 35, 7):
        if at >= len(data):
            return 0, len(data) + 1
        byte = int(data[at])
        at += 1
        result |= (byte & 127) << shift
        if byte < 128:
            break
    return result, at


@numba.njit(cache=True)
def decode_triangles(data: np.ndarray, version: int, out: np.ndarray) -> bool:
    """Fill `out` int64 (3F,) from `data` uint8, the bytes after the header.

    A byte a triangle names a recent edge and a recent vertex; rarer cases take more bytes.
    """
    triangles = len(out) // 3
    end = len(data) - 16  # a table of common vertex codes ends the data
    if triangles > end:
        return False
    table = data[end:]
    edges = np.zeros((16, 2), np.int64)
    recent = np.zeros(16, np.int64)
    edge_at = vertex_at = fresh = last = 0
    at = triangles
    largest = 13 if version >= 1 else 15
    for triangle in range(triangles):
        code = int(data[triangle])
        if code < 0xF0:
            edge = (edge_at - 1 - (code >> 4)) & 15
            a, b = edges[edge, 0], edges[edge, 1]
            third = code & 15
            push = True
            if third < largest:
                if third == 0:
                    c = fresh
                    fresh += 1
                else:
                    c = recent[(vertex_at - 1 - third) & 15]
                    push = False
            elif third != 15:
                c = last + (third - (third ^ 3))
                last = c
            else:
                value, at = variable_integer(data, at)
                c = last + ((value >> 1) ^ -(value & 1))
                last = c
            if push:
                recent[vertex_at & 15] = c
                vertex_at += 1
            edges[edge_at & 15] = (c, b)
            edges[(edge_at + 1) & 15] = (a, c)
            edge_at += 2
        else:
            first = 0
            if code < 0xFE:
                rest = int(table[code & 15])
            else:
                if at >= end:
                    return False
                rest = int(data[at])
                at += 1
                first = 0 if code == 0xFE else 15
                if rest == 0:
                    fresh = 0
            second, third = rest >> 4, rest & 15
            a = b = c = 0
            if first == 0:
                a = fresh
                fresh += 1
            if second == 0:
                b = fresh
                fresh += 1
            else:
                b = recent[(vertex_at - second) & 15]
            if third == 0:
                c = fresh
                fresh += 1
            else:
                c = recent[(vertex_at - third) & 15]
            far = code >= 0xFE
            if first == 15:
                value, at = variable_integer(data, at)
                a = last + ((value >> 1) ^ -(value & 1))
                last = a
            if far and second == 15:
                value, at = variable_integer(data, at)
                b = last + ((value >> 1) ^ -(value & 1))
                last = b
            if far and third == 15:
                value, at = variable_integer(data, at)
                c = last + ((value >> 1) ^ -(value & 1))
                last = c
            recent[vertex_at & 15] = a
            vertex_at += 1
            if second == 0 or (far and second == 15):
                recent[vertex_at & 15] = b
                vertex_at += 1
            if third == 0 or (far and third == 15):
                recent[vertex_at & 15] = c
                vertex_at += 1
            edges[edge_at & 15] = (b, a)
            edges[(edge_at + 1) & 15] = (c, b)
            edges[(edge_at + 2) & 15] = (a, c)
            edge_at += 3
        if at > end:
            return False
        out[3 * triangle] = a
        out[3 * triangle + 1] = b
        out[3 * triangle + 2] = c
    return True


@numba.njit(cache=True)
def decode_sequence(data: np.ndarray, out: np.ndarray) -> bool:
    """Fill `out` int64 (N,) with indices, each a difference to one of two running values."""
    last = np.zeros(2, np.int64)
    at = 0
    for index in range(len(out)):
        value, at = variable_integer(data, at)
        if at > len(data) - 4:  # four bytes of padding end the data
            return False
        which, value = value & 1, value >> 1
        last[which] += (value >> 1) ^ -(value & 1)
        out[index] = last[which]
    return True
