"""Small writers of COLLADA, X3D and 3MF, for scenes of scene_trees."""

import zipfile
from io import BytesIO

import numpy as np
from scene_trees import Node, Part, Tree, step_matrix

BASE_TYPE = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"
CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"


def words(numbers: object) -> str:
    """Numbers with spaces between them, to the bit."""
    return " ".join(repr(x.item()) for x in np.asarray(numbers).ravel())


def dae(body: str, nodes: str, unit: str = "1", up: str = "Y_UP", more: str = "") -> bytes:
    """A COLLADA document of geometries and nodes, given as text."""
    return (
        '<?xml version="1.0"?><COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" '
        'version="1.4.1"><asset><created>2020-01-01T00:00:00</created><modified>'
        f'2020-01-01T00:00:00</modified><unit name="u" meter="{unit}"/><up_axis>{up}</up_axis>'
        f"</asset><library_geometries>{body}</library_geometries>{more}<library_visual_scenes>"
        f'<visual_scene id="s" name="s">{nodes}</visual_scene></library_visual_scenes><scene>'
        '<instance_visual_scene url="#s"/></scene></COLLADA>'
    ).encode()


def dae_geometry(name: str, vertices: np.ndarray, primitives: str) -> str:
    """A <geometry> whose primitives name the input VERTEX at `#NAME-v`."""
    return (
        f'<geometry id="{name}"><mesh><source id="{name}-p"><float_array id="{name}-a" '
        f'count="{vertices.size}">{words(vertices)}</float_array><technique_common><accessor '
        f'source="#{name}-a" count="{len(vertices)}" stride="3"><param name="X" type="float"/>'
        '<param name="Y" type="float"/><param name="Z" type="float"/></accessor>'
        f'</technique_common></source><vertices id="{name}-v"><input semantic="POSITION" '
        f'source="#{name}-p"/></vertices>{primitives}</mesh></geometry>'
    )


def dae_polygons(name: str, part: Part, kind: str) -> str:
    """All faces of a part as <polylist>, <polygons>, or split between both and <triangles>."""
    opened = f'<input semantic="VERTEX" source="#{name}-v" offset="0"/>'
    if kind == "polygons":
        inner = "".join(f"<p>{words(p)}</p>" for p in part.polygons)
        return f'<polygons count="{len(part.polygons)}">{opened}{inner}</polygons>'
    if kind == "polylist":
        counts, flat = words([len(p) for p in part.polygons]), words(np.concatenate(part.polygons))
        return (
            f'<polylist count="{len(part.polygons)}">{opened}<vcount>{counts}</vcount>'
            f"<p>{flat}</p></polylist>"
        )
    half = Part(part.vertices, part.polygons[:2])
    quads = [[q[0], q[1], q[2], q[0], q[2], q[3]] for q in part.polygons[2:]]
    return dae_polygons(name, half, "polylist") + (
        f'<triangles count="{2 * len(quads)}">{opened}<p>{words(quads)}</p></triangles>'
    )


def write_dae(tree: Tree) -> bytes:
    """A scene as COLLADA; the parts differ in their kinds of primitives."""
    kinds = ("polylist", "polygons", "mixed")
    body = "".join(
        dae_geometry(f"g{k}", part.vertices, dae_polygons(f"g{k}", part, kinds[k % 3]))
        for k, part in enumerate(tree.parts)
    )
    return dae(body, "".join(dae_node(node) for node in tree.nodes))


def dae_node(node: Node) -> str:
    """A node with its transforms in order."""
    steps = "".join(f"<{kind}>{words(numbers)}</{kind}>" for kind, numbers in node.steps)
    shown = "".join(f'<instance_geometry url="#g{k}"/>' for k in node.parts)
    return f"<node>{steps}{shown}{''.join(dae_node(c) for c in node.children)}</node>"


def write_x3d(tree: Tree) -> bytes:
    """A scene as X3D: the first use of a part defines it, later ones USE it."""
    seen: set[int] = set()
    inner = "".join(x3d_node(node, tree, seen) for node in tree.nodes)
    return f'<X3D profile="Immersive" version="3.3"><Scene>{inner}</Scene></X3D>'.encode()


def x3d_node(node: Node, tree: Tree, seen: set[int]) -> str:
    """A group in one Transform for each step."""
    inner = "".join(x3d_shape(k, tree.parts[k], seen) for k in node.parts)
    inner += "".join(x3d_node(child, tree, seen) for child in node.children)
    names = {"translate": "translation", "scale": "scale", "rotate": "rotation"}
    inner = f"<Group>{inner}</Group>"
    for kind, numbers in reversed(node.steps):
        if kind == "rotate":
            numbers = (*numbers[:3], float(np.radians(numbers[3])))
        inner = f'<Transform {names[kind]}="{words(numbers)}">{inner}</Transform>'
    return inner


def x3d_shape(k: int, part: Part, seen: set[int]) -> str:
    """A part as an IndexedFaceSet."""
    if k in seen:
        return f'<Shape USE="p{k}"/>'
    seen.add(k)
    index = " ".join(f"{words(p)} -1" for p in part.polygons)
    return (
        f'<Shape DEF="p{k}"><Appearance/><IndexedFaceSet convex="false" coordIndex="{index}">'
        f'<Coordinate point="{words(part.vertices)}"/></IndexedFaceSet></Shape>'
    )


def write_3mf(tree: Tree) -> bytes:
    """A scene as 3MF: parts as objects, nodes as objects of components, the top nodes as items."""
    objects = [object_3mf(k + 1, part) for k, part in enumerate(tree.parts)]
    items = "".join(component(node, tree, objects, "item") for node in tree.nodes)
    return package_3mf("".join(objects), items)


def object_3mf(number: int, part: Part) -> str:
    """A part as triangles, by fans: right for area only where polygons are convex."""
    fans = [(p[0], p[i], p[i + 1]) for p in part.polygons for i in range(1, len(p) - 1)]
    triangles = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in fans)
    rows = "".join(f'<vertex x="{x!r}" y="{y!r}" z="{z!r}"/>' for x, y, z in part.vertices.tolist())
    return (
        f'<object id="{number}" type="model"><mesh><vertices>{rows}</vertices>'
        f"<triangles>{triangles}</triangles></mesh></object>"
    )


def component(node: Node, tree: Tree, objects: list[str], name: str) -> str:
    """A reference to the object of a node, which is added to `objects`; nothing if it is empty."""
    inner = "".join(f'<component objectid="{k + 1}"/>' for k in node.parts)
    inner += "".join(component(child, tree, objects, "component") for child in node.children)
    if not inner:
        return ""
    number = len(objects) + 1
    objects.append(f'<object id="{number}"><components>{inner}</components></object>')
    matrix = np.eye(4)
    for step in node.steps:
        matrix = matrix @ step_matrix(*step)
    return f'<{name} objectid="{number}" transform="{words(matrix[:3].T)}"/>'


def package_3mf(
    objects: str, items: str, more: dict[str, str] | None = None, head: str = ""
) -> bytes:
    """A 3MF archive of objects and build items, given as text."""
    model = (
        f'<?xml version="1.0"?><model unit="millimeter" xmlns="{CORE}" {head}><resources>{objects}'
        f"</resources><build>{items}</build></model>"
    )
    relations = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Target="/3D/3dmodel.model" Id="rel0" Type="{BASE_TYPE}"/></Relationships>'
    )
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default '
        'Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-'
        '3dmodel+xml"/></Types>'
    )
    files = {
        "[Content_Types].xml": types,
        "_rels/.rels": relations,
        "3D/3dmodel.model": model,
        **(more or {}),
    }
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return buffer.getvalue()
