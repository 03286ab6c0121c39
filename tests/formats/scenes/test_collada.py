"""COLLADA: transforms in order, every primitive, instances, skins in their bind shape, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scene_files import dae, dae_geometry, dae_polygons, words, write_dae
from scene_trees import Tree, axis, expected, figures, prism, trees

from preprocessing.formats.scenes.collada import node_matrix, read_dae
from preprocessing.formats.scenes.xml_tree import Element
from preprocessing.mesh import MeshError

CUBE = prism([1.0] * 4, 1.0, (1.0, 1.0, 1.0))
BODY = dae_geometry("g", CUBE.vertices, dae_polygons("g", CUBE, "polylist"))
VERTEX = '<input semantic="VERTEX" source="#g-v" offset="0"/>'
SHOWN = '<node><instance_geometry url="#g"/></node>'


def refusal(data: bytes) -> MeshError:
    with pytest.raises(MeshError) as caught:
        read_dae(data)
    return caught.value


@settings(max_examples=80)
@given(trees(("translate", "rotate", "scale", "matrix", "lookat")))
def test_scenes_stand_where_the_definitions_put_them(tree: Tree) -> None:
    figures(*read_dae(write_dae(tree))).assert_close(expected(tree))


@given(axis, axis, st.floats(1, 60))
def test_a_skew_leans_its_first_axis_towards_its_second(first, second, degrees) -> None:
    between = np.degrees(np.arctan2(np.linalg.norm(np.cross(first, second)), np.dot(first, second)))
    skew = Element("skew", {}, words([degrees, *first, *second]))
    if not 1 < between < 179 or degrees > between - 1:
        return
    matrix = node_matrix(Element("node", {}, "", [skew]))[:3, :3]
    moved = matrix @ first
    turned = np.degrees(np.arctan2(np.linalg.norm(np.cross(moved, first)), np.dot(moved, first)))
    assert np.isclose(turned, degrees, atol=1e-6)
    # What moves moves along the second axis, which stays itself, and volumes are kept.
    assert np.allclose(np.cross(moved - first, second), 0, atol=1e-6 * np.linalg.norm(moved))
    assert np.allclose(matrix @ second, second, atol=1e-9 * np.linalg.norm(matrix))
    assert np.isclose(np.linalg.det(matrix), 1)


def primitive(name: str, inner: str, count: int = 1) -> bytes:
    """A scene of one primitive over six points: 0 1 2 3 a unit square in z = 0, 4 5 above it."""
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]], float)
    given = f'<{name} count="{count}">{VERTEX}{inner}</{name}>'
    return dae(dae_geometry("g", points, given), SHOWN)


@pytest.mark.parametrize(
    ("name", "inner", "count", "faces"),
    [
        ("triangles", "<p>0 1 2 0 2 3</p>", 2, [[0, 1, 2], [0, 2, 3]]),
        ("tristrips", "<p>0 1 3 2</p>", 1, [[0, 1, 3], [3, 1, 2]]),
        ("tristrips", "<p>0 1 3 2</p><p>0 4 1 5</p>", 2,
         [[0, 1, 3], [3, 1, 2], [0, 4, 1], [1, 4, 5]]),
        ("trifans", "<p>0 1 2 3</p>", 1, [[0, 1, 2], [0, 2, 3]]),
        ("polygons", "<p>0 1 2 3</p>", 1, [[0, 1, 2], [0, 2, 3]]),
        ("polylist", "<vcount>3 4</vcount><p>0 1 4 0 1 2 3</p>", 2,
         [[0, 1, 4], [0, 1, 2], [0, 2, 3]]),
    ],
)  # fmt: skip
def test_every_primitive(name, inner, count, faces) -> None:
    _, got = read_dae(primitive(name, inner, count))
    key = lambda f: sorted(tuple(np.roll(t, -int(np.argmin(t)))) for t in f)  # noqa: E731
    assert key(got) == key(np.array(faces))


def test_a_polygon_with_a_hole() -> None:
    ring = np.array([[0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0]], float)
    points = np.concatenate([ring, ring / 4 + [1, 1, 0], ring / 4 + [2.5, 2.5, 0]])
    inner = "<ph><p>0 1 2 3</p><h>4 5 6 7</h><h>11 10 9 8</h></ph>"
    given = f'<polygons count="1">{VERTEX}{inner}</polygons>'
    assert np.isclose(figures(*read_dae(dae(dae_geometry("g", points, given), SHOWN))).area, 14)


def test_indices_of_other_inputs_are_passed_over() -> None:
    inputs = VERTEX.replace('"0"', '"2"') + '<input semantic="NORMAL" source="#g-p" offset="0"/>'
    given = f'<triangles count="1">{inputs}<p>9 9 0 9 9 1 9 9 2</p></triangles>'
    vertices, faces = read_dae(dae(dae_geometry("g", CUBE.vertices, given), SHOWN))
    assert np.array_equal(vertices[faces[0]], CUBE.vertices[:3])


def test_nodes_may_be_instanced_and_bring_their_transforms() -> None:
    inner = '<node id="n"><translate>5 0 0</translate><instance_geometry url="#g"/></node>'
    more = f"<library_nodes>{inner}</library_nodes>"
    nodes = '<node><scale>2 1 1</scale><instance_node url="#n"/><instance_node url="#n"/></node>'
    vertices, faces = read_dae(dae(BODY, nodes, more=more))
    assert len(faces) == 24
    assert np.isclose(vertices[:, 0].min(), 8)


def controller(bind: np.ndarray, inverse: list[np.ndarray]) -> str:
    """A skin of two joints over #g, one weight a vertex."""
    v = " ".join(f"{k % 2} 0" for k in range(len(CUBE.vertices)))
    return (
        '<library_controllers><controller id="c"><skin source="#g"><bind_shape_matrix>'
        f'{words(bind)}</bind_shape_matrix><source id="j"><Name_array id="ja" count="2">A B'
        '</Name_array><technique_common><accessor source="#ja" count="2" stride="1"><param '
        'name="JOINT" type="name"/></accessor></technique_common></source><source id="i">'
        f'<float_array id="ia" count="32">{words(inverse)}</float_array><technique_common>'
        '<accessor source="#ia" count="2" stride="16"><param name="TRANSFORM" '
        'type="float4x4"/></accessor>'
        '</technique_common></source><source id="w"><float_array id="wa" count="1">1</float_array>'
        '<technique_common><accessor source="#wa" count="1" stride="1"><param name="WEIGHT" '
        'type="float"/></accessor></technique_common></source><joints><input semantic="JOINT" '
        'source="#j"/><input semantic="INV_BIND_MATRIX" source="#i"/></joints><vertex_weights '
        f'count="{len(CUBE.vertices)}"><input semantic="JOINT" source="#j" offset="0"/><input '
        'semantic="WEIGHT" source="#w" offset="1"/><vcount>'
        f"{words([1] * len(CUBE.vertices))}</vcount><v>{v}</v></vertex_weights></skin></controller>"
        "</library_controllers>"
    )


def moved(x: float, y: float, z: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


JOINTS = (
    '<node id="r" sid="A" type="JOINT"><translate>{a}</translate><node sid="B" type="JOINT">'
    "<translate>0 1 0</translate></node></node>"
)
SKINNED = (
    '<node><translate>0 0 9</translate><instance_controller url="#c"><skeleton>#r</skeleton>'
    "</instance_controller></node>"
)


def test_a_skin_stands_in_its_bind_shape_whatever_its_node_says() -> None:
    skin = controller(moved(0, 0, 3), [moved(-2, 0, 0), moved(-2, -1, 0)])
    vertices, _ = read_dae(dae(BODY, SKINNED + JOINTS.format(a="2 0 0"), more=skin))
    assert np.allclose(vertices, CUBE.vertices + np.array([0, 0, 3]))
    # A skeleton that moved as a whole takes the mesh along.
    vertices, _ = read_dae(dae(BODY, SKINNED + JOINTS.format(a="7 0 0"), more=skin))
    assert np.allclose(vertices, CUBE.vertices + np.array([5, 0, 3]))


def test_a_pose_in_which_joints_moved_apart_is_refused_by_name() -> None:
    skin = controller(np.eye(4), [np.eye(4), moved(0, -3, 0)])
    assert refusal(dae(BODY, SKINNED + JOINTS.format(a="0 0 0"), more=skin)).reason == "skinned"


def morphing(weight: float) -> str:
    """A morph of #g towards itself."""
    return (
        '<library_controllers><controller id="c"><morph source="#g" method="NORMALIZED"><source '
        'id="t"><IDREF_array id="ta" count="1">g</IDREF_array></source><source id="w"><float_array '
        f'id="wa" count="1">{weight}</float_array><technique_common><accessor source="#wa" '
        'count="1" stride="1"><param name="MORPH_WEIGHT" type="float"/></accessor>'
        '</technique_common></source><targets><input semantic="MORPH_TARGET" source="#t"/><input '
        'semantic="MORPH_WEIGHT" source="#w"/></targets></morph></controller></library_controllers>'
    )


def test_a_morph_that_shows_is_refused_and_one_that_does_not_is_its_base() -> None:
    node = '<node><translate>0 0 2</translate><instance_controller url="#c"/></node>'
    vertices, _ = read_dae(dae(BODY, node, more=morphing(0.0)))
    assert np.allclose(vertices, CUBE.vertices + np.array([0, 0, 2]))
    assert refusal(dae(BODY, node, more=morphing(0.5))).reason == "skinned"


def test_the_frame_and_the_unit_stay_the_files() -> None:
    plain = read_dae(dae(BODY, SHOWN))
    for unit, up in (("0.01", "Z_UP"), ("0.0254", "X_UP")):
        assert np.array_equal(read_dae(dae(BODY, SHOWN, unit, up))[0], plain[0])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<COLLADA", "truncated"),
        (b"<html/>", "unreadable"),
        (dae(BODY, '<node><instance_geometry url="other.dae#g"/></node>'), "missing"),
        (dae(BODY, '<node><instance_geometry url="#h"/></node>'), "unreadable"),
        (dae(BODY, '<node id="n"><instance_node url="#n"/></node>'), "too-large"),
        (dae(BODY + BODY, SHOWN), "unreadable"),
        (dae(BODY, "<node/>"), "empty"),
        (dae(BODY, "<node><scale>2 2</scale><instance_geometry url='#g'/></node>"), "unreadable"),
        (dae(BODY.replace('count="8"', 'count="9"'), SHOWN), "truncated"),
        (dae(BODY.replace('polylist count="6"', 'polylist count="7"'), SHOWN), "truncated"),
        (primitive("triangles", "<p>0 1 2 0 1</p>"), "truncated"),
        (primitive("triangles", "<p>0 1 9</p>"), "index-out-of-range"),
        (primitive("triangles", "<p>0 1 x</p>"), "unreadable"),
        (primitive("triangles", "<p>0 1 0_2</p>"), "unreadable"),
        (dae(BODY, ""), "empty"),
        (dae(BODY.replace("-1.0 ", "-1,0 "), SHOWN), "unreadable"),
        (dae(BODY, SHOWN.replace("<node>", "<node><scale>1,5 1 1</scale>")), "unreadable"),
        (dae('<geometry id="g"><brep/></geometry>', SHOWN), "unsupported-format"),
    ],
)
def test_refusals(data: bytes, reason: str) -> None:
    assert refusal(data).reason == reason


def test_entities_are_refused_and_doubling_instances_end() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + dae(BODY, SHOWN)[21:]
    assert "entity" in refusal(bomb).message
    levels = "".join(
        f'<node id="n{k}"><instance_node url="#n{k + 1}"/><instance_node url="#n{k + 1}"/></node>'
        for k in range(40)
    )
    more = f'<library_nodes>{levels}<node id="n40"/></library_nodes>'
    assert (
        refusal(dae(BODY, '<node><instance_node url="#n0"/></node>', more=more)).reason
        == "too-large"
    )
