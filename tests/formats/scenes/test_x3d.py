"""X3D: nested transforms, USE, meshes and solids by their formulas, refusals by name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scene_files import words, write_x3d
from scene_trees import (
    Figures,
    Tree,
    angle,
    axis,
    expected,
    factor,
    figures,
    number,
    step_matrix,
    trees,
)

from preprocessing.formats.scenes.x3d import read_x3d
from preprocessing.half_edges import edge_faults
from preprocessing.mesh import MeshError, validate

ROUND = 1.0015
"""128 sides miss about a thousandth of a round solid's volume."""


def x3d(inner: str) -> bytes:
    return f'<X3D version="3.3"><Scene>{inner}</Scene></X3D>'.encode()


def shape(geometry: str) -> bytes:
    return x3d(f"<Shape>{geometry}</Shape>")


def closed(data: bytes) -> Figures:
    """The figures of a scene that must be closed, each edge walked once in either direction."""
    loaded = validate(*read_x3d(data))
    faults = edge_faults(loaded.mesh.faces)
    assert faults.open_edges == 0
    return figures(loaded.mesh.vertices, loaded.mesh.faces)


def refusal(data: bytes) -> MeshError:
    with pytest.raises(MeshError) as caught:
        read_x3d(data)
    return caught.value


@settings(max_examples=80)
@given(trees(("translate", "rotate", "scale")))
def test_scenes_stand_where_the_definitions_put_them(tree: Tree) -> None:
    figures(*read_x3d(write_x3d(tree))).assert_close(expected(tree))


vector = st.tuples(number, number, number)


@given(vector, vector, axis, angle, st.tuples(factor, factor, factor), axis, angle)
def test_a_transform_with_centre_and_scale_orientation(move, centre, turn, by, size, lean, lean_by):
    """T · C · R · SR · S · -SR · -C, one matrix each."""
    turns = [
        words([*about, np.radians(degrees)]) for about, degrees in ((turn, by), (lean, lean_by))
    ]
    inner = (
        f'<Transform translation="{words(move)}" center="{words(centre)}" scale="{words(size)}" '
        f'rotation="{turns[0]}" scaleOrientation="{turns[1]}"><Shape><Box/></Shape></Transform>'
    )
    leaning = step_matrix("rotate", (*lean, lean_by))
    matrix = (
        step_matrix("translate", move) @ step_matrix("translate", centre)
        @ step_matrix("rotate", (*turn, by)) @ leaning @ step_matrix("scale", size)
        @ leaning.T @ step_matrix("translate", tuple(-x for x in centre))
    )  # fmt: skip
    vertices, _ = read_x3d(x3d(inner))
    corners = np.array([[x, y, z, 1] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    wanted = (corners @ matrix.T)[:, :3]
    assert np.allclose(vertices.min(axis=0), wanted.min(axis=0), atol=1e-6)
    assert np.allclose(vertices.max(axis=0), wanted.max(axis=0), atol=1e-6)


@pytest.mark.parametrize(
    ("geometry", "volume", "half"),
    [
        ('<Box size="2 3 4"/>', 24, (1, 1.5, 2)),
        ("<Box/>", 8, (1, 1, 1)),
        ('<Sphere radius="2"/>', 32 * np.pi / 3, (2, 2, 2)),
        ('<Cylinder radius="2" height="3"/>', 12 * np.pi, (2, 1.5, 2)),
        ('<Cone bottomRadius="2" height="3"/>', 4 * np.pi, (2, 1.5, 2)),
    ],
)
def test_solids_have_their_volume_and_are_closed(geometry, volume, half) -> None:
    got = closed(shape(geometry))
    assert volume / ROUND < got.volume <= volume * (1 + 1e-9)
    assert np.allclose(got.high, half, rtol=1e-3)
    assert np.allclose(got.low, np.negative(half), rtol=1e-3)


def test_parts_that_are_switched_off_are_left_out() -> None:
    whole = figures(*read_x3d(shape("<Cylinder/>"))).area
    side = figures(*read_x3d(shape('<Cylinder top="false" bottom="false"/>'))).area
    assert np.isclose(whole - side, 2 * np.pi, rtol=1e-2)
    cone = figures(*read_x3d(shape('<Cone side="false"/>')))
    assert np.isclose(cone.area, np.pi, rtol=1e-2)


def test_an_extrusion_is_closed_and_faces_out() -> None:
    assert np.isclose(closed(shape("<Extrusion/>")).volume, 4)
    # Along x, twice as wide at the end: a frustum of a pyramid.
    tapered = '<Extrusion spine="0 0 0 3 0 0" scale="1 1 2 2"/>'
    assert np.isclose(closed(shape(tapered)).volume, 3 / 3 * (4 + 16 + 8))
    # A concave section, an L, bent once: the bend lies in the plane that halves the angle.
    section = "0 0 0 2 -1 2 -1 1 -2 1 -2 0 0 0"
    got = closed(shape(f'<Extrusion crossSection="{section}" spine="0 0 0 0 2 0 0 4 0"/>'))
    assert np.isclose(abs(got.volume), 3 * 4)
    turned = closed(shape('<Extrusion spine="0 0 0 0 1 0 0 2 0" orientation="0 1 0 0.7"/>'))
    assert np.isclose(turned.volume, 8)
    backwards = closed(shape('<Extrusion spine="0 0 0 0 -3 0"/>'))
    assert np.isclose(backwards.volume, 12)


def test_an_extrusion_along_a_bend_keeps_its_section_upright() -> None:
    got = closed(
        shape('<Extrusion crossSection="1 1 1 -1 -1 -1 -1 1 1 1" spine="0 0 0 0 9 0 9 9 0"/>')
    )
    assert np.isclose(got.high[2], 1)
    assert np.isclose(got.low[2], -1)
    assert got.volume > 0


def test_a_height_field_faces_up() -> None:
    grid = '<ElevationGrid xDimension="3" zDimension="2" xSpacing="2" height="0 1 0 0 1 0"/>'
    vertices, faces = read_x3d(shape(grid))
    a, b, c = vertices[faces].transpose(1, 0, 2)
    assert len(faces) == 4
    assert (np.cross(b - a, c - a)[:, 1] > 0).all()
    assert np.allclose(vertices.max(axis=0), [4, 1, 1])
    turned = read_x3d(shape(grid.replace("height", 'ccw="false" height')))[1]
    assert np.array_equal(turned, faces[:, ::-1])


POINTS = '<Coordinate point="0 0 0, 1 0 0, 1 1 0, 0 1 0"/>'


@pytest.mark.parametrize(
    ("geometry", "faces"),
    [
        ("<IndexedFaceSet coordIndex='0 1 2 3'>", 2),
        ("<IndexedFaceSet coordIndex='0,1,2,-1,0,2,3,-1'>", 2),
        ("<IndexedTriangleSet index='0 1 2 0 2 3'>", 2),
        ("<IndexedTriangleStripSet index='0 1 3 2 -1'>", 2),
        ("<IndexedTriangleFanSet index='0 1 2 3'>", 2),
        ("<IndexedQuadSet index='0 1 2 3'>", 2),
        ("<TriangleSet>", 1),
        ("<TriangleStripSet stripCount='4'>", 2),
        ("<TriangleFanSet fanCount='4'>", 2),
        ("<QuadSet>", 2),
    ],
)
def test_meshes(geometry: str, faces: int) -> None:
    name = geometry[1:].split()[0].rstrip(">")
    vertices, got = read_x3d(shape(f"{geometry}{POINTS}</{name}>"))
    assert len(got) == faces
    a, b, c = vertices[got].transpose(1, 0, 2)
    assert np.allclose(np.cross(b - a, c - a)[:, :2], 0)
    if "Strip" not in name:
        assert (np.cross(b - a, c - a)[:, 2] > 0).all()


def test_groups_show_what_they_choose() -> None:
    two = "<Shape><Box/></Shape><Transform translation='9 0 0'><Shape><Box/></Shape></Transform>"
    assert len(read_x3d(x3d(f"<Switch whichChoice='1'>{two}</Switch>"))[1]) == 12
    assert np.isclose(read_x3d(x3d(f"<Switch whichChoice='1'>{two}</Switch>"))[0][:, 0].max(), 10)
    assert refusal(x3d(f"<Switch>{two}</Switch>")).reason == "empty"
    assert len(read_x3d(x3d(f"<LOD>{two}</LOD>"))[1]) == 12
    assert len(read_x3d(x3d(f"<Collision>{two}</Collision>"))[1]) == 24
    lights = "<PointLight/><Viewpoint/><WorldInfo/><ROUTE/>"
    assert len(read_x3d(x3d(f"{lights}{two}"))[1]) == 24


def test_what_is_not_visible_is_not_shown() -> None:
    box = "<Shape><Box/></Shape>"
    for hidden in (f"<Group visible='false'>{box}{box}</Group>", "<Shape visible='FALSE'/>"):
        assert len(read_x3d(x3d(f"{hidden}<Group visible='true'>{box}</Group>"))[1]) == 12


@pytest.mark.parametrize(
    ("inner", "reason", "named"),
    [
        ("<Shape DEF='a'><Box/></Shape><Shape DEF='a'><Cone/></Shape><Shape USE='a'/>",
         "unreadable", "two nodes"),
        ("<Shape><Box/></Shape><shape><box/></shape>", "unsupported-format", "<shape>"),
        ("<Shape><Box size='1 1 1_0'/></Shape>", "unreadable", "1_0"),
        ("<Shape><Text/></Shape>", "unsupported-format", "<Text>"),
        ("<Inline url='a.x3d'/>", "unsupported-format", "<Inline>"),
        ("<ProtoInstance name='a'/>", "unsupported-format", "<ProtoInstance>"),
        ("<Strange><Shape><Box/></Shape></Strange>", "unsupported-format", "<Strange>"),
        ("<Shape><NurbsPatchSurface/></Shape>", "unsupported-format", "<NurbsPatchSurface>"),
        ("<Shape USE='a'/>", "unreadable", "'a'"),
        ("<Group DEF='a'><Group USE='a'/></Group>", "too-large", "nest"),
        ("<Shape><Box size='1 1'/></Shape>", "unreadable", "size"),
        ("<Shape><Box size='1 -1 1'/></Shape>", "unreadable", "negative"),
        ("<Shape><ElevationGrid xDimension='3' zDimension='3' height='0'/></Shape>",
         "truncated", "heights"),
        ("<Group/>", "empty", "no geometry"),
    ],
)  # fmt: skip
def test_refusals(inner: str, reason: str, named: str) -> None:
    caught = refusal(x3d(inner))
    assert (caught.reason, named in caught.message) == (reason, True)


def test_other_encodings_are_refused_by_name() -> None:
    assert refusal(b"#X3D V3.3 utf8\n").reason == "unsupported-format"
    assert refusal(b"\x1f\x8b123").reason == "unsupported-format"
