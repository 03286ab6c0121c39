"""What travels to the child that does the work: the plan of a run, and the task of one input."""

from dataclasses import dataclass
from pathlib import Path

from preprocessing.settings import SampleSettings, WatertightSettings


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The stages of a run and where their files go; None leaves a stage out.

    With both stages the files go to out/watertight and out/samples, with one into `out` itself.
    """

    out: Path
    watertight: WatertightSettings | None
    samples: SampleSettings | None

    @property
    def watertight_folder(self) -> Path:
        """Where watertight meshes go."""
        return self.out / "watertight" if self.samples else self.out

    @property
    def samples_folder(self) -> Path:
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
