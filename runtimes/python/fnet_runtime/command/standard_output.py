"""Standard output: escape characters that its encoding lacks, and end the program when it cannot be written."""

import codecs
import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from fnet_runtime.command.exit_codes import BAD_INPUT, READER_LEFT
from fnet_runtime.errors import OutputError

ESCAPED = "fnet_runtime.escaped"


def prepare_standard_output(*, utf8: bool = False) -> None:
    """Escape characters that the encoding of standard output lacks, as JSON escapes them. `utf8` sets the encoding to UTF-8."""
    codecs.register_error(ESCAPED, _escaped)
    reconfigure = getattr(sys.stdout, "reconfigure", None)  # a service may close standard output
    if reconfigure is not None:
        reconfigure(encoding="utf-8" if utf8 else None, errors=ESCAPED)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


class GuardedOutput:
    """Standard output for libraries that print: it ends the program, or raises OutputError, as `write_line` does."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text. click writes an empty text to ask whether text can be written, and takes an error for a no."""
        if text == "":
            return 0
        with _written():
            return self._stream.write(text)

    def flush(self) -> None:
        """Write the text that is left in buffers."""
        with _written():
            self._stream.flush()


@contextlib.contextmanager
def guarded_standard_output() -> Iterator[None]:
    """Guard the text that any library prints. Exits with 1 and a sentence when standard output cannot be written."""
    stream = sys.stdout
    if stream is not None:  # a service may close it
        sys.stdout = cast(TextIO, GuardedOutput(stream))
    try:
        yield
    except OutputError as error:
        with contextlib.suppress(OSError):  # whoever read standard error may be gone
            sys.stderr.write(f"error: {error}\n")
        sys.exit(BAD_INPUT)
    finally:
        sys.stdout = stream


def write_line(text: str) -> None:
    """Write a line, or several lines, and flush.

    Exits as SIGPIPE does when nobody reads. Raises OutputError when standard output cannot be written.
    """
    if sys.stdout is None:
        return
    with _written():
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


@contextlib.contextmanager
def _written() -> Iterator[None]:
    """Exit as SIGPIPE does when nobody reads. Raises OutputError when standard output cannot be written."""
    try:
        yield
    except BrokenPipeError:
        _let_go()
        sys.exit(READER_LEFT)
    except OSError as error:
        _let_go()
        raise OutputError(f"standard output: cannot be written ({error.strerror})") from error


def _let_go() -> None:
    """Discard the text that is left in buffers, or the interpreter would try to write it again when it ends."""
    with contextlib.suppress(OSError, io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
