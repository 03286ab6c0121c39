"""COLLADA controllers: geometry that joints hold, in its bind shape.

The vertices are Σ weight · joint's world · inverse bind · bind shape · v. Where all joints stand as
they were bound, or moved as one, that is one matrix; a pose beyond that is refused by name.
"""

import numpy as np

from preprocessing.formats.scenes.collada_shape import Library, source_rows, whole
from preprocessing.formats.scenes.placing import product
from preprocessing.formats.scenes.xml_tree import Element, indices_of, numbers_of
from preprocessing.mesh_errors import MeshError

Joint = tuple[Element, np.ndarray]
POSED = "apply the pose, or export as GLB"
NEAR = 1e-4
"""Joints stand in the bind pose when they differ by less than this share of their size: exporters
write matrices with six digits."""


def skinned_geometry(controller: Element, library: Library) -> tuple[Element, Element | None]:
    """The <geometry> and the <skin> of a controller; no skin where it only morphs.

    Raises MeshError(unreadable) and MeshError(skinned) for a morph whose weights are not zero.
    """
    skin, source = controller.child("skin"), controller
    for _ in range(2):
        holder = source.child("skin") or source.child("morph")
        if holder is None:
            raise MeshError("unreadable", "a <controller> of the COLLADA without skin or morph")
        if holder.name == "morph":
            refuse_shown_morph(holder, library)
        source = library.follow(holder.get("source"), ("geometry", "controller"))
        if source.name == "geometry":
            return source, skin
    raise MeshError("skinned", f"controllers over controllers in the COLLADA; {POSED}")


def refuse_shown_morph(morph: Element, library: Library) -> None:
    """Raise MeshError(skinned) where a target shows. Weights that are all zero change nothing."""
    targets = morph.child("targets")
    for given in targets.all("input") if targets else []:
        if given.get("semantic") == "MORPH_WEIGHT":
            source = library.follow(given.get("source"), ("source",))
            if source_rows(source, library, ("MORPH_WEIGHT",)).any():
                raise MeshError("skinned", f"a <morph> with weights in the COLLADA; {POSED}")


def joints_of(instance: Element, library: Library, shown: list[Joint]) -> list[Joint]:
    """The nodes of the scene, with where each stands, below the <skeleton>s of a skin's instance.

    Two characters of one scene may call their joints the same; all nodes where no root is named.
    """
    roots = [library.follow(s.text.strip(), ("node",)) for s in instance.all("skeleton")]
    below = {id(element) for root in roots for element in root.walk()}
    return [(element, world) for element, world in shown if not roots or id(element) in below]


def skin_matrix(
    skin: Element, library: Library, joints: list[Joint], node: np.ndarray
) -> np.ndarray:
    """The matrix (4,4) from a skin's geometry to the scene.

    joints: where each stands; node: where the skin's own node stands, which counts only where the
    scene shows none of the joints.
    Raises MeshError(skinned) where the joints have moved apart since they were bound.
    """
    shape = skin.child("bind_shape_matrix")
    bind = numbers_of(shape.text, "a <bind_shape_matrix>") if shape else np.eye(4).ravel()
    if len(bind) != 16:
        raise MeshError("unreadable", f"a <bind_shape_matrix> of {len(bind)} numbers")
    moved = joint_moves(skin, library, joints)
    if len(moved) == 0:
        return product(node, bind.reshape(4, 4))
    size = max(float(np.abs(moved).max()), 1.0)
    if not np.allclose(moved, moved[0], rtol=0, atol=NEAR * size):
        raise MeshError("skinned", f"joints of the COLLADA are not where they were bound; {POSED}")
    resting = np.allclose(moved[0], np.eye(4), rtol=0, atol=NEAR * size)
    return product(np.eye(4) if resting else moved[0], bind.reshape(4, 4))


def joint_moves(skin: Element, library: Library, joints: list[Joint]) -> np.ndarray:
    """joint's world · inverse bind, (J,4,4), of the joints that hold a vertex and are shown.

    Raises MeshError(skinned) where only some of them are, or where two are called the same.
    """
    holder = skin.child("joints")
    inputs = {i.get("semantic"): i.get("source") for i in (holder.all("input") if holder else [])}
    if "JOINT" not in inputs or "INV_BIND_MATRIX" not in inputs:
        return np.empty((0, 4, 4))
    names, key = joint_names(library.follow(inputs["JOINT"], ("source",)))
    source = library.follow(inputs["INV_BIND_MATRIX"], ("source",))
    inverse = source_rows(source, library, tuple(f"{i}" for i in range(16))).reshape(-1, 4, 4)
    if len(inverse) < len(names):
        raise MeshError("truncated", f"{len(inverse)} bind matrices for {len(names)} joints")
    places: dict[str, list[np.ndarray]] = {}
    for element, world in joints:
        places.setdefault(element.get(key), []).append(world)
    used = joints_used(skin, len(names))
    found = [j for j in used if names[j] in places]
    if not found:
        return np.empty((0, 4, 4))
    if len(found) < len(used):
        raise MeshError("skinned", "the COLLADA does not show all joints of a skin")
    for j in used:
        if not all(np.array_equal(world, places[names[j]][0]) for world in places[names[j]]):
            raise MeshError("skinned", f"two joints of the COLLADA are called {names[j]!r}")
    return np.array([product(places[names[j]][0], inverse[j]) for j in used])


def joints_used(skin: Element, count: int) -> list[int]:
    """The joints, by their place in the list, that any vertex hangs on."""
    weights = skin.child("vertex_weights")
    listed = weights.child("v") if weights else None
    if weights is None or listed is None:
        return list(range(count))
    inputs = {
        i.get("semantic"): whole(i.get("offset", "0"), "an offset") for i in weights.all("input")
    }
    indices = indices_of(listed.text, "a <v> of the COLLADA")
    joints = np.unique(indices[inputs.get("JOINT", 0) :: max(inputs.values(), default=0) + 1])
    if len(joints) and joints[-1] >= count:
        raise MeshError("index-out-of-range", f"a vertex hangs on joint {joints[-1]} of {count}")
    return [int(j) for j in joints if j >= 0]


def joint_names(source: Element) -> tuple[list[str], str]:
    """The names of a skin's joints, and the attribute of nodes that holds them."""
    for kind, key in (("Name_array", "sid"), ("IDREF_array", "id")):
        array = source.child(kind)
        if array is not None:
            return array.text.split(), key
    raise MeshError("unreadable", "a skin of the COLLADA names no joints")
