"""What moves the vertices of an FBX mesh at rest: blend shapes at their weights, then the skin.

A skinned vertex is Σ weight · bone's world · bind matrix · v, whatever the mesh's own model says
(FBX SDK, "Link" of mode Normalize); vertices without a weight stay with the model.
"""

import numpy as np

from preprocessing.formats.scenes.fbx_graph import Object, Placement, geometric
from preprocessing.formats.scenes.placing import apply, product
from preprocessing.mesh_errors import MeshError


def blended(vertices: np.ndarray, mesh: Object) -> np.ndarray:
    """Vertices (V,3) of a mesh with its blend shapes at the weights that the file sets."""
    moved = vertices
    for deformer in mesh.below("Deformer", "BlendShape"):
        for channel in deformer.below("Deformer", "BlendShapeChannel"):
            weight = percent(channel) / 100
            shapes = [s for s in channel.below("Geometry") if s.kind == "Shape"]
            full = channel.record.array("FullWeights", float) / 100
            for shape, part in zip(shapes, shares(weight, full, len(shapes)), strict=True):
                # Blender writes a weight for each moved vertex of its one shape in this place.
                each = full if len(full) > len(shapes) == 1 else 1.0
                moved = add_offsets(moved, shape, part * each)
    for shape_record in mesh.record.all("Shape"):
        # Before 7.0 shapes stand inside the mesh, and a property of their name is the weight.
        name = shape_record.values[0] if shape_record.values else ""
        weights = mesh.properties.get(name, ()) if isinstance(name, str) else ()
        part = float(weights[0]) / 100 if weights else 0.0
        moved = add_offsets(moved, Object(shape_record, "Shape", {}), part)
    return moved


def percent(channel: Object) -> float:
    """DeformPercent, which Blender writes beside the properties."""
    if "DeformPercent" in channel.properties:
        return float(channel.properties["DeformPercent"][0])
    return channel.record.number("DeformPercent", 0.0)


def shares(weight: float, full: np.ndarray, count: int) -> np.ndarray:
    """How much of each of a channel's shapes a weight shows, (count,).

    full: the weights at which the shapes show fully, 1 where they are not given; in between they
    mix linearly, beyond the last they go on.
    """
    parts = np.zeros(count)
    if weight == 0 or count == 0:
        return parts
    at = full.copy() if len(full) == count else np.ones(count)
    side = np.flatnonzero(at * weight > 0)
    side = side[np.argsort(np.abs(at[side]))]
    if len(side) == 0:
        nearest = int(np.argmin(np.abs(at)))
        parts[nearest] = weight / at[nearest] if at[nearest] else 0.0
        return parts
    upper = min(int(np.searchsorted(np.abs(at[side]), abs(weight))), len(side) - 1)
    low = at[side[upper - 1]] if upper else 0.0
    span = at[side[upper]] - low
    parts[side[upper]] = (weight - low) / span if span else 1.0
    if upper:
        parts[side[upper - 1]] = 1.0 - parts[side[upper]]
    return parts


def add_offsets(vertices: np.ndarray, shape: Object, part: float | np.ndarray) -> np.ndarray:
    """Vertices (V,3) with a shape's offsets added `part` times, one number or one an offset.

    Raises MeshError(unreadable).
    """
    if not np.any(part):
        return vertices
    which = shape.record.array("Indexes", int)
    offsets = shape.record.array("Vertices", float)
    fits = np.ndim(part) == 0 or len(np.atleast_1d(part)) == len(which)
    if len(offsets) != 3 * len(which) or not in_range(which, len(vertices)) or not fits:
        raise MeshError("unreadable", "a blend shape of the FBX does not fit its mesh")
    moved = vertices.copy()
    np.add.at(moved, which, np.reshape(part, (-1, 1)) * offsets.reshape(-1, 3))
    return moved


def in_range(which: np.ndarray, count: int) -> bool:
    """Whether all indices are in 0..count-1."""
    return len(which) == 0 or bool(which.min() >= 0 and which.max() < count)


def skinned(
    vertices: np.ndarray, skin: Object, model: Object, places: Placement
) -> tuple[np.ndarray, bool]:
    """Vertices (V,3) in the scene's frame as the skin of a `model` holds them, and if mirrored.

    Raises MeshError(skinned, unreadable).
    """
    own = product(places.world(model), geometric(model))
    sums, total = np.zeros((len(vertices), 16)), np.zeros(len(vertices))
    matrices = []
    for cluster in skin.below("Deformer", "Cluster"):
        bone = next(iter(cluster.below("Model")), None)
        which, weights = (
            cluster.record.array("Indexes", int),
            cluster.record.array("Weights", float),
        )
        if bone is None or len(which) == 0:
            continue
        if cluster.record.text("Mode") == "Additive":
            what = "an additive bone in the FBX; apply the skin, or export as GLB"
            raise MeshError("skinned", what)
        if len(weights) != len(which) or not in_range(which, len(vertices)):
            raise MeshError("unreadable", "the weights of an FBX skin do not fit its mesh")
        matrix = product(places.world(bone), bind_matrix(cluster, model, places), geometric(model))
        matrices.append(matrix)
        with np.errstate(over="ignore", invalid="ignore"):
            np.add.at(sums, which, weights[:, None] * matrix.ravel())
            np.add.at(total, which, weights)
    refuse_dual_quaternions(skin, matrices)
    bare = ~(total > 0)
    sums[bare], total[bare] = own.ravel(), 1.0
    with np.errstate(invalid="ignore"):  # load_mesh names what is not finite
        blend = sums / total[:, None]
    return transform_each(vertices, blend)


def bind_matrix(cluster: Object, model: Object, places: Placement) -> np.ndarray:
    """The matrix (4,4) from the mesh's model to a bone, at the moment they were bound."""
    link = matrix_of(cluster, "TransformLink")
    mesh = matrix_of(cluster, "Transform")
    if mesh is not None and mesh.any():
        return mesh
    if link is None:
        raise MeshError("unreadable", "a cluster of an FBX skin has no bind matrix")
    try:
        return product(np.linalg.inv(link), places.world(model))
    except np.linalg.LinAlgError:
        raise MeshError("unreadable", "a bind matrix of an FBX skin has no inverse") from None


def matrix_of(cluster: Object, name: str) -> np.ndarray | None:
    """A matrix (4,4) acting on columns; the file writes it transposed. None where there is none."""
    numbers = cluster.record.array(name, float)
    return numbers[:16].reshape(4, 4).T if len(numbers) >= 16 else None


def refuse_dual_quaternions(skin: Object, matrices: list[np.ndarray]) -> None:
    """Raise MeshError(skinned) where the blend is not linear and that makes a difference."""
    method = skin.record.text("SkinningType")
    if method == "Blend" and not skin.record.array("BlendWeights", float).any():
        method = "Linear"
    if method in ("", "Linear", "Rigid") or not matrices:
        return
    size = max(float(np.abs(matrices).max()), 1.0)
    if not np.allclose(matrices, matrices[0], rtol=0, atol=1e-9 * size):
        what = f"the FBX skin blends by {method}; apply its pose, or export as GLB"
        raise MeshError("skinned", what)


def transform_each(vertices: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, bool]:
    """Vertices (V,3), each by its own matrix in `rows` (V,16), and whether those mirror."""
    matrices = rows.reshape(-1, 4, 4)
    with np.errstate(over="ignore", invalid="ignore"):
        if len(rows) and (matrices == matrices[0]).all():
            places = apply(matrices[0], vertices)
        else:
            places = np.einsum("vij,vj->vi", matrices[:, :3, :3], vertices) + matrices[:, :3, 3]
        mirrored = np.linalg.det(matrices[:, :3, :3])
    return places, bool((mirrored < 0).sum() * 2 > len(rows))
