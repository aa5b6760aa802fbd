"""Report progress: a protocol, three ways to show it, calls of a function, and the parts of a job."""

import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import rich.console
import rich.markup
import rich.progress


class Progress(Protocol):
    """Hears of stages, of steps within one, and of what a user should know."""

    def stage(self, title: str) -> None:
        """Begin a stage, which ends the one before."""
        ...

    def step(self, done: int, total: int, what: str = "") -> None:
        """Report how many steps of the present stage are done."""
        ...

    def note(self, text: str) -> None:
        """Report something that a user should know."""
        ...


class Quiet:
    """Says nothing."""

    def stage(self, title: str) -> None:
        """Say nothing."""

    def step(self, done: int, total: int, what: str = "") -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""


EVERY_S = 15.0
"""Off a terminal a stage says so often how far it is."""


def remaining(done: int, total: int, elapsed_s: float) -> str:
    """Say how long the rest of a stage will take when it goes on as before; nothing before there is something to go by."""
    if not 0 < done < total:
        return ""
    left = elapsed_s * (total - done) / done
    return f"about {left:.0f} s left" if left < 90 else f"about {left / 60:.0f} min left"


class Lines:
    """A plain line for each stage and note, and every 15 s one of how far the stage is, to standard error, for logs and pipes."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the clock, in seconds."""
        self._clock = clock
        self._title, self._begun, self._printed_at = "", clock(), clock()

    def stage(self, title: str) -> None:
        """Print the stage."""
        self._title, self._begun, self._printed_at = title, self._clock(), self._clock()
        print(title, file=sys.stderr, flush=True)

    def step(self, done: int, total: int, what: str = "") -> None:
        """Print how far the stage is, unless that was printed lately."""
        now = self._clock()
        if now - self._printed_at < EVERY_S:
            return
        self._printed_at = now
        parts = [f"{done / total:.0%}", what, remaining(done, total, now - self._begun)]
        print(f"{self._title}: {', '.join(part for part in parts if part)}", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """Print the note."""
        print(f"note: {text}", file=sys.stderr, flush=True)


class Bars:
    """A bar per stage, on a terminal."""

    def __init__(self) -> None:
        """Make the display; `with` shows it."""
        self.console = rich.console.Console(stderr=True)
        self._display = rich.progress.Progress(
            rich.progress.SpinnerColumn(finished_text="[green]✓"),
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(bar_width=24),
            rich.progress.TextColumn("{task.percentage:>3.0f}% {task.fields[what]}"),
            rich.progress.TimeElapsedColumn(),
            console=self.console,
        )
        self._task: rich.progress.TaskID | None = None
        self._begun = time.monotonic()

    def __enter__(self) -> "Bars":
        """Show the bars."""
        self._display.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Leave the bars as they are; the last stage is done unless an error ends it."""
        with contextlib.suppress(OSError):  # the terminal may be closed, which is why the program ends
            if kind is None:
                self._finish()
            self._display.stop()

    def _finish(self) -> None:
        if self._task is not None:
            self._display.update(self._task, total=1, completed=1, what="")

    def stage(self, title: str) -> None:
        """Finish the bar of the last stage and begin one."""
        self._finish()
        self._task = self._display.add_task(title, total=None, what="")
        self._begun = time.monotonic()

    def step(self, done: int, total: int, what: str = "") -> None:
        """Move the bar."""
        if self._task is not None:
            left = remaining(done, total, time.monotonic() - self._begun)
            self._display.update(self._task, completed=done, total=total, what=", ".join(part for part in (what, left) if part))

    def note(self, text: str) -> None:
        """Print the note over the bars."""
        self._display.console.print(f"[yellow]note:[/] {rich.markup.escape(text)}")


@dataclass(frozen=True, kw_only=True)
class ProgressEvent:
    """Report that a stage begins, that a step of the stage is done, or what a user should know.

    `stage` is the title of the present stage. `done` and `total` count its steps, and `what` describes the step. `total` is 0 in
    the event that begins a stage. `note` is the text for the user, and None in all other events.
    """

    stage: str
    done: int = 0
    total: int = 0
    what: str = ""
    note: str | None = None


OnProgress = Callable[[ProgressEvent], None]


class Calls:
    """Call a function with each event."""

    def __init__(self, on_progress: OnProgress | None) -> None:
        """Take the function. None ignores all events."""
        self._on_progress = on_progress
        self._stage = ""

    def stage(self, title: str) -> None:
        """Report that a stage begins."""
        self._stage = title
        self._call(ProgressEvent(stage=title))

    def step(self, done: int, total: int, what: str = "") -> None:
        """Report that a step is done."""
        self._call(ProgressEvent(stage=self._stage, done=done, total=total, what=what))

    def note(self, text: str) -> None:
        """Report what a user should know."""
        self._call(ProgressEvent(stage=self._stage, note=text))

    def _call(self, event: ProgressEvent) -> None:
        if self._on_progress is not None:
            self._on_progress(event)


class OfPart:
    """Report the progress of one part of a job: put its name before each stage, and report a note of several parts once."""

    def __init__(self, progress: Progress, name: str, noted: set[str]) -> None:
        """Take the progress of the job, the name of the part, and the notes that other parts reported, to which it adds its own."""
        self._progress, self._name, self._noted = progress, name, noted

    def stage(self, title: str) -> None:
        """Begin a stage of the part."""
        self._progress.stage(f"{self._name}: {title}")

    def step(self, done: int, total: int, what: str = "") -> None:
        """Report how many steps of the present stage are done."""
        self._progress.step(done, total, what)

    def note(self, text: str) -> None:
        """Report something that a user should know, unless another part did."""
        if text not in self._noted:
            self._noted.add(text)
            self._progress.note(text)
