"""Pictures of meshes and points by ray casting on the CPU: no GL, no window, no display.

A picture is cast with several rays a pixel, lit by a key, a fill and a rim light that stand with
the camera, and darkened in corners by ambient occlusion. Open3D's ray caster works in float32, so
everything is brought into the normalised frame first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing import seeds
from preprocessing.mesh import Mesh, Transform, normalise

Color = tuple[float, float, float]

BACKGROUND = (0.955, 0.960, 0.968)
CLAY = (0.72, 0.75, 0.80)
"""Colours are sRGB, 0 to 1."""
LIGHTS = (((-0.5, 0.7, 0.8), 1.05), ((0.9, 0.1, 0.5), 0.22), ((0.2, 0.6, -0.9), 0.25))
"""(direction towards the light as right, up, towards the viewer; strength): key, fill, rim."""
AMBIENT = 0.27
REACH = 0.6
"""How far off something darkens a corner, in normalised units."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: where it stands, its axes, `fov` degrees from bottom to top."""

    eye: np.ndarray
    right: np.ndarray
    up: np.ndarray
    forward: np.ndarray
    width: int
    height: int
    fov: float

    @property
    def pixels_per_slope(self) -> float:
        """Pixels from the middle per unit of sideways/forward."""
        return self.height / 2 / float(np.tan(np.radians(self.fov / 2)))

    def rays(self) -> np.ndarray:
        """One ray through each pixel's middle: float32 (height, width, 6), origin, direction."""
        x = (np.arange(self.width) + 0.5 - self.width / 2) / self.pixels_per_slope
        y = (self.height / 2 - np.arange(self.height) - 0.5) / self.pixels_per_slope
        directions = self.forward + x[None, :, None] * self.right + y[:, None, None] * self.up
        directions /= np.linalg.norm(directions, axis=2, keepdims=True)
        origins = np.broadcast_to(self.eye, directions.shape)
        return np.concatenate([origins, directions], axis=2).astype(np.float32)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pixel coordinates x, y (fractions count) and distance from the eye of points (N,3)."""
        away = points - self.eye
        depth = away @ self.forward
        x = self.width / 2 + away @ self.right / depth * self.pixels_per_slope
        y = self.height / 2 - away @ self.up / depth * self.pixels_per_slope
        return x, y, np.linalg.norm(away, axis=1)


@dataclass(frozen=True)
class Hits:
    """What the rays of a camera met; arrays (height, width) and (height, width, 3)."""

    hit: np.ndarray
    distance: np.ndarray
    normals: np.ndarray
    """Unit face normals in the world, as the faces are wound; 0 where nothing was hit."""
    faces: np.ndarray


def camera_around(
    azimuth: float,
    elevation: float,
    width: int,
    height: int,
    points: np.ndarray,
    fov: float = 28.0,
    up: str = "y",
) -> Camera:
    """A camera that looks at the origin from where all `points` (N,3) are just in view.

    `azimuth` and `elevation` in degrees; azimuth 0 looks along -z (or +y when `up` is "z").
    """
    a, e = np.radians(azimuth), np.radians(elevation)
    towards = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
    above = np.array([0.0, 1.0, 0.0])
    if up == "z":
        turn = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
        towards, above = turn @ towards, turn @ above
    forward = -towards
    right = np.cross(forward, above)
    right /= np.linalg.norm(right)
    over = np.cross(right, forward)
    # From a distance d a point at depth z before the origin shows at x / (d - z).
    slope = 0.94 * np.tan(np.radians(fov / 2))
    sideways = np.abs(points @ right) * height / width
    upwards = np.abs(points @ over)
    near = points @ towards
    distance = float((near + np.maximum(sideways, upwards) / slope).max(initial=1e-3))
    return Camera(towards * distance, right, over, forward, width, height, fov)


class Caster:
    """A mesh ready for rays: building the tree once serves many views."""

    def __init__(self, mesh: Mesh) -> None:
        import open3d

        library: Any = vars(open3d)  # its stubs do not know that arrays are taken
        self.tensor = library["core"].Tensor
        self.scene = library["t"].geometry.RaycastingScene()
        self.scene.add_triangles(
            self.tensor(mesh.vertices.astype(np.float32)),
            self.tensor(mesh.faces.astype(np.uint32)),
        )

    def cast(self, rays: np.ndarray) -> Hits:
        """Nearest hits of rays float32 (height, width, 6)."""
        found = self.scene.cast_rays(self.tensor(rays))
        distance = found["t_hit"].numpy()
        hit = np.isfinite(distance)
        normals = np.where(hit[..., None], found["primitive_normals"].numpy(), 0.0)
        return Hits(hit, distance, normals, found["primitive_ids"].numpy().astype(np.int64))

    def blocked(self, rays: np.ndarray, reach: float) -> np.ndarray:
        """Which of rays float32 (N,6) meet anything within `reach`."""
        return self.scene.test_occlusions(self.tensor(rays), 0.0, reach).numpy()


def render_mesh(
    mesh: Mesh,
    width: int = 640,
    height: int = 480,
    azimuth: float = 35.0,
    elevation: float = 22.0,
    *,
    ground: Color | None = BACKGROUND,
    frame: Transform | None = None,
    lines: Sequence[tuple[np.ndarray, Color]] = (),
    supersample: int = 2,
    occlusion: int = 6,
) -> np.ndarray:
    """A shaded picture, uint8 (height, width, 3); with `ground` None (height, width, 4), clear
    where nothing is.

    `frame` brings the mesh into the picture's frame (default: its own normalised frame; give two
    pictures one frame to compare them). `lines`, segments (K,2,3) in the mesh's frame with a
    colour, are drawn where they can be seen. `supersample` squared rays a pixel, `occlusion` rays
    more at each for the darkness in corners (0: none).
    """
    frame = normalise(mesh)[1] if frame is None else frame
    shown = Mesh(frame.apply(mesh.vertices), mesh.faces)
    used = shown.vertices[np.unique(shown.faces)]
    camera = camera_around(azimuth, elevation, width * supersample, height * supersample, used)
    caster = Caster(shown)
    rays = camera.rays()
    hits = caster.cast(rays)
    light = shade(hits, camera, rays)
    if occlusion:
        light *= openness(caster, hits, rays, occlusion)[..., None]
    picture = blank(camera)
    picture[hits.hit] = light[hits.hit] * to_linear(np.asarray(CLAY))
    for segments, paint in lines:
        draw_lines(picture, hits.distance, camera, frame.apply(segments), paint, 1.1 * supersample)
    return finish(picture, supersample, ground)


@dataclass(frozen=True)
class Cloud:
    """Points (N,6), xyz and unit normal, in the normalised frame, drawn as dots of one colour."""

    points: np.ndarray
    color: Color
    size: float
    """Pixels across."""


def render_points(
    clouds: Sequence[Cloud],
    width: int = 640,
    height: int = 480,
    azimuth: float = 35.0,
    elevation: float = 22.0,
    *,
    ground: Color | None = BACKGROUND,
    supersample: int = 2,
) -> np.ndarray:
    """A picture of clouds as lit dots, uint8 (height, width, 3); a later cloud lies on top.

    With `ground` None it is (height, width, 4), clear where nothing is.
    Points that face away are left out, so dots that nearly touch read as a surface.
    """
    everything = np.concatenate([cloud.points for cloud in clouds]).astype(np.float64)
    camera = camera_around(
        azimuth, elevation, width * supersample, height * supersample, everything[:, :3]
    )
    picture = blank(camera)
    depth = np.full(picture.shape[:2], np.inf)
    for cloud in clouds:
        points, normals = np.split(cloud.points.astype(np.float64), 2, axis=1)
        facing = (normals * (camera.eye - points)).sum(axis=1) > 0
        light = 0.5 + 0.6 * lamps(normals[facing], camera)
        paint = to_linear(np.asarray(cloud.color)) * light[:, None]
        splat(picture, depth, camera, points[facing], paint, cloud.size * supersample)
    return finish(picture, supersample, ground)


def blank(camera: Camera) -> np.ndarray:
    """Nothing yet, linear light: float64 (height, width, 3), NaN until something is drawn."""
    return np.full((camera.height, camera.width, 3), np.nan)


def lamps(normals: np.ndarray, camera: Camera) -> np.ndarray:
    """Light (N,) that unit normals (N,3) catch from the three lights, which go with the camera."""
    axes = np.stack([camera.right, camera.up, -camera.forward])
    total = np.zeros(len(normals))
    for direction, strength in LIGHTS:
        towards = np.asarray(direction) @ axes / np.linalg.norm(direction)
        total += strength * np.clip(normals @ towards, 0.0, None)
    return total


def shade(hits: Hits, camera: Camera, rays: np.ndarray) -> np.ndarray:
    """Light (height, width, 3) on what was hit; both sides of a face are lit."""
    light = np.zeros((*hits.hit.shape, 3))
    normals, directions = hits.normals[hits.hit].astype(np.float64), rays[..., 3:][hits.hit]
    normals *= -np.sign((normals * directions).sum(axis=1, keepdims=True))
    sky = 0.5 + 0.5 * (normals @ camera.up)
    light[hits.hit] = (AMBIENT * (0.7 + 0.6 * sky) + lamps(normals, camera))[:, None]
    return light


def openness(caster: Caster, hits: Hits, rays: np.ndarray, count: int) -> np.ndarray:
    """1 where nothing is near, towards 0.35 in deep corners: (height, width).

    Each hit sends `count` rays into the half space it faces; the directions differ from pixel to
    pixel in a fixed pattern, so the same picture is the same bytes.
    """
    result = np.ones(hits.hit.shape)
    flat = rays[hits.hit]
    normals = hits.normals[hits.hit].astype(np.float32)
    normals *= -np.sign((normals * flat[:, 3:]).sum(axis=1, keepdims=True))
    places = flat[:, :3] + flat[:, 3:] * hits.distance[hits.hit][:, None] + normals * 2e-3
    blocked = np.zeros(len(places), np.float32)
    # A unit sphere around the tip of the normal gives cosine-weighted directions (Malley's
    # method). Rays of one pixel and its neighbours take different ones: less noise for as many.
    pattern = seeds.generator(0, "render", "openness").normal(size=(1009, 3)).astype(np.float32)
    pattern /= np.linalg.norm(pattern, axis=1, keepdims=True)
    row, column = np.nonzero(hits.hit)
    start = row * 397 + column * 61
    probe = np.empty((len(places), 6), np.float32)
    probe[:, :3] = places
    for index in range(count):
        # Not quite opposite to the normal, so the sum is never zero; its length does not matter.
        np.add(normals, 0.999 * pattern[(start + index * 131) % len(pattern)], out=probe[:, 3:])
        probe[:, 3:] /= np.sqrt((probe[:, 3:] ** 2).sum(axis=1, keepdims=True))
        blocked += caster.blocked(probe, REACH)
    result[hits.hit] = 1.0 - 0.65 * blocked / count
    return result


def draw_lines(
    picture: np.ndarray,
    distance: np.ndarray,
    camera: Camera,
    lines: np.ndarray,
    color: Color,
    size: float,
) -> None:
    """Draw segments (K,2,3) into `picture` where they are not behind what was hit."""
    x, y, _ = camera.project(lines.reshape(-1, 3))
    ends = np.column_stack([x, y]).reshape(-1, 2, 2)
    steps = np.ceil(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) / (0.5 * size)).astype(int) + 1
    which = np.repeat(np.arange(len(lines)), steps)
    along = (np.arange(len(which)) - np.repeat(np.cumsum(steps) - steps, steps)) / np.maximum(
        steps[which] - 1, 1
    )
    points = lines[which, 0] + along[:, None] * (lines[which, 1] - lines[which, 0])
    paint = np.broadcast_to(to_linear(np.asarray(color)), points.shape)
    splat(picture, distance.copy(), camera, points, paint, size)


def splat(
    picture: np.ndarray,
    depth: np.ndarray,
    camera: Camera,
    points: np.ndarray,
    colors: np.ndarray,
    size: float,
) -> None:
    """Draw points as discs of `size` pixels across, nearest on top, hidden ones not at all.

    `picture` and `depth` (distance from the eye) are changed in place. A dot may lie a little
    behind the surface that it marks: one hundredth of the scene.
    """
    x, y, far = camera.project(points)
    order = np.argsort(-far, kind="stable")
    x, y, far, colors = x[order], y[order], far[order], colors[order]
    reach = int(np.ceil(size / 2))
    for down in range(-reach, reach + 1):
        for across in range(-reach, reach + 1):
            column = np.floor(x + across).astype(np.int64)
            row = np.floor(y + down).astype(np.int64)
            near = (column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2 <= (size / 2) ** 2 + 0.25
            inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
            seen = np.flatnonzero(near & inside)
            seen = seen[far[seen] <= depth[row[seen], column[seen]] + 0.01]
            # Far to near: of several dots on a pixel the last written is the nearest.
            picture[row[seen], column[seen]] = colors[seen]
            np.minimum.at(depth, (row[seen], column[seen]), far[seen])


def to_linear(color: np.ndarray) -> np.ndarray:
    """sRGB 0..1 to linear light."""
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def finish(picture: np.ndarray, supersample: int, ground: Color | None) -> np.ndarray:
    """Average the rays of each pixel and encode as sRGB: uint8 (height, width, 3).

    What nothing was drawn on shows the `ground`; without one it is clear, in a fourth channel.
    """
    height, width = (size // supersample for size in picture.shape[:2])
    blocks = (height, supersample, width, supersample, -1)
    drawn = np.isfinite(picture[..., :1])
    share = drawn.reshape(blocks).mean(axis=(1, 3))
    behind = np.zeros(3) if ground is None else to_linear(np.asarray(ground))
    linear = np.where(drawn, np.clip(picture, 0.0, 1.0), behind).reshape(blocks).mean(axis=(1, 3))
    if ground is not None:
        return np.round(255 * to_srgb(linear)).astype(np.uint8)
    color = to_srgb(linear / np.maximum(share, 1e-9))
    return np.round(255 * np.concatenate([color, share], axis=2)).astype(np.uint8)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light to sRGB, both 0..1."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def on_ground(picture: np.ndarray) -> np.ndarray:
    """A picture without clear places, uint8 (height, width, 3): BACKGROUND shows through them."""
    if picture.shape[2] == 3:
        return picture
    share = picture[..., 3:] / 255.0
    color = to_linear(picture[..., :3] / 255.0)
    mixed = share * color + (1 - share) * to_linear(np.asarray(BACKGROUND))
    return np.round(255 * to_srgb(mixed)).astype(np.uint8)


def side_by_side(pictures: list[tuple[str, np.ndarray]], columns: int = 0) -> np.ndarray:
    """Pictures of one size in a grid with a caption under each: uint8 (height, width, 3).

    A caption that is wider than its picture is cut.

    `columns`: at most so many; 0 puts all into one row.
    """
    from PIL import Image, ImageDraw

    height, width = pictures[0][1].shape[:2]
    columns = min(columns or len(pictures), len(pictures))
    rows = -(-len(pictures) // columns)
    size = max(13, width // 32)
    band, gap = size * 2, max(4, width // 80)
    sheet = Image.new(
        "RGB", (columns * (width + gap) + gap, rows * (height + band + gap) + gap), "white"
    )
    draw, font = ImageDraw.Draw(sheet), caption_font(size)
    for index, (caption, picture) in enumerate(pictures):
        left = gap + index % columns * (width + gap)
        top = gap + index // columns * (height + band + gap)
        sheet.paste(Image.fromarray(on_ground(picture)), (left, top))
        middle = (left + width / 2, top + height + band / 2)
        while draw.textlength(caption, font=font) > width:
            caption = caption[:-2] + "…"
        draw.text(middle, caption, fill=(40, 44, 52), font=font, anchor="mm")
    return np.asarray(sheet)


def caption_font(size: int) -> Any:
    """Open3D's Roboto, `size` pixels high, which has the letters of European languages.

    Where Open3D is not there, Pillow's own, which has ASCII.
    """
    from PIL import ImageFont

    package = find_spec("open3d")
    for folder in (package and package.submodule_search_locations) or ():
        font = Path(folder) / "resources/Roboto-Medium.ttf"
        if font.is_file():
            return ImageFont.truetype(str(font), size)
    return ImageFont.load_default(size)


def png_bytes(picture: np.ndarray) -> bytes:
    """A uint8 (height, width, 3 or 4) picture as PNG."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png", optimize=True)
    return buffer.getvalue()
