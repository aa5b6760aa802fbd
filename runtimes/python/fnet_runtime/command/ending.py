"""The end of a program that is stopped or runs out of memory: an exit code and one sentence, no traceback."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import click

from fnet_runtime.command.exit_codes import ENGINE_FAILED, INTERRUPTED

STOPPING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask a program to end; SIGHUP comes when its terminal is closed."""


@contextmanager
def ended_in_words(advice: str = "") -> Iterator[None]:
    """End the program with 130 after Ctrl-C, and with 4 and a sentence when memory runs out; `advice` ends that sentence."""
    try:
        yield
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(INTERRUPTED)
    except MemoryError:
        _say(f"error: out of memory{advice}")
        sys.exit(ENGINE_FAILED)


def _say(text: str) -> None:
    with suppress(OSError):  # the reader of standard error may be gone
        click.echo(text, err=True)


def end_on_signals() -> None:
    """Let signals that ask the program to end raise SystemExit, so that half-written files are removed.

    The exit code is the one that a shell reports for the signal. A signal that is ignored, as nohup does, stays ignored.
    """
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    for other in STOPPING:
        signal.signal(other, signal.SIG_IGN)  # a second signal often follows and would end the cleaning up
    sys.exit(128 + number)
