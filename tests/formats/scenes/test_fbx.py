"""FBX: pivots, orders, inherited scales, skins, shapes, both encodings; refusals by name."""

import numpy as np
import pytest
from fbx_files import FbxScene, Model, Skin, binary_file, fbx_scenes, placed, text_file
from hypothesis import given, settings
from hypothesis import strategies as st
from scene_trees import figures, placed_figures, prism

from preprocessing.formats.scenes.fbx import read_fbx
from preprocessing.mesh import MeshError

PART = prism([1.0, 0.4, 1.0, 0.5, 1.0], 1.5, (1.0, 1.0, 1.0))
BONES = [Model({}), Model({"Lcl Translation": (0.0, 3.0, 0.0)})]


def scene(model: Model, bones: list[Model] | None = None) -> FbxScene:
    return FbxScene([PART], [model], bones or [])


def refusal(data: bytes) -> MeshError:
    with pytest.raises(MeshError) as caught:
        read_fbx(data)
    return caught.value


@settings(max_examples=60)
@given(fbx_scenes())
def test_scenes_stand_where_the_definitions_put_them(made: FbxScene) -> None:
    figures(*read_fbx(text_file(made.rows()))).assert_close(placed_figures(placed(made)))


@settings(max_examples=30)
@given(fbx_scenes(), st.sampled_from([7100, 7400, 7500, 7700]), st.booleans())
def test_binary_files_hold_what_text_files_do(made, version, deflate) -> None:
    vertices, faces = read_fbx(text_file(made.rows()))
    again = read_fbx(binary_file(made.rows(), version, deflate))
    assert np.array_equal(again[0], vertices)
    assert np.array_equal(again[1], faces)


def test_a_mirrored_model_keeps_its_outside() -> None:
    made = scene(Model({"Lcl Scaling": (-2.0, 1.0, 1.0)}, 0))
    read = figures(*read_fbx(text_file(made.rows())))
    assert read.volume > 0
    read.assert_close(placed_figures(placed(made)))


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_scale_is_inherited_in_three_ways(mode: int) -> None:
    """A parent of scale (2, 3, 1) over a child turned by 90° about z and of scale (1, 1.5, 1)."""
    half = np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
    PART_BOX = prism([1.0] * 4, 1.0, (1.0, 1.0, 1.0))
    PART_BOX.vertices = half
    PART_BOX.polygons = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4],
                         [1, 5, 7, 3]]  # fmt: skip
    child = Model(
        {"Lcl Rotation": (0.0, 0.0, 90.0), "Lcl Scaling": (1.0, 1.5, 1.0), "InheritType": (mode,)},
        0,
    )
    parent = Model({"Lcl Scaling": (2.0, 3.0, 1.0)}, None, None, [child])
    read = figures(*read_fbx(text_file(FbxScene([PART_BOX], [parent], []).rows())))
    # Scales multiply in the child's axes (0), the parent's stretch the turned child (1), or none.
    expected = {0: (4.5, 2.0, 1.0), 1: (3.0, 3.0, 1.0), 2: (1.5, 1.0, 1.0)}[mode]
    assert np.allclose(read.high, expected)


def test_template_properties_are_defaults() -> None:
    template = ("PropertyTemplate", ["FbxNode"], [("Properties70", [], [
        ("P", ["Lcl Translation", "", "", "", 5.0, 0.0, 0.0], [])])])  # fmt: skip
    rows = scene(Model({}, 0)).rows()
    moved = [("Definitions", [], [("ObjectType", ["Model"], [template])]), *rows]
    still, shifted = figures(*read_fbx(text_file(rows))), figures(*read_fbx(text_file(moved)))
    assert np.allclose(shifted.low - still.low, [5, 0, 0])


def test_soft_weights_are_normalised_and_bare_vertices_stay_with_the_model() -> None:
    weights = np.zeros((10, 2))
    weights[:5] = [0.2, 0.6]
    skin = Skin(np.array([np.eye(4)] * 2), weights)
    vertices, _ = read_fbx(
        text_file(scene(Model({"Lcl Translation": (9.0, 0.0, 0.0)}, 0, skin), BONES).rows())
    )
    assert np.allclose(vertices[:5], PART.vertices[:5] + np.array([0, 2.25, 0]))
    assert np.allclose(vertices[5:], PART.vertices[5:] + np.array([9, 0, 0]))


def test_a_mesh_bound_without_matrix_is_where_its_bones_took_it() -> None:
    """Transform left out: the bind pose is the model's own place."""
    rows = scene(
        Model(
            {"Lcl Translation": (1.0, 0.0, 0.0)},
            0,
            Skin(np.array([np.eye(4)] * 2), np.tile([0.0, 1.0], (10, 1))),
        ),
        BONES,
    ).rows()
    for record in rows[1][2]:
        record[2][:] = [r for r in record[2] if r[0] != "Transform"]
    vertices, _ = read_fbx(text_file(rows))
    assert np.allclose(vertices, PART.vertices + np.array([1, 3, 0]))


def test_a_skinned_mesh_of_two_models_is_refused_by_name() -> None:
    skin = Skin(np.array([np.eye(4)] * 2), np.tile([0.5, 0.5], (10, 1)))
    rows = scene(Model({}, 0, skin), BONES).rows()
    shape, model = next(r[1][1:] for r in rows[2][2] if r[1][1] in geometries(rows))
    rows[1][2].append(("Model", [7, "Model::again", "Mesh"], []))
    rows[2][2].append(("C", ["OO", shape, 7], []))
    assert model != 7
    assert refusal(text_file(rows)).reason == "skinned"


def geometries(rows: list) -> set[int]:
    return {r[1][0] for r in rows[1][2] if r[0] == "Geometry"}


def shaped(percent: float, full: list[float]) -> bytes:
    """A part with one blend channel of a shape per entry of `full`; shape k moves 10^k along x."""
    rows = scene(Model({}, 0)).rows()
    objects, links = rows[1][2], rows[2][2]
    geometry = objects[0][1][0]
    everyone = np.arange(len(PART.vertices))
    channel = [("DeformPercent", [percent], []), ("FullWeights", [np.array(full)], [])]
    objects += [
        ("Deformer", [1, "Deformer::", "BlendShape"], [("Version", [100], [])]),
        ("Deformer", [2, "SubDeformer::", "BlendShapeChannel"], channel),
    ]
    links += [("C", ["OO", 1, geometry], []), ("C", ["OO", 2, 1], [])]
    for k in range(len(full)):
        offsets = np.tile([10.0**k, 0, 0], (len(everyone), 1))
        shape = [("Indexes", [everyone], []), ("Vertices", [offsets.ravel()], [])]
        objects.append(("Geometry", [10 + k, "Geometry::", "Shape"], shape))
        links.append(("C", ["OO", 10 + k, 2], []))
    return text_file(rows)


@pytest.mark.parametrize(
    ("percent", "full", "moved"),
    [
        (0, [100], 0.0),
        (50, [100], 0.5),
        (200, [100], 2.0),
        (-50, [100], -0.5),
        (25, [50, 100], 0.5),
        (75, [50, 100], 0.5 + 5.0),
        (100, [50, 100], 10.0),
        (50, [100, 50], 10.0),
    ],
)
def test_blend_shapes_stand_at_their_weights(percent, full, moved) -> None:
    vertices, _ = read_fbx(shaped(percent, full))
    assert np.allclose(vertices - PART.vertices, [moved, 0, 0])


def test_what_is_not_read_is_refused_by_name() -> None:
    rows = scene(Model({}, 0)).rows()
    good = text_file(rows)
    assert refusal(good.replace(b"; FBX 7.4", b"; FBX 5.8")).reason == "unsupported-format"
    assert "5800" in refusal(good.replace(b"; FBX 7.4", b"; FBX 5.8")).message
    assert len(read_fbx(b"\xef\xbb\xbf" + good)[1]) == 16
    assert refusal(b"solid cube").reason == "unreadable"
    assert refusal(good[: len(good) // 2]).reason == "truncated"
    assert refusal(binary_file(rows)[:-200]).reason == "truncated"
    assert (
        refusal(good.replace(b'"Geometry::g","Mesh"', b'"Geometry::g","NurbsSurface"')).reason
        == "unsupported-format"
    )
    assert refusal(text_file([rows[0]])).reason == "empty"
    last = text_file(rows).replace(b",-1", b",1")
    assert refusal(last).reason in ("truncated", "index-out-of-range", "unreadable")


def test_an_underscore_makes_no_number() -> None:
    good = text_file(scene(Model({}, 0)).rows())
    start = good.index(b"Vertices")
    digit = next(at for at in range(start + 30, len(good)) if good[at : at + 1] == b".")
    changed = good[:digit] + b"_" + good[digit + 1 :]
    assert refusal(changed).reason == "unreadable"


def test_packed_floods_are_refused_where_they_count_and_passed_over_elsewhere() -> None:
    flood = binary_file([("Objects", [], [("X", [np.zeros(10_000_000)], [])])])
    assert len(flood) < 100_000
    assert refusal(flood).reason == "empty"
    rows = scene(Model({}, 0)).rows()
    rows[1][2][0][2][0] = ("Vertices", [np.zeros(9_000_000)], [])
    assert refusal(binary_file(rows)).reason == "too-large"
