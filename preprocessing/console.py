"""What all three commands share with a terminal: exit codes, errors, progress.

Standard output carries results only (a table, or one JSON object under --json); everything else
goes to standard error. Nothing heavy is imported here, so `--help` stays fast.
"""

import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Annotated

if TYPE_CHECKING:
    import typer

EXIT_OK, EXIT_BUG, EXIT_USAGE, EXIT_SOME_FAILED, EXIT_INTERRUPTED = 0, 1, 2, 3, 130


class UsageError(Exception):
    """The command cannot be carried out as asked; the message says what to type instead."""


class StopError(Exception):
    """The run cannot go on and no option would help (a full disk); the message says what would."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM; the message says how far the run came and how to resume."""


def run_command(command: Callable[[], None]) -> None:
    """Run a Typer app and map what escapes it to the exit codes of the design.

    UsageError -> 2 and StopError -> 1 with the message alone; KeyboardInterrupt and Interrupted
    -> 130; SIGTERM, which schedulers send, counts as Ctrl-C. Anything else is a bug: the traceback
    is shown and the exit code is 1.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        command()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(EXIT_USAGE) from None
    except StopError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(EXIT_BUG) from None
    except Interrupted as error:
        print(f"interrupted: {error}", file=sys.stderr)
        raise SystemExit(EXIT_INTERRUPTED) from None
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on from here", file=sys.stderr)
        raise SystemExit(EXIT_INTERRUPTED) from None
    finally:
        gc.freeze()  # else Python looks through all of torch once more before it ends


def add_version(app: "typer.Typer", name: str) -> None:
    """Give a Typer app `--version`, which prints `NAME VERSION` and ends."""
    import typer

    def show(asked: bool) -> None:
        if asked:
            typer.echo(f"{name} {installed_version()}")
            raise typer.Exit

    @app.callback()
    def options(
        version: Annotated[
            bool, typer.Option("--version", callback=show, is_eager=True, help="Say it and exit.")
        ] = False,
    ) -> None:
        """Options before the command's name."""

    options.__doc__ = app.info.help


def installed_version() -> str:
    """The version of the installed package; of a checkout that is not installed, that it is not."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("dora-bench")
    except PackageNotFoundError:
        return "(not installed; pip install -e .)"


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean tiny?` for a misspelt word near to known ones, else nothing."""
    import difflib

    near = difflib.get_close_matches(word, list(known), n=2, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""


@contextlib.contextmanager
def without_collecting() -> Iterator[None]:
    """For importing much: all of it stays, and looking for garbage in it takes a quarter as long
    as torch itself."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextlib.contextmanager
def stdout_for_results_only() -> Iterator[None]:
    """Send whatever libraries print to standard output to standard error instead."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


class Progress:
    """done/total, rate, ETA and counts on stderr: a live line on a terminal, else one each 10 s."""

    def __init__(
        self,
        total: int | None,
        label: str,
        quiet: bool = False,
        count: Callable[[], int] | None = None,
    ) -> None:
        """count: says how much is done, where nobody calls `update`."""
        self.total, self.label, self.quiet, self.count = total, label, quiet, count
        self.done = 0
        self.note: str | Callable[[], str] = ""
        self.terminal = sys.stderr.isatty()
        self.interval = 0.1 if self.terminal else 10.0
        self.started = self.shown = time.monotonic()
        self.drawn = False
        self.drawing, self.ended = threading.Lock(), threading.Event()

    def __enter__(self) -> "Progress":
        if not self.quiet:
            threading.Thread(target=self.keep_drawing, daemon=True).start()
        return self

    def keep_drawing(self) -> None:
        """Draw while no item ends: one that takes long must not look like a hang."""
        while not self.ended.wait(max(1.0, self.interval)):
            if time.monotonic() - self.shown >= self.interval:
                self.show()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        if self.drawn:
            self.show()
            if self.terminal and not self.quiet:
                print(file=sys.stderr)

    def update(self, count: int = 1, note: str | Callable[[], str] = "") -> None:
        """Advance by `count`; `note` replaces the text after the figures (failures, loss, ...).

        A callable is called only when the line is drawn.
        """
        self.done += count
        self.note = note or self.note
        if time.monotonic() - self.shown >= self.interval:
            self.show()

    def show(self) -> None:
        """Draw the line now."""
        with self.drawing:
            self.draw()

    def draw(self) -> None:
        """Draw the line."""
        self.shown, self.drawn = time.monotonic(), True
        if self.quiet:
            return
        self.done = self.done if self.count is None else self.count()
        elapsed = self.shown - self.started
        rate = self.done / elapsed if elapsed > 0 else 0.0
        line = f"{self.label} {self.done}"
        if self.total is not None:
            line += f"/{self.total}"
            if rate > 0:
                line += f"  ETA {clock((self.total - self.done) / rate)}"
        line += f"  {rate:.3g}/s  {clock(elapsed)}"
        note = self.note() if callable(self.note) else self.note
        if note:
            line += f"  {note}"
        if self.terminal:
            sys.stderr.write(f"\r\x1b[K{line}")
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()


def clock(seconds: float) -> str:
    """Seconds as 1:02:03 or 2:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
