"""Small writers of FBX, text and binary, and random FBX scenes with pivots, orders and skins."""

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st
from scene_trees import Part, angle, factor, number, parts
from scipy.spatial.transform import Rotation

Row = tuple[str, list[object], list["Row"]]
ORDERS = ("xyz", "xzy", "yzx", "yxz", "zxy", "zyx")


def text_file(rows: list[Row], version: int = 7400) -> bytes:
    """Rows (name, values, children) as an FBX text file of 7.x."""
    head = f"; FBX {version // 1000}.{version // 100 % 10}.0 project file\n"
    return (head + "".join(text_row(row, 0) for row in rows)).encode()


def text_row(row: Row, depth: int) -> str:
    """One record as text."""
    name, values, children = row
    pad = "\t" * depth
    if len(values) == 1 and isinstance(values[0], np.ndarray):
        flat = ",".join(repr(x.item()) for x in values[0].ravel())
        return f"{pad}{name}: *{values[0].size} {{\n{pad}\ta: {flat}\n{pad}}}\n"
    listed = ",".join(f'"{v}"' if isinstance(v, str) else repr(v) for v in values)
    if not children:
        return f"{pad}{name}: {listed}\n"
    inner = "".join(text_row(child, depth + 1) for child in children)
    return f"{pad}{name}: {listed} {{\n{inner}{pad}}}\n"


def binary_file(rows: list[Row], version: int = 7400, deflate: bool = True) -> bytes:
    """The same as an FBX binary file."""
    data = b"Kaydara FBX Binary  \0\x1a\0" + struct.pack("<I", version)
    for row in rows:
        data += binary_row(row, version, deflate, len(data))
    return data + bytes(25 if version >= 7500 else 13)


def binary_row(row: Row, version: int, deflate: bool, at: int) -> bytes:
    """One record as bytes that start at offset `at` of the file."""
    name, values, children = row
    head = "<QQQB" if version >= 7500 else "<IIIB"
    props = b"".join(binary_value(v, deflate) for v in values)
    inner = b""
    start = at + struct.calcsize(head) + len(name) + len(props)
    for child in children:
        inner += binary_row(child, version, deflate, start + len(inner))
    if children:
        inner += bytes(struct.calcsize(head))
    end = start + len(inner)
    return (
        struct.pack(head, end, len(values), len(props), len(name)) + name.encode() + props + inner
    )


def binary_value(value: object, deflate: bool) -> bytes:
    """One value with its letter."""
    if isinstance(value, str):
        kind, _, rest = value.partition("::")
        text = f"{rest}\0\1{kind}" if rest or "::" in value else value
        return b"S" + struct.pack("<I", len(text)) + text.encode()
    if isinstance(value, int):
        return b"L" + struct.pack("<q", value)
    if isinstance(value, float):
        return b"D" + struct.pack("<d", value)
    array = np.asarray(value)
    letter, kind = ("i", "<i4") if array.dtype.kind == "i" else ("d", "<f8")
    raw = array.astype(kind).tobytes()
    packed = zlib.compress(raw) if deflate else raw
    return letter.encode() + struct.pack("<III", array.size, int(deflate), len(packed)) + packed


@dataclass
class Model:
    """A model: its properties, the part it shows, whether bones hold it, models below."""

    properties: dict[str, tuple[float, ...]]
    part: int | None = None
    skin: "Skin | None" = None
    children: list["Model"] = field(default_factory=list)


@dataclass
class Skin:
    """Bind matrices (B,4,4) mesh to bone, and weights (V,B), zeros left out of the file."""

    binds: np.ndarray
    weights: np.ndarray


VECTORS = {
    "Lcl Translation": number,
    "Lcl Rotation": angle,
    "Lcl Scaling": factor,
    "PreRotation": angle,
    "PostRotation": angle,
    "RotationPivot": number,
    "RotationOffset": number,
    "ScalingPivot": number,
    "ScalingOffset": number,
    "GeometricTranslation": number,
    "GeometricRotation": angle,
    "GeometricScaling": factor,
}


@st.composite
def properties(draw: st.DrawFn, mirrors: bool) -> dict[str, tuple[float, ...]]:
    """Some properties of a model; with negative scales where it may mirror."""
    chosen = draw(st.sets(st.sampled_from(sorted(VECTORS)), max_size=5))
    found = {}
    for name in sorted(chosen):
        one = VECTORS[name]
        values = draw(st.tuples(one, one, one))
        upright = one is factor and not mirrors
        found[name] = tuple(float(abs(x) if upright else x) for x in values)
    found["RotationOrder"] = (draw(st.integers(0, 5)),)
    return found


@dataclass
class FbxScene:
    """Parts, models, and the bones of its skins."""

    parts: list[Part]
    models: list[Model]
    bones: list[Model]

    def rows(self) -> list[Row]:
        """The scene as records."""
        return Writer(self).rows()


class Writer:
    """Numbers the objects of a scene and connects them."""

    def __init__(self, scene: FbxScene) -> None:
        self.objects: list[Row] = []
        self.links: list[Row] = []
        self.scene = scene
        self.next = 1000

    def rows(self) -> list[Row]:
        """Header, objects, connections."""
        geometry = [self.geometry(part) for part in self.scene.parts]
        bones = [self.model(bone, 0, "LimbNode") for bone in self.scene.bones]
        for model in self.scene.models:
            self.tree(model, 0, geometry, bones)
        header: Row = ("FBXHeaderExtension", [], [("FBXVersion", [7400], [])])
        return [header, ("Objects", [], self.objects), ("Connections", [], self.links)]

    def add(self, name: str, label: str, kind: str, children: list[Row]) -> int:
        """An object; its number."""
        self.next += 1
        self.objects.append((name, [self.next, label, kind], children))
        return self.next

    def link(self, child: int, parent: int) -> None:
        """Hang one object on another."""
        self.links.append(("C", ["OO", child, parent], []))

    def geometry(self, part: Part) -> int:
        """A part as a Geometry."""
        ends = [[*p[:-1], -1 - p[-1]] for p in part.polygons]
        children: list[Row] = [
            ("Vertices", [part.vertices.ravel()], []),
            ("PolygonVertexIndex", [np.concatenate(ends)], []),
        ]
        return self.add("Geometry", "Geometry::g", "Mesh", children)

    def model(self, model: Model, parent: int, kind: str) -> int:
        """A Model with its properties."""
        listed: list[Row] = [
            (
                "P",
                [name, "", "", "", *(float(v) if len(values) == 3 else int(v) for v in values)],
                [],
            )
            for name, values in model.properties.items()
        ]
        made = self.add("Model", "Model::m", kind, [("Properties70", [], listed)])
        self.link(made, parent)
        return made

    def tree(self, model: Model, parent: int, geometry: list[int], bones: list[int]) -> None:
        """A model with what hangs on it; a skinned one has a geometry of its own."""
        made = self.model(model, parent, "Mesh")
        if model.part is not None:
            shape = geometry[model.part]
            if model.skin is not None:
                shape = self.geometry(self.scene.parts[model.part])
                self.skin(model.skin, shape, bones)
            self.link(shape, made)
        for child in model.children:
            self.tree(child, made, geometry, bones)

    def skin(self, skin: Skin, shape: int, bones: list[int]) -> None:
        """A Skin with a Cluster a bone."""
        holder = self.add("Deformer", "Deformer::", "Skin", [("Version", [101], [])])
        self.link(holder, shape)
        for k, bone in enumerate(bones):
            which = np.flatnonzero(skin.weights[:, k])
            children: list[Row] = [
                ("Indexes", [which], []),
                ("Weights", [skin.weights[which, k]], []),
                ("Transform", [skin.binds[k].T.ravel()], []),
                ("TransformLink", [np.eye(4).ravel()], []),
            ]
            if len(which) == 0:
                children = children[2:]
            cluster = self.add("Deformer", "SubDeformer::", "Cluster", children)
            self.link(cluster, holder)
            self.link(bone, cluster)


def shift(values: tuple[float, ...]) -> np.ndarray:
    """A translation (4,4)."""
    matrix = np.eye(4)
    matrix[:3, 3] = values
    return matrix


def turn(values: tuple[float, ...], order: str = "xyz") -> np.ndarray:
    """Extrinsic angles in degrees about x, y, z, the first of `order` first, (4,4)."""
    matrix = np.eye(4)
    angles = [values["xyz".index(a)] for a in order]
    matrix[:3, :3] = Rotation.from_euler(order, angles, degrees=True).as_matrix()
    return matrix


def local(model: Model) -> np.ndarray:
    """T · Roff · Rp · Rpre · R · Rpost⁻¹ · Rp⁻¹ · Soff · Sp · S · Sp⁻¹, one matrix each."""
    get = model.properties.get
    nought, ones = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    pivot, centre = shift(get("RotationPivot", nought)), shift(get("ScalingPivot", nought))
    order = ORDERS[int(get("RotationOrder", (0,))[0])]
    factors = [
        shift(get("Lcl Translation", nought)),
        shift(get("RotationOffset", nought)),
        pivot,
        turn(get("PreRotation", nought)),
        turn(get("Lcl Rotation", nought), order),
        np.linalg.inv(turn(get("PostRotation", nought))),
        np.linalg.inv(pivot),
        shift(get("ScalingOffset", nought)),
        centre,
        np.diag([*get("Lcl Scaling", ones), 1.0]),
        np.linalg.inv(centre),
    ]
    return np.linalg.multi_dot(factors)


def placed(scene: FbxScene) -> list[tuple[Part, np.ndarray]]:
    """(part, matrix) of every mesh of a scene; skinned ones have moved vertices already."""
    bones = [local(bone) for bone in scene.bones]

    def below(models: list[Model], parent: np.ndarray) -> list[tuple[Part, np.ndarray]]:
        found = []
        for model in models:
            world = parent @ local(model)
            own = world @ pivoted(model)
            if model.part is not None:
                part = scene.parts[model.part]
                if model.skin is None:
                    found.append((part, own))
                else:
                    found.append((bent(part, model.skin, bones, pivoted(model), own), np.eye(4)))
            found += below(model.children, world)
        return found

    return below(scene.models, np.eye(4))


def pivoted(model: Model) -> np.ndarray:
    """The geometric transform of a model, (4,4)."""
    get = model.properties.get
    factors = np.diag([*get("GeometricScaling", (1.0, 1.0, 1.0)), 1.0])
    nought = (0.0, 0.0, 0.0)
    return (
        shift(get("GeometricTranslation", nought))
        @ turn(get("GeometricRotation", nought))
        @ factors
    )


def bent(
    part: Part, skin: Skin, bones: list[np.ndarray], pivot: np.ndarray, own: np.ndarray
) -> Part:
    """A part as its bones hold it, vertex by vertex."""
    moved, sign = [], 1.0
    for vertex, weights in zip(part.vertices, skin.weights, strict=True):
        if weights.sum() == 0:
            matrix = own
        else:
            shares = weights / weights.sum()
            matrix = sum(
                w * bone @ bind @ pivot
                for w, bone, bind in zip(shares, bones, skin.binds, strict=True)
            )
        moved.append((matrix @ [*vertex, 1.0])[:3])
        sign = np.linalg.det(matrix[:3, :3])
    return Part(np.array(moved), [p[::-1] if sign < 0 else p for p in part.polygons])


@st.composite
def fbx_scenes(draw: st.DrawFn, mirrors: bool = True) -> FbxScene:
    """Models three deep, some sharing a part, some held rigidly or softly by two bones."""
    shapes = draw(st.lists(parts, min_size=1, max_size=3))
    bones = [Model(draw(properties(mirrors))) for _ in range(2)]

    def model(depth: int) -> Model:
        part = draw(st.one_of(st.none(), st.integers(0, len(shapes) - 1)))
        skin = None
        if part is not None and draw(st.integers(0, 3)) == 0:
            skin = draw(skins(len(shapes[part].vertices)))
        below = draw(st.integers(0, 2)) if depth < 2 else 0
        return Model(
            draw(properties(mirrors)), part, skin, [model(depth + 1) for _ in range(below)]
        )

    made = [model(0) for _ in range(draw(st.integers(1, 2)))]
    made.append(Model({}, 0))
    return FbxScene(shapes, made, bones)


@st.composite
def skins(draw: st.DrawFn, count: int) -> Skin:
    """Each vertex wholly on one bone, or on none: faces between them need not stay planar, so
    area and volume would depend on how they are cut."""
    turned = [turn(draw(st.tuples(angle, angle, angle))) for _ in range(2)]
    binds = np.array([shift(draw(st.tuples(number, number, number))) @ m for m in turned])
    bone = draw(st.integers(0, 2))
    weights = np.zeros((count, 2))
    if bone < 2:
        weights[:, bone] = draw(st.floats(0.1, 2))
    return Skin(binds, weights)
