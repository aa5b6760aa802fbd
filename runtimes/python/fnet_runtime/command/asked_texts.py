"""The texts that fnet-run is asked about, each with the place where it stands: an argument, a file or a line of it."""

import io
import os
import select
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fnet_runtime.errors import InputError

ARGUMENT = "--text"
READ_BYTES = 1 << 16


@dataclass(frozen=True)
class Place:
    """A source (--text, a file, or - for standard input), and which of its texts: the number from 1, None for all of a file."""

    source: str
    number: int | None = None

    def __str__(self) -> str:
        if self.number is None:
            return self.source
        return f"{self.source} {self.number}" if self.source == ARGUMENT else f"{self.source}, line {self.number}"


Asked = tuple[Place, str | InputError]
"""A text, or the error of one that is not UTF-8."""


def texts_from_arguments(values: tuple[str, ...]) -> list[Asked]:
    """Return the values of --text."""
    return [(Place(ARGUMENT, number), text_from_argument(value)) for number, value in enumerate(values, start=1)]


def text_from_argument(value: str) -> str:
    """Return an argument as the UTF-8 that it is, also where the locale says that it is something else."""
    try:
        return os.fsencode(value).decode("utf-8")
    except UnicodeDecodeError:
        return value


def opened(path: Path) -> BinaryIO:
    """Open a file. Raises InputError."""
    try:
        return path.open("rb")
    except OSError as error:
        raise _unreadable(str(path), error) from error


def whole_text(file: BinaryIO, source: str) -> Asked:
    """Read a file as one text. Raises InputError when it cannot be read or is not UTF-8."""
    try:
        text = _decoded(file.read())
    except OSError as error:
        raise _unreadable(source, error) from error
    if isinstance(text, InputError):
        raise InputError(f"{source}: {text}")
    return Place(source), text


def batches_of_lines(file: BinaryIO, source: str, size: int) -> Iterator[list[Asked]]:
    """Give the lines of a file in lists of `size`, shorter ones at the end and where no more lines have arrived yet.

    Lines end at line feeds alone, with a carriage return before it or without. Raises InputError when the file cannot be read.
    """
    waiting: list[Asked] = []
    number, rest, ended = 0, bytearray(), False
    while not ended:
        try:
            data = file.read1(READ_BYTES)  # type: ignore[attr-defined]  # of a buffered file
        except OSError as error:
            raise _unreadable(source, error) from error
        ended = not data
        first, *others = data.split(b"\n")
        rest += first
        lines = [bytes(rest), *others[:-1]] if others else [bytes(rest)] if ended and rest else []
        if others:
            rest = bytearray(others[-1])
        for line in lines:
            number += 1
            waiting.append((Place(source, number), _decoded(line.removesuffix(b"\r"))))
            if len(waiting) == size:
                yield waiting
                waiting = []
        if waiting and (ended or not _has_more(file)):
            yield waiting
            waiting = []


def _decoded(data: bytes) -> str | InputError:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        return InputError(f"not UTF-8 (byte {error.start}); convert it first, with iconv for example")


def _has_more(file: BinaryIO) -> bool:
    """Tell whether a read would return at once."""
    try:
        descriptor = file.fileno()
    except io.UnsupportedOperation:  # in memory
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _unreadable(source: str, error: OSError) -> InputError:
    return InputError(f"{source}: cannot be read ({error.strerror})")
