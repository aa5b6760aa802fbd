"""Standard output: characters that its encoding lacks are escaped, and what cannot be written ends the program."""

import codecs
import contextlib
import io
import json
import os
import signal
import sys

from fnet_runtime.errors import InputError

ESCAPED = "fnet_runtime.escaped"


def prepare_standard_output(*, utf8: bool = False) -> None:
    """Escape characters that the encoding of standard output lacks as JSON does, so that JSON stays JSON; `utf8` sets UTF-8."""
    codecs.register_error(ESCAPED, _escaped)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a service may close it
        sys.stdout.reconfigure(encoding="utf-8" if utf8 else None, errors=ESCAPED)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def write_line(text: str) -> None:
    """Write a line, or several, and flush. Exits as SIGPIPE does when nobody reads. Raises InputError when it cannot be written."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go()
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        _let_go()
        raise InputError(f"standard output: cannot be written ({error.strerror})") from error


def _let_go() -> None:
    """Send what is left in buffers nowhere: the interpreter would try to write it once more when it ends."""
    with contextlib.suppress(OSError, io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
