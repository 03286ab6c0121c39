"""May distance to the input minus eps stand in for distance to the offset mesh? It may not.

Both are taken at the same random points outside the solid of several shapes, at the published
offset. The mesh cuts the offset surface's rounded edges by chords about a cell long, so the two
differ by about h^2 / (8 eps) beside a convex edge of the input, at any distance from it.
"""

import numpy as np
import pandas as pd

from preprocessing.distance.queries import signed_distance, unsigned_distance
from preprocessing.mesh import normalise
from preprocessing.seeds import generator
from preprocessing.shapes import box, cylinder, gear, sphere
from preprocessing.solid.watertight import make_watertight

EPS = 2 / 256
POINTS = 20_000


def main() -> None:
    """Print the difference of the two distances for each shape."""
    rows = []
    for shape in (box(), cylinder(), gear(), sphere()):
        mesh, _ = normalise(shape.mesh)
        solid = make_watertight(shape.mesh, eps=EPS).mesh
        points = generator(0, shape.id, "shortcut").uniform(-1.05, 1.05, (POINTS, 3))
        exact = -signed_distance(solid, points)
        outside = exact > 0
        error = np.abs(unsigned_distance(mesh, points[outside]) - EPS - exact[outside])
        rows.append(
            {
                "shape": shape.kind,
                "points": int(outside.sum()),
                "mean": f"{error.mean():.1e}",
                "largest": f"{error.max():.1e}",
                "share above 1e-4": f"{(error > 1e-4).mean():.1%}",
            }
        )
    bound = (2.1 / 256) ** 2 / (8 * EPS)
    print(pd.DataFrame(rows).to_string(index=False))
    print(f"chord h^2 / (8 eps): {bound:.1e}")


if __name__ == "__main__":
    main()
