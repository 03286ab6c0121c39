"""What bulk encoding and decoding are given: folders, lists and patterns of files or objects, and
shards."""

from collections import Counter
from collections.abc import Collection, Sequence

from preprocessing.console import UsageError
from preprocessing.points.shards import find_packed, is_packed, read_index
from preprocessing.running.ids import Entry, Part
from preprocessing.running.known_eps import absolute, known_eps
from preprocessing.running.lists import SUFFIXES as LISTS
from preprocessing.running.manifest import MAGIC, find_inputs
from preprocessing.stores.address import Place, place


def is_bulk(inputs: Sequence[str]) -> bool:
    """Whether INPUT names more than one file: several, a folder, a list or a pattern."""
    if len(inputs) != 1:
        return True
    path = place(inputs[0])
    if path.is_dir() or path.suffix.lower() in LISTS:
        return True
    return not path.is_file() and any(character in inputs[0] for character in MAGIC)


def find_entries(
    inputs: Sequence[str],
    suffixes: Collection[str],
    exclude: Place,
    passed_over: Counter[str] | None = None,
) -> list[Entry]:
    """Every file or packed part that INPUT names, sorted by id; otherwise as `find_inputs`.

    A folder that `dora-prep run` wrote stands for its samples, a folder of shards for what is
    packed in them. Raises UsageError also where a packed input and another have one id,
    and for solids that are not to be sampled (known_eps).
    """
    packed: list[Entry] = []
    files = []
    for text in map(samples_below, inputs):
        if is_packed(place(text)):
            packed += packed_entries(place(text))
        else:
            files.append(text)
    found = find_inputs(files, suffixes, exclude, passed_over) if files else []
    known_eps(found)  # whether they may be sampled
    counts = Counter(entry.id for entry in (*found, *packed))
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise UsageError(f"{len(twice)} ids come from several INPUTs, as {twice[0]!r}: give one")
    return sorted([*found, *packed])


def samples_below(text: str) -> str:
    """The samples of a folder that `dora-prep run` wrote; any other INPUT as it is."""
    below = place(text) / "samples"
    return str(below) if below.is_dir() else text


def packed_entries(folder: Place) -> list[Entry]:
    """What shards hold. Raises UsageError where a shard is missing."""
    table = read_index(folder, ["id", "sha256"])
    columns = (table[name].to_pylist() for name in table.column_names)
    digest = dict(zip(*columns, strict=True))
    return [
        Entry(name, absolute(at.path), part=Part(at.offset, at.size, digest[name]))
        for name, at in find_packed(folder).items()
    ]
