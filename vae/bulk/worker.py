"""What encoding and decoding in a child of the runner share: the model, loaded once a child, and
the way of one file or object through it."""

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from preprocessing.mesh_errors import MeshError
from preprocessing.points.sample_at import SampleAt
from preprocessing.running.proof import input_facts, still_done
from preprocessing.running.stages import delivered, fetched
from preprocessing.running.tasks import Task
from preprocessing.stores.address import Place, place
from vae.bulk.settings import DecodeSettings, EncodeSettings, ModelSource
from vae.model import DoraVAE

Settings = TypeVar("Settings", EncodeSettings, DecodeSettings)


class ModelWorker(ABC, Generic[Settings]):
    """Called by the runner with a task; `warm` loads the model once a child."""

    key: ClassVar[str]  # of the columns in what a call returns

    def __init__(self, settings: Settings, source: ModelSource, out: Place) -> None:
        self.settings: Settings = settings
        self.source, self.out = source, out
        self.model: DoraVAE | None = None

    def warm(self) -> None:
        """Load the model; in the child, because torch's threads do not survive a fork."""
        self.model = self.source.load()

    def __call__(self, task: Task) -> dict[str, Any]:
        """The ledger's columns, as `stages.prepare` gives them, under `key`.

        Raises MeshError for an input that cannot be used, OutputError when the result fails its
        checks, StoreError.
        """
        with input_of(task) as source:
            facts = facts_of_input(task, source)
            if task.done is not None and still_done(facts["input_sha256"], task.done):
                return {"input": facts, "unchanged": True}
            started = time.perf_counter()
            columns: dict[str, Any] = {}
            with delivered(self.out, columns) as folder:
                columns |= self.make(source, task.id, folder)
        columns["seconds"] = time.perf_counter() - started
        return {"input": facts, "unchanged": False, self.key: columns}

    @abstractmethod
    def make(self, source: Path | SampleAt, item_id: str, folder: Path) -> dict[str, Any]:
        """Write the output of one input below a folder of this machine; its columns, with those of
        `output_facts`. Raises MeshError, OutputError."""


@contextlib.contextmanager
def input_of(task: Task) -> Iterator[Path | SampleAt]:
    """A task's input: a file of this machine, or the part of a file or object that it is.

    A MeshError about it names it as the task does.
    """
    with contextlib.ExitStack() as stack:
        source: Path | SampleAt
        if task.part is not None:
            source = SampleAt(place(task.path), task.part.offset, task.part.size)
        else:
            source = Path(stack.enter_context(fetched(task.path)))
        try:
            yield source
        except MeshError as error:
            told = error.message.replace(str(source), task.path)
            raise MeshError(error.reason, told) from error


def facts_of_input(task: Task, source: Path | SampleAt) -> dict[str, Any]:
    """As `input_facts`; size and time of a part are its shard's, its sha256 is the index's.

    Raises MeshError(missing | unreadable).
    """
    if not isinstance(source, SampleAt):
        return input_facts(str(source))
    assert task.part is not None
    try:
        found = source.path.stat()
    except FileNotFoundError as error:
        raise MeshError("missing", f"{source.path} is not there") from error
    return {
        "input_bytes": found.st_size,
        "input_mtime_ns": found.st_mtime_ns,
        "input_sha256": task.part.sha256,
        "companions": None,
    }
