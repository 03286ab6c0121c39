"""Several tasks as one item of the runner, where a function does better with many at a time.

Every task has an outcome of its own. What ends a batch as a whole (a crash, a limit, an error
outside of any one task) says nothing of a single one, so its tasks go out again, alone.
"""

import itertools
from collections.abc import Callable, Generator, Iterator
from contextlib import closing

from preprocessing.running.runner import Item, Outcome
from preprocessing.running.runner_child import Reply

Run = Callable[[Iterator[Item]], Generator[Outcome, None, None]]


def run_batches(run: Run, items: Iterator[Item], size: int) -> Generator[Outcome, None, None]:
    """Outcomes of items that go through `run` up to `size` at a time.

    `run` calls its function with a tuple of payloads, which returns a Reply for each; seconds of
    an outcome are the batch's over its tasks.
    """
    members: dict[str, tuple[Item, ...]] = {}

    def grouped(some: Iterator[Item], size: int) -> Iterator[Item]:
        while batch := tuple(itertools.islice(some, size)):
            members[batch[0].id] = batch
            yield Item(batch[0].id, tuple(item.payload for item in batch))

    alone: list[Item] = []
    for some, together in ((items, size), (iter(alone), 1)):
        with closing(run(grouped(some, together))) as outcomes:
            for outcome in outcomes:
                batch = members.pop(outcome.id)
                if outcome.status != "ok" and len(batch) > 1:
                    alone.extend(batch)
                else:
                    yield from split(outcome, batch)


def split(outcome: Outcome, batch: tuple[Item, ...]) -> Iterator[Outcome]:
    """The outcomes of a batch's items; a batch of one that failed as a whole is its item's."""
    if outcome.status != "ok":
        yield outcome
        return
    seconds, peak, replies = outcome.seconds / len(batch), outcome.peak_memory_mb, outcome.value
    reply: Reply
    for item, reply in zip(batch, replies, strict=True):
        yield Outcome(
            item.id,
            reply.status,
            reply.reason,
            seconds,
            peak,
            reply.value,
            reply.detail,
            outcome.node,
        )
