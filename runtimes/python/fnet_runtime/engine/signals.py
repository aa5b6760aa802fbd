"""Signals such as Ctrl-C in the callbacks of a library that ignores what they raise, as TensorRT does while it builds."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals whose handlers may raise an exception that ends the program."""
Handler = Callable[[int, FrameType | None], object]


@contextmanager
def kept_exceptions() -> Iterator[list[BaseException]]:
    """Collect what handlers of signals raise in the block, and raise the first of it when the block ends.

    The block may add exceptions of its own. Handlers run in the main thread only, so other threads have nothing to collect.
    """
    kept: list[BaseException] = []
    before: dict[int, Handler] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        try:
            before[number](number, frame)
        except BaseException as error:  # KeyboardInterrupt and SystemExit too: they are raised later
            kept.append(error)

    if threading.current_thread() is threading.main_thread():
        for number in ENDING:
            handler = signal.getsignal(number)
            if callable(handler):  # neither ignored, nor the system's, nor one of another language
                before[number] = handler
                signal.signal(number, handle)
    try:
        yield kept
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if kept:
        raise kept[0]
