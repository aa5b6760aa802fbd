"""The texts that fnet-run answers, each with the place it comes from: an argument, a file, or a line of a file."""

import io
import os
import select
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fnet_runtime.errors import InputError
from fnet_runtime.tokenizer.tokenizer import too_long

ARGUMENT = "--text"
READ_BYTES = 1 << 16


@dataclass(frozen=True)
class Place:
    """The source of a text (--text, a file, or - for standard input), and its number in the source, from 1.

    A file that is one text has no number. `size_bytes` are the bytes of a line, with its end.
    """

    source: str
    number: int | None = None
    size_bytes: int = 0

    def __str__(self) -> str:
        if self.number is None:
            return self.source
        return f"{self.source} {self.number}" if self.source == ARGUMENT else f"{self.source}, line {self.number}"


PlacedText = tuple[Place, str | InputError]
"""A text with its place, or the error of bytes that are not a text."""


def texts_from_arguments(values: tuple[str, ...]) -> list[PlacedText]:
    """Return the values of --text."""
    return [(Place(ARGUMENT, number), text_from_argument(value)) for number, value in enumerate(values, start=1)]


def text_from_argument(value: str) -> str:
    """Decode an argument as UTF-8, whatever encoding the locale names."""
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


def whole_text(file: BinaryIO, source: str, bound: int) -> PlacedText:
    """Read a file as one text of at most `bound` bytes; of a longer file no more than that is read.

    Raises InputError when the file cannot be read, is too long or is not UTF-8.
    """
    try:
        size = size_of_file(file)
        if size is not None and size > bound:
            raise InputError(f"{source}: {too_long(bound, str(size))}")
        data = file.read(bound + 1)
    except OSError as error:
        raise _unreadable(source, error) from error
    if len(data) > bound:
        raise InputError(f"{source}: {too_long(bound, 'more')}")
    text = _decoded(data)
    if isinstance(text, InputError):
        raise InputError(f"{source}: {text}")
    return Place(source), text


def batches_of_lines(file: BinaryIO, source: str, size: int, bound: int) -> Iterator[list[PlacedText]]:
    """Read the lines of a file in lists of `size`. A list is shorter at the end, and where no more lines have arrived yet.

    It is also shorter where its lines have more than `bound` bytes together.

    A line ends at a line feed, with or without a carriage return before it. No more than `bound` bytes
    of a line are kept. Raises InputError when the file cannot be read.
    """
    waiting: list[PlacedText] = []
    line, number, ended, waiting_bytes = _Line(bound), 0, False, 0
    while not ended:
        try:
            data = file.read1(READ_BYTES)  # type: ignore[attr-defined]  # of a buffered file
        except OSError as error:
            raise _unreadable(source, error) from error
        ended = not data
        *ends, rest = data.split(b"\n")
        for part in ends:
            line.add(part)
            number += 1
            waiting.append((Place(source, number, line.size + 1), line.text()))
            waiting_bytes += line.size
            line = _Line(bound)
            if len(waiting) == size or waiting_bytes > bound:
                yield waiting
                waiting, waiting_bytes = [], 0
        line.add(rest)
        if ended and line.size:
            waiting.append((Place(source, number + 1, line.size), line.text()))
        if waiting and (ended or not _has_more(file)):
            yield waiting
            waiting, waiting_bytes = [], 0


class _Line:
    """The bytes of one line as they arrive; those after the first `bound` are only counted."""

    def __init__(self, bound: int) -> None:
        self.size, self._bound, self._data, self._returned = 0, bound, bytearray(), False

    def add(self, part: bytes) -> None:
        self.size += len(part)
        self._returned = part.endswith(b"\r") if part else self._returned
        self._data += part[: max(0, self._bound - len(self._data))]

    def text(self) -> str | InputError:
        size = self.size - self._returned
        return _decoded(bytes(self._data[:size])) if size <= self._bound else InputError(too_long(self._bound, str(size)))


def size_of_file(file: BinaryIO) -> int | None:
    """Return the size of a regular file; None for anything else."""
    try:
        status = os.fstat(file.fileno())
    except io.UnsupportedOperation:  # in memory
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _decoded(data: bytes) -> str | InputError:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        return InputError(f"not UTF-8 (byte {error.start}); convert it first, with iconv for example")


def _has_more(file: BinaryIO) -> bool:
    """Return whether a read would return at once."""
    try:
        descriptor = file.fileno()
    except io.UnsupportedOperation:  # in memory
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _unreadable(source: str, error: OSError) -> InputError:
    return InputError(f"{source}: cannot be read ({error.strerror})")
