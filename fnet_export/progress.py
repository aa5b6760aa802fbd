"""How an export tells what it does: a protocol, and three ways to show it."""

import contextlib
import sys
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
        """Tell the steps done of the present stage."""
        ...

    def note(self, text: str) -> None:
        """Tell something that a user should know."""
        ...


class Quiet:
    """Says nothing."""

    def stage(self, title: str) -> None:
        """Say nothing."""

    def step(self, done: int, total: int, what: str = "") -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""


class Lines:
    """One plain line per stage and note, to standard error, for logs and pipes."""

    def stage(self, title: str) -> None:
        """Print the stage."""
        print(title, file=sys.stderr, flush=True)

    def step(self, done: int, total: int, what: str = "") -> None:
        """Say nothing: a log needs no bar."""

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
            rich.progress.TextColumn("{task.fields[what]}"),
            rich.progress.TimeElapsedColumn(),
            console=self.console,
        )
        self._task: rich.progress.TaskID | None = None

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

    def step(self, done: int, total: int, what: str = "") -> None:
        """Move the bar."""
        if self._task is not None:
            self._display.update(self._task, completed=done, total=total, what=what)

    def note(self, text: str) -> None:
        """Print the note over the bars."""
        self._display.console.print(f"[yellow]note:[/] {rich.markup.escape(text)}")
