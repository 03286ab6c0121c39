"""What hangs on what in an FBX file: objects, their properties, and where each model stands.

Before 7.0 objects are known by name and a model holds its own geometry; since then by number. Both
come out as one graph. Transforms follow the FBX SDK: pivots, pre- and post-rotation, the six
orders of angles, and the three ways in which a child takes its parent's scale.
"""

from dataclasses import dataclass, field

import numpy as np

from preprocessing.formats.scenes.fbx_nodes import Record
from preprocessing.formats.scenes.placing import product, rotation, scaling, translation
from preprocessing.mesh_errors import MeshError

Key = int | str
AXES = np.eye(3)
ORDERS = ("xyz", "xzy", "yzx", "yxz", "zxy", "zyx")
"""FBX's RotationOrder: the axis that turns first comes first."""
NOTHING, ONES = np.zeros(3), np.ones(3)


@dataclass
class Object:
    """An object of the file and its neighbours in the graph."""

    record: Record
    kind: str
    """The last value of its record: Mesh, LimbNode, Skin, Cluster, ..."""
    properties: dict[str, tuple[float, ...]]
    parents: list["Object"] = field(default_factory=list)
    children: list["Object"] = field(default_factory=list)

    def below(self, name: str, kind: str = "") -> list["Object"]:
        """Children that are called `name` in the file and, where given, are of a kind."""
        return [c for c in self.children if c.record.name == name and kind in ("", c.kind)]

    def vector(self, name: str, default: np.ndarray) -> np.ndarray:
        """A property of three numbers."""
        values = self.properties.get(name, ())
        return np.array(values[:3], float) if len(values) >= 3 else default

    def integer(self, name: str, default: int) -> int:
        """A property of one whole number."""
        values = self.properties.get(name, ())
        return int(values[0]) if values and np.isfinite(values[0]) else default


def read_objects(records: list[Record]) -> list[Object]:
    """All objects of the file in its order, connected. Raises MeshError(unreadable)."""
    defaults = model_defaults(records)
    objects: dict[Key, Object] = {}
    for record in [r for top in records if top.name == "Objects" for r in top.children]:
        if not record.values or not isinstance(record.values[0], int | str):
            continue
        key, kind = record.values[0], record.values[-1]
        given = properties_of(record)
        if record.name == "Model":
            given = defaults | given
        if key in objects and record.name in ("Model", "Geometry"):
            raise MeshError("unreadable", f"two objects of the FBX are called {key!r}")
        objects[key] = Object(record, kind if isinstance(kind, str) else "", given)
    for record in [r for top in records if top.name == "Connections" for r in top.children]:
        # "OO" joins objects; the others join animation curves and textures to properties.
        ends = [v for v in record.values[1:3] if isinstance(v, int | str)]
        if record.values[:1] != ["OO"] or len(ends) < 2:
            continue
        child, parent = objects.get(ends[0]), objects.get(ends[1])
        if child and parent:
            child.parents.append(parent)
            parent.children.append(child)
    return list(objects.values())


def model_defaults(records: list[Record]) -> dict[str, tuple[float, ...]]:
    """Properties that a model has where it does not say otherwise: the file's own template."""
    for definitions in (r for r in records if r.name == "Definitions"):
        for kind in definitions.all("ObjectType"):
            template = kind.child("PropertyTemplate")
            if kind.values[:1] == ["Model"] and template:
                return properties_of(template)
    return {}


def properties_of(record: Record) -> dict[str, tuple[float, ...]]:
    """Name -> numbers, of a record's properties that have any."""
    found = {}
    for group, entry, skipped in (("Properties70", "P", 4), ("Properties60", "Property", 3)):
        inner = record.child(group)
        for row in inner.all(entry) if inner else []:
            numbers = tuple(v for v in row.values[skipped:] if isinstance(v, int | float))
            if row.values and isinstance(row.values[0], str) and numbers:
                found[row.values[0]] = numbers
    return found


def euler(degrees: np.ndarray, order: str = "xyz") -> np.ndarray:
    """The matrix (4,4) of three angles about x, y, z, taken in `order`."""
    turns = [rotation(AXES["xyz".index(a)], np.radians(degrees["xyz".index(a)])) for a in order]
    return product(*turns[::-1])


def geometric(model: Object) -> np.ndarray:
    """The matrix (4,4) that places a model's own geometry and not its children: 3ds Max's pivot."""
    return product(
        translation(model.vector("GeometricTranslation", NOTHING)),
        euler(model.vector("GeometricRotation", NOTHING)),
        scaling(model.vector("GeometricScaling", ONES)),
    )


@dataclass(frozen=True)
class Place:
    """Where a model stands."""

    world: np.ndarray
    """Its frame to the scene's, (4,4)."""
    unscaled: np.ndarray
    """The same without the model's own scale."""
    scale: np.ndarray
    """What its children inherit where they take scales component by component, (3,)."""
    above: np.ndarray
    """The scale that it inherited that way, (3,)."""


ORIGIN = Place(np.eye(4), np.eye(4), ONES, ONES)


class Placement:
    """The place of every model, found once each."""

    def __init__(self) -> None:
        self.known: dict[int, Place] = {}

    def world(self, model: Object) -> np.ndarray:
        """The matrix (4,4) from a model's frame to the scene's. Raises MeshError(unreadable)."""
        chain: list[Object] = []
        current: Object | None = model
        while current is not None and id(current) not in self.known:
            if any(current is seen for seen in chain) or len(chain) > 5000:
                raise MeshError("unreadable", "models of the FBX are their own parents")
            chain.append(current)
            current = parent_of(current)
        place = ORIGIN if current is None else self.known[id(current)]
        for one in reversed(chain):
            with np.errstate(all="ignore"):  # load_mesh names what is not finite
                place = self.known[id(one)] = place_below(place, one)
        return place.world


def parent_of(model: Object) -> Object | None:
    """The model that a model hangs on."""
    return next((p for p in model.parents if p.record.name == "Model"), None)


def place_below(parent: Place, model: Object) -> Place:
    """The place of a child: InheritType 1 (RSrs) multiplies matrices, 0 (RrSs) and 2 (Rrs) do not.

    The latter two keep a scaled parent from shearing turned children.
    """
    offset, turn, scale = local_transform(model)
    mode = model.integer("InheritType", 1)
    if mode not in (0, 2):
        unscaled = product(parent.world, translation(offset), turn)
        return Place(product(unscaled, scaling(scale)), unscaled, scale, ONES)
    above = parent.scale if mode == 0 else parent.above
    unscaled = product(parent.unscaled, translation(offset * parent.scale), turn)
    return Place(product(unscaled, scaling(scale * above)), unscaled, scale * above, above)


def local_transform(model: Object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Translation (3,), rotation (4,4) and scale (3,) of a model below its parent.

    T · Roff · Rp · Rpre · R · Rpost⁻¹ · Rp⁻¹ · Soff · Sp · S · Sp⁻¹ of the FBX SDK's guide.
    Raises MeshError(unsupported-format) for angles in SphericXYZ order.
    """
    angles = model.vector("Lcl Rotation", NOTHING)
    scale = model.vector("Lcl Scaling", ONES)
    turn = euler(angles)
    if model.integer("RotationActive", 1) and not model.integer("RotationSpaceForLimitOnly", 0):
        order = model.integer("RotationOrder", 0)
        if not 0 <= order < len(ORDERS):
            what = (
                "a model of the FBX turns in SphericXYZ order; use Euler angles, or export as GLB"
            )
            raise MeshError("unsupported-format", what)
        before = euler(model.vector("PreRotation", NOTHING))
        after = euler(model.vector("PostRotation", NOTHING))
        turn = product(before, euler(angles, ORDERS[order]), after.T)
    pivot = model.vector("RotationPivot", NOTHING)
    centre = model.vector("ScalingPivot", NOTHING)
    inner = centre - scale * centre + model.vector("ScalingOffset", NOTHING) - pivot
    offset = turn[:3, :3] @ inner + pivot + model.vector("RotationOffset", NOTHING)
    return offset + model.vector("Lcl Translation", NOTHING), turn, scale
