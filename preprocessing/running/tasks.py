"""What a run is made of: its work, the plan of preparation, and the task of one input.

Plan and task travel to the child that does the work.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from preprocessing.running.ids import Part
from preprocessing.settings import SampleSettings, SettingsError, WatertightSettings
from preprocessing.stores.address import Place

if TYPE_CHECKING:
    import pyarrow as pa

    from preprocessing.running.supervisor import ForkServer


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The stages of a run and where their files go; None leaves a stage out.

    With both stages the files go to out/watertight and out/samples, with one into `out` itself.
    Raises SettingsError for solids that should not be sampled.
    """

    out: Place
    watertight: WatertightSettings | None
    samples: SampleSettings | None

    def __post_init__(self) -> None:
        if self.watertight and self.samples and not self.watertight.remesh:
            raise SettingsError(
                "no_remesh",
                "gives solids with edges that are not the shape's, which salient points would lie "
                "on; it is for `dora-prep watertight` alone",
            )

    @property
    def watertight_folder(self) -> Place:
        """Where watertight meshes go."""
        return self.out / "watertight" if self.samples else self.out

    @property
    def samples_folder(self) -> Place:
        """Where samples go."""
        return self.out / "samples" if self.watertight else self.out


@dataclass(frozen=True)
class Done:
    """What an earlier run left: sha256 of the input, and (folder, names, sha256) of each output."""

    input_sha256: str
    outputs: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Task:
    """One input. When all that `done` says still holds, there is nothing to do."""

    id: str
    path: str
    eps: float | None = None  # of the input, where it is known to be an offset surface
    done: Done | None = None
    part: Part | None = None  # of the file, where the input is not all of it


@dataclass(frozen=True)
class Output:
    """One kind of file that a run writes, with a ledger of its own.

    key: of its columns in what the child returns. columns: of the ledger. settings: a fingerprint
    of all that decides the bytes besides the input. endings: of its files, after the item's id.
    """

    key: str
    folder: Place
    columns: "pa.Schema"
    settings: str
    endings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is done with every entry of a run, whatever it is.

    told: the settings by name, as run.json keeps them. function: called with each Task in a child,
    returns the ledger's columns by `Output.key`, and `input` and `unchanged` (see stages.prepare).
    preload: modules the fork server loads for it, or one that loads them already. begin: called
    with `quiet` before the first item, when the folder is known to be fit. batch: tasks a call; for
    more than one, `function` takes a tuple of them and returns a Reply (runner_child.py) for each.
    """

    out: Place
    outputs: tuple[Output, ...]
    told: Mapping[str, Any]
    function: Callable[[Any], Any]
    preload: "tuple[str, ...] | ForkServer"
    begin: Callable[[bool], None]
    label: str = "meshes"
    batch: int = 1
