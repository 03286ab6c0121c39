"""3MF: components, build items, several parts; degenerate triangles, bombs and refusals."""

import zipfile
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from scene_files import object_3mf, package_3mf, write_3mf
from scene_trees import Part, Tree, expected, figures, prism, trees

from preprocessing.formats.scenes.threemf import read_3mf
from preprocessing.mesh import MeshError, validate

PART = prism([1.0] * 4, 1.0, (1.0, 1.0, 1.0))
CUBE = object_3mf(1, PART)
ITEM = '<item objectid="1"/>'


def refusal(data: bytes) -> MeshError:
    with pytest.raises(MeshError) as caught:
        read_3mf(data)
    return caught.value


def in_triangles(tree: Tree) -> Tree:
    """The scene with each polygon as the fan that the writer makes of it."""
    fans = [
        [[p[0], p[i], p[i + 1]] for p in part.polygons for i in range(1, len(p) - 1)]
        for part in tree.parts
    ]
    made = [Part(part.vertices, fan) for part, fan in zip(tree.parts, fans, strict=True)]
    return Tree(made, tree.nodes)


@settings(max_examples=80)
@given(trees(("translate", "rotate", "scale", "matrix")))
def test_scenes_stand_where_the_definitions_put_them(tree: Tree) -> None:
    figures(*read_3mf(write_3mf(tree))).assert_close(expected(in_triangles(tree)))


def test_a_degenerate_triangle_costs_itself() -> None:
    bad = CUBE.replace("<triangles>", '<triangles><triangle v1="0" v2="0" v3="1"/>')
    loaded = validate(*read_3mf(package_3mf(bad, ITEM)))
    assert (len(loaded.mesh.faces), loaded.degenerate_faces) == (12, 1)


def test_only_what_is_built_is_shown_and_all_where_nothing_is() -> None:
    two = CUBE + object_3mf(2, PART)
    assert len(read_3mf(package_3mf(two, ITEM))[1]) == 12
    assert len(read_3mf(package_3mf(two, ITEM + ITEM))[1]) == 24
    assert len(read_3mf(package_3mf(two, ""))[1]) == 24


def test_objects_in_other_parts_of_the_archive() -> None:
    other = f'<?xml version="1.0"?><model xmlns="x"><resources>{CUBE}</resources><build/></model>'
    head = 'xmlns:p="http://schemas.microsoft.com/3dmanufacturing/production/2015/06"'
    component = '<component p:path="/3D/a.model" objectid="1"/>'
    inner = f'<object id="7"><components>{component}</components></object>'
    data = package_3mf(inner, '<item objectid="7"/>', {"3D/a.model": other}, head)
    assert len(read_3mf(data)[1]) == 12
    lost = package_3mf(inner.replace("a.model", "b.model"), '<item objectid="7"/>', None, head)
    assert refusal(lost).reason == "missing"


@pytest.mark.parametrize(
    ("objects", "items", "reason"),
    [
        (CUBE, '<item objectid="9"/>', "unreadable"),
        (CUBE, '<item objectid="1" transform="1 0 0"/>', "unreadable"),
        (CUBE.replace('v1="0"', 'v1="99"', 1), ITEM, "index-out-of-range"),
        (CUBE.replace('v1="0"', 'v1="-1"', 1), ITEM, "index-out-of-range"),
        (CUBE.replace('v1="0"', 'v1="0.5"', 1), ITEM, "unreadable"),
        (CUBE.replace('v1="0"', "", 1), ITEM, "unreadable"),
        (CUBE.replace('x="', 'x="a', 1), ITEM, "unreadable"),
        (CUBE + CUBE, ITEM, "unreadable"),
        ('<object id="1"><components><component objectid="1"/></components></object>', ITEM,
         "too-large"),
        ('<object id="1"/>', ITEM, "unsupported-format"),
        ("", "", "empty"),
        (CUBE.replace("</mesh>", "<beamlattice/></mesh>"), ITEM, "unsupported-format"),
    ],
)  # fmt: skip
def test_refusals(objects: str, items: str, reason: str) -> None:
    assert refusal(package_3mf(objects, items)).reason == reason


@pytest.mark.parametrize(
    ("space", "read"),
    [
        ("x/3dmanufacturing/production/2015/06", True),
        ("x/3dmanufacturing/beamlattice/2017/02", False),
    ],
)
def test_required_extensions_that_add_geometry_are_refused(space: str, read: bool) -> None:
    head = f'requiredextensions="e" xmlns:e="http://{space}"'
    data = package_3mf(CUBE, ITEM, None, head)
    if read:
        assert len(read_3mf(data)[1]) == 12
    else:
        assert refusal(data).reason == "unsupported-format"


def test_archives_that_are_none() -> None:
    good = package_3mf(CUBE, ITEM)
    assert refusal(b"PK").reason == "truncated"
    assert refusal(good[: len(good) // 2]).reason == "truncated"
    assert refusal(b"<model/>").reason == "unreadable"
    empty = BytesIO()
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("a", "b")
    assert refusal(empty.getvalue()).reason == "missing"


def test_a_zip_bomb_is_refused_before_it_unpacks() -> None:
    bomb = package_3mf(CUBE + "<!--" + " " * 50_000_000 + "-->", ITEM)
    assert len(bomb) < 200_000
    assert refusal(bomb).reason == "too-large"


def test_units_stay_the_files() -> None:
    assert np.isclose(figures(*read_3mf(package_3mf(CUBE, ITEM))).volume, 2)
