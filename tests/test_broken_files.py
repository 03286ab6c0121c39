"""Broken and odd files: each gives a valid mesh or a named reason, never anything else."""

import base64
import csv
import json
from pathlib import Path

import numpy as np
import pytest

from preprocessing.formats.gltf import write_glb
from preprocessing.formats.obj import write_obj
from preprocessing.formats.ply import write_ply
from preprocessing.formats.stl import write_stl
from preprocessing.mesh import MeshError, load_mesh
from preprocessing.mesh_errors import REASONS
from preprocessing.shapes import box

CUBE = box((2.0, 2.0, 2.0)).mesh
PLACES = "\n".join(f"{x:g} {y:g} {z:g}" for x, y, z in CUBE.vertices)
QUADS = [(3, 2, 1, 0), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]
QUAD_ROWS = "\n".join(f"4 {a} {b} {c} {d}" for a, b, c, d in QUADS)

BROKEN: dict[str, str | int] = {
    "001_empty_file.glb": "empty",
    "003_no_header.glb": "unreadable",
    "005_invalid_version.glb": "unsupported-format",
    "007_truncated_chunk_header.glb": "truncated",
    "009_length_mismatch.glb": "truncated",
    "011_empty_json_chunk.glb": "unreadable",
    "013_two_bin_chunks.glb": "unreadable",
    "index_buffer_primitive_restart.gltf": "unreadable",
    "infinite_transform.gltf": "non-finite",
    "scene-invalid-cycle.gltf": "unreadable",
    "mesh-invalid-buffer-notfound.gltf": "missing",
    "mesh-duplicate-attributes.gltf": "no-faces",
    "026_BoxBadNormals.glb": 12,
    "Cube.gltf": 46,
    "RecursiveNodes.gltf": "unreadable",
    "badArray.gltf": "unreadable",
    "034_giraffe.glb": "not-a-mesh",
    "037_heart_draco.glb": 180,
    "windmill_a.gltf": 1645,
    "01_vertex_count_32bit.gltf": 130380,
    "Mesh_PrimitiveMode_04.gltf": 2,
    "Node_NegativeScale_02.gltf": 54,
    "empty.obj": "empty",
    "053_ply_empty_header.ply": "empty",
    "obj_wireframe.obj": "no-faces",
    "nancolor.obj": 12,
    "negative_indices.obj": 12,
    "063_soup.stl": 100,
    "066_format-missing.ply": "unreadable",
    "068_positions-missing.ply": "empty",
    "070_unsupported-face-size.ply": "truncated",
    "072_crlf.ply": 3,
    "076_crash-30d6d0f7c529b3b66b4131700b7a4580cd7082df.ply": "truncated",
    "078_OutOfMemory.off": "truncated",
    "080_invalid.off": "truncated",
    "malformed2.obj": 10,
    "point_cloud.obj": "no-faces",
    "086_triangle_with_two_solids.stl": 2,
    "088_malformed_property_index_oob.3mf": 1,
    "090_float_inf_point_cloud.ply": "no-faces",
    "092_empty.stl": "empty",
    "094_twoVertices.ascii.stl": "unreadable",
    "096_incorrectFaceCounter.bin.stl": "truncated",
    "098_missingEndsolid.ascii.stl": 4,
    "100_missingNormal.ascii.stl": 4,
    "102_singleFace.ascii.stl": 1,
    "104_CubeInvalidUnicode.stl": 12,
    "test-nan.obj": "unreadable",
    "invalid-face-definition.obj": "no-faces",
    "issue-161-inconsistent-f.obj": 12,
    "fuzz_0003.obj": 12,
    "fuzz_0116.obj": "index-out-of-range",
    "124_synthetic_truncated_quot_fail_7500_ascii.fbx": "truncated",
    "132_MUSTFAIL_Chapter2.3.2a_NonUTF_Encoding.3mf": "unreadable",
    "135_reference_invalid.usda": "unsupported-format",
    "points_only.ply": "no-faces",
    "empty_binary.stl": "empty",
    "box_nan_inf.glb": "non-finite",
    "lfs_pointer.glb": "not-a-mesh",
    "two_vertices.stl": "unreadable",
    "short_buffer.glb": "no-faces",
}
"""File name -> the number of faces of the mesh that comes out, or the reason why none does."""


def outcome(path: Path) -> str | int:
    """What loading gives; anything but a mesh or a MeshError escapes and fails the test."""
    try:
        mesh = load_mesh(path)
    except MeshError as error:
        assert error.reason in REASONS  # noqa: PT017 - both outcomes are right here
        return error.reason
    assert np.isfinite(mesh.vertices).all()
    assert len(mesh.faces) > 0
    assert np.ptp(mesh.vertices, axis=0).max() > 0
    return len(mesh.faces)


def test_every_broken_file_has_its_outcome(meshes_dir: Path) -> None:
    with open(meshes_dir / "broken" / "BROKEN.csv") as table:
        paths = [meshes_dir / row["file"] for row in csv.DictReader(table)]
    assert {path.name: outcome(path) for path in paths} == BROKEN


def ply(form: str = "ascii", vertices: str = PLACES, faces: str = "3 0 1 2") -> bytes:
    count, rows = len(vertices.splitlines()), len(faces.splitlines())
    return (
        f"ply\nformat {form} 1.0\nelement vertex {count}\nproperty float x\nproperty float y\n"
        f"property float z\nelement face {rows}\nproperty list uchar int vertex_indices\n"
        f"end_header\n{vertices}\n{faces}\n"
    ).encode()


def off(header: str, vertices: str = PLACES, faces: str = "3 0 1 2") -> bytes:
    return f"{header}\n{vertices}\n{faces}\n".encode()


def gltf(**changes: object) -> bytes:
    """A glTF cube with its buffer inside; top-level members may be replaced."""
    positions = CUBE.vertices.astype("<f4").tobytes()
    buffer = positions + CUBE.faces.astype("<u2").tobytes()
    uri = "data:application/octet-stream;base64," + base64.b64encode(buffer).decode()
    document: dict[str, object] = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 8, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 36, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": 96},
            {"buffer": 0, "byteOffset": 96, "byteLength": 72},
        ],
        "buffers": [{"byteLength": 168, "uri": uri}],
    }
    return json.dumps(document | changes).encode()


def accessors(**changes: object) -> list[dict]:
    """The cube's accessors with members of the first one replaced."""
    first, second = json.loads(gltf())["accessors"]
    return [first | changes, second]


STL = write_stl(CUBE.vertices, CUBE.faces)
PLY = write_ply(CUBE.vertices, CUBE.faces)
GLB = write_glb(CUBE.vertices, CUBE.faces)
LINE = "0 0 0\n1 1 1\n2 2 2"

MADE: list[tuple[str, bytes, str | int]] = [
    ("nothing.ply", b"", "empty"),
    ("pointer.obj", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "not-a-mesh"),
    ("page.fbx", b"<!DOCTYPE html><html>404</html>", "not-a-mesh"),
    ("scene.usdz", b"PK\3\4", "unsupported-format"),
    ("part.step", b"ISO-10303-21;", "unsupported-format"),
    ("archive.zip", b"PK\5\6" + bytes(18), "unsupported-format"),
    ("nosuffix", b"solid", "unsupported-format"),
    # STL
    ("cube.stl", STL, 12),
    ("solid.stl", b"solid" + STL[5:], 12),
    ("tail.stl", STL + b"colour", 12),
    ("cut.stl", STL[:-1], "truncated"),
    ("short.stl", STL[:50], "truncated"),
    ("counter.stl", STL[:80] + bytes(4) + STL[84:], "unreadable"),
    ("words.stl", b"solid a\nfacet\nouter loop\nvertex a b c\nvertex 0 0 0\nvertex 1 0 0\n"
     b"endloop\nendfacet\n", "unreadable"),
    ("midway.stl", b"solid a\nfacet\nouter loop\nvertex 0 0 0\n", "truncated"),
    ("nofacet.stl", b"solid a\nendsolid a\n" + b" " * 80, "empty"),
    # PLY
    ("cube.ply", PLY, 12),
    ("cut.ply", PLY[:-1], "truncated"),
    ("header.ply", PLY[:40], "truncated"),
    ("quads.ply", ply(faces=QUAD_ROWS), 12),
    ("mixed.ply", ply(faces="4 0 1 2 3\n3 4 5 6\n2 0 1"), 3),
    ("crlf.ply", ply().replace(b"\n", b"\r\n"), 1),
    ("order.ply", ply("middle_endian"), "unsupported-format"),
    ("kind.ply", ply().replace(b"float x", b"complex x"), "unreadable"),
    ("count.ply", ply().replace(b"vertex 8", b"vertex 999999999999"), "truncated"),
    ("minus.ply", ply().replace(b"vertex 8", b"vertex -8"), "unreadable"),
    ("word.ply", ply(vertices=PLACES.replace("-1", "one", 1)), "unreadable"),
    ("nan.ply", ply(vertices=PLACES.replace("-1", "nan", 1)), "non-finite"),
    ("index.ply", ply(faces="3 0 1 8"), "index-out-of-range"),
    ("minus_index.ply", ply(faces="3 0 1 -1"), "index-out-of-range"),
    ("few.ply", ply(faces="3 0 1"), "truncated"),
    ("twice.ply", ply(faces="3 0 1 1"), "zero-area"),
    ("line.ply", ply(vertices=LINE), "zero-area"),
    ("far_line.ply", ply(vertices="1e9 0 0.1\n1e9 0 0.2\n1e9 0 0.3"), "zero-area"),
    ("point.ply", ply(vertices="1 1 1\n1 1 1\n1 1 1"), "zero-area"),
    ("points.ply", ply().split(b"element face")[0] + b"end_header\n" + PLACES.encode(), "no-faces"),
    # OFF
    ("cube.off", off("OFF\n8 1 0"), 1),
    ("one_line.off", off("OFF 8 1 0"), 1),
    ("bare.off", off("8 1 0"), 1),
    ("comment.off", off("# made by hand\nOFF # here\n\n8 1 0\n"), 1),
    ("colour.off", off("COFF\n8 1 0", PLACES.replace("\n", " 255 0 0 255\n") + " 1 2 3 4"), 1),
    ("face_colour.off", off("OFF\n8 1 0", faces="4 0 1 2 3 0.1 0.2 0.3"), 2),
    ("quads.off", off("OFF\n8 6 0", faces=QUAD_ROWS), 12),
    ("binary.off", b"OFF BINARY\n" + bytes(40), "unsupported-format"),
    ("four.off", off("4OFF\n8 1 0"), "unsupported-format"),
    ("counts.off", off("OFF\neight"), "unreadable"),
    ("minus.off", off("OFF\n-8 1 0"), "unreadable"),
    ("huge.off", off("OFF\n999999999999 1 0"), "truncated"),
    ("few.off", off("OFF\n8 1 0", faces="4 0 1 2"), "truncated"),
    ("index.off", off("OFF\n8 1 0", faces="3 0 1 8"), "index-out-of-range"),
    # OBJ
    ("cube.obj", write_obj(CUBE.vertices, CUBE.faces), 12),
    ("slashes.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0 1 0 0\nf 1/1/1 2//1 3/3\n", 1),
    ("back.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\nv 0 0 5\n", 1),
    ("joined.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 \\\n3\n", 1),
    ("later.obj", b"f 1 2 3\nv 0 0 0\nv 1 0 0\nv 0 1 0\n", 1),
    ("tabs.obj", b"\tv\t0 0 0\r\nv 1 0 0\r\nv 0 1 0\r\nf 1 2 3 # here\r\n", 1),
    ("zero.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", "index-out-of-range"),
    ("far.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", "index-out-of-range"),
    ("word.obj", b"v 0 0 0\nv 1 0 zero\nv 0 1 0\nf 1 2 3\n", "unreadable"),
    ("name.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf a b c\n", "unreadable"),
    ("long.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 99999999999999999999\n", "index-out-of-range"),
    ("inf.obj", b"v 0 0 0\nv 1 0 inf\nv 0 1 0\nf 1 2 3\n", "non-finite"),
    ("unused_nan.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv nan 0 0\nf 1 2 3\n", 1),
    ("flat.obj", b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "zero-area"),
    ("big.obj", b"v 1e308 0 0\nv -1e308 0 0\nv 0 1e308 0\nf 1 2 3\n", "non-finite"),
    ("tiny.obj", b"v 1e-200 0 0\nv 0 0 0\nv 0 1e-200 0\nf 1 2 3\n", "zero-extent"),
    ("lines.obj", b"v 0 0 0\nv 1 0 0\nl 1 2\n", "no-faces"),
    # glTF
    ("cube.glb", GLB, 12),
    ("cube.gltf", gltf(), 12),
    ("text.glb", gltf(), 12),
    ("binary.gltf", GLB, 12),
    ("cut.glb", GLB[:-4], "truncated"),
    ("magic.glb", b"glTX" + GLB[4:], "unreadable"),
    ("old.glb", GLB[:4] + b"\1" + GLB[5:], "unsupported-format"),
    ("json.gltf", b"{", "unreadable"),
    ("list.gltf", b"[]", "unreadable"),
    ("deep.gltf", b"[" * 100_000, "unreadable"),
    ("old.gltf", gltf(asset={"version": "1.0"}), "unsupported-format"),
    ("empty.gltf", gltf(scenes=[{"nodes": []}]), "empty"),
    ("library.gltf", gltf(scenes=[], nodes=[]), 12),
    ("no_scene.gltf", gltf(scenes=[]), 12),
    ("twice.gltf", gltf(nodes=[{"mesh": 0, "children": [1]}, {"mesh": 0, "scale": [3, 3, 3]}]), 24),
    ("cycle.gltf", gltf(nodes=[{"mesh": 0, "children": [0]}]), "unreadable"),
    ("infinite.gltf", gltf(nodes=[{"mesh": 0, "scale": [1e999, 1, 1]}]), "non-finite"),
    ("nonode.gltf", gltf(scenes=[{"nodes": [7]}]), "unreadable"),
    ("nomesh.gltf", gltf(nodes=[{"mesh": 7}]), "unreadable"),
    ("points.gltf", gltf(meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "mode": 0}]}]),
     "no-faces"),
    ("mode.gltf", gltf(meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "mode": 9}]}]),
     "unreadable"),
    ("short.gltf", gltf(buffers=[{"byteLength": 168, "uri": "data:;base64,AAAA"}]), "truncated"),
    ("base64.gltf", gltf(buffers=[{"byteLength": 168, "uri": "data:;base64,A"}]), "unreadable"),
    ("beside.gltf", gltf(buffers=[{"byteLength": 168, "uri": "not_there.bin"}]), "missing"),
    ("web.gltf", gltf(buffers=[{"byteLength": 1, "uri": "https://example.org/a"}]), "missing"),
    ("root.gltf", gltf(buffers=[{"byteLength": 1, "uri": "/etc/hostname"}]), "missing"),
    ("nobuffer.gltf", gltf(buffers=[{"byteLength": 168}]), "truncated"),
    ("view.gltf", gltf(accessors=accessors(count=9)), "truncated"),
    ("huge.gltf", gltf(accessors=accessors(count=10**15)), "truncated"),
    ("minus.gltf", gltf(accessors=accessors(byteOffset=-12)), "truncated"),
    ("kind.gltf", gltf(accessors=accessors(componentType=1)), "unreadable"),
    ("width.gltf", gltf(accessors=accessors(type="VEC2", count=8)), "unreadable"),
    ("nodata.gltf", gltf(accessors=[{"componentType": 5126, "count": 3, "type": "VEC3"}] * 2),
     "unreadable"),
    ("index.gltf", gltf(accessors=accessors(count=7)), "index-out-of-range"),
    ("meshopt.gltf", gltf(bufferViews=[{"buffer": 0, "byteLength": 96, "extensions":
     {"KHR_meshopt_compression": {"buffer": 0}}}] * 2), "compressed-unsupported"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "expected"), MADE, ids=[row[0] for row in MADE])
def test_made_file(name: str, content: bytes, expected: str | int, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert outcome(path) == expected


def test_a_missing_file_a_folder_and_a_locked_file(tmp_path: Path) -> None:
    assert outcome(tmp_path / "none.ply") == "missing"
    (tmp_path / "folder.ply").mkdir()
    assert outcome(tmp_path / "folder.ply") == "missing"


@pytest.mark.parametrize("order", ["<", ">"])
def test_binary_ply_of_both_byte_orders_with_extra_properties(order, tmp_path: Path) -> None:
    vertex = np.zeros(
        8, [("red", "u1"), ("x", order + "f8"), ("y", order + "f8"), ("z", order + "f8")]
    )
    for axis, name in enumerate("xyz"):
        vertex[name] = CUBE.vertices[:, axis]
    face = np.zeros(6, [("n", "u1"), ("corners", order + "i4", 4), ("flags", order + "i2")])
    face["n"], face["corners"] = 4, QUADS
    name = {"<": "little", ">": "big"}[order]
    header = (
        f"ply\nformat binary_{name}_endian 1.0\ncomment x\nelement vertex 8\nproperty uchar red\n"
        "property double x\nproperty double y\nproperty double z\nelement face 6\n"
        "property list uchar int vertex_index\nproperty short flags\nend_header\n"
    )
    (tmp_path / "cube.ply").write_bytes(header.encode() + vertex.tobytes() + face.tobytes())
    mesh = load_mesh(tmp_path / "cube.ply")
    assert np.array_equal(mesh.vertices, CUBE.vertices)
    assert len(mesh.faces) == 12


def test_a_mirrored_node_keeps_the_outside_out(tmp_path: Path) -> None:
    path = tmp_path / "mirror.gltf"
    path.write_bytes(gltf(nodes=[{"mesh": 0, "scale": [-2, 1, 1], "translation": [5, 0, 0]}]))
    mesh = load_mesh(path)
    a, b, c = mesh.triangles.transpose(1, 0, 2)
    assert np.isclose((a * np.cross(b, c)).sum() / 6, 16.0)
    assert np.allclose([mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)],
                       [[3, -1, -1], [7, 1, 1]])  # fmt: skip
