"""A line on a terminal that says how far `fnet-run --lines` is."""

import sys
import time
from collections.abc import Sequence
from typing import BinaryIO

from fnet_runtime.command.texts import PlacedText, size_of_file

EVERY_S = 0.2
ERASE = "\x1b[K"
"""Erases from the cursor to the end of the line. The cursor stays at the beginning, so that the next print replaces the line."""


class Progress:
    """Show on standard error how many lines have answers, how many that is a second, and which part of the files.

    Nothing is shown unless `wanted`, and unless standard error is a terminal and standard output is not. Answers on the same
    terminal say enough.
    """

    def __init__(self, files: Sequence[BinaryIO], *, wanted: bool) -> None:
        sizes = [size_of_file(file) for file in files]
        self._bytes = None if None in sizes else sum(size or 0 for size in sizes)
        self._lines = self._answered_bytes = 0
        self._shown = wanted and sys.stderr.isatty() and not sys.stdout.isatty()
        self._start = self._last = time.monotonic()

    def show(self, batch: Sequence[PlacedText]) -> None:
        """Show that these lines too have answers, unless it is a moment since the last time."""
        self._lines += len(batch)
        self._answered_bytes += sum(place.size_bytes for place, _ in batch)
        now = time.monotonic()
        if not self._shown or now - self._last < EVERY_S:
            return
        self._last = now
        part = f" ({self._answered_bytes / self._bytes:.0%})" if self._bytes else ""
        self._write(f"{ERASE}{self._lines} lines{part}, {self._lines / (now - self._start):.0f} a second\r")

    def end(self) -> None:
        """Remove the line."""
        if self._shown:
            self._write(ERASE)

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
