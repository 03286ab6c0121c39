"""What can be asked for, each said once: settings of the two stages, and limits of a run.

A command makes these from its options, a run keeps them beside its outputs, and the stages take
them as they are. Each checks itself when it is made, so whoever holds one holds settings that can
work. Nothing heavy is imported here.
"""

from dataclasses import asdict, dataclass
from fractions import Fraction
from importlib.util import find_spec
from math import ceil, floor, sqrt
from typing import Any

from preprocessing.frame import HALF_WIDTH
from preprocessing.solid.bricks import BRICK, TABLE_BYTES, bricks_per_axis

METHODS = ("offset", "alpha-wrap", "manifold")
AUDITS = ("basic", "full")
CORNERS = ("round", "sharp")
MESH_FORMATS = ("ply", "obj", "glb", "stl")
SAMPLE_FORMATS = ("safetensors", "npz", "hunyuan", "vecset")
DTYPES = ("float32", "float16")
EDGE_SPREADS = ("length", "edge")
EXECUTORS = ("auto", "inline", "ray")
SHARE = "share"  # of the memory of the machine that a worker is on
# Bricks are numbered in int32: the largest n with n^3 < 2^31 bricks an axis.
FINEST = 1290 * BRICK
# An offset has to stay below this: at it, the surface would lie on the border of the grid. Rounded,
# because 1.05 - 1 is a little more than 0.05.
BORDER = round(HALF_WIDTH - 1, 9)
TOLERANCE = 0.025  # share of eps that an edge one cell long may be off where it is asked
MITRE = 2.0  # how many eps sharp corners may reach unless told
LEAST_TOLERANCE = 0.005  # finer chords would be slivers beside the cells


class SettingsError(ValueError):
    """A setting that cannot work: its name, and what was wrong and would work."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(name, message)
        self.name, self.message = name, message

    def __str__(self) -> str:
        return f"{self.name} {self.message}"


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise SettingsError unless the value is allowed."""
    if value not in allowed:
        raise SettingsError(name, f"{value}: use one of {', '.join(allowed)}")


def parse_eps(text: str) -> float:
    """An offset such as `2/512` or `0.004`, in the normalised frame. Raises SettingsError."""
    try:
        eps = float(Fraction(text.strip()))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise SettingsError("eps", f"{text}: a fraction or a decimal such as 2/512") from None
    check_eps(eps, text)
    return eps


def check_eps(eps: float, text: str) -> None:
    """Raise SettingsError for an offset outside the grid's border; `text` is how it was given."""
    if not 0 < eps < BORDER:
        raise SettingsError(
            "eps", f"{text}: it must lie between 0 and {BORDER:g} (the grid's border)"
        )


def default_resolution(eps: float) -> int:
    """Cells per axis for an offset: round(2 / eps)."""
    return round(2 / eps)


def smallest_resolution(eps: float) -> int:
    """Fewest cells per axis that resolve eps.

    A shell one eps thick each way must hold a grid corner next to every point of the surface:
    eps >= half a cell's diagonal.
    """
    return ceil(HALF_WIDTH * sqrt(3) / eps)


@dataclass(frozen=True, kw_only=True)
class WatertightSettings:
    """What `make_watertight` is asked for, in the normalised frame, and the format of the file.

    eps: offset. resolution: cells per axis; 0 becomes round(2 / eps). close_holes: radius of the
    openings to close. simplify: deviation that decimation may add, as a share of eps. tolerance:
    share of eps that an edge one cell long may be off where it is asked, longer ones less. remesh:
    False keeps the triangles of marching cubes, right at the vertices and no farther. corners:
    `sharp` measures the mitred distance, of which eps is asked then; mitre: how many eps off the
    tip of an edge may be, else it is bevelled, for sharp ones alone. audit: `full` counts lost
    visible points too. Raises SettingsError.
    """

    eps: float
    resolution: int = 0
    method: str = "offset"
    format: str = "ply"
    keep_cavities: bool = False
    close_holes: float | None = None
    simplify: float | None = None
    tolerance: float = TOLERANCE
    remesh: bool = True
    corners: str = "round"
    mitre: float = MITRE
    audit: str = "basic"

    def __post_init__(self) -> None:
        one_of("method", self.method, METHODS)
        one_of("format", self.format, MESH_FORMATS)
        one_of("audit", self.audit, AUDITS)
        one_of("corners", self.corners, CORNERS)
        check_eps(self.eps, f"{self.eps:g}")
        if not self.resolution:
            object.__setattr__(self, "resolution", default_resolution(self.eps))
        self.check_grid()
        self.check_corners()
        if self.method != "offset" and (self.keep_cavities or self.close_holes):
            name = "keep_cavities" if self.keep_cavities else "close_holes"
            raise SettingsError(name, "works with the method offset alone")
        if self.close_holes:
            self.check_holes(self.close_holes)
        if not LEAST_TOLERANCE <= self.tolerance <= 1:
            raise SettingsError(
                "tolerance",
                f"{self.tolerance:g}: a share of eps from {LEAST_TOLERANCE} to 1; 1 "
                "for a mesh that is right at its vertices alone",
            )
        if self.method != "offset" and not self.remesh:
            raise SettingsError("no_remesh", "works with the method offset alone")
        if self.tolerance != TOLERANCE and not self.remesh:
            raise SettingsError("tolerance", "is what remeshing keeps to; leave --no-remesh out")
        if self.simplify is not None and self.simplify < 0:
            raise SettingsError("simplify", f"is a share of eps, 0 or more, not {self.simplify:g}")
        self.check_packages()

    def check_packages(self) -> None:
        """Raise SettingsError, saying what to install, for a method whose package is not there."""
        methods = {"alpha-wrap": "pymeshlab", "manifold": "point_cloud_utils"}
        module = methods.get(self.method)
        if module and find_spec(module) is None:
            package = module.replace("_", "-")
            raise SettingsError("method", f"needs {package}; pip install {package}")

    @property
    def measures_distance(self) -> bool:
        """Whether the result is measured by its distance, as one that is not the offset itself."""
        return bool(self.simplify) or self.method != "offset"

    def check_corners(self) -> None:
        """Raise SettingsError for sharp corners where nothing could keep them, or too long ones."""
        if self.corners == "round":
            if self.mitre != MITRE:
                raise SettingsError("mitre", "limits sharp corners; ask for corners sharp")
            return
        if self.method != "offset":
            raise SettingsError("corners", "sharp works with the method offset alone")
        if self.close_holes:
            raise SettingsError(
                "corners", "sharp does not go with close_holes, whose lids are round"
            )
        if not self.mitre > 1:
            raise SettingsError(
                "mitre", f"{self.mitre:g}: more than 1 eps; 1 would be round corners"
            )
        if self.mitre * self.eps >= BORDER:
            raise SettingsError(
                "mitre",
                f"{self.mitre:g}: edges so far out would leave the grid; less than "
                f"{BORDER / self.eps:.3g} with eps {self.eps:g}",
            )

    def check_grid(self) -> None:
        """Raise SettingsError for a grid too coarse for eps or too fine to be numbered."""
        if self.resolution < smallest_resolution(self.eps):
            raise SettingsError(
                "resolution",
                f"{self.resolution}: such a grid cannot resolve eps {self.eps:g}; the smallest "
                f"that can is {smallest_resolution(self.eps)}",
            )
        if self.resolution > FINEST:
            raise SettingsError(
                "resolution",
                f"{self.resolution}: the finest grid has {FINEST} cells an axis, which fits eps "
                f"2/{FINEST} and more",
            )

    def check_holes(self, tau: float) -> None:
        """Raise SettingsError for openings that cannot be told from the shell."""
        from preprocessing.solid.holes import smallest_tau

        if tau < smallest_tau(self.eps):
            raise SettingsError(
                "close_holes",
                f"{tau:g}: such openings cannot be told from the shell; the smallest is "
                f"{smallest_tau(self.eps):.4g} at eps {self.eps:g}",
            )

    def check_memory(self, gigabytes: float) -> None:
        """Raise SettingsError when the grid's tables alone pass what an item may take.

        What a mesh needs beyond them is known, and refused, when its surface is known.
        """
        need = TABLE_BYTES * bricks_per_axis(self.resolution) ** 3 / 2**30
        if self.method == "offset" and need > gigabytes:
            fits = BRICK * floor((gigabytes * 2**30 / TABLE_BYTES) ** (1 / 3))
            raise SettingsError(
                "resolution",
                f"{self.resolution}: the tables of such a grid take {need:.1f} GB and an item may "
                f"take {gigabytes:.1f} GB; at most {fits} fits, with eps 2/{fits}, or --memory",
            )


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """What `sample_shape` is asked for, and the layout of the file. Raises SettingsError.

    points: of both clouds. angle: degrees. near, space: supervision points. dtype: of the file's
    rows.
    """

    points: int = 65536
    angle: float = 15.0
    seed: int = 0
    edge_spread: str = "length"
    near: int = 400_000
    space: int = 200_000
    format: str = "safetensors"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        one_of("edge_spread", self.edge_spread, EDGE_SPREADS)
        one_of("format", self.format, SAMPLE_FORMATS)
        one_of("dtype", self.dtype, DTYPES)
        if self.dtype != "float32" and self.format != "safetensors":
            raise SettingsError(
                "dtype", f"{self.dtype}: {self.format} has a type of its own; only safetensors ask"
            )
        if not 0 <= self.angle < 180:
            raise SettingsError("angle", f"{self.angle:g}: no edge is that sharp; give less")
        if self.points // 2 > self.near // 2:
            raise SettingsError(
                "points",
                f"{self.points}: the uniform cloud is thinned from the --near {self.near} points' "
                f"pool; give --near {self.points} or more",
            )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How work is carried out; no result depends on it. Raises SettingsError.

    workers: cores, 0 for all. timeout: seconds an item, but those in which others had the
    processors (Linux), memory: GB an item; None for no limit of time, and for a share of the
    machine. gpus: of a GPU or several, that Ray gives each worker.
    """

    executor: str = "auto"
    workers: int = 0
    ray_address: str | None = None
    timeout: float | None = 3600.0
    memory: float | None = None
    gpus: float = 0.0
    quiet: bool = False

    def __post_init__(self) -> None:
        one_of("executor", self.executor, EXECUTORS)

    def for_runner(self) -> dict[str, Any]:
        """The keywords of `running.runner.run`."""
        given = {name: value for name, value in asdict(self).items() if name != "quiet"}
        # Only the machines of a cluster know what they have.
        share = SHARE if self.memory is None and self.ray_address is not None else self.memory
        return {**given, "memory": share}
