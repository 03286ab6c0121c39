"""Files that readers elsewhere were seen to get wrong: each comes out right, to the number."""

from pathlib import Path

import numpy as np
import pytest

from preprocessing.mesh import load_mesh

CASES = Path(__file__).parent.parent / "data" / "cases"

RIGHT: list[tuple[str, int, float]] = [
    ("letter_E.obj", 44, 13),
    ("gear_ngon.obj", 380, 1.6607139),
    ("glued.off", 12, 8),
    ("whitespace.off", 12, 12.316808),
    ("bom.off", 12, 8),
    ("bom.obj", 12, 8),
    ("bom.ply", 12, 8),
    ("bom.stl", 12, 8),
    ("comment_path_before_vertices.obj", 12, 8),
    ("material_folder_before_face.obj", 12, 8),
    ("endloop_space.stl", 12, 8),
    ("vertex_name.stl", 12, 8),
    ("bin_solid_extra.stl", 12, 8),
    ("two_bind_spaces.glb", 24, 16),
]
"""File, faces, volume. Areas and bounds of some stand in the test of their kind."""


@pytest.mark.parametrize(("name", "faces", "volume"), RIGHT, ids=[row[0] for row in RIGHT])
def test_case(name: str, faces: int, volume: float) -> None:
    mesh = load_mesh(CASES / name)
    a, b, c = mesh.triangles.transpose(1, 0, 2)
    assert len(mesh.faces) == faces
    assert np.isclose((a * np.cross(b, c)).sum() / 6, volume)
