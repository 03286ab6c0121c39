"""What glTF files hide, need or turn: visibility, required extensions, parts that joints mirror."""

from pathlib import Path

import numpy as np
import pytest
from gltf_files import GltfFile

from preprocessing.formats.gltf import read_glb
from preprocessing.formats.gltf_skins import blend
from preprocessing.mesh import MeshError
from preprocessing.shapes import box, sphere

CUBE = box((2.0, 2.0, 2.0)).mesh


def cube_file() -> GltfFile:
    file = GltfFile()
    file.node(mesh=file.mesh(CUBE.vertices, CUBE.faces))
    return file


def refused(file: GltfFile) -> MeshError:
    with pytest.raises(MeshError) as caught:
        read_glb(file.bytes(), Path())
    return caught.value


def test_invisible_nodes_and_what_is_below_them_are_not_shown() -> None:
    file = cube_file()
    below = file.node(mesh=0, translation=[9, 0, 0])
    hidden = {"KHR_node_visibility": {"visible": False}}
    file.node(mesh=0, children=[below], extensions=hidden)
    vertices, faces = read_glb(file.bytes(), Path())
    assert len(faces) == 12
    assert np.array_equal(np.unique(vertices), [-1, 1])
    hidden["KHR_node_visibility"]["visible"] = True
    assert len(read_glb(file.bytes(), Path())[1]) == 36


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("KHR_materials_unlit", True),
        ("KHR_texture_basisu", True),
        ("EXT_texture_webp", True),
        ("KHR_lights_punctual", True),
        ("KHR_mesh_quantization", True),
        ("KHR_xmp_json_ld", True),
        ("KHR_implicit_shapes", False),
        ("EXT_mesh_primitive_restart", False),
    ],
)
def test_an_extension_that_a_file_needs_is_known_or_the_file_refused(name, known) -> None:
    file = cube_file()
    file.json["extensionsUsed"] = [name]
    assert len(read_glb(file.bytes(), Path())[1]) == 12
    file.json["extensionsRequired"] = [name]
    if known:
        assert len(read_glb(file.bytes(), Path())[1]) == 12
    else:
        error = refused(file)
        assert (error.reason, name in error.message) == ("unsupported-format", True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda json: json["asset"].update(minVersion="2.1"), "unsupported-format"),
        (lambda json: json["asset"].update(version="1.0"), "unsupported-format"),
        (lambda json: json.update(extensionsRequired=3), "unreadable"),
        (lambda json: json.update(extensionsRequired=[3]), "unreadable"),
        (lambda json: json["nodes"][0].update(translation=3), "unreadable"),
    ],
)
def test_what_is_of_no_use_is_refused(change, reason: str) -> None:
    file = cube_file()
    change(file.json)
    assert refused(file).reason == reason


def test_a_part_is_turned_whole_or_not_at_all() -> None:
    """A few places of a ball that their joints turn inside out do not tear it; a mirrored part
    beside it is turned."""
    ball = sphere(subdivisions=2).mesh
    count = len(ball.vertices)
    vertices = np.concatenate([ball.vertices, ball.vertices + 5])
    faces = np.concatenate([ball.faces, ball.faces + count])
    mirror = np.diag([-1.0, 1, 1, 1])
    joints = np.zeros((2 * count, 1), np.int64)
    joints[:5] = joints[count:] = 1
    matrices = np.stack([np.eye(4), mirror])
    places, turned = blend(vertices, faces, (joints, np.ones((2 * count, 1))), matrices)
    assert np.array_equal(turned[: len(ball.faces)], ball.faces)
    assert np.array_equal(turned[len(ball.faces) :], ball.faces[:, ::-1] + count)
    assert np.allclose(places[count:], vertices[count:] * [-1, 1, 1])
