"""Sharp Normal Error, version sne-1: how wrong the normals are where the true shape has creases.

Dora (arXiv 2412.17808, section 4.1) renders normal maps from 22 views, finds edges in the truth's
maps by Canny, dilates them and takes the mean squared difference inside. It leaves camera, size,
thresholds and dilation open; ours were chosen by benchmarks/sne_sweep.py (see docs/metrics.md):
- parallel projection along 22 directions spread evenly over the sphere (Fibonacci lattice), always
  the frame [-sqrt(3), sqrt(3)] wide, so that a pixel is the same length on every shape;
- a normal is the hit face's, turned towards the camera (winding carries no meaning); where nothing
  is hit it is the zero vector;
- Canny on the vector-valued map: smoothing, structure tensor (Di Zenzo), thinning, hysteresis. The
  thresholds are crease angles in degrees, which makes them independent of the pixel size;
- the error of a pixel is the mean over channels of the squared difference of the maps coded as
  (n + 1) / 2, as pictures are: |n_truth - n_prediction|^2 / 12.
"""

from dataclasses import asdict, dataclass

import numpy as np
from scipy import ndimage

from preprocessing.looking.render import Caster
from preprocessing.mesh import Mesh

VERSION = "sne-1"
HALF_WIDTH = 3**0.5  # of a view: the cube [-1, 1]^3 fits in any direction


@dataclass(frozen=True, kw_only=True)
class SneSettings:
    """What sne-1 leaves to choose; the defaults *are* sne-1, anything else is another measure."""

    views: int = 22
    resolution: int = 512  # pixels along a side
    sigma: float = 1.0  # Gaussian smoothing before the gradient, pixels
    low: float = 15.0  # crease angle that continues an edge, degrees
    high: float = 30.0  # crease angle that starts one, degrees
    dilation: int = 3  # pixels on each side of an edge

    def record(self) -> dict[str, object]:
        """The settings for a result file, with the version they make."""
        version = VERSION if self == SneSettings() else f"{VERSION}-modified"
        return {"version": version, **asdict(self)}


@dataclass(frozen=True)
class NormalMaps:
    """A truth's maps float32 (V,R,R,3) and the masks bool (V,R,R) around its creases."""

    settings: SneSettings
    maps: np.ndarray
    masks: np.ndarray


def view_directions(count: int) -> np.ndarray:
    """`count` unit vectors spread evenly over the sphere (Fibonacci lattice), float64 (V,3)."""
    index = np.arange(count)
    z = 1 - (2 * index + 1) / count
    azimuth = index * np.pi * (3 - 5**0.5)
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=1)


def view_rays(direction: np.ndarray, resolution: int) -> np.ndarray:
    """Parallel rays of one view, float32 (R,R,6): origin and direction; pixel centres."""
    helper = np.eye(3)[np.argmin(np.abs(direction))]
    right = np.cross(helper, direction)
    right /= np.linalg.norm(right)
    up = np.cross(direction, right)
    offsets = ((np.arange(resolution) + 0.5) / resolution * 2 - 1) * HALF_WIDTH
    rays = np.empty((resolution, resolution, 6), np.float32)
    rays[..., :3] = offsets[None, :, None] * right + offsets[:, None, None] * up + 4 * direction
    rays[..., 3:] = -direction
    return rays


def cast_normals(mesh: Mesh, settings: SneSettings | None = None) -> np.ndarray:
    """Normal maps float32 (V,R,R,3) in the mesh's frame; zero where a ray hits nothing."""
    settings = settings or SneSettings()
    caster = Caster(mesh)
    maps = np.empty((settings.views, settings.resolution, settings.resolution, 3), np.float32)
    for view, direction in enumerate(view_directions(settings.views)):
        normals = caster.cast(view_rays(direction, settings.resolution)).normals
        away = normals @ direction.astype(np.float32) < 0
        maps[view] = np.where(away[..., None], -normals, normals)
    return maps


def canny(normals: np.ndarray, settings: SneSettings) -> np.ndarray:
    """Crease pixels bool (R,R) of one normal map (R,R,3).

    A crease of angle a is a step of |n1 - n2| = 2 sin(a/2); smoothed by sigma its steepest slope
    is that over sigma * sqrt(2 pi), which turns the thresholds from degrees into slopes.
    """
    smooth = ndimage.gaussian_filter(normals, (settings.sigma, settings.sigma, 0))
    dx = ndimage.correlate1d(smooth, [-0.5, 0, 0.5], axis=1)
    dy = ndimage.correlate1d(smooth, [-0.5, 0, 0.5], axis=0)
    xx, xy, yy = (dx * dx).sum(-1), (dx * dy).sum(-1), (dy * dy).sum(-1)
    slope = np.sqrt((xx + yy + np.hypot(xx - yy, 2 * xy)) / 2)
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    thin = ridge(slope, angle)
    low, high = (
        2 * np.sin(np.radians(degrees) / 2) / (settings.sigma * np.sqrt(2 * np.pi))
        for degrees in (settings.low, settings.high)
    )
    labels, count = ndimage.label(thin & (slope > low), structure=np.ones((3, 3)))
    keeps = np.zeros(count + 1, bool)
    keeps[labels[thin & (slope > high)]] = True
    keeps[0] = False
    return keeps[labels]


def ridge(slope: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Pixels where `slope` (R,R) is largest along the gradient's direction `angle` (radians)."""
    padded = np.pad(slope, 1)
    rows, columns = slope.shape
    thin = np.zeros(slope.shape, bool)
    octant = np.round(angle / (np.pi / 4)).astype(int) % 4
    for value, (down, across) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead = padded[1 + down : 1 + down + rows, 1 + across : 1 + across + columns]
        behind = padded[1 - down : 1 - down + rows, 1 - across : 1 - across + columns]
        thin |= (octant == value) & (slope > ahead) & (slope >= behind)
    return thin


def truth_maps(mesh: Mesh, settings: SneSettings | None = None) -> NormalMaps:
    """Maps and crease masks of a truth, computed once for all its predictions."""
    settings = settings or SneSettings()
    maps = cast_normals(mesh, settings)
    width = 2 * settings.dilation + 1
    masks = np.stack([ndimage.maximum_filter(canny(one, settings), width) for one in maps])
    return NormalMaps(settings, maps, masks)


def sharp_normal_error(truth: NormalMaps, prediction: Mesh) -> float:
    """Mean over the masked pixels of all views of |n_truth - n_prediction|^2 / 12, in [0, 1/3].

    Multiply by 100 for the papers' unit. 0 for the truth itself, and for a truth whose maps have
    no edge at all (it is not in any view).
    """
    difference = cast_normals(prediction, truth.settings) - truth.maps
    errors = np.einsum("vrck,vrck->vrc", difference, difference)[truth.masks]
    return float(errors.mean(dtype=np.float64) / 12) if len(errors) else 0.0
