"""glTF skins in the rest pose: vertices blended by the joints' world transforms.

Source: glTF 2.0, 3.7.3.3. The transform of the node that shows a skinned mesh counts for nothing.
"""

import numpy as np

from preprocessing.formats.gltf_data import GltfData, member, within
from preprocessing.formats.gltf_nodes import Nodes
from preprocessing.mesh_errors import MeshError


def skin_matrices(data: GltfData, nodes: Nodes, index: int) -> np.ndarray:
    """For each joint of a skin: joint to world after world to joint at binding, (J,4,4).

    Raises MeshError(unreadable, non-finite) where the skin does not fit together.
    """
    skin = data.item("skins", index)
    with within(f"skin {index}"):
        joints = member(skin, "joints")
        if not isinstance(joints, list) or not joints:
            raise MeshError("unreadable", "the joints are no list of nodes")
        worlds = np.array([nodes.world(joint) for joint in joints])
        if "inverseBindMatrices" not in skin:
            return worlds
        inverse = data.accessor(skin["inverseBindMatrices"])
        if inverse.shape[1] != 16 or len(inverse) < len(joints):
            raise MeshError(
                "unreadable",
                f"{len(inverse)} inverse bind matrices of {inverse.shape[1]} numbers "
                f"for {len(joints)} joints",
            )
        with np.errstate(all="ignore"):
            matrices = worlds @ inverse[: len(joints)].reshape(-1, 4, 4).transpose(0, 2, 1)
        if not np.isfinite(matrices).all():
            raise MeshError("non-finite", "an inverse bind matrix is not finite")
        return matrices


def blend(
    vertices: np.ndarray, faces: np.ndarray, influences: tuple, matrices: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V,3) in the rest pose and faces (F,3), which a mirrored joint turns round.

    `influences`: joints (V,K) and weights (V,K), which are made to add up to one; `matrices`
    (J,4,4). Raises MeshError(index-out-of-range, non-finite, unreadable).
    """
    joints, weights = influences
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    if not np.isfinite(weights[used]).all():
        raise MeshError("non-finite", "a weight of a skinned vertex is not finite")
    if (weights[used] < 0).any():
        raise MeshError("unreadable", "a weight of a skinned vertex is negative")
    weights = np.where(used[:, None], weights, 0.0)
    joints = np.where(weights > 0, joints, 0)  # what has no weight may name anything
    if joints.min(initial=0) < 0 or joints.max(initial=0) >= len(matrices):
        raise MeshError(
            "index-out-of-range", f"a vertex names joint {joints.max()} of {len(matrices)}"
        )
    total = weights.sum(axis=1)
    if (total[used] <= 0).any():
        lost = int((total[used] <= 0).sum())
        raise MeshError(
            "unreadable", f"{lost} of {int(used.sum())} skinned vertices have no weight"
        )
    weights /= np.where(total > 0, total, 1.0)[:, None]
    blended = np.zeros((len(vertices), 4, 4))
    for column in range(joints.shape[1]):
        blended += weights[:, column, None, None] * matrices[joints[:, column]]
    with np.errstate(all="ignore"):  # the caller names what is not finite
        places = np.einsum("vij,vj->vi", blended[:, :3, :3], vertices) + blended[:, :3, 3]
        mirrored = np.linalg.det(blended[:, :3, :3])[faces].sum(axis=1)
    turned = of_parts(vertices, faces, mirrored) < 0
    return places, np.where(turned[:, None], faces[:, ::-1], faces)


def of_parts(vertices: np.ndarray, faces: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each face (F,3) the sum of `values` (F,) over the part that it belongs to.

    A part is joined by places: to turn a few faces of one would tear what faces outward.
    """
    if (values >= 0).all() or (values < 0).all():
        return values
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    place = np.unique(vertices, axis=0, return_inverse=True)[1].ravel()
    a, b, c = place[faces].T
    links = np.concatenate([a, b]), np.concatenate([b, c])
    graph = coo_matrix((np.ones(2 * len(faces), np.int8), links), (place.max() + 1,) * 2)
    part = connected_components(graph, directed=False)[1][a]
    return np.bincount(part, values)[part]
