"""Fewer faces by quadric error: the one decimation of this house.

Open3D's tensor meshes take VTK's implementation: on the offset of a cube (720,296 faces, nearly all
of them flat) it takes 4.8 s where Open3D's older one took 195 s, and it needs no GPL package.
"""

import numpy as np

from preprocessing.mesh import Mesh
from preprocessing.solid.audit import topology


def decimate(mesh: Mesh, faces: int) -> Mesh:
    """About `faces` faces by quadric edge collapse (Garland and Heckbert 1997).

    A mesh that has no more comes back as it is. Nothing is promised about the topology of what is
    left: `simplify_mesh` checks it.
    """
    import open3d

    if len(mesh.faces) <= faces:
        return mesh
    tensor = open3d.core.Tensor.from_numpy
    given = open3d.t.geometry.TriangleMesh(tensor(mesh.vertices), tensor(mesh.faces))
    small = given.simplify_quadric_decimation(1 - faces / len(mesh.faces))
    return Mesh(
        small.vertex.positions.numpy().astype(np.float64),
        small.triangle.indices.numpy().astype(np.int64),
    )


def decimate_closed(mesh: Mesh, faces: int) -> Mesh:
    """`decimate`, but a closed mesh stays closed if Open3D's older implementation keeps it so.

    That one is slow (see above) and asked only where the quick one left holes, as it does in narrow
    crevices at a hundredth of the faces.
    """
    import open3d

    small = decimate(mesh, faces)
    if small is mesh or topology(small).watertight or not topology(mesh).watertight:
        return small
    given = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(mesh.vertices),
        open3d.utility.Vector3iVector(mesh.faces.astype(np.int32)),
    )
    other = given.simplify_quadric_decimation(faces)
    found = Mesh(np.asarray(other.vertices), np.asarray(other.triangles).astype(np.int64))
    return found if topology(found).watertight else small
