"""The pictures of `dora-prep inspect` and the self-contained page around them."""

import base64
import html
from functools import partial

import numpy as np

from preprocessing.frame import HALF_WIDTH
from preprocessing.half_edges import open_edges
from preprocessing.looking.render import Cloud, Color, png_bytes, render_mesh, render_points
from preprocessing.looking.turntable import HEIGHT, SCRIPT, WIDTH, turntable
from preprocessing.mesh import Mesh, Transform, frame_of_output, normalise
from preprocessing.points.edges import salient_edges
from preprocessing.points.samples import Sample

Picture = tuple[str, np.ndarray]

SALIENT: Color = (0.87, 0.27, 0.12)
OPEN: Color = (0.10, 0.42, 0.86)
UNIFORM: Color = (0.66, 0.71, 0.78)
INSIDE: Color = (0.13, 0.40, 0.67)
OUTSIDE: Color = (0.85, 0.55, 0.25)
# Clear where nothing is: a page in dark mode shows its own ground.
clear_mesh = partial(render_mesh, ground=None)
clear_points = partial(render_points, ground=None)


def mesh_pictures(mesh: Mesh, watertight: Mesh | None, angle: float) -> list[Picture]:
    """A mesh from two sides and with its edges marked; below it the same of its solid."""
    frame = normalise(mesh)[1]
    pictures = row_of_three("input", mesh, frame, angle)
    if watertight is not None:
        pictures += row_of_three("watertight", watertight, frame_of_output(watertight), angle)
    return pictures


def row_of_three(name: str, mesh: Mesh, frame: Transform, angle: float) -> list[Picture]:
    """From the front, from behind, and with salient and open edges drawn in."""
    salient = salient_edges(mesh, angle).segments
    open_segments = mesh.vertices[open_edges(mesh.faces)]
    lines = [(salient, SALIENT), (open_segments, OPEN)]
    marked = f"{len(salient):,} salient edges (red)"
    if len(open_segments):
        marked += f", {len(open_segments):,} open (blue)"
    return [
        (f"{name}: {len(mesh.faces):,} faces", clear_mesh(mesh, WIDTH, HEIGHT, frame=frame)),
        (f"{name} from behind", clear_mesh(mesh, WIDTH, HEIGHT, 215, -12, frame=frame)),
        (marked, clear_mesh(mesh, WIDTH, HEIGHT, frame=frame, lines=lines, occlusion=0)),
    ]


def sample_pictures(sample: Sample, mesh: Mesh | None) -> list[Picture]:
    """The mesh if there is one, the uniform cloud, the salient cloud, and a slice of the SDF."""
    coarse, sharp = sample.coarse_surface, sample.sharp_surface
    pictures = []
    if mesh is not None:
        picture = clear_mesh(mesh, WIDTH, HEIGHT, frame=frame_of_output(mesh))
        pictures.append((f"mesh: {len(mesh.faces):,} faces", picture))
    clouds = dots(sample)
    one = clear_points(clouds[:1], WIDTH, HEIGHT)
    pictures.append((f"{len(coarse):,} uniform points", one))
    both = clear_points(clouds, WIDTH, HEIGHT)
    pictures.append((f"{len(sharp):,} salient points (red)", both))
    axis, slice_picture = sdf_slice(sample, WIDTH, HEIGHT)
    pictures.append((f"SDF at {'xyz'[axis]} = 0: inside blue", slice_picture))
    return pictures


def dots(sample: Sample) -> list[Cloud]:
    """The uniform cloud and the salient one, to be drawn on top of it."""
    # Dots that nearly touch when half of them face the camera and cover a third of the picture.
    area = WIDTH * HEIGHT / 1.5 / len(sample.coarse_surface)
    size = float(np.clip(1.1 * np.sqrt(area), 1.5, 9.0))
    return [Cloud(sample.coarse_surface, UNIFORM, size), Cloud(sample.sharp_surface, SALIENT, 2.0)]


def turning_mesh(mesh: Mesh, title: str) -> str:
    """A figure of the mesh that can be turned."""
    frame = frame_of_output(mesh)
    return turntable(
        title, lambda around: clear_mesh(mesh, WIDTH, HEIGHT, around, frame=frame, occlusion=0)
    )


def turning_sample(sample: Sample, title: str) -> str:
    """A figure of both clouds that can be turned."""
    clouds = dots(sample)
    return turntable(title, lambda around: clear_points(clouds, WIDTH, HEIGHT, around))


def sdf_slice(sample: Sample, width: int, height: int) -> tuple[int, np.ndarray]:
    """The axis cut at 0 and a picture of the signed distance there, from the supervision points.

    Of the three planes the one with most of the inside in it. A pixel's value is that of its eight
    nearest supervision points, weighted by inverse squared distance; a line marks each 0.1.
    """
    from scipy.spatial import cKDTree

    rows = np.concatenate([sample.coarse_near, sample.space, sample.sharp_near]).astype(np.float64)
    points, sdf = rows[:, :3], rows[:, 3]
    inside = points[sdf > 0]
    axis = int(np.argmax([(np.abs(inside[:, i]) < 0.05).sum() for i in range(3)]))
    across, down = [i for i in (0, 2, 1) if i != axis][:2]
    span = np.linspace(-HALF_WIDTH, HALF_WIDTH, height)
    grid = np.zeros((height, height, 3))
    grid[..., across], grid[..., down] = span[None, :], span[::-1, None]
    distance, nearest = cKDTree(points).query(grid.reshape(-1, 3), k=8)
    weights = 1.0 / (distance**2 + 1e-9)
    values = (sdf[nearest] * weights).sum(axis=1) / weights.sum(axis=1)
    square = paint_field(values.reshape(height, height))
    picture = np.zeros((height, width, 4), np.uint8)
    left = (width - height) // 2
    picture[:, left : left + height, :3] = square
    picture[:, left : left + height, 3] = 255
    return axis, picture


def paint_field(values: np.ndarray) -> np.ndarray:
    """A signed field (H,W) as colours: blue inside, orange outside, black at 0, lines each 0.1."""
    strength = np.clip(np.abs(values) / 0.6, 0, 1)[..., None] ** 0.6
    tint = np.where(values[..., None] >= 0, np.asarray(INSIDE), np.asarray(OUTSIDE))
    color = 1 - (1 - tint) * (0.12 + 0.88 * strength)
    bands = np.floor(values / 0.1)
    color[edges_of(bands)] *= 0.86
    color[edges_of(values >= 0)] = 0.1
    return np.round(255 * color).astype(np.uint8)


def edges_of(labels: np.ndarray) -> np.ndarray:
    """Pixels (H,W) whose right or lower neighbour has another label."""
    edge = np.zeros(labels.shape, bool)
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= labels[:-1] != labels[1:]
    return edge


STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1c2128; --soft: #667;
  --line: #dde1e7; }
@media (prefers-color-scheme: dark) { :root { --page: #14171c; --card: #1d2128; --ink: #e6e9ee;
  --soft: #9aa3b0; --line: #323843; } }
body { margin: 0; padding: 2rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: auto; }
h1 { font-size: 1.4rem; margin: 0 0 1.2rem; overflow-wrap: anywhere; }
h2 { font-size: .85rem; margin: 0 0 .5rem; color: var(--soft); font-weight: 600;
  overflow-wrap: anywhere; }
.tiles { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr));
  margin-bottom: 1.5rem; }
section, figure { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  margin: 0; padding: 1rem; }
figure { padding: 0; overflow: hidden; }
figure img { display: block; width: 100%; height: auto; }
.small.tiles { grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); }
.small figcaption { font-size: .8rem; overflow-wrap: anywhere; }
.turn { cursor: grab; touch-action: pan-y; max-width: 780px; margin-bottom: 1rem; }
.turn:active { cursor: grabbing; }
figcaption { padding: .6rem 1rem; color: var(--soft); }
table { width: 100%; border-collapse: collapse; }
th { text-align: left; font-weight: 400; color: var(--soft); padding: .15rem 1rem .15rem 0;
  vertical-align: top; white-space: nowrap; }
td { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
"""


def html_page(
    title: str,
    sections: list[tuple[str, list[tuple[str, str]]]],
    pictures: list[Picture],
    turning: str = "",
) -> str:
    """One file that needs nothing else: pictures inside, light or dark as the reader's system.

    turning: the figure of `turning_mesh` or `turning_sample`; it comes first.
    """
    tables = []
    for name, rows in sections:
        body = "".join(
            f"<tr><th>{html.escape(key)}</th><td>{html.escape(value)}</td></tr>"
            for key, value in rows
        )
        tables.append(f"<section><h2>{html.escape(name)}</h2><table>{body}</table></section>")
    return whole_page(
        html.escape(title),
        f'{turning}<div class="tiles">{figures(pictures)}</div>'
        f'<div class="tiles">{"".join(tables)}</div>',
        SCRIPT if turning else "",
    )


def contact_page(heading: str, pictures: list[Picture]) -> str:
    """Many small pictures on one page of the same kind. heading: already escaped."""
    return whole_page(heading, f'<div class="small tiles">{figures(pictures)}</div>', "")


def figures(pictures: list[Picture]) -> str:
    """Pictures with their captions."""
    parts = []
    for caption, picture in pictures:
        data = base64.b64encode(png_bytes(picture)).decode()
        text = html.escape(caption)
        parts.append(
            f'<figure><img alt="{text}" src="data:image/png;base64,{data}">'
            f"<figcaption>{text}</figcaption></figure>"
        )
    return "".join(parts)


def whole_page(heading: str, body: str, script: str) -> str:
    """The page around a body; heading and body are HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{heading}</title><style>{STYLE}</style></head><body><main>"
        f"<h1>{heading}</h1>{body}</main>"
        f"{f'<script>{script}</script>' if script else ''}</body></html>\n"
    )
