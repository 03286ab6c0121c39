"""glTF skins and morph targets: what the file shows at rest, by the specification's formula."""

from pathlib import Path

import DracoPy
import numpy as np
import pytest
from gltf_files import GltfFile
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocessing.formats.gltf import read_glb
from preprocessing.mesh import MeshError, load_mesh
from preprocessing.shapes import box

CASES = Path(__file__).parent.parent / "data" / "cases"
CUBE = box((2.0, 2.0, 2.0)).mesh
ONE = np.tile([1.0, 0, 0, 0], (8, 1))
FIRST = np.zeros((8, 4))


def moved(*by: float) -> np.ndarray:
    return CUBE.vertices + np.array(by)


def read(file: GltfFile) -> tuple[np.ndarray, np.ndarray]:
    return read_glb(file.bytes(), Path())


def refused(file: GltfFile) -> MeshError:
    with pytest.raises(MeshError) as caught:
        read(file)
    return caught.value


def shifted(*move: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = move
    return matrix


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def skinned(joints=FIRST, weights=ONE, inverse=None, **node) -> GltfFile:
    """A cube whose node 0 has a skin of the joints 1 and 2, which stand at x = 1 and y = 5."""
    file = GltfFile()
    sets = {}
    for number in range(joints.shape[1] // 4):
        part = slice(4 * number, 4 * number + 4)
        sets[f"JOINTS_{number}"] = file.accessor(joints[:, part], "u2")
        sets[f"WEIGHTS_{number}"] = file.accessor(weights[:, part])
    file.node(mesh=file.mesh(CUBE.vertices, CUBE.faces, **sets), skin=0, **node)
    file.node(translation=[1, 0, 0])
    file.node(translation=[0, 5, 0])
    file.skin([1, 2], inverse)
    return file


def random_transform(rng: np.random.Generator) -> dict:
    """Members of a node: a matrix, or translation, rotation and scale."""
    if rng.random() < 0.3:
        matrix = np.eye(4)
        matrix[:3] = rng.normal(size=(3, 4))
        return {"matrix": matrix.T.ravel().tolist()}
    turn = rng.normal(size=4)
    return {
        "translation": rng.normal(size=3).tolist(),
        "rotation": (turn / np.linalg.norm(turn)).tolist(),
        "scale": (rng.uniform(0.3, 2, 3) * rng.choice([-1, 1], 3)).tolist(),
    }


def matrix_of(node: dict) -> np.ndarray:
    """The twin of local_transform, by scipy's rotations."""
    from scipy.spatial.transform import Rotation

    if "matrix" in node:
        return np.reshape(node["matrix"], (4, 4)).T
    matrix = np.eye(4)
    turn = Rotation.from_quat(node.get("rotation", [0, 0, 0, 1])).as_matrix()
    matrix[:3, :3] = turn @ np.diag(node.get("scale", [1, 1, 1]))
    matrix[:3, 3] = node.get("translation", [0, 0, 0])
    return matrix


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.booleans())
def test_the_formula_of_the_specification(seed: int, sets: int, bound: bool) -> None:
    """sum of weight * jointWorld * inverseBind * v, vertex by vertex, joints in a random tree."""
    rng = np.random.default_rng(seed)
    file, count, columns = GltfFile(), int(rng.integers(1, 6)), 4 * sets
    joints = rng.integers(0, count, (8, columns))
    weights = rng.uniform(0.1, 1, (8, columns)).astype(np.float32).astype(float)
    attributes = {}
    for n in range(sets):
        part = slice(4 * n, 4 * n + 4)
        attributes[f"JOINTS_{n}"] = file.accessor(joints[:, part], "u1" if seed % 2 else "u2")
        attributes[f"WEIGHTS_{n}"] = file.accessor(weights[:, part])
    mesh = file.mesh(CUBE.vertices, CUBE.faces, **attributes)
    worlds = []
    for index in range(count):  # joint i hangs below some earlier one
        node = random_transform(rng)
        above = np.eye(4)
        if index and rng.random() < 0.7:
            parent = int(rng.integers(index))
            file.json["nodes"][parent].setdefault("children", []).append(index)
            above = worlds[parent]
        worlds.append(above @ matrix_of(node))
        file.node(**node)
    file.node(mesh=mesh, skin=0, **random_transform(rng))
    inverse = rng.normal(size=(count, 4, 4)).astype(np.float32).astype(float)
    inverse[:, 3] = [0, 0, 0, 1]
    file.skin(list(range(count)), inverse if bound else None)
    matrices = np.array(worlds) @ (inverse if bound else np.eye(4))
    wanted = np.zeros((8, 3))
    for v in range(8):
        for joint, weight in zip(joints[v], weights[v] / weights[v].sum(), strict=True):
            wanted[v] += weight * (matrices[joint] @ [*CUBE.vertices[v], 1])[:3]
    assert np.allclose(read(file)[0], wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "low", "high", "faces"),
    [("two_bind_spaces.glb", [-1, -5, -1], [1, 1, 1], 24),
     ("moved_parent.glb", [-3, -1.2, -3], [3, 1, 3], 14)],
)  # fmt: skip
def test_cases(name: str, low: list, high: list, faces: int) -> None:
    mesh = load_mesh(CASES / name)
    assert np.allclose([mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)], [low, high])
    assert len(mesh.faces) == faces


def test_the_robot_of_objaverse_stands_together(meshes_dir: Path) -> None:
    """1.57 high on three legs on the floor; without its skin it lay on its back."""
    mesh = load_mesh(meshes_dir / "objaverse" / "dora_objaverse_288ead.glb")
    assert np.allclose(np.ptp(mesh.vertices, axis=0), [0.6495, 1.5664, 1.0899], atol=1e-3)
    assert len(mesh.faces) == 9450
    assert abs(mesh.vertices[:, 1].min()) < 1e-3


def test_a_skinned_node_stands_where_its_joints_say() -> None:
    vertices, faces = read(skinned(translation=[100, 0, 0], scale=[-9, 9, 9]))
    assert np.allclose(vertices, moved(1, 0, 0))
    assert np.isclose(volume(vertices, faces), 8)


def test_a_joint_without_weight_may_name_anything() -> None:
    joints = FIRST.copy()
    joints[:, 1:] = 999
    assert np.allclose(read(skinned(joints))[0], moved(1, 0, 0))


@pytest.mark.parametrize(("kind", "size"), [("u1", 255), ("u2", 65535), ("f4", 7.0)])
def test_weights_of_every_kind_are_made_to_add_up_to_one(kind: str, size: float) -> None:
    file = skinned(np.tile([0, 1, 0, 0], (8, 1)))
    half = np.tile([0.2 * size, 0.2 * size, 0, 0], (8, 1))
    index = file.accessor(half, kind, normalized=kind != "f4")
    file.json["meshes"][0]["primitives"][0]["attributes"]["WEIGHTS_0"] = index
    assert np.allclose(read(file)[0], moved(0.5, 2.5, 0))


def test_one_mesh_under_two_skins() -> None:
    file = skinned()
    file.node(mesh=0, skin=file.skin([2]))
    vertices, faces = read(file)
    assert np.allclose(vertices[:8], moved(1, 0, 0))
    assert np.allclose(vertices[8:], moved(0, 5, 0))
    assert len(faces) == 24


def test_a_mesh_with_joints_but_no_skin_follows_its_node() -> None:
    file = skinned(translation=[0, 0, 9])
    del file.json["nodes"][0]["skin"]
    assert np.allclose(read(file)[0], moved(0, 0, 9))


def test_joints_that_the_scene_does_not_show_still_count() -> None:
    file = skinned()
    file.node(children=[1], translation=[0, 0, 3])
    file.json["scenes"] = [{"nodes": [0]}]
    assert np.allclose(read(file)[0], moved(1, 0, 3))


def test_a_mirrored_joint_keeps_the_outside_out() -> None:
    file = skinned()
    file.json["nodes"][1]["scale"] = [-2, 1, 1]
    assert np.isclose(volume(*read(file)), 16)


def test_skins_in_sparse_and_quantised_accessors() -> None:
    file = skinned(inverse=np.array([shifted(0, 0, 4), np.eye(4)]))
    attributes = file.json["meshes"][0]["primitives"][0]["attributes"]
    attributes["WEIGHTS_0"] = file.sparse(ONE, np.arange(8))
    attributes["JOINTS_0"] = file.accessor(FIRST, "u1")
    attributes["POSITION"] = file.accessor(CUBE.vertices * 127, "i1", normalized=True)
    assert np.allclose(read(file)[0], moved(1, 0, 4))


def test_a_skin_in_draco_data() -> None:
    packed = DracoPy.encode(
        CUBE.vertices.astype(np.float32), CUBE.faces.astype(np.uint32), preserve_order=True,
        quantization_bits=20,
        generic_attributes={5: np.ones((8, 4), np.uint8), 6: ONE.astype(np.float32)},
    )  # fmt: skip
    file = skinned()
    primitive = file.json["meshes"][0]["primitives"][0]
    decoded = DracoPy.decode(packed)
    position = next(a["unique_id"] for a in decoded.attributes if a["attribute_type"] == 0)
    primitive["extensions"] = {
        "KHR_draco_mesh_compression": {
            "bufferView": file.view(packed),
            "attributes": {"POSITION": position, "JOINTS_0": 5, "WEIGHTS_0": 6},
        }
    }
    vertices, faces = read(file)
    assert np.allclose(
        [vertices.min(axis=0), vertices.max(axis=0)], [[-1, 4, -1], [1, 6, 1]], atol=1e-4
    )
    assert np.isclose(volume(vertices, faces), 8, atol=1e-3)
    primitive["extensions"]["KHR_draco_mesh_compression"]["attributes"]["JOINTS_0"] = 77
    assert "Draco" in refused(file).message


def test_morph_targets_by_the_weights_of_the_node_then_of_the_mesh() -> None:
    file = GltfFile()
    up, out = np.tile([0, 1.0, 0], (8, 1)), CUBE.vertices
    mesh = file.mesh(CUBE.vertices, CUBE.faces)
    primitive = file.json["meshes"][mesh]["primitives"][0]
    primitive["targets"] = [
        {"POSITION": file.sparse(up, np.arange(8))},
        {"POSITION": file.accessor(out)},
        {"NORMAL": 0},
    ]
    file.node(mesh=mesh)
    assert np.allclose(read(file)[0], CUBE.vertices)
    file.json["meshes"][mesh]["weights"] = [2, 0, 1]
    assert np.allclose(read(file)[0], moved(0, 2, 0))
    file.json["nodes"][0] |= {"weights": [1, 0.5, 0], "translation": [0, 0, 1]}
    assert np.allclose(read(file)[0], CUBE.vertices * 1.5 + [0, 1, 1])
    file.node(mesh=mesh, skin=file.skin([0]))  # morphed first, then skinned
    joints, weights = file.accessor(FIRST, "u2"), file.accessor(ONE)
    primitive["attributes"] |= {"JOINTS_0": joints, "WEIGHTS_0": weights}
    assert np.allclose(read(file)[0][8:], moved(0, 2, 1))


def attribute(name: str, values: np.ndarray, kind: str = "f4"):
    def change(file: GltfFile) -> None:
        members = file.json["meshes"][0]["primitives"][0]["attributes"]
        members[name] = file.accessor(values, kind)

    return change


def edit(kind: str, index: int, **members):
    return lambda file: file.json[kind][index].update(members)


def without(name: str):
    return lambda file: file.json["meshes"][0]["primitives"][0]["attributes"].pop(name)


REFUSED = [
    (attribute("JOINTS_0", FIRST[:7], "u1"), "unreadable", "7 rows"),
    (attribute("JOINTS_0", FIRST + 2, "u1"), "index-out-of-range", "joint 2 of 2"),
    (attribute("JOINTS_0", FIRST + 0.5), "unreadable", "whole number"),
    (attribute("JOINTS_0", FIRST[:, :3], "u1"), "unreadable", "by four"),
    (attribute("WEIGHTS_0", ONE * 0), "unreadable", "8 of 8 skinned vertices have no weight"),
    (attribute("WEIGHTS_0", -ONE), "unreadable", "negative"),
    (attribute("WEIGHTS_0", ONE * np.nan), "non-finite", "weight"),
    (attribute("WEIGHTS_1", ONE), "unreadable", "2 of weights"),
    (without("JOINTS_0"), "unreadable", "0 sets of joints"),
    (edit("skins", 0, joints=[]), "unreadable", "skin 0"),
    (edit("skins", 0, joints=[1, 77]), "unreadable", "nodes[77]"),
    (edit("skins", 0, inverseBindMatrices=0), "unreadable", "inverse bind matrices"),
    (edit("nodes", 0, skin=4), "unreadable", "skins[4]"),
    (edit("nodes", 1, children=[1]), "unreadable", "two parents"),
    (edit("nodes", 1, scale=[1e999, 1, 1]), "non-finite", "node 1"),
    (edit("nodes", 0, weights=[1.0]), "unreadable", "1 weights for 0 morph targets"),
    (edit("nodes", 0, extensions={"EXT_mesh_gpu_instancing": {"attributes": {"SCALE": 0}}}),
     "unsupported-format", "GPU instances"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "reason", "words"), REFUSED)
def test_what_does_not_fit_is_refused_by_name(change, reason: str, words: str) -> None:
    file = skinned()
    change(file)
    error = refused(file)
    assert error.reason == reason
    assert words in error.message


def test_a_bad_primitive_is_named() -> None:
    file = skinned()
    file.json["meshes"][0]["name"] = "robot"
    file.json["meshes"][0]["primitives"].append({"indices": 1})
    assert "mesh 0 'robot', primitive 1: there is no 'attributes'" in refused(file).message
    file.json["meshes"][0]["primitives"][1] = {"attributes": {"NORMAL": 0}}  # passed over
    assert len(read(file)[1]) == 12


def test_indices_are_whole_numbers() -> None:
    file = GltfFile()
    file.node(mesh=file.mesh(CUBE.vertices, CUBE.faces))
    primitive = file.json["meshes"][0]["primitives"][0]
    primitive["indices"] = file.accessor(CUBE.faces.ravel() + 0.25)
    assert "an index is no whole number" in refused(file).message


def test_an_instance_that_is_not_finite_is_named() -> None:
    file = GltfFile()
    scales = file.accessor(np.array([[1, 1, 1], [np.nan, 1, 1]]))
    instances = {"EXT_mesh_gpu_instancing": {"attributes": {"SCALE": scales}}}
    file.node(mesh=file.mesh(CUBE.vertices, CUBE.faces), extensions=instances)
    assert refused(file).reason == "non-finite"


def test_a_scene_that_starts_below_a_node_that_moves_it_is_refused() -> None:
    file = GltfFile()
    file.node(mesh=file.mesh(CUBE.vertices, CUBE.faces))
    file.node(children=[0], translation=[1, 0, 0])
    file.json["scenes"] = [{"nodes": [0]}]
    assert "below node 1" in refused(file).message
    del file.json["nodes"][1]["translation"]
    assert np.allclose(read(file)[0], CUBE.vertices)
