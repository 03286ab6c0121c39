"""Random scenes through glTF, OBJ, OFF, PLY and STL: ours, a second library, the definitions.

Faces, area, volume and bounds must agree. The slow suite draws 2,000 scenes a format.
"""

import io
from pathlib import Path

import numpy as np
import plain_files as files
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scene_trees import Part, Tree, expected, figures, trees

from preprocessing.formats.gltf import read_glb
from preprocessing.formats.obj import read_obj
from preprocessing.formats.off import read_off
from preprocessing.formats.ply import read_ply
from preprocessing.formats.stl import read_stl

SCENES = trees(("translate", "rotate", "scale", "matrix"))
SEEDS = st.integers(0, 2**32 - 1)
QUICK = settings(max_examples=40)
SLOW = settings(max_examples=2000, suppress_health_check=list(HealthCheck))


def theirs(data: bytes, kind: str):
    """The figures by trimesh, which reads no skins and cuts polygons into fans."""
    scene = trimesh.load_scene(io.BytesIO(data), file_type=kind, process=False)
    mesh = scene.to_mesh()
    return figures(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def rounded(tree: Tree) -> Tree:
    """The scene with its parts in float32, as glTF stores them."""
    parts = [Part(p.vertices.astype(np.float32).astype(float), p.polygons) for p in tree.parts]
    return Tree(parts, tree.nodes)


def check_polygons(tree: Tree, seed: int, write, read, kind: str) -> None:
    """A format of polygons, with all its liberties; in plain triangles by trimesh as well."""
    scene = files.baked(tree)
    ours = figures(*read(write(scene, np.random.default_rng(seed))))
    ours.assert_close(expected(scene))
    plain = write(files.in_triangles(scene, files.from_middle), files.First())
    theirs(plain, kind).assert_close(figures(*read(plain)))
    theirs(plain, kind).assert_close(ours)


def check_stl(tree: Tree, seed: int) -> None:
    scene = files.baked(files.in_triangles(tree, files.from_middle))
    data = files.write_stl(scene, np.random.default_rng(seed))
    ours = figures(*read_stl(data))
    ours.assert_close(expected(scene))
    theirs(files.write_stl(scene, files.First()), "stl").assert_close(ours)


def check_gltf(tree: Tree, seed: int) -> None:
    scene = rounded(files.in_triangles(tree, files.from_middle))
    plain = files.write_glb(scene, np.random.default_rng(seed), skins=False)
    ours = figures(*read_glb(plain, Path()))
    ours.assert_close(expected(scene))
    theirs(plain, "glb").assert_close(ours)
    skinned = files.write_glb(scene, np.random.default_rng(seed), skins=True)
    figures(*read_glb(skinned, Path())).assert_close(ours)


CHECKS = {
    "obj": lambda tree, seed: check_polygons(tree, seed, files.write_obj, read_obj, "obj"),
    "off": lambda tree, seed: check_polygons(tree, seed, files.write_off, read_off, "off"),
    "ply": lambda tree, seed: check_polygons(tree, seed, files.write_ply, read_ply, "ply"),
    "stl": check_stl,
    "glb": check_gltf,
}


@pytest.mark.parametrize("kind", CHECKS)
@QUICK
@given(tree=SCENES, seed=SEEDS)
def test_scenes(kind: str, tree: Tree, seed: int) -> None:
    CHECKS[kind](tree, seed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHECKS)
@SLOW
@given(tree=SCENES, seed=SEEDS)
def test_many_scenes(kind: str, tree: Tree, seed: int) -> None:
    CHECKS[kind](tree, seed)
