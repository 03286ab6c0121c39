"""Text files as people's tools write them: marks, line ends, backslashes, names, white space."""

from pathlib import Path

import numpy as np
import pytest

from preprocessing.formats.obj import read_obj
from preprocessing.formats.off import read_off
from preprocessing.formats.ply import read_ply
from preprocessing.formats.stl import read_stl, write_stl
from preprocessing.formats.text import plain_text
from preprocessing.mesh import MeshError, validate
from preprocessing.shapes import box

CUBE = box((2.0, 2.0, 2.0)).mesh
PLACES = [" ".join(f"{x:g}" for x in row) for row in CUBE.vertices]
OBJ = "".join(f"v {row}\n" for row in PLACES)
OBJ += "".join("f {} {} {}\n".format(*(face + 1)) for face in CUBE.faces)
ROWS = "\n".join([*PLACES, *("3 {} {} {}".format(*face) for face in CUBE.faces)]) + "\n"
OFF = f"OFF\n8 12 0\n{ROWS}"
PLY = (
    "ply\nformat ascii 1.0\nelement vertex 8\nproperty float x\nproperty float y\n"
    f"property float z\nelement face 12\nproperty list uchar int vertex_indices\nend_header\n{ROWS}"
)
LOOP = " facet normal 0 0 0\n  outer loop\n{}  endloop\n endfacet\n"
FACETS = "".join(
    LOOP.format("".join(f"   vertex {x:g} {y:g} {z:g}\n" for x, y, z in CUBE.vertices[face]))
    for face in CUBE.faces
)
STL = f"solid cube\n{FACETS}endsolid cube\n"
READERS = {"obj": (read_obj, OBJ), "off": (read_off, OFF), "ply": (read_ply, PLY)}
READERS["stl"] = read_stl, STL


def assert_cube(vertices: np.ndarray, faces: np.ndarray, count: int = 12) -> None:
    mesh = validate(vertices, faces).mesh
    assert len(mesh.faces) == count
    assert np.array_equal(np.unique(mesh.vertices), [-1, 1])
    a, b, c = mesh.triangles.transpose(1, 0, 2)
    assert np.isclose((a * np.cross(b, c)).sum() / 6, 8 * count / 12)


def reason(read, data: bytes) -> str:
    with pytest.raises(MeshError) as caught:
        validate(*read(data))
    return caught.value.reason


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_marks_encodings_and_line_ends(name: str, encoding: str, ends: str) -> None:
    read, text = READERS[name]
    assert_cube(*read(text.replace("\n", ends).encode(encoding)))


def test_broken_utf_16_is_refused() -> None:
    assert reason(read_obj, OBJ.encode("utf-16")[:-1]) == "unreadable"


def test_a_mark_inside_and_plain_bytes_stay() -> None:
    assert plain_text(b"v 1\xef\xbb\xbf") == b"v 1\xef\xbb\xbf"
    assert plain_text(bytes(100)) == bytes(100)
    assert plain_text("v é".encode("latin-1")) == b"v \xe9"


@pytest.mark.parametrize(
    "line",
    ["# D:\\scans\\", "usemtl textures\\", "mtllib C:\\a\\", "o part\\", "g group\\", "s off\\",
     "shadow_obj a\\", "vt 0 0 # \\", "usemap a\\", "unheard of\\"],
)  # fmt: skip
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_backslash_continues_no_comment_and_no_name(line: str, ends: str) -> None:
    lines = [f"{line}\n{row}\n" for row in OBJ.splitlines()]
    assert_cube(*read_obj("".join(lines).replace("\n", ends).encode()))


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("gap", [" \\\n", " \\\n\t", " \\ \n", " \\\n\\\n"])
def test_a_backslash_continues_data(gap: str, ends: str) -> None:
    text = "".join(row.replace(" ", gap) + "\n" for row in OBJ.splitlines() if row)
    text = text.replace(f"v{gap}", "v ").replace(f"f{gap}", "f ")
    assert_cube(*read_obj(text.replace("\n", ends).encode()))


def test_a_comment_behind_data_is_left_and_its_backslash_too() -> None:
    text = "".join(f"{row} # made in C:\\\n" for row in OBJ.splitlines())
    assert_cube(*read_obj(text.encode()))


def test_a_comment_may_touch_what_it_stands_behind() -> None:
    assert_cube(*read_obj(OBJ.replace("\n", "#1 2 3\n").encode()))


@pytest.mark.parametrize("line", ["surf 0 1 0 1 1 2 3 4", "bzp 1 2 3", "\tbsp 1 2", "call a.obj"])
def test_a_surface_that_obj_holds_in_another_way_is_refused_by_name(line: str) -> None:
    with pytest.raises(MeshError, match=f"`{line.split()[0]}`") as caught:
        read_obj(f"{OBJ}{line}\n".encode())
    assert caught.value.reason == "unsupported-format"


def test_what_is_no_obj_is_not_called_empty() -> None:
    for data in (b"glTF\2\0\0\0", b"\x1f\x8b\x08\0", OBJ.upper().encode(), b"x 1\n"):
        assert reason(read_obj, data) == "unreadable"
    for data in (b"# nothing\n", b"\no cube\n", b"vn 0 0 1\n"):
        assert reason(read_obj, data) == "empty"


@pytest.mark.parametrize("name", READERS)
def test_an_underscore_makes_no_number(name: str) -> None:
    read, text = READERS[name]
    row = "vertex 1 1 1" if name == "stl" else PLACES[-1]
    assert row in text
    assert reason(read, text.replace(row, row.replace("1", "1_0")).encode()) == "unreadable"


def test_old_faces_and_a_last_line_without_an_end() -> None:
    assert_cube(*read_obj(OBJ.replace("f ", "fo ").strip().encode()))
    assert_cube(*read_obj((OBJ.strip() + "\\").encode()))


@pytest.mark.parametrize("header", ["OFF\n8 12 18", "OFF 8 12 18", "OFF8 12 18",
                                    "off\n8 12", "8 12 0", "Off8\n12 18",
                                    " \t OFF # x\n\n#y\n8 12 0 # z"])  # fmt: skip
def test_off_headers(header: str) -> None:
    assert_cube(*read_off(f"{header}\n{ROWS}".encode()))


@pytest.mark.parametrize(
    ("keyword", "extra"),
    [("COFF", " 1 0 0 1"), ("coff", " 255 0 0"), ("NOFF", " 0 0 1"), ("noff", " 0 0 1"),
     ("CNOFF", " 0 0 1 1 1 1 1"), ("STOFF", " 0.5 0.5"), ("STCNOFF", " 0 0 1 1 1 1 1 0 0"),
     ("OFF", " 9 9 9")],
)  # fmt: skip
def test_off_with_more_than_positions(keyword: str, extra: str) -> None:
    body = "\n".join([*(row + extra for row in PLACES), *ROWS.splitlines()[8:]])
    assert_cube(*read_off(f"{keyword}\n8 12 0\n{body} 0.1 0.2 0.3\n".encode()))


def test_off_without_lines() -> None:
    assert_cube(*read_off(OFF.replace("\n", " ").encode()))
    assert_cube(*read_off(OFF.replace(" ", "\n").encode()))


@pytest.mark.parametrize(("text", "named"), [
    (OFF.replace("8 12", "8 11"), "unreadable"),
    (OFF.replace("8 12", "8 13"), "truncated"),
    (OFF.replace("8 12", "7 12"), "unreadable"),
    (OFF.replace("OFF", "4OFF"), "unsupported-format"),
    (OFF.replace("OFF", "nOFF"), "unsupported-format"),
    (OFF.replace("OFF", "OFFICE"), "unsupported-format"),
    (OFF.replace("3 0", "3 0.5", 1), "unreadable"),
])  # fmt: skip
def test_off_that_is_refused(text: str, named: str) -> None:
    assert reason(read_off, text.encode()) == named


@pytest.mark.parametrize(
    "name",
    ["vertex", "vertex_cover v2", "facet normal 0 0 1", "outer loop vertex 1 2 3 endloop",
     "endsolid", "solid solid", "", "loop\\", "endfacet"],
)  # fmt: skip
def test_stl_names_may_be_keywords(name: str) -> None:
    assert_cube(*read_stl(STL.replace("solid cube", f"solid {name}").encode()))


@pytest.mark.parametrize(("old", "new"), [
    ("endloop", "end loop"), ("endfacet", "end facet"), ("endsolid", "end solid"), ("\n", " "),
    ("  ", "\t"), ("vertex", "VERTEX"), ("facet normal 0 0 0", "facet"),
    ("outer loop", "Outer Loop"),
])  # fmt: skip
def test_stl_spellings(old: str, new: str) -> None:
    assert_cube(*read_stl(STL.replace(old, new).encode()))


def test_several_solids() -> None:
    half = len(FACETS) // 2
    text = f"solid a\n{FACETS[:half]}endsolid a\n\nsolid vertex\n{FACETS[half:]}endsolid\n"
    assert_cube(*read_stl(text.encode()))
    assert_cube(*read_stl(f"\n{FACETS}".encode()))


@pytest.mark.parametrize("kept", [1, 6, 11])
def test_a_text_stl_cut_between_two_facets_is_truncated(kept: int) -> None:
    facets = STL.split("endfacet\n")
    text = "endfacet\n".join(facets[:kept]) + "endfacet\n"
    assert reason(read_stl, text.encode()) == "truncated"
    assert reason(read_stl, (STL + text).encode()) == "truncated"
    assert_cube(*read_stl(STL[: STL.rindex("endfacet")].encode()))  # closed, so all is there


def test_what_stands_before_a_text_stl() -> None:
    assert_cube(*read_stl(b"solid \0\0\0\n" + STL[11:].encode()))
    assert_cube(*read_stl((";" * 2000 + "\n" + STL).encode()))
    assert reason(read_stl, OBJ.encode()) == "unreadable"


def test_a_lost_loop_is_not_silent() -> None:
    assert reason(read_stl, STL.replace("endloop", "", 1).encode()) == "unreadable"
    assert reason(read_stl, (STL + " facet normal 0 0 1\n").encode()) == "unreadable"


BINARY = write_stl(CUBE.vertices, CUBE.faces)


@pytest.mark.parametrize("start", [b"\0" * 5, b"solid", b"facet", b"\xef\xbb\xbfsolid"])
@pytest.mark.parametrize("tail", [b"", b"\0\0", b"\r\n", bytes(49)])
def test_binary_stl_with_stray_bytes(start: bytes, tail: bytes) -> None:
    assert_cube(*read_stl(start + BINARY[len(start) :] + tail))


def test_binary_stl_that_holds_more_facets_than_it_says() -> None:
    assert reason(read_stl, BINARY + bytes(50)) == "unreadable"
    fewer = BINARY[:80] + (11).to_bytes(4, "little") + BINARY[84:]
    assert reason(read_stl, fewer) == "unreadable"


def binary_ply(ends: str) -> bytes:
    header = PLY.split("end_header")[0].replace("ascii", "binary_little_endian") + "end_header\n"
    vertices = CUBE.vertices.copy()
    vertices[0] = np.frombuffer(b"\n\0\0\0" * 3, "<f4")  # a body that starts with a line's end
    rows = np.empty(12, [("n", "u1"), ("corners", "<i4", 3)])
    rows["n"], rows["corners"] = 3, CUBE.faces
    return header.replace("\n", ends).encode() + vertices.astype("<f4").tobytes() + rows.tobytes()


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_ply_body_starts_right_after_the_header(ends: str) -> None:
    vertices, faces = read_ply(binary_ply(ends))
    assert np.array_equal(vertices[1:], CUBE.vertices[1:])
    assert np.array_equal(faces, CUBE.faces)


def test_a_ply_comment_may_name_the_end() -> None:
    comment = "comment end_header is below\nobj_info element vertex 99\n"
    assert_cube(*read_ply(PLY.replace("format", comment + "format", 1).encode()))


def test_ply_strips_one_a_row_or_parted() -> None:
    places = "0 0 0\n1 0 0\n0 1 0\n1 1 0\n0 2 0\n1 2 0\n"
    head = PLY.split("element face")[0].replace("vertex 8", "vertex 6")
    wanted = {(0, 1, 2), (3, 2, 1), (2, 3, 4), (5, 4, 3)}
    for rows in ("6 0 1 2 3 4 5\n", "4 0 1 2 3\n4 2 3 4 5\n", "9 0 1 2 3 -1 2 3 4 5\n"):
        text = f"{head}element tristrips {rows.count(chr(10))}\n"
        text += f"property list int int vertex_indices\nend_header\n{places}{rows}"
        assert {tuple(face) for face in read_ply(text.encode())[1].tolist()} == wanted


@pytest.mark.parametrize(("old", "new", "named"), [
    ("format ascii 1.0", "format ascii 2.0", "unsupported-format"),
    ("format ascii 1.0", "format utf8 1.0", "unsupported-format"),
    ("format ascii 1.0\n", "", "unreadable"),
    ("property float y", "propertyy float y", "unreadable"),
    ("property float y", "property float x", "unreadable"),
    ("property float y", "property list uchar float y", "unreadable"),
    ("element face", "element vertex", "unreadable"),
    ("vertex_indices", "corners", "unreadable"),
    ("face 12", "face 11", "unreadable"),
    ("face 12", "face 13", "truncated"),
    ("vertex 8", "vertex 7", "unreadable"),
    ("3 0", "3 0.5", "unreadable"),
    ("end_header", "", "truncated"),
    ("element face", "element nothing 3\nelement face", "unreadable"),
    ("list uchar int", "list float int", "unreadable"),
    ("1 1 1\n", "1 1 1 7\n", "unreadable"),
])  # fmt: skip
def test_ply_that_is_refused(old: str, new: str, named: str) -> None:
    assert old in PLY
    text = PLY.replace(old, new) if old != "3 0" else PLY.replace("\n3 0", "\n3 0.5", 1)
    assert reason(read_ply, text.encode()) == named


def test_a_face_of_two_corners_is_counted(tmp_path: Path) -> None:
    (tmp_path / "cube.obj").write_text(OBJ + "f 1 2\nf 3\n")
    from preprocessing.mesh import load_mesh_report

    loaded = load_mesh_report(tmp_path / "cube.obj")
    assert (len(loaded.mesh.faces), loaded.degenerate_faces) == (12, 2)
