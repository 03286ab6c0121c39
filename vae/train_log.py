"""The log of a run: `log.csv`, one row a step, and TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from preprocessing.files import atomic_path

BOARD_EVERY = 10  # steps between two points of a TensorBoard curve; log.csv has every step
TRAINING = ("loss", "near", "sharp", "kl", "iou", "tokens", "lr", "grad_norm")
VALIDATION = tuple(
    f"val_{figure}_{tokens}" for figure in ("iou", "f") for tokens in ("few", "some", "many")
)
"""Empty but where the run was validated: at the smallest, the median, the largest token length."""
COLUMNS = ("step", *TRAINING, *VALIDATION, "seconds")


class Log:
    """`log.csv` and TensorBoard, written by the main process; rows past a resume point go."""

    def __init__(self, out: Path, step: int, active: bool) -> None:
        self.path, self.active = out / "log.csv", active
        self.last: dict[str, float] = {}
        self.close: list[Callable[[], None]] = []
        if not self.active:
            return
        rows = raw_log(self.path) if self.path.exists() else []
        rows = [row for row in rows if int(row["step"]) <= step]
        if rows:
            self.last = {name: float(rows[-1][name]) for name in TRAINING}
        with atomic_path(self.path) as temporary, temporary.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        from torch.utils.tensorboard import SummaryWriter

        self.board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)
        self.handle = self.path.open("a", newline="")
        self.writer = csv.DictWriter(self.handle, COLUMNS)
        self.close = [self.board.close, self.handle.close]

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *error: object) -> None:
        for close in self.close:
            close()

    def write(self, row: Mapping[str, float]) -> None:
        """One row; flushed, so that a kill loses none that a checkpoint counts on."""
        if not self.active:
            return
        self.writer.writerow(row)
        self.handle.flush()
        if int(row["step"]) % BOARD_EVERY and not any(name in row for name in VALIDATION):
            return
        for name in row:
            if name in TRAINING or name in VALIDATION:
                self.board.add_scalar(name, row[name], int(row["step"]))

    def picture(self, path: Path, step: int) -> None:
        """A PNG into TensorBoard."""
        if self.active:
            from PIL import Image

            self.board.add_image(path.stem, np.asarray(Image.open(path)), step, dataformats="HWC")


def raw_log(path: Path) -> list[dict[str, str]]:
    """The rows of a log as text, so that writing them again changes no character."""
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def read_log(path: str | Path) -> list[dict[str, float]]:
    """The rows of a run's log.csv as numbers; what a row has none of is left out."""
    return [{k: float(v) for k, v in row.items() if v} for row in raw_log(Path(path))]
