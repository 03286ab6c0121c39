"""Faces, area, volume and bounds of FBX files as ufbx reads them, one JSON line a file.

Each file is read in a process of its own that ends without cleaning up, and all that the binding
hands out is kept until then: freeing parts of a scene ends the process.
"""

import json
import os
import sys

import numpy as np
import ufbx

KEPT: list[object] = []


def figures_of(path: str) -> dict[str, object]:
    """What the scene of a file amounts to, by its polygons."""
    options = {"ignore_animation": True, "evaluate_skinning": True}
    scene = ufbx.load_file(path, **options)
    count, area, volume, points = 0, 0.0, 0.0, [np.empty((0, 3))]
    known: dict[int, tuple[np.ndarray, ...]] = {}
    nodes = list(scene.nodes)
    KEPT.extend((scene, nodes))
    for node in nodes:
        mesh = node.mesh
        KEPT.append(mesh)
        if mesh is None or mesh.num_faces == 0:
            continue
        # A list of a mesh can be turned into an array once: the second time it comes flat.
        if mesh.element_id not in known:
            position = mesh.skinned_position
            lists = (position.values, position.indices, mesh.faces)
            KEPT.extend((position, lists))
            known[mesh.element_id] = tuple(np.array(one) for one in lists)
        places, indices, faces = known[mesh.element_id]
        matrix = np.array(node.geometry_to_world)
        if mesh.skinned_is_local:
            places = places @ matrix[:3] + matrix[3]
        mirrored = mesh.skinned_is_local and np.linalg.det(matrix[:3]) < 0
        for first, size in faces.astype(int):
            ring = places[indices[first : first + size].astype(int)]
            crosses = np.cross(ring, np.roll(ring, -1, axis=0)).sum(axis=0)
            area += float(np.linalg.norm(crosses) / 2)
            volume += float(crosses @ ring[0] / 6) * (-1 if mirrored else 1)
            count += int(size) - 2
        points.append(places)
    every = np.concatenate(points)
    low, high = every.min(axis=0).tolist(), every.max(axis=0).tolist()
    return {"faces": count, "area": area, "volume": volume, "low": low, "high": high}


def main() -> None:
    """One line a path of the command line; `null` where reading ended the process."""
    for path in sys.argv[1:]:
        read, write = os.pipe()
        if (child := os.fork()) == 0:
            os.write(write, json.dumps(figures_of(path)).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            text = pipe.read()
        os.waitpid(child, 0)
        print(text or "null", flush=True)


if __name__ == "__main__":
    main()
